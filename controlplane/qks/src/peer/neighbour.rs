//! A server that shares a link with this one: what both hold, and how it is asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use photongate_net::now;
use tokio::sync::{Notify, mpsc, oneshot};

use super::client::{PeerClient, PeerError};
use super::one_time::OneTimeKeys;
use super::wire::{
    MOST_RESERVATIONS, MOST_VOIDED, Purpose, Refusal, Reservation, ReserveAnswer, ReserveRequest, VoidRequest,
};
use crate::faults::point;
use crate::ids::{LinkId, QksId};
use crate::key_id::AssignmentId;
use crate::links::Question;
use crate::stock::{BlockName, Piece, Stock, Wish};
use crate::store::{Material, ReserveRefusal, Store, StoreError};

/// The neighbours of this server, by their names.
#[derive(Debug, Default)]
pub struct Neighbours(RwLock<BTreeMap<QksId, Arc<Neighbour>>>);

/// A neighbour.
#[derive(Debug)]
pub struct Neighbour {
    id: QksId,
    client: PeerClient,
    stock: Mutex<Stock>,
    /// How many bytes the stock may hold.
    capacity: AtomicU64,
    reservations: mpsc::Sender<Waiting>,
    voids: mpsc::Sender<AssignmentId>,
    /// Why it does not answer, if it does not.
    down: ArcSwapOption<String>,
    pub(super) news: Notify,
    /// Keys of messages that it announced.
    one_time: Mutex<OneTimeKeys>,
    /// Blocks that this process may have, but does not give out.
    lost: Mutex<Vec<BlockName>>,
    /// Held while it changes in the database, and then in the stock, which blocks this process has.
    pub(crate) moving: tokio::sync::Mutex<()>,
    /// Held while this end asks for blocks, until it is on disk which ones it got.
    pub(super) asking: tokio::sync::Mutex<()>,
    /// Where questions to this end of a source go.
    sources: Mutex<HashMap<(LinkId, u16), mpsc::Sender<Question>>>,
}

/// A reservation, and who waits for its outcome.
struct Waiting {
    reservation: Reservation,
    done: oneshot::Sender<Result<Result<(), ReserveRefusal>, PeerError>>,
}

/// Why no material was taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TakeFailure {
    /// There is not so much that fits.
    #[error("there is not enough key material")]
    NoMaterial,
    /// The neighbour does not have what was taken, or gave it out before. It is worth trying again.
    #[error("the neighbour's stock is not what it is here; it is being compared")]
    Differing,
    /// The neighbour did not confirm it.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// It could not be written down here.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Neighbours {
    /// The neighbour of that name.
    pub fn get(&self, id: &QksId) -> Option<Arc<Neighbour>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// All of them, in the order of their names.
    pub fn all(&self) -> Vec<Arc<Neighbour>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Adds a neighbour, in the place of one of the same name.
    pub fn add(&self, neighbour: Arc<Neighbour>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(neighbour.id.clone(), neighbour);
    }
}

impl Neighbour {
    /// A neighbour that is asked through `client`, and counts as down until it has answered. Starts the tasks that talk to it; they end with
    /// the last reference.
    pub fn new(id: QksId, client: PeerClient) -> Arc<Self> {
        let (reservations, waiting) = mpsc::channel(LONGEST_QUEUE);
        let (voids, voided) = mpsc::channel(LONGEST_QUEUE);
        let neighbour = Arc::new(Self {
            id,
            client: client.clone(),
            stock: Mutex::default(),
            capacity: AtomicU64::default(),
            reservations,
            voids,
            down: ArcSwapOption::from_pointee(Some("it was not asked yet".to_owned())),
            news: Notify::new(),
            one_time: Mutex::default(),
            lost: Mutex::default(),
            moving: tokio::sync::Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            sources: Mutex::default(),
        });
        tokio::spawn(reserve(Arc::downgrade(&neighbour), client.clone(), waiting));
        tokio::spawn(void(client, voided));
        neighbour
    }

    /// Its name.
    pub fn id(&self) -> &QksId {
        &self.id
    }

    /// How it is asked.
    pub fn client(&self) -> &PeerClient {
        &self.client
    }

    /// The material shared with it. Not to be held while anything is awaited.
    pub fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes the stock may hold: as many as all links to the neighbour together. Their sources wait while it is full.
    pub fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Relaxed)
    }

    pub(crate) fn set_capacity(&self, bytes: u64) {
        self.capacity.store(bytes, Ordering::Relaxed);
    }

    /// Why it does not answer, if it does not.
    pub fn is_down(&self) -> Option<Arc<String>> {
        self.down.load_full()
    }

    /// Notes whether it answers. What it confirmed before it went away it must confirm anew.
    pub(super) fn set_down(&self, why: Option<String>) {
        let was_down = self.down.swap(why.clone().map(Arc::new)).is_some();
        match why {
            Some(why) if !was_down => {
                tracing::warn!(neighbour = %self.id, why, "the neighbour does not answer");
                self.stock().doubt();
            }
            None if was_down => tracing::info!(neighbour = %self.id, "the neighbour answers"),
            _ => {}
        }
    }

    /// Something is to be said to it: blocks came, or are wanted.
    pub fn wake(&self) {
        self.news.notify_one();
    }

    /// Takes material, and reserves it there for what `reservation` makes of the pieces. Requests that come while another is under way
    /// go together, in the order in which their pieces were taken. When it returns, the marks are on disk at both ends.
    ///
    /// # Errors
    /// [`TakeFailure`]. What was taken is burnt then.
    pub async fn take(
        &self,
        store: &Store,
        bytes: u64,
        wish: Wish,
        reservation: impl FnOnce(Vec<Piece>) -> Reservation,
    ) -> Result<Material, TakeFailure> {
        if let Some(why) = self.is_down() {
            // What is taken now would be burnt.
            return Err(PeerError::Unreachable(why.to_string()).into());
        }
        let (done, outcome) = oneshot::channel();
        let (id, material, marks, process) = {
            let mut stock = self.stock();
            let process = store.process();
            let place = self.reservations.try_reserve().map_err(|_| PeerError::Busy)?;
            let taken = stock.take(bytes, wish, now()).ok_or(TakeFailure::NoMaterial)?;
            let reservation = reservation(taken.pieces);
            let (id, material) = (reservation.id, reservation.material.clone());
            // The stock is still locked: others take after this, and so come behind it.
            place.send(Waiting { reservation, done });
            (id, material, taken.marks, process)
        };
        point("pieces-taken");
        let marked_blocks: Vec<_> = marks.iter().map(|mark| mark.block).collect();
        let marked = async {
            if marks.is_empty() {
                return Ok(Vec::new());
            }
            let lost = store.advance_own(process, marks).await;
            point("marks-written");
            lost
        };
        let reserved =
            async { outcome.await.unwrap_or_else(|_| Err(PeerError::Unreachable("it was given up".to_owned()))) };
        let (marked, reserved) = tokio::join!(marked, reserved);
        match (marked, reserved) {
            (Ok(lost), Ok(Ok(()))) if lost.is_empty() => {
                point("keys-confirmed");
                Ok(material)
            }
            (Ok(lost), Ok(Ok(()))) => {
                tracing::warn!(neighbour = %self.id, ?lost, "blocks were taken over by another process");
                self.lose(lost);
                self.void(id);
                Err(TakeFailure::Differing)
            }
            (_, Ok(Err(refusal))) => {
                match refusal {
                    ReserveRefusal::Gone { mark } => self.stock().advance(mark),
                    ReserveRefusal::NoBlock { block } => self.lose([block]),
                }
                Err(TakeFailure::Differing)
            }
            (_, Err(error)) => {
                self.void(id);
                Err(error.into())
            }
            (Err(error), Ok(Ok(()))) => {
                self.lose(marked_blocks);
                self.void(id);
                Err(error.into())
            }
        }
    }

    /// Gives blocks out no more: who has them, or how far they are given out, is not known here any more. They are claimed anew.
    pub(crate) fn lose(&self, blocks: impl IntoIterator<Item = BlockName>) {
        let mut stock = self.stock();
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        for block in blocks {
            stock.remove(block);
            lost.push(block);
        }
    }

    /// Blocks that were [lost](Self::lose) since this was asked last.
    pub(crate) fn take_lost(&self) -> Vec<BlockName> {
        std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a key for one message to this neighbour. The message names the pieces, by which the neighbour [finds](Self::accept) the key.
    ///
    /// # Errors
    /// [`TakeFailure`].
    pub async fn take_for_message(&self, store: &Store, bytes: u32) -> Result<Vec<Piece>, TakeFailure> {
        let id =
            AssignmentId::draw(now()).map_err(|error| PeerError::Unreachable(format!("no randomness: {error}")))?;
        for _ in 0..ATTEMPTS {
            let taken = self.take(store, bytes.into(), Wish::default(), |pieces| Reservation {
                id,
                material: Material { key_bytes: bytes, count: 1, pieces, sealed: None },
                purpose: Purpose::OneMessage,
            });
            match taken.await {
                Err(TakeFailure::Differing) => {}
                taken => return taken.map(|material| material.pieces),
            }
        }
        Err(TakeFailure::Differing)
    }

    /// Whether these pieces were announced by this neighbour as the key of one message, and that message did not come yet. It counts as
    /// having come from now on.
    pub fn accept(&self, pieces: &[Piece]) -> bool {
        self.one_time().accept(pieces)
    }

    /// As if this neighbour had announced these pieces.
    #[cfg(test)]
    pub(crate) fn announce(&self, pieces: Vec<Piece>) {
        self.one_time().announce(pieces);
    }

    pub(super) fn one_time(&self) -> MutexGuard<'_, OneTimeKeys> {
        self.one_time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells it that keys will not be handed out. If that is lost, they end with their time.
    pub fn void(&self, id: AssignmentId) {
        if self.voids.try_send(id).is_err() {
            tracing::debug!(neighbour = %self.id, "too much is to be voided");
        }
    }

    /// Gives the end of a source that is here the questions of the end that is there.
    pub fn listen(&self, link: LinkId, source: u16) -> mpsc::Receiver<Question> {
        let (questions, asked) = mpsc::channel(MOST_QUESTIONS);
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).insert((link, source), questions);
        asked
    }

    /// Lets the sources of a link be asked no more.
    pub fn stop_listening(&self, link: &LinkId) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| of != link);
    }

    /// Asks the end of a source that is here, for the end that is there.
    pub(super) async fn answer(&self, link: LinkId, source: u16, body: Bytes) -> Result<Bytes, String> {
        let questions = self.sources.lock().unwrap_or_else(PoisonError::into_inner).get(&(link, source)).cloned();
        let questions = questions.ok_or("there is no such source here")?;
        let (answer, answered) = oneshot::channel();
        questions.try_send(Question { body, answer }).map_err(|_| "the source is busy".to_owned())?;
        answered.await.map_err(|_| "the source gives no answer".to_owned())
    }
}

/// One request is under way at a time, so that the pieces of a stream arrive in their order; all that waits goes with the next.
async fn reserve(neighbour: std::sync::Weak<Neighbour>, client: PeerClient, mut waiting: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(MOST_RESERVATIONS);
    while waiting.recv_many(&mut batch, MOST_RESERVATIONS).await > 0 {
        let (reservations, waiters): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|Waiting { reservation, done }| (reservation, done)).unzip();
        let request = ReserveRequest { reservations };
        point("reserve-to-send");
        let answer = client.post::<ReserveAnswer>("peer/v1/reserve", &request, PATIENCE).await;
        point("reserve-answered");
        let error = match answer {
            Ok(ReserveAnswer { outcomes }) if outcomes.len() == waiters.len() => {
                for (done, outcome) in waiters.into_iter().zip(outcomes) {
                    drop(done.send(match outcome {
                        None => Ok(Ok(())),
                        Some(Refusal::Material(refusal)) => Ok(Err(refusal)),
                        Some(Refusal::Request(reason)) => Err(PeerError::Refused(reason)),
                        Some(Refusal::Unavailable(reason)) => Err(PeerError::Unreachable(reason)),
                    }));
                }
                continue;
            }
            Ok(_) => PeerError::Refused("it answers other reservations".to_owned()),
            Err(error) => error,
        };
        if let (PeerError::Unreachable(why), Some(neighbour)) = (&error, neighbour.upgrade()) {
            neighbour.set_down(Some(why.clone()));
        }
        waiters.into_iter().for_each(|done| drop(done.send(Err(error.clone()))));
    }
}

async fn void(client: PeerClient, mut voided: mpsc::Receiver<AssignmentId>) {
    let mut ids = Vec::with_capacity(MOST_VOIDED);
    while voided.recv_many(&mut ids, MOST_VOIDED).await > 0 {
        let request = VoidRequest { ids: std::mem::take(&mut ids) };
        for attempt in 1..=VOID_ATTEMPTS {
            match client.post::<()>("peer/v1/void", &request, PATIENCE).await {
                Err(PeerError::Unreachable(_)) if attempt < VOID_ATTEMPTS => tokio::time::sleep(VOID_PAUSE).await,
                _ => break,
            }
        }
    }
}

/// How often material is taken anew because the neighbour does not have it.
pub(crate) const ATTEMPTS: u32 = 4;

const LONGEST_QUEUE: usize = 4_096;
const MOST_QUESTIONS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(5);
const VOID_ATTEMPTS: u32 = 10;
const VOID_PAUSE: Duration = Duration::from_secs(3);
