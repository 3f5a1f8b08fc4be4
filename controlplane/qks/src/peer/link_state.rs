//! Routing at work: brings messages to neighbours and to the state machine, tells it what the stock is, and makes its findings known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use photongate_wire::{IsdAs, Nanos};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::client::PeerClient;
use super::neighbour::{Neighbour, Neighbours};
use crate::directory::Directory;
use crate::ids::{QksId, SaeId};
use crate::routing::{Action, LinkStock, Message, Routes, Routing, Settings, Signatures};
use crate::store::Store;

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
    /// How full the stock with each neighbour can be, in bytes.
    pub capacities: BTreeMap<QksId, u64>,
    /// Applications whose server is configured, whatever routing says.
    pub fixed: HashMap<SaeId, QksId>,
    /// How often and how long.
    pub settings: Settings,
    /// How often this server was started.
    pub boot: u64,
}

impl LinkState {
    /// Starts routing.
    pub fn start(
        tasks: &mut JoinSet<()>,
        options: LinkStateOptions,
        signatures: Arc<dyn Signatures>,
        neighbours: Arc<Neighbours>,
        directory: Arc<Directory>,
        store: Store,
    ) -> Self {
        let (brought, waiting) = mpsc::channel(MOST_WAITING);
        let state = Self { routes: Arc::default(), brought };
        let begun = Instant::now();
        let LinkStateOptions { local, ases, capacities, fixed, settings, boot } = options;
        let mut seed = [0; 8];
        // Without randomness all servers have the same timers, which is no harm but to their neighbours.
        let _ = getrandom::fill(&mut seed);
        let routing = Routing::new(local.clone(), boot, u64::from_be_bytes(seed), settings, signatures, Nanos(0));
        let shell = Shell {
            local,
            routing,
            begun,
            ases,
            capacities,
            fixed,
            neighbours,
            directory,
            store,
            routes: Arc::clone(&state.routes),
            outgoing: BTreeMap::new(),
            up: BTreeSet::new(),
            measured: None,
        };
        tasks.spawn(shell.run(waiting));
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

struct Shell {
    local: QksId,
    routing: Routing,
    begun: Instant,
    ases: BTreeSet<IsdAs>,
    capacities: BTreeMap<QksId, u64>,
    fixed: HashMap<SaeId, QksId>,
    neighbours: Arc<Neighbours>,
    directory: Arc<Directory>,
    store: Store,
    routes: Arc<ArcSwapOption<Routes>>,
    /// Messages on their way to each neighbour.
    outgoing: BTreeMap<QksId, mpsc::Sender<Message>>,
    up: BTreeSet<QksId>,
    measured: Option<Instant>,
}

impl Shell {
    async fn run(mut self, mut waiting: mpsc::Receiver<(QksId, Message)>) {
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
        }
    }

    /// Sees which neighbours answer, what is attached here, and now and then how the links do.
    fn look_around(&mut self) -> Vec<Action> {
        let now = self.now();
        let mut actions = Vec::new();
        let saes = self.directory.registered().into_iter().map(|sae| sae.id).collect();
        actions.extend(self.routing.set_attached(saes, self.ases.clone(), now));
        let is_due = self.measured.is_none_or(|at| at.elapsed() >= MEASURE);
        for neighbour in self.neighbours.all() {
            let id = neighbour.id();
            if is_due {
                actions.extend(self.routing.set_link(id, self.stock_of(&neighbour), now));
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

    fn stock_of(&self, neighbour: &Neighbour) -> LinkStock {
        let free = neighbour.stock().free();
        let free_bytes = free.ready + free.unconfirmed + free.neighbours;
        let capacity = self.capacities.get(neighbour.id()).copied().unwrap_or(0);
        LinkStock { free_bits: free_bytes.saturating_mul(8), capacity_bits: capacity.max(free_bytes).saturating_mul(8) }
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Send { to, message } => self.send(to, message),
            Action::RoutesChanged => self.publish(),
            Action::Conflict(conflict) => tracing::error!(?conflict, "two key servers say that they have the same"),
            Action::KeepBoot(boot) => {
                if let Err(error) = self.store.put_entry("routing", "least_boot", &boot.to_string()).await {
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
        let Some(neighbour) = self.neighbours.get(&to) else { return };
        let outgoing = self.outgoing.entry(to).or_insert_with(|| {
            let (messages, waiting) = mpsc::channel(MOST_WAITING);
            tokio::spawn(bring(neighbour.client().clone(), waiting));
            messages
        });
        let _ = outgoing.try_send(message);
    }

    fn publish(&mut self) {
        let routes = self.routing.routes();
        let mut elsewhere = HashMap::new();
        for server in routes.servers().iter().filter(|server| **server != self.local) {
            for sae in routes.saes_of(server) {
                if routes.server_of(sae) == Some(server) {
                    elsewhere.insert(sae.clone(), server.clone());
                }
            }
        }
        elsewhere.extend(self.fixed.iter().map(|(sae, server)| (sae.clone(), server.clone())));
        self.directory.set_elsewhere(elsewhere);
        self.routes.store(Some(Arc::new(routes)));
    }

    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX))
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
