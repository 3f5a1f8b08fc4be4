//! The machines: they start and die, and do what their nodes want.

use std::collections::BTreeSet;

use super::{
    Event, World,
    trace::{is_idle, is_idle_output, say},
};
use crate::{
    command::UnixMillis,
    membership::{NodeName, StoreId},
    node::{BatchId, Input, Node, Notice, Output, Settings, Timing},
    simulation::disk::Disk,
    testing::random::Random,
};

/// A machine.
pub(in crate::simulation) struct Host {
    pub(in crate::simulation) name: NodeName,
    servers: BTreeSet<NodeName>,
    pub(in crate::simulation) disk: Disk,
    pub(in crate::simulation) node: Option<Node>,
    /// Counts its starts: what belongs to an earlier one does not happen any more.
    pub(super) life: u64,
    /// Microseconds between two ticks of its clock.
    pub(super) tick: u64,
    /// Microseconds that its disk takes for a batch.
    pub(super) disk_latency: std::ops::Range<u64>,
    pub(in crate::simulation) stands_still_until: u64,
    inbox: Vec<Input>,
    step_due: bool,
    largest_batch: BatchId,
}

impl Host {
    /// The machine of this number among those of these names, the last of which is no founder: it can be added, and knows the others.
    pub(super) fn new(host: usize, names: &[NodeName], slowest_disk: u64, random: &mut Random) -> Self {
        let (name, founders) = (&names[host], &names[..names.len() - 1]);
        Self {
            name: name.clone(),
            servers: founders.iter().filter(|other| *other != name).cloned().collect(),
            disk: Disk::new(StoreId(1 + host as u128)),
            node: None,
            life: 0,
            tick: random.within(8_000..13_000),
            disk_latency: 50..slowest_disk,
            stands_still_until: 0,
            inbox: Vec::new(),
            step_due: false,
            largest_batch: BatchId(0),
        }
    }
}

impl World {
    pub(in crate::simulation) fn start(&mut self, host: usize) {
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

    pub(in crate::simulation) fn crash(&mut self, host: usize) {
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

    pub(in crate::simulation) fn restart_in(&mut self, host: usize, after: u64) {
        self.schedule(after, Event::Start { host });
    }

    /// A dead machine gets an empty disk.
    pub(in crate::simulation) fn replace_disk(&mut self, host: usize) {
        self.report.replaced += 1;
        let store = StoreId(self.hosts[host].disk.store().0 + 100);
        self.say(|| format!("n{host} gets an empty disk"));
        self.hosts[host].disk = Disk::new(store);
    }

    pub(in crate::simulation) fn hand_over(&mut self, host: usize) {
        self.tell(host, Input::HandOver);
    }

    /// Puts an input to the others of a host; it takes them in a little later, many at once.
    pub(super) fn tell(&mut self, host: usize, input: Input) {
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

    pub(super) fn step(&mut self, host: usize) {
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
        let life = self.hosts[host].life;
        for output in outputs {
            // An answer may be what the machine dies of. What comes behind it is not done any more.
            if self.hosts[host].life == life {
                self.perform(host, output);
            }
        }
    }

    pub(super) fn perform(&mut self, host: usize, output: Output) {
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
            Output::Probe { peer } => {
                let to = self.hosts.iter().position(|machine| machine.name == peer);
                if let Some(to) = to {
                    self.probe(host, to);
                }
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
}
