//! What is known of a node at this moment, for those who ask: status, health, metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use photongate_net::metrics::{Counter, Latency};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::model::Members;
use crate::membership::{Member, NodeName, StoreId};
use crate::node;
use crate::peer::PeerStatus;

/// What is known of a node. The loop writes it down; anybody reads.
#[derive(Debug)]
pub struct Board {
    name: String,
    store: StoreId,
    started: Instant,
    state: Mutex<State>,
    /// How long commands took from being asked until they were decided.
    pub commit: Latency,
    /// How long it took to make a batch durable.
    pub fsync: Latency,
    /// Commands that were decided.
    pub decided: Counter,
    /// Commands that were refused.
    pub refused: Counter,
    /// Batches that were written.
    pub batches: Counter,
    /// How often another member became the leader, or none.
    pub leader_changes: Counter,
}

/// What changes with each step of the loop.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// What the core says of itself.
    pub node: Option<node::Status>,
    /// Requests that wait for an answer.
    pub waiting_requests: usize,
    /// What an operator should know, a sentence each, by what it is about.
    pub remarks: BTreeMap<String, String>,
    /// The disks of those who are connected.
    pub stores: BTreeMap<NodeName, StoreId>,
    /// The connections.
    pub peers: Vec<PeerStatus>,
}

impl Board {
    /// About the node of this name, with this disk.
    pub fn new(name: &str, store: StoreId) -> Self {
        Self {
            name: name.to_owned(),
            store,
            started: Instant::now(),
            state: Mutex::default(),
            commit: Latency::default(),
            fsync: Latency::default(),
            decided: Counter::default(),
            refused: Counter::default(),
            batches: Counter::default(),
            leader_changes: Counter::default(),
        }
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads or changes what is known.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk of a node that is connected.
    pub fn store_of(&self, node: &NodeName) -> Option<StoreId> {
        if node.as_str() == self.name {
            return Some(self.store);
        }
        self.state().stores.get(node).copied()
    }

    /// Why the node cannot do its work, a sentence each. Empty if it can.
    pub fn not_ready_because(&self) -> Vec<String> {
        let state = self.state();
        let mut because: Vec<_> = state.remarks.values().cloned().collect();
        let Some(node) = &state.node else { return vec!["it has just started".to_owned()] };
        let Some(membership) = &node.membership else {
            because.push("it is not a member of a cluster yet: it waits for all configured servers".to_owned());
            return because;
        };
        // A leader that is cut off does not know that others follow another one by now.
        let reached = |member: &&Member| member.name.as_str() == self.name || node.connected.contains(&member.name);
        let (reached, members) = (membership.members.iter().filter(reached).count(), membership.members.len());
        if 2 * reached <= members {
            because.push(format!("of {members} members only {reached} are reached, which is no majority"));
        } else if node.leader.is_none() {
            because.push("no leader is known".to_owned());
        }
        because
    }

    /// The node at this moment.
    pub fn status(&self) -> Status {
        let because = self.not_ready_because();
        let state = self.state().clone();
        let node = state.node.as_ref();
        Status {
            name: self.name.clone(),
            store: self.store.to_string(),
            ready: because.is_empty(),
            because,
            uptime_s: self.started.elapsed().as_secs(),
            pid: node.and_then(|node| node.pid).map(|pid| pid.0),
            leader: node.and_then(|node| node.leader.as_ref()).map(ToString::to_string),
            ballot: node.map_or(0, |node| node.ballot),
            revision: node.map_or(0, |node| node.revision.0),
            accepted: node.map_or(0, |node| node.accepted.0),
            log_entries: node.map_or(0, |node| node.log_entries),
            log_bytes: node.map_or(0, |node| node.log_bytes),
            documents: node.map_or(0, |node| node.documents),
            clients: node.map_or(0, |node| node.clients),
            catching_up: node.is_some_and(|node| node.catching_up),
            waiting_requests: state.waiting_requests,
            membership: node.and_then(|node| node.membership.as_ref()).map(Members::from),
            peers: state.peers,
        }
    }
}

/// A node at one moment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Its disk.
    pub store: String,
    /// Whether it can do its work.
    pub ready: bool,
    /// Why not, a sentence each.
    pub because: Vec<String>,
    /// How long it has been running, in seconds.
    pub uptime_s: u64,
    /// The number under which it votes; none if it does not.
    pub pid: Option<u64>,
    /// Who leads, as far as it knows.
    pub leader: Option<String>,
    /// The number of the ballot that it follows.
    pub ballot: u32,
    /// Up to where in the log its state is.
    pub revision: u64,
    /// Up to where it has accepted the log.
    pub accepted: u64,
    /// Entries of the log that it keeps.
    pub log_entries: usize,
    /// About how many bytes they take.
    pub log_bytes: usize,
    /// How many documents there are.
    pub documents: usize,
    /// How many clients that count their commands are remembered.
    pub clients: usize,
    /// Whether it takes over the state of another node at the moment.
    pub catching_up: bool,
    /// Requests that wait for an answer.
    pub waiting_requests: usize,
    /// Who votes; none before the node is part of a cluster.
    pub membership: Option<Members>,
    /// Its connections.
    pub peers: Vec<PeerStatus>,
}
