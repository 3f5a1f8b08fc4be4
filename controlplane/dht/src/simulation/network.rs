//! A simulated network: what happens, in the order of its time, and who is told.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use photongate_wire::Nanos;
use proptest::{
    prelude::{Rng, RngExt},
    test_runner::{RngAlgorithm, TestRng},
};

use crate::{
    contact::Contact,
    id::Id,
    message::{Magic, Message, Question},
    node::{Announced, Found, IdRule, Input, Node, Output, RequestId, Settings, Source, Wanted},
};

/// Nodes, and the datagrams under way between them.
pub(crate) struct Network {
    pub(super) now: Nanos,
    pub(super) random: TestRng,
    pub(super) hosts: Vec<Host>,
    /// The liars among them, in the order of their ids.
    pub(super) liars: Vec<Contact>,
    /// The others, in the same order, as the liars knew them when they first slandered somebody.
    pub(super) slandered: Vec<Contact>,
    pub(super) settings: Settings,
    /// Datagrams lost, in a thousand.
    pub(super) lost: u32,
    agenda: BinaryHeap<Due>,
    scheduled: u64,
    next_request: u64,
    pub(super) found: BTreeMap<RequestId, Found>,
    /// The look-ups that named somebody who had the value when they ended.
    pub(super) good: BTreeSet<RequestId>,
    wanted: BTreeMap<RequestId, Id>,
    pub(super) announced: BTreeMap<RequestId, Announced>,
    pub(super) traffic: Traffic,
}

/// A machine with one node on it.
pub(super) struct Host {
    pub(super) contact: Contact,
    /// `None` once it has left.
    pub(super) node: Option<Node>,
    pub(super) is_liar: bool,
    pub(super) values: BTreeSet<Id>,
    /// What a liar is asked.
    pub(super) asked: BTreeMap<Magic, Question>,
    wakes_at: Option<Nanos>,
}

/// What went over the network.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) datagrams: u64,
    pub(super) bytes: u64,
}

/// Something that is to happen.
struct Due {
    at: Nanos,
    /// Keeps the order of what happens at once.
    number: u64,
    event: Event,
}

enum Event {
    Arrives { from: usize, to: usize, bytes: usize, message: Box<Message> },
    Fetched { host: usize, key: Id, from: usize },
    Wakes { host: usize },
    Leaves,
    Joins,
}

impl Network {
    /// A network of nobody.
    pub(super) fn new(seed: u64, settings: Settings) -> Self {
        let mut bytes = [0x5a; 16];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            now: START,
            random: TestRng::from_seed(RngAlgorithm::XorShift, &bytes),
            hosts: Vec::new(),
            liars: Vec::new(),
            slandered: Vec::new(),
            settings: Settings { ids: IdRule::Certificate, ..settings },
            lost: 5,
            agenda: BinaryHeap::new(),
            scheduled: 0,
            next_request: 0,
            found: BTreeMap::new(),
            good: BTreeSet::new(),
            wanted: BTreeMap::new(),
            announced: BTreeMap::new(),
            traffic: Traffic::default(),
        }
    }

    /// Adds a node that knows nobody.
    pub(super) fn add(&mut self, is_liar: bool) -> usize {
        let number = self.hosts.len();
        let contact =
            Contact { id: Id::of_name(&format!("{number}.{}", self.random.next_u64())), address: address(number) };
        let mut seed = [0; 16];
        self.random.fill_bytes(&mut seed);
        let mut random = TestRng::from_seed(RngAlgorithm::XorShift, &seed);
        let node = Node::new(self.settings, contact, Box::new(move |bytes| random.fill_bytes(bytes)));
        self.hosts.push(Host {
            contact,
            node: Some(node),
            is_liar,
            values: BTreeSet::new(),
            asked: BTreeMap::new(),
            wakes_at: None,
        });
        if is_liar {
            let at = self.liars.partition_point(|liar| liar.id < contact.id);
            self.liars.insert(at, contact);
        }
        number
    }

    /// Lets nodes leave and others come so that `percent` of `nodes` are exchanged in an hour, from now until `until`.
    pub(super) fn exchange(&mut self, nodes: usize, percent: usize, until: Nanos) {
        let hours = (until.0 - self.now.0) as f64 / HOUR.0 as f64;
        let count = (nodes as f64 * percent as f64 / 100.0 * hours) as usize;
        for _ in 0..count {
            let leaves = Nanos(self.random.random_range(0..until.0 - self.now.0));
            let joins = Nanos(self.random.random_range(0..until.0 - self.now.0));
            self.later(leaves, Event::Leaves);
            self.later(joins, Event::Joins);
        }
    }

    /// Asks a node to look for something.
    pub(super) fn find(&mut self, host: usize, wanted: Wanted) -> RequestId {
        let request = self.request();
        self.wanted.insert(request, wanted.target());
        self.tell(host, Input::Find { request, wanted });
        request
    }

    /// Puts a value of `size` bytes into the network at a node.
    pub(super) fn put(&mut self, host: usize, key: Id, size: u64) -> RequestId {
        let request = self.request();
        self.hosts[host].values.insert(key);
        self.tell(host, Input::Held { key, size, republish: true });
        self.tell(host, Input::Announce { request, key });
        request
    }

    /// Lets so many nodes join, one after the other.
    pub(super) fn grow(&mut self, nodes: usize) {
        for _ in 0..nodes {
            self.later(Nanos(0), Event::Joins);
            self.run_for(Nanos::from_secs(3));
        }
        self.run_for(Nanos::from_secs(600));
    }

    fn request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    /// Lets time pass.
    pub(super) fn run_for(&mut self, span: Nanos) {
        let end = self.now.saturating_add(span);
        while self.agenda.peek().is_some_and(|due| due.at <= end) {
            let due = self.agenda.pop().expect("one was just looked at");
            self.now = due.at;
            self.happens(due.event);
        }
        self.now = end;
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrives { from, to, bytes, message } => {
                let sender = self.hosts[from].contact;
                if let (true, Message::Query(query)) = (self.hosts[to].is_liar, message.as_ref()) {
                    self.hosts[to].asked.insert(query.magic, query.question.clone());
                }
                let from = Source { address: sender.address, proven: Some(sender.id) };
                self.tell(to, Input::Message { from, bytes, message: *message });
            }
            Event::Fetched { host, key, from } => {
                let is_there = self.gives(from, &key);
                let input =
                    if is_there { Input::Held { key, size: SIZE, republish: true } } else { Input::Dropped(key) };
                if is_there {
                    self.hosts[host].values.insert(key);
                }
                self.tell(host, input);
            }
            Event::Wakes { host } => {
                self.hosts[host].wakes_at = None;
                self.tell(host, Input::Wake);
            }
            Event::Leaves => {
                let host = self.anybody();
                self.hosts[host].node = None;
            }
            Event::Joins => {
                let acquaintances = (0..3).map(|_| address(self.anybody())).collect();
                let host = self.add(false);
                self.tell(host, Input::Bootstrap(acquaintances));
            }
        }
    }

    /// Whether a node is there, has the value, and gives it.
    fn gives(&self, host: usize, key: &Id) -> bool {
        let host = self.hosts.get(host).filter(|host| host.node.is_some() && !host.is_liar);
        host.is_some_and(|host| host.values.contains(key))
    }

    /// A node that is there, and no liar.
    pub(super) fn anybody(&mut self) -> usize {
        loop {
            let host = self.random.random_range(0..self.hosts.len());
            if self.hosts[host].node.is_some() && !self.hosts[host].is_liar {
                return host;
            }
        }
    }

    fn tell(&mut self, host: usize, input: Input) {
        let Some(node) = &mut self.hosts[host].node else { return };
        let mut outputs = Vec::new();
        node.handle(self.now, input, &mut outputs);
        let wakes_at = node.next_timeout();
        if let Some(at) = wakes_at
            && self.hosts[host].wakes_at.is_none_or(|planned| at < planned)
        {
            self.hosts[host].wakes_at = Some(at);
            self.later(Nanos(at.0.saturating_sub(self.now.0)), Event::Wakes { host });
        }
        for output in outputs {
            self.carry_out(host, output);
        }
    }

    fn carry_out(&mut self, host: usize, output: Output) {
        match output {
            Output::Send { to, message, .. } => self.send(host, to, message),
            Output::Found { request, found } => {
                let key = self.wanted.remove(&request).expect("it was asked for");
                if found.providers.iter().any(|provider| self.gives(number(provider.address), &key)) {
                    self.good.insert(request);
                }
                self.found.insert(request, found);
            }
            Output::Announced { request, announced } => {
                self.announced.insert(request, announced);
            }
            Output::Pull { key, from, .. } => {
                let after = self.latency();
                self.later(Nanos(3 * after.0), Event::Fetched { host, key, from: number(from.address) });
            }
            Output::Store { key, .. } => unreachable!("nobody pushes values here, {key} least of all"),
            Output::Notice(_) => {}
        }
    }

    fn send(&mut self, from: usize, to: SocketAddr, message: Message) {
        let message = if self.hosts[from].is_liar { self.twisted(from, message) } else { message };
        let bytes = message.encode().len();
        self.traffic.datagrams += 1;
        self.traffic.bytes += bytes as u64;
        let to = number(to);
        // Those who are told of by liars need not exist.
        if to < self.hosts.len() && self.random.random_range(0..1_000) >= self.lost {
            let latency = self.latency();
            self.later(latency, Event::Arrives { from, to, bytes, message: Box::new(message) });
        }
    }

    fn latency(&mut self) -> Nanos {
        Nanos::from_millis(self.random.random_range(10..120))
    }

    fn later(&mut self, after: Nanos, event: Event) {
        self.scheduled += 1;
        self.agenda.push(Due { at: self.now.saturating_add(after), number: self.scheduled, event });
    }

    /// Lets a settled node begin its upkeep.
    pub(super) fn wake(&mut self, host: usize) {
        self.tell(host, Input::Wake);
    }
}

impl Ord for Due {
    /// The first is the greatest, as a heap has that on top.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

/// The address of a host.
pub(super) fn address(host: usize) -> SocketAddr {
    let host = u32::try_from(host).expect("there are not that many");
    SocketAddr::new(Ipv4Addr::from_bits(NETWORK + host).into(), 6_881)
}

/// The host with an address.
pub(super) fn number(address: SocketAddr) -> usize {
    let IpAddr::V4(ip) = address.ip() else { unreachable!("all have addresses of 10.0.0.0/8") };
    (ip.to_bits() - NETWORK) as usize
}

pub(super) const HOUR: Nanos = Nanos::from_secs(3_600);
/// Bytes of each value: too many for a datagram.
pub(super) const SIZE: u64 = 65_536;
/// Late enough that things can have happened hours ago.
const START: Nanos = Nanos::from_secs(24 * 3_600);
const NETWORK: u32 = 10 << 24;
