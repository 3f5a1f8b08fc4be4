//! A whole network of key servers in one thread: whatever happens in it follows from a seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use photongate_wire::Nanos;

use super::own::scramble;
use super::*;
use crate::encoding::Bytes64;

/// Servers, the links between them, and the messages under way.
pub(super) struct Network {
    pub(super) now: Nanos,
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) servers: Vec<Server>,
    pub(super) links: BTreeMap<(usize, usize), WorldLink>,
    pub(super) delivered: u64,
    settings: Settings,
    under_way: BinaryHeap<Reverse<(Nanos, u64)>>,
    letters: BTreeMap<u64, Event>,
    next_letter: u64,
}

pub(super) struct Server {
    pub(super) name: QksId,
    /// `None` while it is dead.
    pub(super) routing: Option<Routing>,
    pub(super) boot: u64,
    pub(super) started_at: Nanos,
    pub(super) saes: BTreeSet<SaeId>,
    pub(super) conflicts: Vec<Conflict>,
    pub(super) refused: Vec<Refusal>,
    neighbours: Vec<usize>,
}

#[derive(Clone, Copy)]
pub(super) struct WorldLink {
    pub(super) up: bool,
    pub(super) stock: [LinkStock; 2],
}

/// What goes wrong on the way, in percent of all messages.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    /// Every message takes a while of its own, up to this: so they overtake one another.
    pub(super) slowest: Nanos,
}

enum Event {
    Message {
        from: usize,
        to: usize,
        message: Message,
    },
    /// One end of a link finds out how the other is.
    Look {
        from: usize,
        to: usize,
    },
    Tick(usize),
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

/// Signs by hashing, under a key that everybody can compute: what matters is that it is checked.
#[derive(Debug)]
pub(super) struct Hashing(pub(super) QksId);

impl Network {
    pub(super) fn new(seed: u64, count: usize, settings: Settings) -> Self {
        let server = |number: usize| Server {
            name: format!("qks-{number:04}").parse().unwrap(),
            routing: None,
            boot: 0,
            started_at: Nanos(0),
            saes: BTreeSet::from([format!("sae-{number}").parse().unwrap()]),
            conflicts: Vec::new(),
            refused: Vec::new(),
            neighbours: Vec::new(),
        };
        Self {
            now: Nanos(0),
            random: Random(seed),
            faults: Faults { slowest: Nanos::from_millis(50), ..Faults::default() },
            servers: (0..count).map(server).collect(),
            links: BTreeMap::new(),
            delivered: 0,
            settings,
            under_way: BinaryHeap::new(),
            letters: BTreeMap::new(),
            next_letter: 0,
        }
    }

    /// A ring with `chords` links across, all servers alive.
    pub(super) fn ring(seed: u64, count: usize, chords: usize, settings: Settings) -> Self {
        let mut network = Self::new(seed, count, settings);
        (0..count).for_each(|at| network.connect(at, (at + 1) % count));
        for _ in 0..chords {
            let (one, other) = (network.random.below(count), network.random.below(count));
            network.connect(one, other);
        }
        (0..count).for_each(|at| network.start(at, true));
        network
    }

    /// As [`ring`](Self::ring), but long after the start: everybody knows everything. What the servers that `is_old` told all others last
    /// will be over in [`LEFT`], and they are to say it again soon before; the others have just done so.
    pub(super) fn settled(
        seed: u64,
        count: usize,
        chords: usize,
        settings: Settings,
        is_old: impl Fn(usize) -> bool,
    ) -> Self {
        let mut network = Self::ring(seed, count, chords, settings);
        network.under_way.clear();
        network.letters.clear();
        network.now = settings.refresh;
        for (one, other) in network.links.keys().copied().collect::<Vec<_>>() {
            network.look(one, other);
            network.look(other, one);
        }
        let limits = Limits { max_age: settings.max_age, most_origins: settings.most_servers };
        let (mut database, mut directory) = (Database::new(limits), Directory::default());
        for at in 0..count {
            let server = &mut network.servers[at];
            // With the jitter of a tenth, at least a fifth of the refresh before it is over.
            let told_at =
                if is_old(at) { Nanos(network.now.0 + LEFT.0 - settings.refresh.0 / 10 * 13) } else { network.now };
            let age_millis = if is_old(at) { (settings.max_age.0 - LEFT.0) / 1_000_000 } else { 0 };
            let routing = server.routing.as_mut().unwrap();
            for kind in [Kind::Attached, Kind::Adjacent] {
                routing.advertise(kind, told_at);
                for key in routing.database.keys(&server.name, kind) {
                    let flooded = routing.database.flooded(&key, told_at).unwrap();
                    database.store(&Flooded { age_millis, ..flooded }, network.now);
                }
            }
            directory.saes.replace(&server.name, server.saes.clone(), true, network.now);
        }
        for at in 0..count {
            let server = &mut network.servers[at];
            let routing = server.routing.as_mut().unwrap();
            routing.database = database.clone();
            routing.directory = Arc::new(directory.clone());
            for live in routing.neighbours.values_mut().filter_map(|peer| peer.live.as_mut()) {
                live.outbox = Outbox::new(settings.patience);
                live.compare_at = network.now.saturating_add(Nanos(network.random.next() % settings.compare.0));
            }
            let delay = Nanos(network.random.next() % TICK.0);
            network.later(delay, Event::Tick(at));
        }
        network
    }

    pub(super) fn connect(&mut self, one: usize, other: usize) {
        let ends = (one.min(other), one.max(other));
        if one == other || self.links.contains_key(&ends) {
            return;
        }
        let stock = [self.stock(), self.stock()];
        self.links.insert(ends, WorldLink { up: true, stock });
        self.servers[one].neighbours.push(other);
        self.servers[other].neighbours.push(one);
    }

    fn stock(&mut self) -> LinkStock {
        LinkStock { free_bits: 1 + self.random.below(1_000) as u64, capacity_bits: 1_000 }
    }

    /// Starts a server, which remembers how often it was started before or begins to count anew.
    pub(super) fn start(&mut self, at: usize, remembers: bool) {
        let (now, settings, seed) = (self.now, self.settings, self.random.next());
        let server = &mut self.servers[at];
        server.started_at = now;
        server.boot = if remembers { server.boot + 1 } else { 1 };
        let name = server.name.clone();
        let mut routing = Routing::new(name.clone(), server.boot, seed, settings, Arc::new(Hashing(name)), now);
        let mut actions = routing.set_attached(server.saes.clone(), BTreeSet::new(), now);
        server.routing = Some(routing);
        for to in self.servers[at].neighbours.clone() {
            let (name, stock) = (self.servers[to].name.clone(), self.seen_stock(at, to));
            actions.extend(self.servers[at].routing.as_mut().unwrap().set_link(&name, stock, now));
            self.look_soon(at, to);
            self.look_soon(to, at);
        }
        self.carry_out(at, actions);
        let delay = Nanos(self.random.next() % TICK.0);
        self.later(delay, Event::Tick(at));
    }

    pub(super) fn stop(&mut self, at: usize) {
        self.servers[at].routing = None;
        for to in self.servers[at].neighbours.clone() {
            self.look_soon(to, at);
        }
    }

    pub(super) fn set_up(&mut self, one: usize, other: usize, up: bool) {
        self.links.get_mut(&(one.min(other), one.max(other))).unwrap().up = up;
        self.look_soon(one, other);
        self.look_soon(other, one);
    }

    /// The stock of a link changes, at both ends, which do not quite agree.
    pub(super) fn drain(&mut self, one: usize, other: usize) {
        let stock = [self.stock(), self.stock()];
        self.links.get_mut(&(one.min(other), one.max(other))).unwrap().stock = stock;
        for (at, to) in [(one, other), (other, one)] {
            let (name, stock) = (self.servers[to].name.clone(), self.seen_stock(at, to));
            let now = self.now;
            // Twice, so that the trend is none.
            for _ in 0..2 {
                if let Some(routing) = &mut self.servers[at].routing {
                    let actions = routing.set_link(&name, stock, now);
                    self.carry_out(at, actions);
                }
            }
        }
    }

    /// Lets everything happen that happens within `span`.
    pub(super) fn run(&mut self, span: Nanos) {
        let end = self.now.saturating_add(span);
        while let Some(Reverse((at, letter))) = self.under_way.peek().copied().filter(|Reverse((at, _))| *at <= end) {
            self.under_way.pop();
            self.now = at;
            match self.letters.remove(&letter).unwrap() {
                Event::Tick(server) => self.tick(server),
                Event::Look { from, to } => self.look(from, to),
                Event::Message { from, to, message } => self.deliver(from, to, message),
            }
        }
        self.now = end;
    }

    fn tick(&mut self, at: usize) {
        let now = self.now;
        if let Some(routing) = &mut self.servers[at].routing {
            let actions = routing.on_tick(now);
            self.carry_out(at, actions);
            self.later(TICK, Event::Tick(at));
        }
    }

    fn look(&mut self, from: usize, to: usize) {
        let (now, name) = (self.now, self.servers[to].name.clone());
        let up = self.reaches(from, to);
        if let Some(routing) = &mut self.servers[from].routing {
            let actions = if up { routing.neighbour_up(&name, now) } else { routing.neighbour_down(&name, now) };
            self.carry_out(from, actions);
        }
    }

    fn deliver(&mut self, from: usize, to: usize, message: Message) {
        if !self.reaches(from, to) {
            return;
        }
        self.delivered += 1;
        let (now, name) = (self.now, self.servers[from].name.clone());
        let actions = self.servers[to].routing.as_mut().unwrap().on_message(&name, message, now);
        self.carry_out(to, actions);
    }

    pub(super) fn reaches(&self, one: usize, other: usize) -> bool {
        let alive = |at: usize| self.servers[at].routing.is_some();
        alive(one) && alive(other) && self.links[&(one.min(other), one.max(other))].up
    }

    fn carry_out(&mut self, at: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { to, message } => self.post(at, self.number(&to), &message),
                Action::KeepBoot(boot) => self.servers[at].boot = boot,
                Action::Conflict(conflict) => self.servers[at].conflicts.push(conflict),
                Action::Refused { refusal, .. } => self.servers[at].refused.push(refusal),
                Action::RoutesChanged => {}
                Action::CannotSign => unreachable!("hashing always works"),
            }
        }
    }

    fn post(&mut self, from: usize, to: usize, message: &Message) {
        let copies = 1 + usize::from(self.random.percent(self.faults.doubled));
        for _ in 0..copies {
            if !self.random.percent(self.faults.lost) {
                let delay = Nanos(1 + self.random.next() % self.faults.slowest.0);
                self.later(delay, Event::Message { from, to, message: message.clone() });
            }
        }
    }

    fn look_soon(&mut self, from: usize, to: usize) {
        let delay = Nanos(1 + self.random.next() % Nanos::from_secs(1).0);
        self.later(delay, Event::Look { from, to });
    }

    fn later(&mut self, delay: Nanos, event: Event) {
        self.next_letter += 1;
        self.letters.insert(self.next_letter, event);
        self.under_way.push(Reverse((self.now.saturating_add(delay), self.next_letter)));
    }

    fn seen_stock(&self, at: usize, to: usize) -> LinkStock {
        self.links[&(at.min(to), at.max(to))].stock[usize::from(at > to)]
    }

    pub(super) fn number(&self, name: &QksId) -> usize {
        name.as_str().strip_prefix("qks-").unwrap().parse().unwrap()
    }

    /// What the servers should know of the links: all that are up between servers that live.
    pub(super) fn truth(&self) -> BTreeMap<QksId, Vec<QksId>> {
        let living = self.servers.iter().filter(|server| server.routing.is_some());
        let neighbours = |server: &Server| {
            let at = self.number(&server.name);
            let there = server.neighbours.iter().filter(|to| self.reaches(at, **to));
            let mut names: Vec<_> = there.map(|to| self.servers[*to].name.clone()).collect();
            names.sort();
            names
        };
        living.map(|server| (server.name.clone(), neighbours(server))).collect()
    }

    /// The routes of a living server.
    pub(super) fn routes(&mut self, at: usize) -> Routes {
        self.servers[at].routing.as_mut().unwrap().routes()
    }
}

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        scramble(self.0)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.next().to_be_bytes()[0]);
    }
}

impl Signatures for Hashing {
    fn sign(&self, bytes: &[u8]) -> Option<Seal> {
        Some(Seal { chain: Vec::new(), scheme: 0, signature: Bytes64(hash_for(&self.0, bytes)) })
    }

    fn verify(&self, origin: &QksId, bytes: &[u8], seal: &Seal) -> bool {
        seal.signature.0 == hash_for(origin, bytes)
    }
}

fn hash_for(origin: &QksId, bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, &[origin.as_str().as_bytes(), bytes].concat()).as_ref().to_vec()
}

const TICK: Nanos = Nanos::from_millis(500);
/// How long old advertisements have still to live in a network that is settled.
pub(super) const LEFT: Nanos = Nanos::from_secs(90);
