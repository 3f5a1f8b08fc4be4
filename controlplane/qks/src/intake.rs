//! The way of key material from a source into the stock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use photongate_net::now;
use photongate_wire::Nanos;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::chair::Chair;
use crate::faults::point;
use crate::ids::{LinkId, QksId};
use crate::links::bb84::Control;
use crate::links::{Block, Channel, LinkEnd, LinkSource, Phase, SourceState};
use crate::materials::{self, MaterialError, Materials};
use crate::measures::Counter;
use crate::peer::{Neighbour, PeerChannel};
use crate::sources::OpenSource;
use crate::stock::{BlockName, BlockState};
use crate::store::{NewBlock, Store};

/// A link, as far as its sources need to know it.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its name.
    pub id: LinkId,
    /// This server.
    pub local: QksId,
    /// The server at the other end.
    pub neighbour: Arc<Neighbour>,
    /// How long material is good for.
    pub lifetime: Nanos,
    /// Counts the bytes that came over it and are kept.
    pub taken: Counter,
}

/// A source, seen from outside while it runs.
#[derive(Clone, Debug)]
pub struct RunningSource {
    /// Its kind.
    pub kind: &'static str,
    /// How it is.
    pub state: watch::Receiver<SourceState>,
    /// What changes the channels of simulated QKD links.
    pub channels: Vec<Control>,
}

/// Sources at work. They are cut short when this is dropped.
#[derive(Debug)]
pub struct Intake {
    /// The sources, seen from outside.
    pub sources: Vec<RunningSource>,
    link: Link,
    stop: watch::Sender<bool>,
    /// Held while there is work that should not be cut short.
    working: Arc<Mutex<()>>,
    task: JoinSet<()>,
}

impl Intake {
    /// Ends the sources, and keeps what they have produced before.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if timeout(PATIENCE, self.working.lock()).await.is_err() {
            tracing::warn!(link = %self.link.id, "some key material that came last is not kept");
        }
        self.task.abort_all();
        self.link.neighbour.stop_listening(&self.link.id);
    }
}

/// Runs the sources of a link, and takes in what they produce, whenever this process has the chair.
pub fn start(link: Link, sources: Vec<OpenSource>, store: &Store, materials: &Materials, chair: Chair) -> Intake {
    let mut running = Vec::with_capacity(sources.len());
    let mut ends = Vec::with_capacity(sources.len());
    for OpenSource { source, channels } in sources {
        let (state, shown) = watch::channel(SourceState::default());
        running.push(RunningSource { kind: source.kind(), state: shown, channels });
        ends.push((source, state));
    }
    let (stop, stopped) = watch::channel(false);
    let working = Arc::<Mutex<()>>::default();
    let mut task = JoinSet::new();
    let (of, work) = (link.clone(), Arc::clone(&working));
    let (store, materials) = (store.clone(), materials.clone());
    task.spawn(chair.while_held(move || {
        let ends = ends.iter().map(|(source, state)| (source.again(), state.clone())).collect();
        let work = Arc::clone(&work);
        let run = run(of.clone(), ends, store.clone(), materials.clone(), stopped.clone());
        async move {
            let _working = work.lock().await;
            run.await;
        }
    }));
    Intake { sources: running, link, stop, working, task }
}

async fn run(
    link: Link,
    sources: Vec<(Box<dyn LinkSource>, watch::Sender<SourceState>)>,
    store: Store,
    materials: Materials,
    stopped: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    for (index, (source, state)) in (0..).zip(sources) {
        let (blocks, produced) = mpsc::channel(QUEUE);
        let end = LinkEnd {
            link: link.id.clone(),
            local: link.local.clone(),
            remote: link.neighbour.id().clone(),
            peer: Arc::new(PeerChannel::new(link.neighbour.client().clone(), &link.id, index)) as Arc<dyn Channel>,
            questions: link.neighbour.listen(link.id.clone(), index),
            blocks,
            state: state.clone(),
        };
        let name = link.id.clone();
        let kind = source.kind();
        let until = is_true(stopped.clone());
        tasks.spawn(async move {
            let outcome = tokio::select! {
                outcome = source.run(end) => outcome,
                () = until => return,
            };
            if let Err(error) = outcome {
                tracing::error!(link = %name, source = kind, %error, "a source of keys has ended");
                state.send_replace(SourceState {
                    phase: Phase::Waiting,
                    reason: Some(error.to_string()),
                    quality: None,
                });
            }
        });
        tasks.spawn(take_in(link.clone(), produced, store.clone(), materials.clone(), stopped.clone()));
    }
    while tasks.join_next().await.is_some() {}
}

async fn is_true(mut stopped: watch::Receiver<bool>) {
    // An error means that nobody is left who could stop it in order.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn take_in(
    link: Link,
    mut produced: mpsc::Receiver<Block>,
    store: Store,
    materials: Materials,
    stopped: watch::Receiver<bool>,
) {
    let leads = link.local < *link.neighbour.id();
    let mut blocks = Vec::with_capacity(QUEUE);
    while produced.recv_many(&mut blocks, QUEUE).await > 0 {
        tokio::select! {
            biased;
            () = room(&link.neighbour) => {}
            // What there is no room for is not kept by the other end either.
            () = is_true(stopped.clone()) => return,
        }
        let mut waiting = std::mem::take(&mut blocks);
        // What cannot be kept now may be later: the source waits meanwhile.
        while let Err(error) = keep(&link, leads, &mut waiting, &store, &materials).await {
            tracing::warn!(link = %link.id, %error, "key material cannot be kept yet");
            sleep(PAUSE).await;
        }
        link.neighbour.wake();
    }
}

/// Waits until the stock has room.
async fn room(neighbour: &Neighbour) {
    loop {
        let free = neighbour.stock().free();
        if free.ready + free.unconfirmed + free.neighbours < neighbour.capacity() {
            return;
        }
        sleep(PAUSE).await;
    }
}

async fn keep(
    link: &Link,
    leads: bool,
    waiting: &mut Vec<Block>,
    store: &Store,
    materials: &Materials,
) -> Result<(), MaterialError> {
    let made_at = now();
    let mut new = Vec::with_capacity(waiting.len());
    for block in waiting.iter() {
        let name = BlockName { stream: block.stream, number: block.number };
        let Ok(length) = u32::try_from(block.bytes.len()) else { continue };
        let state = BlockState {
            length,
            used: 0,
            is_mine: block.number.is_multiple_of(2) == leads,
            origin: block.origin,
            made_at,
            expires_at: made_at.saturating_add(link.lifetime),
            check: materials::check(name, &block.bytes),
        };
        let sealed = materials.seal_block(name, &block.bytes).await?;
        new.push(NewBlock { name, state, neighbour: link.neighbour.id().clone(), link: link.id.clone(), sealed });
    }
    let states: BTreeMap<_, _> = new.iter().map(|block| (block.name, block.state)).collect();
    point("block-sealed");
    let moving = link.neighbour.moving.lock().await;
    let added = store.add_blocks(new).await?;
    point("block-committed");
    let mut stock = link.neighbour.stock();
    for name in added {
        let state = states[&name];
        stock.add(name, state);
        link.taken.add(state.length.into());
    }
    drop(stock);
    drop(moving);
    point("block-in-stock");
    for block in waiting.drain(..) {
        if let Some(kept) = block.kept {
            // A source that does not wait for it any more is gone.
            let _ = kept.send(());
        }
    }
    Ok(())
}

/// Blocks of a source that wait to be kept.
const QUEUE: usize = 16;

const PAUSE: Duration = Duration::from_millis(500);

/// How long what was produced may take to be kept once the sources are to stop.
const PATIENCE: Duration = Duration::from_secs(10);
