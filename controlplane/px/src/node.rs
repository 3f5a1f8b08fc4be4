//! The pure node: it is told what happened and says what to do. It has no socket, disk, clock or randomness of its own.
//!
//! OmniPaxos inside (`instance`) decides what is in the log. Around it: who is connected and what may be believed (`links`), what
//! clients wait for (`requests`), what waits for the disk (`outbox`), taking over the state of another node (`catch_up`), and, in this
//! file, the order of things:
//!
//! - Whatever promises something (a promised ballot, an accepted entry) waits until the batch that it depends on is on disk.
//!   Proposals do not wait: a leader sends them out beside its own write, and does not count its own vote before that is done.
//! - One batch is written at a time. What comes together meanwhile is the next one.
//! - Only decided entries are applied, in their order; who asked is answered then, and not before.

mod catch_up;
mod hand_over;
pub mod input;
mod instance;
mod links;
pub mod message;
mod mutation;
mod outbox;
pub mod output;
mod quiet;
mod requests;
mod settings;
mod status;
mod vacancy;

use std::collections::{BTreeMap, BTreeSet};

pub use input::{Consistency, Input, Query, Request, RequestId};
pub use message::{Envelope, Hello, PeerMessage};
pub use output::{Answer, BatchId, Changed, Notice, Output, Refusal, Reply};
pub use settings::{Limits, Settings, Timing};
pub use status::Status;

use crate::{
    command::UnixMillis,
    membership::{ConfigurationId, Membership, NodeName, StoreId},
    state::{Snapshot, State},
    storage::{Acceptor, Log, Operation, Recovered},
};
use catch_up::{Fetching, Serving};
use instance::Instance;
use links::Links;
pub(crate) use mutation::Mutation;
use mutation::Mutations;
use outbox::Outbox;
use requests::Requests;
use vacancy::Vacancy;

/// One node of the cluster.
pub struct Node {
    settings: Settings,
    store: StoreId,
    boot: u64,
    ticks: u64,
    now: UnixMillis,
    cluster: Option<Cluster>,
    links: Links,
    requests: Requests,
    fetching: Option<Fetching>,
    serving: BTreeMap<NodeName, Serving>,
    outbox: Outbox,
    leader: Option<NodeName>,
    /// What is said of the leader, if it is said that nobody runs there.
    vacancy: Option<Vacancy>,
    hand_over_since: Option<u64>,
    mutations: Mutations,
    #[cfg(test)]
    audit: Vec<Audited>,
}

/// What a node has once it belongs to a cluster.
struct Cluster {
    membership: Membership,
    state: State,
    log: Log,
    /// So many places of this configuration's log are applied.
    applied: u64,
    /// How many entries were applied since the state was last written, and how much they weigh; and a head start.
    unwritten: (usize, usize),
    /// The agreement; none if this node does not vote.
    instance: Option<Instance>,
}

impl Node {
    /// A node with what is on its disk.
    #[must_use]
    pub fn new(settings: Settings, recovered: Recovered) -> Self {
        let mut node = Self {
            requests: Requests::new(settings.limits, settings.timing),
            settings,
            store: recovered.store,
            boot: recovered.boot,
            ticks: 0,
            now: UnixMillis(0),
            cluster: None,
            links: Links::default(),
            fetching: None,
            serving: BTreeMap::new(),
            outbox: Outbox::default(),
            leader: None,
            vacancy: None,
            hand_over_since: None,
            mutations: Mutations::default(),
            #[cfg(test)]
            audit: Vec::new(),
        };
        node.recover(recovered.cluster);
        node
    }

    fn recover(&mut self, cluster: Option<(Snapshot, Acceptor)>) {
        if let Some((snapshot, acceptor)) = cluster {
            let membership = snapshot.header.membership.clone();
            let state = State::from_snapshot(snapshot, self.settings.limits.clients);
            self.join(membership, state, Log::new(acceptor));
        }
    }

    /// Takes in what happened, in its order, and says what is to be done about it. `now` is what commands of this step are stamped
    /// with. It costs little to hand in many inputs at once: what they need written is written in one go.
    #[must_use]
    pub fn step(&mut self, inputs: impl IntoIterator<Item = Input>, now: UnixMillis) -> Vec<Output> {
        self.now = now;
        for input in inputs {
            self.take(input);
        }
        self.propose();
        self.collect_messages();
        self.apply_decided();
        self.write_state();
        self.hand_out_batch();
        self.notice_leader();
        std::mem::take(&mut self.outbox.outputs)
    }

    /// What this node says first to whom it connects to.
    #[must_use]
    pub fn hello(&self) -> Hello {
        let membership = self.cluster.as_ref().map(|cluster| &cluster.membership);
        Hello {
            name: self.settings.name.clone(),
            store: self.store,
            cluster: membership.map(|membership| membership.cluster),
            configuration: membership.map_or(ConfigurationId(0), |membership| membership.configuration),
            servers: self.founders(),
        }
    }

    fn founders(&self) -> BTreeSet<NodeName> {
        let mut founders = self.settings.servers.clone();
        founders.insert(self.settings.name.clone());
        founders
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Tick => self.tick(),
            Input::Connected { peer, hello } => self.connected(&peer, hello),
            Input::Disconnected { peer } => self.links.disconnected(&peer),
            Input::Gone { peer } => self.gone(&peer),
            Input::Message { peer, message } => self.heard(&peer, message),
            Input::Request { id, request } => self.requested(id, request),
            Input::Persisted { batch } => self.persisted(batch),
            Input::HandOver => self.hand_over_since = Some(self.ticks),
        }
    }

    fn tick(&mut self) {
        self.ticks += 1;
        if let Some(instance) = self.instance() {
            instance.tick();
        }
        self.expire_requests();
        self.tick_catch_up();
        self.tick_vacancy();
        self.tick_hand_over();
    }

    /// Becomes, or is again, part of a cluster with this state.
    fn join(&mut self, membership: Membership, state: State, log: Log) {
        let applied = state.revision().0 - membership.base.0;
        if log.read(|acceptor| acceptor.decided < applied) {
            log.write(Operation::Decided(applied));
        }
        let unwritten = self.settings.limits.head_start(&membership, &self.settings.name);
        self.cluster = Some(Cluster { membership, state, log, applied, unwritten, instance: None });
        self.begin_instance();
    }

    /// Starts the agreement from what the log has, if this node votes.
    fn begin_instance(&mut self) {
        // Nothing is said before it is on disk that this node votes, nor what it starts from.
        let begun = self.outbox.next_batch_if(self.cluster.as_ref().is_some_and(|cluster| cluster.log.is_urgent()));
        let Some(cluster) = &mut self.cluster else { return };
        let me = cluster.membership.member(&self.settings.name);
        let me = me.filter(|member| member.store == self.store || self.mutations.has(Mutation::ReplacedDiskVotes));
        cluster.instance = me.map(|member| {
            Instance::new(
                &cluster.membership,
                member.pid,
                cluster.log.clone(),
                &self.settings.timing,
                begun,
                self.mutations,
            )
        });
    }

    /// Applies what is decided and not applied yet. A decided stop-sign ends the configuration.
    fn apply_decided(&mut self) {
        let Some(cluster) = &mut self.cluster else { return };
        let (entries, next) = cluster.log.read(|acceptor| {
            let decided = self.mutations.decided(acceptor).min(acceptor.end());
            let entries: Vec<_> = (cluster.applied..decided)
                .map(|place| acceptor.entry(place).expect("what is not applied is not trimmed").clone())
                .collect();
            (entries, acceptor.decided_stop_sign().cloned())
        });
        let mut changed = Vec::new();
        for entry in &entries {
            let applied = cluster.state.apply(entry);
            cluster.applied += 1;
            cluster.unwritten = (cluster.unwritten.0 + 1, cluster.unwritten.1 + entry.weight());
            #[cfg(test)]
            self.audit.push(Audited {
                revision: cluster.state.revision(),
                entry: entry.clone(),
                outcome: applied.outcome,
            });
            if let Some(change) = applied.changed {
                let revision = cluster.state.revision();
                changed.push(Changed { revision, name: change.name, document: change.document });
            }
            let me = cluster.instance.as_ref().map(Instance::me);
            if me == Some(entry.ticket().node) && self.boot == entry.ticket().boot {
                self.requests.applied(entry, applied.outcome, &cluster.state, &mut self.outbox.outputs);
            }
        }
        if !changed.is_empty() {
            self.outbox.outputs.push(Output::Changed(changed));
        }
        if let Some(stop_sign) = next {
            self.begin_configuration(stop_sign.metadata.as_deref().unwrap_or_default());
        }
    }

    fn begin_configuration(&mut self, metadata: &[u8]) {
        let mut next: Membership = serde_json::from_slice(metadata).expect("a member made it of a membership");
        let Some(cluster) = &mut self.cluster else { return };
        cluster.state.skip();
        next.base = cluster.state.revision();
        let from = std::mem::replace(&mut cluster.membership, next.clone());
        cluster.log.write(Operation::Changes(cluster.state.take_changes(&next)));
        cluster.log.write(Operation::Begin(0));
        cluster.applied = 0;
        cluster.unwritten = self.settings.limits.head_start(&next, &self.settings.name);
        self.begin_instance();
        self.notice(Notice::MembersChanged { from, to: next });
        self.say_hello_again();
    }

    fn say_hello_again(&mut self) {
        let hello = self.hello();
        for peer in self.links.connected_peers() {
            self.send(&peer, PeerMessage::Hello(hello.clone()));
        }
    }

    /// Once enough was applied, lets the disk have the state and forgets most of the log.
    fn write_state(&mut self) {
        let limits = self.settings.limits;
        let Some(cluster) = &mut self.cluster else { return };
        let (entries, bytes) = cluster.unwritten;
        if entries < limits.unwritten_entries && bytes < limits.unwritten_bytes {
            return;
        }
        // A leader that still collects promises will answer them from the log as it was.
        if cluster.instance.as_ref().is_some_and(Instance::collects_promises) {
            return;
        }
        let mut changes = cluster.state.take_changes(&cluster.membership);
        self.mutations.forget_sessions(&mut changes);
        cluster.log.write(Operation::Changes(changes));
        cluster.unwritten = (0, 0);
        let keep_from = cluster.log.read(|acceptor| limits.keep_from(acceptor, cluster.applied));
        cluster.log.write(Operation::Trim(keep_from));
    }

    fn notice_leader(&mut self) {
        let leader = self.cluster.as_ref().and_then(Cluster::leader);
        if leader != self.leader {
            self.leader.clone_from(&leader);
            self.vacancy = None;
            self.notice(Notice::Leader(leader));
        }
    }

    fn instance(&mut self) -> Option<&mut Instance> {
        self.cluster.as_mut()?.instance.as_mut()
    }
}

impl Cluster {
    /// Who leads, as far as this node knows.
    fn leader(&self) -> Option<NodeName> {
        let pid = self.instance.as_ref()?.leader()?;
        self.membership.by_pid(pid).map(|member| member.name.clone())
    }
}

/// An entry that was applied: what the simulation compares between nodes.
#[cfg(test)]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Audited {
    pub(crate) revision: crate::command::Revision,
    pub(crate) entry: crate::command::Entry,
    pub(crate) outcome: Option<crate::command::Outcome>,
}

#[cfg(test)]
impl Node {
    /// A node that makes a mistake on purpose.
    pub(crate) fn mutated(settings: Settings, recovered: Recovered, mutation: Option<Mutation>) -> Self {
        let Recovered { store, boot, cluster } = recovered;
        let mut node = Self::new(settings, Recovered { store, boot, cluster: None });
        node.mutations = Mutations(mutation);
        node.recover(cluster);
        node
    }

    /// What was applied since the last call.
    pub(crate) fn take_audit(&mut self) -> Vec<Audited> {
        std::mem::take(&mut self.audit)
    }
}

#[cfg(test)]
mod tests;
