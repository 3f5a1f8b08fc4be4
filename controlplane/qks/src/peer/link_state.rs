//! Routing at work: brings messages to neighbours and to the state machine, tells it what the stock is, and makes its findings known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use photongate_wire::{IsdAs, Nanos};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::client::PeerClient;
use super::neighbour::{Neighbour, Neighbours};
use crate::chair::Chair;
use crate::directory::Directory;
use crate::ids::{QksId, SaeId};
use crate::routing::{Action, LinkStock, Map, Message, Routes, Routing, Settings, Signatures};
use crate::store::{Store, StoreError};

/// What routing has found out, and the way in for what neighbours bring. Clones are the same.
#[derive(Clone, Debug)]
pub struct LinkState {
    routes: Arc<ArcSwapOption<Routes>>,
    brought: mpsc::Sender<(QksId, Message)>,
}

/// What routing is told about this server.
#[derive(Debug)]
pub struct LinkStateOptions {
    /// This server.
    pub local: QksId,
    /// The autonomous systems whose DRKeys it makes.
    pub ases: BTreeSet<IsdAs>,
    /// Applications whose server is configured, whatever routing says.
    pub fixed: HashMap<SaeId, QksId>,
    /// How often and how long.
    pub settings: Settings,
}

impl LinkState {
    /// Starts routing: the process that has the chair finds the ways, and others read in the database what it has found.
    pub fn start(
        tasks: &mut JoinSet<()>,
        options: LinkStateOptions,
        signatures: Arc<dyn Signatures>,
        neighbours: Arc<Neighbours>,
        directory: Arc<Directory>,
        store: Store,
        chair: &Chair,
    ) -> Self {
        let (brought, waiting) = mpsc::channel(MOST_WAITING);
        let state = Self { routes: Arc::default(), brought };
        let routes = Arc::clone(&state.routes);
        let parts = Arc::new(Parts { options, signatures, neighbours, directory, store, routes });
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        if parts.store.is_shared() {
            let parts = Arc::clone(&parts);
            tasks.spawn(chair.clone().while_others_hold(move || follow(Arc::clone(&parts))));
        }
        tasks.spawn(chair.clone().while_held(move || speak(Arc::clone(&parts), Arc::clone(&waiting))));
        state
    }

    /// The ways to other servers, once there are some.
    pub fn routes(&self) -> Option<Arc<Routes>> {
        self.routes.load_full()
    }

    /// A neighbour brought a message. When too many wait it is lost, which routing can bear.
    pub fn bring(&self, from: QksId, message: Message) {
        if self.brought.try_send((from, message)).is_err() {
            tracing::debug!("a message about routes is lost: too many wait");
        }
    }
}

#[derive(Debug)]
struct Parts {
    options: LinkStateOptions,
    signatures: Arc<dyn Signatures>,
    neighbours: Arc<Neighbours>,
    directory: Arc<Directory>,
    store: Store,
    routes: Arc<ArcSwapOption<Routes>>,
}

struct Shell {
    parts: Arc<Parts>,
    routing: Routing,
    begun: Instant,
    /// Messages on their way to each neighbour.
    outgoing: BTreeMap<QksId, mpsc::Sender<Message>>,
    up: BTreeSet<QksId>,
    measured: Option<Instant>,
    /// Whether other processes have yet to be told the ways.
    is_untold: bool,
}

/// Routes for as long as this process has the chair.
async fn speak(parts: Arc<Parts>, waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<(QksId, Message)>>>) {
    let boot = loop {
        match boot(&parts.store).await {
            Ok(boot) => break boot,
            Err(error) => tracing::warn!(%error, "routing waits for the database"),
        }
        sleep(PAUSE).await;
    };
    let mut seed = [0; 8];
    // Without randomness all servers have the same timers, which is no harm but to their neighbours.
    let _ = getrandom::fill(&mut seed);
    let (local, settings) = (parts.options.local.clone(), parts.options.settings);
    let signatures = Arc::clone(&parts.signatures);
    let routing = Routing::new(local, boot, u64::from_be_bytes(seed), settings, signatures, Nanos(0));
    let (outgoing, up) = (BTreeMap::new(), BTreeSet::new());
    let shell = Shell { parts, routing, begun: Instant::now(), outgoing, up, measured: None, is_untold: false };
    shell.run(&mut *waiting.lock().await).await;
}

/// Goes by what the process that has the chair has found.
async fn follow(parts: Arc<Parts>) {
    let mut known = String::new();
    loop {
        match parts.store.entry(KIND, MAP).await {
            Ok(Some(text)) if text != known => match serde_json::from_str::<Map>(&text) {
                Ok(map) => {
                    parts.publish(map.into());
                    known = text;
                }
                Err(error) => tracing::warn!(%error, "the ways to other servers cannot be read"),
            },
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the ways to other servers may have changed"),
        }
        sleep(PAUSE).await;
    }
}

/// How often this server was started, and more than routing has asked to keep.
async fn boot(store: &Store) -> Result<u64, StoreError> {
    let least = store.entry(KIND, LEAST_BOOT).await?.and_then(|boot| boot.parse::<u64>().ok()).unwrap_or(0);
    let mut boot = store.count("boot").await?;
    if boot <= least {
        boot = least.saturating_add(boot);
    }
    Ok(boot)
}

impl Shell {
    async fn run(mut self, waiting: &mut mpsc::Receiver<(QksId, Message)>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let actions = tokio::select! {
                brought = waiting.recv() => match brought {
                    Some((from, message)) => self.routing.on_message(&from, message, self.now()),
                    None => return,
                },
                _ = tick.tick() => self.look_around(),
            };
            for action in actions {
                self.act(action).await;
            }
            if self.is_untold {
                self.tell().await;
            }
        }
    }

    /// Sees which neighbours answer, what is attached here, and now and then how the links do.
    fn look_around(&mut self) -> Vec<Action> {
        let now = self.now();
        let mut actions = Vec::new();
        let saes = self.parts.directory.registered().into_iter().map(|sae| sae.id).collect();
        actions.extend(self.routing.set_attached(saes, self.parts.options.ases.clone(), now));
        let is_due = self.measured.is_none_or(|at| at.elapsed() >= MEASURE);
        for neighbour in self.parts.neighbours.all() {
            let id = neighbour.id();
            if is_due {
                actions.extend(self.routing.set_link(id, Self::stock_of(&neighbour), now));
            }
            match (neighbour.is_down().is_none(), self.up.contains(id)) {
                (true, false) => {
                    self.up.insert(id.clone());
                    actions.extend(self.routing.neighbour_up(id, now));
                }
                (false, true) => {
                    self.up.remove(id);
                    actions.extend(self.routing.neighbour_down(id, now));
                }
                _ => {}
            }
        }
        if is_due {
            self.measured = Some(Instant::now());
        }
        actions.extend(self.routing.on_tick(now));
        actions
    }

    fn stock_of(neighbour: &Neighbour) -> LinkStock {
        let free = neighbour.stock().free();
        let free_bytes = free.ready + free.unconfirmed + free.neighbours;
        let capacity_bits = neighbour.capacity().max(free_bytes).saturating_mul(8);
        LinkStock { free_bits: free_bytes.saturating_mul(8), capacity_bits }
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Send { to, message } => self.send(to, message),
            Action::RoutesChanged => self.publish(),
            Action::Conflict(conflict) => tracing::error!(?conflict, "two key servers say that they have the same"),
            Action::KeepBoot(boot) => {
                if let Err(error) = self.parts.store.put_entry(KIND, LEAST_BOOT, &boot.to_string()).await {
                    tracing::warn!(%error, "the number of starts is not kept");
                }
            }
            Action::Refused { from, refusal } => {
                tracing::warn!(%from, %refusal, "what a neighbour says about routes is refused");
            }
            Action::CannotSign => {
                tracing::error!("advertisements cannot be signed: other key servers will forget this one");
            }
        }
    }

    /// Hands a message to the task that brings them to that neighbour. If too many wait there, this one is lost.
    fn send(&mut self, to: QksId, message: Message) {
        let Some(neighbour) = self.parts.neighbours.get(&to) else { return };
        let outgoing = self.outgoing.entry(to).or_insert_with(|| {
            let (messages, waiting) = mpsc::channel(MOST_WAITING);
            tokio::spawn(bring(neighbour.client().clone(), waiting));
            messages
        });
        let _ = outgoing.try_send(message);
    }

    fn publish(&mut self) {
        self.parts.publish(self.routing.routes());
        self.is_untold = self.parts.store.is_shared();
    }

    /// Tells other processes the ways. If that fails it is tried again.
    async fn tell(&mut self) {
        let map = self.parts.routes.load().as_ref().map(|routes| serde_json::to_string(&routes.map()));
        if let Some(Ok(map)) = map {
            let told = timeout(PATIENCE, self.parts.store.put_entry(KIND, MAP, &map)).await;
            self.is_untold = !matches!(told, Ok(Ok(())));
        }
    }

    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Parts {
    fn publish(&self, routes: Routes) {
        let mut elsewhere = HashMap::new();
        for server in routes.servers().iter().filter(|server| **server != self.options.local) {
            for sae in routes.saes_of(server) {
                if routes.server_of(sae) == Some(server) {
                    elsewhere.insert(sae.clone(), server.clone());
                }
            }
        }
        elsewhere.extend(self.options.fixed.iter().map(|(sae, server)| (sae.clone(), server.clone())));
        self.directory.set_elsewhere(elsewhere);
        self.routes.store(Some(Arc::new(routes)));
    }
}

/// Brings messages to one neighbour, one after the other. What cannot be brought is lost.
async fn bring(client: PeerClient, mut messages: mpsc::Receiver<Message>) {
    while let Some(message) = messages.recv().await {
        if let Err(error) = client.post::<()>("peer/v1/routing", &message, PATIENCE).await {
            tracing::debug!(%error, "a message about routes is lost");
        }
    }
}

const TICK: Duration = Duration::from_millis(250);
/// How often the stock of the links is looked at; its trend is over this time.
const MEASURE: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(3);
const MOST_WAITING: usize = 256;
const PAUSE: Duration = Duration::from_secs(1);

/// What routing keeps in the database.
const KIND: &str = "routing";
const LEAST_BOOT: &str = "least_boot";
const MAP: &str = "map";
