//! A simulated cluster: what happens, in the order of its time, and who is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use super::{
    clients::{Client, History, Next},
    disk::Disk,
    faults::Faults,
    network::{Network, Weather},
    oracle::Oracle,
    random::Random,
};
use crate::{
    command::{Revision, UnixMillis},
    membership::{MemberChange, NodeName, StoreId},
    node::{BatchId, Input, Limits, Mutation, Node, Notice, Output, PeerMessage, Reply, RequestId, Settings, Timing},
};

/// A simulated cluster.
pub(crate) struct World {
    pub(super) now: u64,
    pub(super) random: Random,
    pub(super) hosts: Vec<Host>,
    pub(super) network: Network,
    pub(super) faults: Faults,
    weather: Weather,
    clients: Vec<Client>,
    history: History,
    oracle: Oracle,
    /// What is to happen, and when. The second number keeps the order of what happens at once.
    agenda: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    /// The client behind each request, and the request each client waits for.
    requests: BTreeMap<RequestId, usize>,
    next_request: u64,
    limits: Limits,
    mutation: Option<Mutation>,
    trace: bool,
    failure: Option<String>,
    report: Report,
}

/// A machine.
pub(super) struct Host {
    pub(super) name: NodeName,
    servers: BTreeSet<NodeName>,
    pub(super) disk: Disk,
    pub(super) node: Option<Node>,
    /// Counts its starts: what belongs to an earlier one does not happen any more.
    life: u64,
    /// Microseconds between two ticks of its clock.
    tick: u64,
    /// Microseconds that its disk takes for a batch.
    disk_latency: std::ops::Range<u64>,
    pub(super) stands_still_until: u64,
    inbox: Vec<Input>,
    step_due: bool,
    largest_batch: BatchId,
}

#[derive(Debug)]
enum Event {
    Tick { host: usize, life: u64 },
    Step { host: usize, life: u64 },
    Arrives { from: usize, to: usize, connection: u64, input: Box<Input> },
    Synced { host: usize, life: u64, batch: BatchId },
    Connect { one: usize, other: usize },
    Asks { client: usize },
    GivesUp { client: usize, request: RequestId },
    Fault,
    Start { host: usize },
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    /// Entries of the log.
    pub(crate) entries: usize,
    /// Writes and reads that were answered.
    pub(crate) answered: usize,
    /// Machines that died, and disks that were replaced.
    pub(crate) crashes: usize,
    pub(crate) replaced: usize,
    /// Configurations that began, and states that were taken over.
    pub(crate) configurations: usize,
    pub(crate) caught_up: usize,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.answered += other.answered;
        self.crashes += other.crashes;
        self.replaced += other.replaced;
        self.configurations += other.configurations;
        self.caught_up += other.caught_up;
    }
}

/// What must not happen, and did.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl World {
    pub(crate) fn new(seed: u64, mutation: Option<Mutation>, trace: bool) -> Self {
        let mut random = Random::new(seed);
        let founders = [2, 3, 3, 3, 3, 4, 5][random.index(7)];
        let weather = Weather::of(&mut random);
        let names: Vec<_> = (0..=founders).map(|host| NodeName::from(format!("n{host}").as_str())).collect();
        let slowest_disk = [300, 2_000, 10_000, 60_000][random.index(4)];
        let hosts = names
            .iter()
            .enumerate()
            .map(|(host, name)| Host {
                name: name.clone(),
                // The last one is no founder: it can be added. It knows the others.
                servers: names[..founders].iter().filter(|other| *other != name).cloned().collect(),
                disk: Disk::new(StoreId(1 + host as u128)),
                node: None,
                life: 0,
                tick: random.within(8_000..13_000),
                disk_latency: 50..slowest_disk,
                stands_still_until: 0,
                inbox: Vec::new(),
                step_due: false,
                largest_batch: BatchId(0),
            })
            .collect();
        let limits = Limits {
            pending: 64,
            unwritten_entries: [3, 10, 40][random.index(3)],
            kept_entries: random.index(8),
            changes: 8,
            part_bytes: [200, 2_000][random.index(2)],
            clients: [3, 6, 100][random.index(3)],
            ..Limits::default()
        };
        let faults = Faults::of(&mut random);
        let clients = (0..random.within(2..6)).map(|_| Client::new()).collect();
        Self {
            now: 0,
            random,
            hosts,
            network: Network::default(),
            faults,
            weather,
            clients,
            history: History::default(),
            oracle: Oracle::default(),
            agenda: BTreeMap::new(),
            scheduled: 0,
            requests: BTreeMap::new(),
            next_request: 0,
            limits,
            mutation,
            trace,
            failure: None,
            report: Report::default(),
        }
    }

    /// Lets it run: with faults for some seconds, then without until all nodes agree; then judges what was seen.
    pub(crate) fn run(mut self) -> Result<Report, Failure> {
        for host in 0..self.hosts.len() {
            self.schedule(0, Event::Start { host });
            for other in 0..host {
                self.schedule(1_000, Event::Connect { one: host, other });
            }
        }
        for client in 0..self.clients.len() {
            self.schedule(300_000, Event::Asks { client });
        }
        self.schedule(400_000, Event::Fault);
        self.run_until(FAULTS_END)?;
        self.heal();
        self.run_until(FAULTS_END + QUIET)?;
        for client in &mut self.clients {
            client.give_up(&mut self.history);
        }
        self.judge()
    }

    fn run_until(&mut self, end: u64) -> Result<(), Failure> {
        while let Some(next) = self.agenda.first_entry().filter(|next| next.key().0 < end) {
            let ((at, _), event) = next.remove_entry();
            self.now = at;
            self.happens(event);
            if let Some(failure) = self.failure.take() {
                return Err(Failure(format!("at {} µs: {failure}", self.now)));
            }
            if at > FAULTS_END && self.is_settled() {
                break;
            }
        }
        Ok(())
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Tick { host, life } if self.hosts[host].life == life => {
                self.tell(host, Input::Tick);
                let tick = self.hosts[host].tick;
                // A machine that stood still has slept through its ticks.
                let after = self.hosts[host].stands_still_until.max(self.now) - self.now + tick;
                self.schedule(after, Event::Tick { host, life });
            }
            Event::Step { host, life } if self.hosts[host].life == life => {
                let still = self.hosts[host].stands_still_until;
                if still > self.now {
                    self.schedule(still - self.now, Event::Step { host, life });
                } else {
                    self.step(host);
                }
            }
            Event::Arrives { from, to, connection, input } => {
                if self.network.connection(from, to) == Some(connection) {
                    self.tell(to, *input);
                }
            }
            Event::Synced { host, life, batch } if self.hosts[host].life == life => {
                self.hosts[host].disk.synced(batch);
                self.tell(host, Input::Persisted { batch });
            }
            Event::Connect { one, other } => self.connect(one, other),
            Event::Asks { client } => self.ask(client),
            Event::GivesUp { client, request } => {
                if self.requests.remove(&request).is_some() {
                    self.client_is_told(client, None);
                }
            }
            Event::Fault => self.fault(),
            Event::Start { host } => self.start(host),
            Event::Tick { .. } | Event::Step { .. } | Event::Synced { .. } => {}
        }
    }

    pub(super) fn start(&mut self, host: usize) {
        let limits = self.limits;
        let machine = &mut self.hosts[host];
        if machine.node.is_some() {
            return;
        }
        machine.life += 1;
        machine.inbox.clear();
        machine.step_due = false;
        machine.largest_batch = BatchId(0);
        let settings = Settings {
            name: machine.name.clone(),
            servers: machine.servers.clone(),
            timing: Timing { fetch_ticks: 20, deadline_ticks: 100, ..Timing::default() },
            limits,
        };
        machine.node = Some(Node::mutated(settings, machine.disk.start(), self.mutation));
        let life = machine.life;
        let tick = machine.tick;
        self.say(|| format!("n{host} starts, life {life}"));
        self.schedule(tick, Event::Tick { host, life });
    }

    pub(super) fn crash(&mut self, host: usize) {
        if self.hosts[host].node.take().is_none() {
            return;
        }
        self.say(|| format!("n{host} dies"));
        self.report.crashes += 1;
        let machine = &mut self.hosts[host];
        machine.life += 1;
        machine.disk.crash(&mut self.random);
        for other in 0..self.hosts.len() {
            self.disconnect(host, other);
        }
    }

    pub(super) fn restart_in(&mut self, host: usize, after: u64) {
        self.schedule(after, Event::Start { host });
    }

    /// A dead machine gets an empty disk.
    pub(super) fn replace_disk(&mut self, host: usize) {
        self.report.replaced += 1;
        let store = StoreId(self.hosts[host].disk.store().0 + 100);
        self.say(|| format!("n{host} gets an empty disk"));
        self.hosts[host].disk = Disk::new(store);
    }

    pub(super) fn disconnect(&mut self, one: usize, other: usize) {
        if one != other && self.network.disconnect(one, other) {
            self.say(|| format!("n{one} and n{other} are disconnected"));
            let (first, second) = (self.hosts[one].name.clone(), self.hosts[other].name.clone());
            self.tell(one, Input::Disconnected { peer: second });
            self.tell(other, Input::Disconnected { peer: first });
        }
    }

    fn connect(&mut self, one: usize, other: usize) {
        let again = self.random.within(20_000..120_000);
        self.schedule(again, Event::Connect { one, other });
        if self.network.connection(one, other).is_some() || !self.network.may_connect(one, other) {
            return;
        }
        let (Some(first), Some(second)) = (&self.hosts[one].node, &self.hosts[other].node) else { return };
        let (first, second) = (first.hello(), second.hello());
        self.network.connect(one, other);
        self.say(|| format!("n{one} and n{other} are connected"));
        let first = Input::Connected { peer: self.hosts[one].name.clone(), hello: first };
        let second = Input::Connected { peer: self.hosts[other].name.clone(), hello: second };
        self.transmit(one, other, &first, true);
        self.transmit(other, one, &second, true);
    }

    fn transmit(&mut self, from: usize, to: usize, input: &Input, surely: bool) {
        let Some(connection) = self.network.connection(from, to) else { return };
        let calm = Weather { latency: self.weather.latency.clone(), lost: 0, repeated: 0, overtaking: 0 };
        let weather = if surely { &calm } else { &self.weather };
        for at in self.network.arrivals(from, to, self.now, weather, &mut self.random) {
            let input = Box::new(input.clone());
            self.schedule(at - self.now, Event::Arrives { from, to, connection, input });
        }
    }

    /// Puts an input to the others of a host; it takes them in a little later, many at once.
    fn tell(&mut self, host: usize, input: Input) {
        let machine = &mut self.hosts[host];
        if machine.node.is_none() {
            return;
        }
        machine.inbox.push(input);
        if !std::mem::replace(&mut machine.step_due, true) {
            let life = machine.life;
            let after = self.random.within(1..100);
            self.schedule(after, Event::Step { host, life });
        }
    }

    fn step(&mut self, host: usize) {
        let now = UnixMillis(self.now / 1_000);
        let machine = &mut self.hosts[host];
        machine.step_due = false;
        let inputs = std::mem::take(&mut machine.inbox);
        if self.trace {
            inputs
                .iter()
                .filter(|input| !is_idle(input))
                .for_each(|input| say(self.now, &format!("n{host} < {input:?}")));
        }
        let machine = &mut self.hosts[host];
        let Some(node) = &mut machine.node else { return };
        let outputs = node.step(inputs, now);
        for audited in node.take_audit() {
            let name = machine.name.as_str();
            if let Err(failure) = self.oracle.applied(name, audited) {
                self.failure.get_or_insert(failure);
            }
        }
        for output in outputs {
            self.perform(host, output);
        }
    }

    fn perform(&mut self, host: usize, output: Output) {
        self.say(|| if is_idle_output(&output) { String::new() } else { format!("n{host} > {output:?}") });
        match output {
            Output::Send { peer, message } => {
                let Some(to) = self.hosts.iter().position(|machine| machine.name == peer) else { return };
                let peer = self.hosts[host].name.clone();
                self.transmit(host, to, &Input::Message { peer, message }, false);
            }
            Output::Persist { batch, operations } => {
                let machine = &mut self.hosts[host];
                assert!(batch > machine.largest_batch, "batches are numbered upwards");
                machine.largest_batch = batch;
                machine.disk.write(batch, operations);
                let (life, after) = (machine.life, self.random.within(machine.disk_latency.clone()));
                self.schedule(after, Event::Synced { host, life, batch });
            }
            Output::Reply { id, reply } => {
                if let Some(client) = self.requests.remove(&id) {
                    self.client_is_told(client, Some(reply));
                }
            }
            Output::Notice(Notice::MembersChanged { .. }) => self.report.configurations += 1,
            Output::Notice(Notice::CaughtUp { .. }) => self.report.caught_up += 1,
            Output::Notice(Notice::OtherCluster { peer }) => {
                self.failure.get_or_insert(format!("n{host} takes {peer} for a member of another cluster"));
            }
            Output::HandedOver => {
                self.crash(host);
                let after = self.random.within(20_000..400_000);
                self.restart_in(host, after);
            }
            Output::Changed(_) | Output::Replaced(_) | Output::Notice(_) => {}
        }
    }

    pub(super) fn hand_over(&mut self, host: usize) {
        self.tell(host, Input::HandOver);
    }

    /// An operator asks a node to change the members. Nobody waits for the answer.
    pub(super) fn change_members(&mut self, host: usize, change: MemberChange) {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.tell(host, Input::Request { id, request: crate::node::Request::ChangeMembers(change) });
    }

    fn ask(&mut self, client: usize) {
        let request = self.clients[client].ask(self.now, &mut self.history, &mut self.random);
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.requests.insert(id, client);
        let host = self.random.index(self.hosts.len());
        self.tell(host, Input::Request { id, request });
        self.schedule(1_500_000, Event::GivesUp { client, request: id });
    }

    fn client_is_told(&mut self, client: usize, reply: Option<Reply>) {
        let waited_in_vain = reply.is_none();
        let (next, acknowledged) = self.clients[client].told(reply, self.now, &mut self.history);
        if let Some((id, sequence, outcome)) = acknowledged {
            self.oracle.acknowledged(id, sequence, outcome);
            if std::mem::take(&mut self.faults.power_cut_is_due) {
                self.power_cut();
            }
        }
        let pause = match next {
            Next::Again if waited_in_vain => 1..2_000,
            Next::Again => 10_000..80_000,
            Next::Something => 1..30_000,
        };
        let after = self.random.within(pause);
        self.schedule(after, Event::Asks { client });
    }

    /// The network is well again, all machines run, replaced disks are made members.
    fn heal(&mut self) {
        self.say(|| "all faults end".to_owned());
        self.network.mend();
        self.weather = Weather { latency: 20..300, lost: 0, repeated: 0, overtaking: 0 };
        self.faults.end();
        for host in 0..self.hosts.len() {
            let machine = &mut self.hosts[host];
            machine.stands_still_until = self.now;
            machine.disk_latency = 50..300;
            self.start(host);
        }
        self.schedule(300_000, Event::Fault);
    }

    /// Whether all members have the same state, and the clients could write since the faults ended.
    fn is_settled(&mut self) -> bool {
        if !self.scheduled.is_multiple_of(64) || self.now < FAULTS_END + 600_000 || !self.all_members_agree() {
            return false;
        }
        self.history.answered > self.report.answered
    }

    pub(super) fn all_members_agree(&self) -> bool {
        let Some(members) = self.members() else { return false };
        let mut revisions = members.iter().map(|host| {
            let node = self.hosts[*host].node.as_ref();
            node.map(|node| (node.status().revision, node.hello().configuration))
        });
        let first = revisions.next().flatten();
        first.is_some() && revisions.all(|other| other == first)
    }

    /// The hosts that are members in the newest configuration with the disks that they have.
    pub(super) fn members(&self) -> Option<Vec<usize>> {
        let nodes = self.hosts.iter().filter_map(|machine| machine.node.as_ref());
        let membership =
            nodes.filter_map(|node| node.status().membership).max_by_key(|membership| membership.configuration)?;
        membership
            .members
            .iter()
            .map(|member| {
                let host = self.hosts.iter().position(|machine| machine.name == member.name)?;
                (self.hosts[host].disk.store() == member.store).then_some(host)
            })
            .collect()
    }

    fn judge(mut self) -> Result<Report, Failure> {
        let failed = |text: String| Err(Failure(text));
        let Some(members) = self.members() else { return failed("a member has lost its disk for good".to_owned()) };
        if !self.all_members_agree() || self.history.answered <= self.report.answered {
            let states: Vec<_> = self.hosts.iter().map(|machine| machine.node.as_ref().map(Node::status)).collect();
            return failed(format!("the nodes do not agree long after all faults have ended: {states:?}"));
        }
        let nodes = || members.iter().filter_map(|host| self.hosts[*host].node.as_ref());
        let digests: BTreeSet<_> = nodes().filter_map(Node::digest).collect();
        if digests.len() != 1 {
            return failed(format!("the nodes have different states: {digests:x?}"));
        }
        let revision = nodes().map(|node| node.status().revision).max().unwrap_or(Revision(0));
        if let Err(failure) = self.oracle.judge(revision) {
            return failed(failure);
        }
        if let Some((name, operations)) = self.history.unexplained() {
            return failed(format!("no order explains what clients saw of {name}: {operations:#?}"));
        }
        self.report.entries = self.oracle.entries();
        self.report.answered = self.history.answered;
        Ok(self.report)
    }

    /// What was answered up to now does not count as answered after the faults.
    pub(super) fn count_answers_from_now(&mut self) {
        self.report.answered = self.history.answered;
    }

    pub(super) fn schedule_fault(&mut self, after: u64) {
        self.schedule(after, Event::Fault);
    }

    fn schedule(&mut self, after: u64, event: Event) {
        self.scheduled += 1;
        self.agenda.insert((self.now + after, self.scheduled), event);
    }

    pub(super) fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            say(self.now, &what());
        }
    }
}

fn say(now: u64, what: &str) {
    if !what.is_empty() {
        eprintln!("{now:>9} {what}");
    }
}

/// Heartbeats and ticks would fill the trace.
fn is_idle(input: &Input) -> bool {
    match input {
        Input::Tick => true,
        Input::Message { message, .. } => is_heartbeat(message),
        _ => false,
    }
}

fn is_idle_output(output: &Output) -> bool {
    matches!(output, Output::Send { message, .. } if is_heartbeat(message)) || matches!(output, Output::Changed(_))
}

fn is_heartbeat(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Paxos(envelope) if matches!(envelope.message, omnipaxos::messages::Message::BLE(_)))
}

/// When the faults end, in microseconds.
pub(super) const FAULTS_END: u64 = 2_500_000;
/// How long the nodes have then to agree.
const QUIET: u64 = 12_000_000;
