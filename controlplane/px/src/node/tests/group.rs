//! A few nodes that hear each other at once, and what a story needs to ask of them.

use crate::command::{Change, ClientId, Outcome, Sequence, Value};
use crate::node::*;

/// Nodes that hear each other at once while they are connected, and whose disks are done at once unless they are slow.
#[derive(Default)]
pub(super) struct Group {
    pub(super) nodes: Vec<Node>,
    pub(super) connected: BTreeSet<(usize, usize)>,
    /// What the nodes have to take in, in its order.
    pub(super) due: std::collections::VecDeque<(usize, Input)>,
    pub(super) slow_disks: BTreeSet<usize>,
    /// What slow disks have not done.
    pub(super) unwritten: Vec<(usize, BatchId)>,
    /// The request that was asked last.
    pub(super) asked: RequestId,
    pub(super) replies: BTreeMap<RequestId, Reply>,
    pub(super) notices: Vec<(usize, Notice)>,
    /// Who was looked for.
    pub(super) probes: Vec<NodeName>,
    pub(super) mutation: Option<Mutation>,
    pub(super) handed_over: BTreeSet<usize>,
}

impl Group {
    /// Nodes that are to found a cluster, and have not met.
    pub(super) fn of(names: &[&str]) -> Self {
        let mut group = Self::default();
        for (name, store) in names.iter().zip(1..) {
            group.add(name, names, StoreId(store));
        }
        group
    }

    /// So many nodes that have founded a cluster, one of which leads.
    pub(super) fn founded(count: usize) -> Self {
        Self::founded_from(count, 0)
    }

    /// The same, with disks that are called from this number on.
    pub(super) fn founded_from(count: usize, stores: u128) -> Self {
        let names = &["a", "b", "c"][..count];
        let mut group = Self::default();
        for (name, store) in names.iter().zip(stores + 1..) {
            group.add(name, names, StoreId(store));
        }
        (0..count).for_each(|node| group.join(node));
        group.leader();
        group
    }

    /// Three nodes that have founded a cluster, and make a mistake.
    pub(super) fn founded_with(mutation: Option<Mutation>) -> Self {
        let names = &["a", "b", "c"];
        let mut group = Self { mutation, ..Self::default() };
        for (name, store) in names.iter().zip(1..) {
            group.add(name, names, StoreId(store));
        }
        (0..names.len()).for_each(|node| group.join(node));
        group.leader();
        group
    }

    pub(super) fn add(&mut self, name: &str, servers: &[&str], store: StoreId) {
        let settings = Settings {
            name: name.into(),
            servers: servers.iter().filter(|server| **server != name).map(|server| NodeName::from(*server)).collect(),
            timing: Timing::default(),
            limits: Limits { pending: WAITING, ..Limits::default() },
        };
        self.nodes.push(Node::mutated(settings, Recovered { store, boot: 1, cluster: None }, self.mutation));
    }

    /// The node is another process, with an empty disk.
    pub(super) fn replace(&mut self, node: usize, store: StoreId) {
        let settings = self.nodes[node].settings.clone();
        self.nodes[node] = Node::new(settings, Recovered { store, boot: 1, cluster: None });
    }

    pub(super) fn name(&self, node: usize) -> NodeName {
        self.nodes[node].settings.name.clone()
    }

    /// Connects a node to all others.
    pub(super) fn join(&mut self, node: usize) {
        (0..self.nodes.len()).filter(|other| *other != node).for_each(|other| self.connect(node, other));
    }

    pub(super) fn connect(&mut self, one: usize, other: usize) {
        for (from, to) in [(one, other), (other, one)] {
            if self.connected.insert((from, to)) {
                let input = Input::Connected { peer: self.name(from), hello: self.nodes[from].hello() };
                self.tell(to, input);
            }
        }
        self.settle();
    }

    pub(super) fn cut_off(&mut self, node: usize) {
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            for (from, to) in [(node, other), (other, node)] {
                self.connected.remove(&(from, to));
                let peer = self.name(from);
                self.tell(to, Input::Disconnected { peer });
            }
        }
        self.settle();
    }

    /// The leader goes away; a tick later it is missed. Says who it was.
    pub(super) fn lose_leader(&mut self) -> (usize, NodeName) {
        let leader = self.leader();
        self.cut_off(leader);
        self.probes.clear();
        self.ticks(1);
        (leader, self.name(leader))
    }

    /// Waits until all that are connected follow one leader.
    pub(super) fn leader(&mut self) -> usize {
        for _ in 0..1_000 {
            let leaders: BTreeSet<_> = self.nodes.iter().map(|node| node.status().leader).collect();
            let leads = (0..self.nodes.len()).find(|node| self.nodes[*node].leads());
            if leaders.len() == 1
                && let Some(leader) = leads
            {
                return leader;
            }
            self.ticks(1);
        }
        panic!("nobody leads: {:?}", self.nodes.iter().map(Node::status).collect::<Vec<_>>());
    }

    pub(super) fn client(&mut self, node: usize) -> ClientId {
        match self.ask(node, register()) {
            Some(Reply::Done(Outcome::Registered { client })) => client,
            other => panic!("{other:?}"),
        }
    }

    /// Asks a node, and gives a little time; the answer, if there is one by then.
    pub(super) fn ask(&mut self, node: usize, request: Request) -> Option<Reply> {
        self.asked = RequestId(self.asked.0 + 1);
        self.tell(node, Input::Request { id: self.asked, request });
        self.ticks(30);
        self.last_reply()
    }

    pub(super) fn last_reply(&self) -> Option<Reply> {
        self.replies.get(&self.asked).cloned()
    }

    /// A slow disk has done all, and is slow no more.
    pub(super) fn finish_disk(&mut self, node: usize) {
        self.slow_disks.remove(&node);
        for (of, batch) in std::mem::take(&mut self.unwritten) {
            if of == node {
                self.tell(node, Input::Persisted { batch });
            } else {
                self.unwritten.push((of, batch));
            }
        }
        self.ticks(30);
    }

    pub(super) fn ticks(&mut self, count: u64) {
        for _ in 0..count {
            (0..self.nodes.len()).for_each(|node| self.tell(node, Input::Tick));
            self.settle();
        }
    }

    pub(super) fn tell(&mut self, node: usize, input: Input) {
        self.due.push_back((node, input));
    }

    /// Lets the nodes take in all that is due, and what follows from it.
    pub(super) fn settle(&mut self) {
        while let Some((node, input)) = self.due.pop_front() {
            for output in self.nodes[node].step([input], UnixMillis(0)) {
                self.perform(node, output);
            }
        }
    }

    pub(super) fn perform(&mut self, node: usize, output: Output) {
        match output {
            Output::Send { peer, message } => {
                let to = self.nodes.iter().position(|other| other.settings.name == peer).expect("it is one of these");
                if self.connected.contains(&(node, to)) {
                    let peer = self.name(node);
                    self.tell(to, Input::Message { peer, message });
                }
            }
            Output::Probe { peer } => self.probes.push(peer),
            Output::Persist { batch, .. } if self.slow_disks.contains(&node) => self.unwritten.push((node, batch)),
            Output::Persist { batch, .. } => self.tell(node, Input::Persisted { batch }),
            Output::Reply { id, reply } => {
                assert!(self.replies.insert(id, reply).is_none(), "a request is answered once");
            }
            Output::Notice(notice) => self.notices.push((node, notice)),
            Output::HandedOver => drop(self.handed_over.insert(node)),
            Output::Changed(_) | Output::Replaced(_) => {}
        }
    }
}

pub(super) fn register() -> Request {
    let (client, author) = (ClientId::from(0), "ops".into());
    Request::Write { client, sequence: Sequence(0), author, change: Change::Register { nonce: 1 } }
}

pub(super) fn put(client: ClientId, sequence: u64) -> Request {
    let name = "motd".parse().expect("a short name is one");
    let change = Change::Put { name, value: Value::default(), expected: None };
    Request::Write { client, sequence: Sequence(sequence), author: "ops".into(), change }
}

pub(super) fn read(consistency: Consistency) -> Request {
    Request::Read { query: Query::Document("motd".parse().expect("a short name is one")), consistency }
}

/// The other two of three nodes, in their order.
pub(super) fn others_than(node: usize) -> [usize; 2] {
    [[1, 2], [0, 2], [0, 1]][node]
}

/// Requests that may wait at a node.
pub(super) const WAITING: usize = 3;
