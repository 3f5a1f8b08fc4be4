//! Stories of a few nodes that hear each other at once: what they do for those who ask, and what they refuse.

use super::*;
use crate::command::{Change, ClientId, Generation, Outcome, Pid, Sequence, Value};
use crate::membership::{BadMembership, MemberChange};

#[test]
fn a_cluster_is_founded_when_all_have_met_and_then_somebody_leads() {
    let mut group = Group::of(&["a", "b", "c"]);
    group.connect(0, 1);
    group.ticks(20);
    assert!(group.nodes.iter().all(|node| node.status().membership.is_none()), "the third was not met");
    group.connect(0, 2);
    group.connect(1, 2);
    let founded: BTreeSet<_> = group
        .notices
        .iter()
        .filter_map(|(_, notice)| match notice {
            Notice::Founded(membership) => Some(membership.cluster),
            _ => None,
        })
        .collect();
    assert_eq!(founded.len(), 1, "all work out the same one");
    let leader = group.leader();
    assert!(group.nodes.iter().all(|node| node.status().leader.as_ref() == Some(&group.name(leader))));
}

#[test]
fn nodes_that_are_set_to_found_different_clusters_found_none_and_say_so() {
    let mut group = Group::of(&["a", "b"]);
    group.add("c", &["a", "b"], StoreId(9));
    group.connect(0, 2);
    assert!(group.notices.contains(&(0, Notice::OtherServers { peer: "c".into() })), "{:?}", group.notices);
    assert!(group.notices.contains(&(2, Notice::OtherServers { peer: "a".into() })), "{:?}", group.notices);
    assert!(group.nodes.iter().all(|node| node.status().membership.is_none()));
}

#[test]
fn who_is_in_no_cluster_does_nothing_for_anybody() {
    let mut group = Group::of(&["a", "b"]);
    for request in [register(), read(Consistency::Linearizable), read(Consistency::Stale)] {
        assert_eq!(group.ask(0, request), Some(Reply::Refused(Refusal::NotAMember)));
    }
}

#[test]
fn a_write_is_answered_when_a_majority_has_it_on_disk_and_not_before() {
    let mut group = Group::founded(3);
    let leader = group.leader();
    let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let client = group.client(one);
    group.slow_disks.extend([leader, other]);
    assert_eq!(group.ask(one, put(client, 1)), None, "one disk of three has it");
    group.finish_disk(leader);
    let Some(Reply::Done(Outcome::Written { generation, .. })) = group.last_reply() else { panic!("it is on two") };
    assert_eq!(generation, Generation(1));
}

#[test]
fn a_command_that_is_asked_for_again_elsewhere_is_answered_as_the_first_time() {
    let mut group = Group::founded(3);
    let client = group.client(0);
    let first = group.ask(0, put(client, 1));
    assert!(matches!(first, Some(Reply::Done(Outcome::Written { generation: Generation(1), .. }))), "{first:?}");
    assert_eq!(group.ask(1, put(client, 1)), first);
    assert_eq!(group.ask(2, put(client, 1)), first);
}

#[test]
fn more_requests_than_may_wait_are_refused_as_busy_and_nothing_of_them_is_done() {
    let mut group = Group::founded(3);
    let leader = group.leader();
    let clients: Vec<_> = (0..=WAITING as u64).map(|_| group.client(leader)).collect();
    group.slow_disks.extend(0..3);
    for client in &clients[..WAITING] {
        assert_eq!(group.ask(leader, put(*client, 1)), None);
    }
    assert_eq!(group.ask(leader, put(clients[WAITING], 1)), Some(Reply::Refused(Refusal::Busy)));
    (0..3).for_each(|node| group.finish_disk(node));
    let read = group.ask(leader, read(Consistency::Linearizable));
    let Some(Reply::Read { answer: Answer::Document(Some(document)), .. }) = read else { panic!("{read:?}") };
    assert_eq!(document.generation, Generation(WAITING as u64));
}

#[test]
fn a_leader_that_is_cut_off_says_in_time_that_it_does_not_know_and_its_stale_reads_how_old_they_are() {
    let mut group = Group::founded(3);
    let leader = group.leader();
    let client = group.client(leader);
    group.cut_off(leader);
    assert_eq!(group.ask(leader, put(client, 1)), None);
    let write = group.asked;
    assert_eq!(group.ask(leader, read(Consistency::Linearizable)), None);
    let wait = group.nodes[leader].settings.timing.deadline_ticks;
    group.ticks(wait);
    assert_eq!(group.replies.get(&write), Some(&Reply::Refused(Refusal::Unknown)), "it is in its log");
    assert_eq!(group.last_reply(), Some(Reply::Refused(Refusal::NoMajority)));
    let stale = group.ask(leader, read(Consistency::Stale));
    let Some(Reply::Read { answer: Answer::Document(None), age_ticks: Some(age), .. }) = stale else {
        panic!("{stale:?}")
    };
    assert!(age >= wait, "{age}");
    // The others have a leader that is none of its business, and go on.
    let other = (leader + 1) % 3;
    assert!(matches!(group.ask(other, put(client, 2)), Some(Reply::Done(Outcome::Written { .. }))));
}

#[test]
fn what_was_proposed_nowhere_is_refused_as_not_done() {
    let mut group = Group::of(&["a", "b", "c"]);
    (0..3).for_each(|node| group.join(node));
    // Before it has heard of a leader.
    group.cut_off(0);
    assert_eq!(group.ask(0, register()), None);
    let wait = group.nodes[0].settings.timing.deadline_ticks;
    group.ticks(wait);
    assert_eq!(group.last_reply(), Some(Reply::Refused(Refusal::NoMajority)));
}

#[test]
fn a_leader_that_is_to_stop_takes_nothing_more_and_another_one_leads() {
    let mut group = Group::founded(3);
    let leader = group.leader();
    let client = group.client(leader);
    group.tell(leader, Input::HandOver);
    group.settle();
    assert_eq!(group.ask(leader, put(client, 1)), Some(Reply::Refused(Refusal::Stopping)));
    group.ticks(60);
    assert!(group.handed_over.contains(&leader));
    assert_ne!(group.leader(), leader);
}

#[test]
fn a_leader_whose_process_is_gone_is_replaced_before_the_next_heartbeat() {
    let mut group = Group::founded(3);
    let (leader, gone) = group.lose_leader();
    assert_eq!(group.probes.iter().filter(|peer| **peer == gone).count(), 2, "both others look for it");
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    others.into_iter().for_each(|node| group.tell(node, Input::Gone { peer: gone.clone() }));
    group.settle();
    let first = *others.iter().max().expect("there are two");
    assert!(group.nodes[first].leads(), "no tick has passed, and the one with the larger number leads");
}

#[test]
fn if_the_first_to_follow_does_nothing_the_next_one_does() {
    let mut group = Group::founded(3);
    let (leader, gone) = group.lose_leader();
    let last = if leader == 0 { 1 } else { 0 };
    group.tell(last, Input::Gone { peer: gone });
    group.settle();
    assert!(!group.nodes[last].leads(), "it is not its turn");
    group.ticks(2);
    assert!(group.nodes[last].leads());
}

#[test]
fn a_leader_that_answers_is_not_replaced_whatever_is_said_of_it() {
    let mut group = Group::founded(3);
    let leader = group.leader();
    let gone = group.name(leader);
    for node in (0..3).filter(|node| *node != leader) {
        group.tell(node, Input::Gone { peer: gone.clone() });
    }
    group.ticks(1);
    assert_eq!(group.leader(), leader);
    assert!(group.probes.is_empty(), "nobody had a reason to look for it");
}

#[test]
fn members_change_one_configuration_after_the_other_and_what_makes_no_sense_is_refused() {
    let mut group = Group::founded(3);
    let add = |name: &str, store| MemberChange::Add { name: name.into(), store: StoreId(store), address: None };
    let taken = group.ask(0, Request::ChangeMembers(add("b", 77)));
    assert_eq!(
        taken,
        Some(Reply::Refused(Refusal::Members(BadMembership::NameTaken { name: "b".into() }))),
        "its disk must be replaced"
    );
    let removed = group.ask(0, Request::ChangeMembers(MemberChange::Remove { name: "c".into() }));
    let Some(Reply::MembersChanged(membership)) = removed else { panic!("{removed:?}") };
    assert_eq!((membership.configuration, membership.members.len()), (ConfigurationId(2), 2));
    group.ticks(60);
    assert_eq!(group.nodes[2].status().pid, None, "it votes no more");
    let last = group.ask(0, Request::ChangeMembers(MemberChange::Remove { name: "b".into() }));
    assert_eq!(last, Some(Reply::Refused(Refusal::Members(BadMembership::Size { members: 1 }))));
}

#[test]
fn a_node_that_comes_back_with_an_empty_disk_does_not_vote_until_it_is_let_in_with_it() {
    let mut group = Group::founded(3);
    let lost = (group.leader() + 1) % 3;
    let (name, others) = (group.name(lost), [(lost + 1) % 3, (lost + 2) % 3]);
    let client = group.client(others[0]);
    group.cut_off(lost);
    group.replace(lost, StoreId(77));
    group.join(lost);
    group.ticks(20);
    let told = Notice::DiskReplaced { peer: name.clone(), store: StoreId(77) };
    assert!(group.notices.contains(&(others[0], told)), "{:?}", group.notices);
    let waits = |(node, notice): &(usize, Notice)| *node == lost && matches!(notice, Notice::WaitsForMembership { .. });
    assert!(group.notices.iter().any(waits), "{:?}", group.notices);
    assert_eq!(group.nodes[lost].status().pid, None);

    let replace = MemberChange::Replace { name: name.clone(), store: StoreId(77), address: None };
    let replaced = group.ask(others[0], Request::ChangeMembers(replace));
    assert!(matches!(replaced, Some(Reply::MembersChanged(_))), "{replaced:?}");
    group.ticks(60);
    assert_eq!(group.nodes[lost].status().pid, Some(Pid(4)), "nobody ever had this number");
    assert!(matches!(group.ask(lost, put(client, 1)), Some(Reply::Done(Outcome::Written { .. }))));
}

#[test]
fn a_node_of_another_cluster_is_not_heard() {
    let (mut group, other) = (Group::founded(2), Group::founded_from(2, 50));
    let mut stranger = other.nodes[1].hello();
    stranger.name = "b".into();
    group.tell(0, Input::Connected { peer: "b".into(), hello: stranger });
    group.settle();
    assert!(group.notices.contains(&(0, Notice::OtherCluster { peer: "b".into() })), "{:?}", group.notices);
}

/// Nodes that hear each other at once while they are connected, and whose disks are done at once unless they are slow.
#[derive(Default)]
struct Group {
    nodes: Vec<Node>,
    connected: BTreeSet<(usize, usize)>,
    /// What the nodes have to take in, in its order.
    due: std::collections::VecDeque<(usize, Input)>,
    slow_disks: BTreeSet<usize>,
    /// What slow disks have not done.
    unwritten: Vec<(usize, BatchId)>,
    /// The request that was asked last.
    asked: RequestId,
    replies: BTreeMap<RequestId, Reply>,
    notices: Vec<(usize, Notice)>,
    /// Who was looked for.
    probes: Vec<NodeName>,
    handed_over: BTreeSet<usize>,
}

impl Group {
    /// Nodes that are to found a cluster, and have not met.
    fn of(names: &[&str]) -> Self {
        let mut group = Self::default();
        for (name, store) in names.iter().zip(1..) {
            group.add(name, names, StoreId(store));
        }
        group
    }

    /// So many nodes that have founded a cluster, one of which leads.
    fn founded(count: usize) -> Self {
        Self::founded_from(count, 0)
    }

    /// The same, with disks that are called from this number on.
    fn founded_from(count: usize, stores: u128) -> Self {
        let names = &["a", "b", "c"][..count];
        let mut group = Self::default();
        for (name, store) in names.iter().zip(stores + 1..) {
            group.add(name, names, StoreId(store));
        }
        (0..count).for_each(|node| group.join(node));
        group.leader();
        group
    }

    fn add(&mut self, name: &str, servers: &[&str], store: StoreId) {
        let settings = Settings {
            name: name.into(),
            servers: servers.iter().filter(|server| **server != name).map(|server| NodeName::from(*server)).collect(),
            timing: Timing::default(),
            limits: Limits { pending: WAITING, ..Limits::default() },
        };
        self.nodes.push(Node::new(settings, Recovered { store, boot: 1, cluster: None }));
    }

    /// The node is another process, with an empty disk.
    fn replace(&mut self, node: usize, store: StoreId) {
        let settings = self.nodes[node].settings.clone();
        self.nodes[node] = Node::new(settings, Recovered { store, boot: 1, cluster: None });
    }

    fn name(&self, node: usize) -> NodeName {
        self.nodes[node].settings.name.clone()
    }

    /// Connects a node to all others.
    fn join(&mut self, node: usize) {
        (0..self.nodes.len()).filter(|other| *other != node).for_each(|other| self.connect(node, other));
    }

    fn connect(&mut self, one: usize, other: usize) {
        for (from, to) in [(one, other), (other, one)] {
            if self.connected.insert((from, to)) {
                let input = Input::Connected { peer: self.name(from), hello: self.nodes[from].hello() };
                self.tell(to, input);
            }
        }
        self.settle();
    }

    fn cut_off(&mut self, node: usize) {
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
    fn lose_leader(&mut self) -> (usize, NodeName) {
        let leader = self.leader();
        self.cut_off(leader);
        self.probes.clear();
        self.ticks(1);
        (leader, self.name(leader))
    }

    /// Waits until all that are connected follow one leader.
    fn leader(&mut self) -> usize {
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

    fn client(&mut self, node: usize) -> ClientId {
        match self.ask(node, register()) {
            Some(Reply::Done(Outcome::Registered { client })) => client,
            other => panic!("{other:?}"),
        }
    }

    /// Asks a node, and gives a little time; the answer, if there is one by then.
    fn ask(&mut self, node: usize, request: Request) -> Option<Reply> {
        self.asked = RequestId(self.asked.0 + 1);
        self.tell(node, Input::Request { id: self.asked, request });
        self.ticks(30);
        self.last_reply()
    }

    fn last_reply(&self) -> Option<Reply> {
        self.replies.get(&self.asked).cloned()
    }

    /// A slow disk has done all, and is slow no more.
    fn finish_disk(&mut self, node: usize) {
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

    fn ticks(&mut self, count: u64) {
        for _ in 0..count {
            (0..self.nodes.len()).for_each(|node| self.tell(node, Input::Tick));
            self.settle();
        }
    }

    fn tell(&mut self, node: usize, input: Input) {
        self.due.push_back((node, input));
    }

    /// Lets the nodes take in all that is due, and what follows from it.
    fn settle(&mut self) {
        while let Some((node, input)) = self.due.pop_front() {
            for output in self.nodes[node].step([input], UnixMillis(0)) {
                self.perform(node, output);
            }
        }
    }

    fn perform(&mut self, node: usize, output: Output) {
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

fn register() -> Request {
    let (client, author) = (ClientId::from(0), "ops".into());
    Request::Write { client, sequence: Sequence(0), author, change: Change::Register { nonce: 1 } }
}

fn put(client: ClientId, sequence: u64) -> Request {
    let name = "motd".parse().expect("a short name is one");
    let change = Change::Put { name, value: Value::default(), expected: None };
    Request::Write { client, sequence: Sequence(sequence), author: "ops".into(), change }
}

fn read(consistency: Consistency) -> Request {
    Request::Read { query: Query::Document("motd".parse().expect("a short name is one")), consistency }
}

/// Requests that may wait at a node.
const WAITING: usize = 3;
