//! Relay at work: brings keys to servers without a common link, and passes on what others send.
//!
//! A frame's answer comes back the way the frame went, so each hop waits for the next one; what takes too long is tried again on
//! another way by the source alone.

mod arrival;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use photongate_wire::Nanos;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::client::PeerError;
use super::link_state::LinkState;
use super::neighbour::{Neighbour, Neighbours, TakeFailure};
use crate::faults::point;
use crate::ids::{QksId, SaeId};
use crate::key_id::AssignmentId;
use crate::materials::Materials;
use crate::relay::destination::{self, Destination};
use crate::relay::frame::{Arrived, Cipher, Frame, HopKeyName, Role};
use crate::relay::payload::pack;
use crate::relay::plan::Wish;
use crate::relay::source::{self, Answer, Failure, Means, NotBegun, Source, Void};
use crate::relay::{Kind, RelayId, Secret};
use crate::store::{Assignment, Store};

/// Sends, passes on and receives. Clones are the same.
#[derive(Clone, Debug)]
pub struct Relay(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    local: QksId,
    neighbours: Arc<Neighbours>,
    link_state: LinkState,
    store: Store,
    materials: Materials,
    begun: Instant,
    source: Mutex<Source>,
    destination: Mutex<Destination>,
    /// The keys that came with a journey, as long as its source may give them up.
    kept: Mutex<HashMap<RelayId, AssignmentId>>,
    /// Who waits for a payload to be held.
    waiting: Mutex<HashMap<RelayId, oneshot::Sender<Result<(), Failure>>>>,
    /// Where letters go.
    letters: Mutex<Option<mpsc::Sender<Letter>>>,
}

/// A payload about DRKeys. Has no `Debug`: there may be a key in it.
#[allow(missing_debug_implementations, reason = "there may be a key in it")]
pub struct Letter {
    /// The server that sent it, as the relays say.
    pub from: QksId,
    /// What it says.
    pub payload: Secret,
}

/// Why keys do not reach a server.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RelayError {
    /// No way to any other server is known yet.
    #[error("no way to other key servers is known yet")]
    NoRoutes,
    /// It cannot be begun.
    #[error(transparent)]
    NotBegun(#[from] NotBegun),
    /// It did not get there.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// What one server says to the one before it about a frame.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// What the destination says.
    Answer(Answer),
    /// The frame did not get beyond `at`.
    Trouble { at: QksId, why: String },
}

/// What the source says to the destination when it gives a payload up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct VoidRequest {
    pub(super) void: Void,
    /// The way of the word, and how far it has come.
    pub(super) path: Vec<QksId>,
    pub(super) hop: u16,
}

/// What travels as a payload of keys, before the bytes of the keys.
#[derive(Debug, Serialize, Deserialize)]
struct Keys {
    id: AssignmentId,
    master: SaeId,
    takers: Vec<SaeId>,
    key_bytes: u32,
    count: u16,
    lifetime_ms: u64,
}

impl Relay {
    /// Begins, with nothing under way.
    pub fn start(
        tasks: &mut JoinSet<()>,
        local: QksId,
        neighbours: Arc<Neighbours>,
        link_state: LinkState,
        store: Store,
        materials: Materials,
    ) -> Self {
        let shared = Arc::new(Shared {
            source: Mutex::new(Source::new(local.clone(), source::Settings::default())),
            destination: Mutex::new(Destination::new(destination::Settings::default())),
            local,
            neighbours,
            link_state,
            store,
            materials,
            begun: Instant::now(),
            kept: Mutex::default(),
            waiting: Mutex::default(),
            letters: Mutex::default(),
        });
        tasks.spawn(tick(Arc::downgrade(&shared)));
        Self(shared)
    }

    /// Brings keys to the server that serves their takers. When it returns, that server has them on disk.
    ///
    /// # Errors
    /// [`RelayError`]: the keys must not be used.
    pub async fn send_keys(
        &self,
        to: &QksId,
        assignment: &Assignment,
        bytes: &[u8],
        lifetime: Nanos,
        wish: Wish,
    ) -> Result<(), RelayError> {
        let keys = Keys {
            id: assignment.id,
            master: assignment.master.clone(),
            takers: assignment.takers.clone(),
            key_bytes: assignment.material.key_bytes,
            count: assignment.material.count,
            lifetime_ms: lifetime.0 / 1_000_000,
        };
        self.send(Kind::Keys, to, &pack(&keys, bytes), wish).await
    }

    /// Brings a letter to another server. When it returns, that server has it and will read it.
    ///
    /// # Errors
    /// [`RelayError`]: the letter may be read all the same.
    pub async fn send_letter(&self, to: &QksId, payload: &[u8]) -> Result<(), RelayError> {
        self.send(Kind::Drkey, to, payload, Wish::default()).await
    }

    /// The letters that come from now on. They are refused while nobody takes them.
    pub fn letters(&self) -> mpsc::Receiver<Letter> {
        let (letters, coming) = mpsc::channel(MOST_LETTERS);
        *lock(&self.0.letters) = Some(letters);
        coming
    }

    async fn send(&self, kind: Kind, to: &QksId, payload: &[u8], wish: Wish) -> Result<(), RelayError> {
        let journey = RelayId(Uuid::new_v4());
        let (done, outcome) = oneshot::channel();
        self.0.waiting().insert(journey, done);
        let begun = self.0.with_source(|source, means| source.begin(journey, kind, to, payload, wish, means));
        match begun {
            Some(Ok(actions)) => Shared::act(&self.0, actions),
            Some(Err(error)) => {
                self.0.waiting().remove(&journey);
                return Err(error.into());
            }
            None => {
                self.0.waiting().remove(&journey);
                return Err(RelayError::NoRoutes);
            }
        }
        Ok(outcome.await.unwrap_or(Err(Failure::GivenUp))?)
    }

    /// A neighbour brought a frame.
    pub(super) async fn on_frame(&self, from: &Neighbour, frame: Frame) -> Reply {
        match self.0.on_frame(from, frame).await {
            Ok(reply) => reply,
            Err(why) => {
                tracing::warn!(neighbour = %from.id(), why, "a relayed frame does not get on");
                Reply::Trouble { at: self.0.local.clone(), why }
            }
        }
    }

    /// A neighbour brought the word that a payload is not to be used.
    pub(super) async fn on_void(&self, from: &QksId, request: VoidRequest) {
        let VoidRequest { void, path, hop } = request;
        let hop = usize::from(hop);
        let is_on_path = hop > 0 && path.get(hop) == Some(&self.0.local) && path.get(hop - 1) == Some(from);
        if !is_on_path || path.len() > crate::relay::LONGEST_PATH {
            return;
        }
        if hop + 1 < path.len() {
            self.0.pass_void(VoidRequest { void, path, hop: hop as u16 + 1 }).await;
            return;
        }
        let action = lock(&self.0.destination).on_void(&void);
        if let Some(destination::Action::Discard(journey)) = action {
            self.0.discard(&journey).await;
        }
    }
}

impl Shared {
    fn act(this: &Arc<Self>, actions: Vec<source::Action>) {
        for action in actions {
            match action {
                source::Action::Depart(arrived) => drop(tokio::spawn(Self::depart(Arc::clone(this), arrived))),
                source::Action::Held(id) => this.tell(id, Ok(())),
                source::Action::Failed { id, why } => this.tell(id, Err(why)),
                source::Action::Void { void, paths } => {
                    let this = Arc::clone(this);
                    tokio::spawn(async move {
                        for path in paths {
                            this.pass_void(VoidRequest { void: void.clone(), path, hop: 1 }).await;
                        }
                    });
                }
            }
        }
    }

    fn tell(&self, id: RelayId, outcome: Result<(), Failure>) {
        if let Some(done) = self.waiting().remove(&id) {
            // Whoever asked may have gone.
            let _ = done.send(outcome);
        }
    }

    /// Sends a share on its way, and hears what became of it.
    async fn depart(this: Arc<Self>, arrived: Arrived) {
        let header = &arrived.header;
        let (id, attempt, share) = (header.id, header.attempt, header.share);
        let next = arrived.first_hop().clone();
        let reply = match this.seal(&next, &arrived).await {
            Ok((cipher, name, key)) => match arrived.depart(cipher, name, key) {
                Ok(frame) => {
                    point("relay-sealed");
                    let reply = this.bring(&next, &frame).await;
                    point("relay-answered");
                    reply
                }
                Err(refusal) => Err(refusal.to_string()),
            },
            Err(why) => Err(why),
        };
        let actions = this.with_source(|source, means| match &reply {
            Ok(Reply::Answer(answer)) => source.on_answer(answer, means),
            Ok(Reply::Trouble { at, why }) => {
                tracing::info!(%at, why, "keys do not get on there");
                source.on_trouble(id, attempt, share, Some(at), means)
            }
            Err(why) => {
                tracing::info!(at = %next, why, "keys do not get on there");
                source.on_trouble(id, attempt, share, Some(&next), means)
            }
        });
        Self::act(&this, actions.unwrap_or_default());
    }

    async fn on_frame(&self, from: &Neighbour, frame: Frame) -> Result<Reply, String> {
        let role = frame.role(&self.local, from.id()).map_err(|refusal| refusal.to_string())?;
        point("relay-heard");
        if !from.accept(&frame.key.0) {
            return Err("its key was not announced, or used before".to_owned());
        }
        let key = self.materials.pieces(&frame.key.0).await.map_err(|error| error.to_string())?;
        let arrived = frame.open(key).map_err(|refusal| refusal.to_string())?;
        point("relay-opened");
        match role {
            Role::Relay { next } => {
                let (cipher, name, key) = self.seal(&next, &arrived).await?;
                let frame = arrived.forward(cipher, name, key).map_err(|refusal| refusal.to_string())?;
                let reply = self.bring(&next, &frame).await;
                point("relay-passed-on");
                reply
            }
            Role::Destination => Ok(Reply::Answer(self.receive(arrived).await)),
        }
    }

    /// A fresh key to seal a share for a neighbour.
    async fn seal(&self, next: &QksId, arrived: &Arrived) -> Result<(Cipher, HopKeyName, Zeroizing<Vec<u8>>), String> {
        let neighbour = self.neighbours.get(next).ok_or_else(|| format!("{next} is no neighbour"))?;
        let free_bits = neighbour.stock().free().ready.saturating_mul(8);
        let mut cipher = Cipher::choose(free_bits, RESERVE_BITS, arrived.share_bytes());
        loop {
            let bytes = u32::try_from(cipher.key_bytes(arrived.share_bytes())).map_err(|_| "the share is too long")?;
            match neighbour.take_for_message(&self.store, bytes).await {
                Ok(pieces) => {
                    let key = self.materials.pieces(&pieces).await.map_err(|error| error.to_string())?;
                    return Ok((cipher, HopKeyName(pieces), key));
                }
                Err(TakeFailure::NoMaterial) if cipher == Cipher::OneTimePad => cipher = Cipher::Aes256Gcm,
                Err(failure) => return Err(format!("{next}: {failure}")),
            }
        }
    }

    async fn bring(&self, next: &QksId, frame: &Frame) -> Result<Reply, String> {
        let neighbour = self.neighbours.get(next).ok_or_else(|| format!("{next} is no neighbour"))?;
        let hops_left = frame.header.path.len().saturating_sub(usize::from(frame.header.hop)) as u32;
        let reply: Result<Reply, PeerError> = neighbour.client().post("peer/v1/relay", frame, HOP * hops_left).await;
        reply.map_err(|error| format!("{next}: {error}"))
    }

    async fn pass_void(&self, request: VoidRequest) {
        let Some(neighbour) = request.path.get(usize::from(request.hop)).and_then(|next| self.neighbours.get(next))
        else {
            return;
        };
        if let Err(error) = neighbour.client().post::<()>("peer/v1/relay/void", &request, HOP).await {
            tracing::debug!(%error, "keys that were given up wait for their time to be over");
        }
    }

    /// Lets the source's state machine do something; `None` if no ways are known.
    fn with_source<T>(&self, run: impl FnOnce(&mut Source, &mut Means<'_>) -> T) -> Option<T> {
        let routes = self.link_state.routes()?;
        let mut fill =
            |bytes: &mut [u8]| getrandom::fill(bytes).expect("the system has randomness once it has started");
        let mut means = Means { routes: &routes, fill: &mut fill, now: self.now() };
        Some(run(&mut lock(&self.source), &mut means))
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<RelayId, oneshot::Sender<Result<(), Failure>>>> {
        lock(&self.waiting)
    }

    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

async fn tick(shared: Weak<Shared>) {
    loop {
        sleep(TICK).await;
        let Some(shared) = shared.upgrade() else { return };
        let remembered = {
            let mut destination = lock(&shared.destination);
            destination.on_tick(shared.now());
            destination.len()
        };
        if remembered == 0 {
            lock(&shared.kept).clear();
        }
        let actions = shared.with_source(Source::on_tick);
        Shared::act(&shared, actions.unwrap_or_default());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A link that has fewer free bits left than this is spared: AES takes the place of the one-time pad.
const RESERVE_BITS: u64 = 1 << 20;

/// How long each hop may take.
const HOP: Duration = Duration::from_secs(2);
/// Letters that wait to be read.
const MOST_LETTERS: usize = 256;
const TICK: Duration = Duration::from_millis(250);
