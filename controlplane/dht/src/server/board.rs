//! What is known of a node at this moment, for those who ask: status, health, metrics.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use photongate_net::metrics::{Counter, Latency};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Contact;
use crate::config::Mode;
use crate::store::{Store, Usage};
use crate::transport::Traffic;

/// What is known of a node. The loop writes it down; anybody reads.
#[derive(Debug)]
pub struct Board {
    me: Contact,
    mode: &'static str,
    started: Instant,
    store: Store,
    state: Mutex<State>,
    /// What went through.
    pub traffic: Arc<Traffic>,
    /// How long look-ups took.
    pub look_up: Latency,
    /// Look-ups.
    pub look_ups: Counter,
    /// Queries of look-ups, one after the other, that led to their ends.
    pub hops: Counter,
    /// Announcements.
    pub announcements: Counter,
    /// Values that were fetched because they were announced.
    pub pulled: Counter,
    /// Values that were announced and could not be fetched.
    pub not_pulled: Counter,
    /// Datagrams that were no messages.
    pub malformed: Counter,
    /// Nodes that were banned.
    pub bans: Counter,
    /// Values that were dropped because nobody asked for them for long.
    pub expired: Counter,
}

/// What changes.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Nodes in the table.
    pub(super) contacts: usize,
    /// Whether it is in the network.
    pub(super) is_joined: bool,
    /// Whether it is meant to be the first node, which has nobody to join.
    pub(super) is_first: bool,
}

impl Board {
    pub(super) fn new(me: Contact, mode: &Mode, store: Store, traffic: Arc<Traffic>) -> Self {
        let mode = if matches!(mode, Mode::Closed(_)) { "closed" } else { "plain" };
        Self {
            me,
            mode,
            started: Instant::now(),
            store,
            state: Mutex::default(),
            traffic,
            look_up: Latency::default(),
            look_ups: Counter::default(),
            hops: Counter::default(),
            announcements: Counter::default(),
            pulled: Counter::default(),
            not_pulled: Counter::default(),
            malformed: Counter::default(),
            bans: Counter::default(),
            expired: Counter::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the node cannot do its work, a sentence each. Empty if it can.
    pub fn not_ready_because(&self) -> Vec<String> {
        let State { is_joined, is_first, .. } = *self.state();
        if is_joined || is_first {
            return Vec::new();
        }
        vec!["it knows no other node: none of those in `bootstrap` has answered yet".to_owned()]
    }

    /// What is kept.
    pub fn usage(&self) -> Usage {
        self.store.usage()
    }

    /// The node at this moment.
    pub fn status(&self) -> Status {
        let because = self.not_ready_because();
        let usage = self.usage();
        let traffic = &self.traffic;
        Status {
            id: self.me.id.to_string(),
            address: self.me.address.to_string(),
            mode: self.mode.to_owned(),
            ready: because.is_empty(),
            because,
            uptime_s: self.started.elapsed().as_secs(),
            contacts: self.state().contacts,
            values_held: usage.held,
            bytes_held: usage.held_bytes,
            values_cached: usage.cached,
            bytes_cached: usage.cached_bytes,
            bytes_limit: usage.limit_bytes,
            values_sent: traffic.values_sent.value(),
            value_bytes_sent: traffic.value_bytes_sent.value(),
            values_received: traffic.values_received.value(),
            value_bytes_received: traffic.value_bytes_received.value(),
            look_ups: self.look_ups.value(),
            bans: self.bans.value(),
        }
    }
}

/// A node at one moment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Its id.
    pub id: String,
    /// Where others reach it.
    pub address: String,
    /// How it speaks with others: `closed` or `plain`.
    pub mode: String,
    /// Whether it can do its work.
    pub ready: bool,
    /// Why not, a sentence each.
    pub because: Vec<String>,
    /// How long it has been running, in seconds.
    pub uptime_s: u64,
    /// Nodes in its table.
    pub contacts: usize,
    /// Values that it keeps for the network.
    pub values_held: usize,
    /// Their bytes.
    pub bytes_held: u64,
    /// Values that it keeps as long as there is room.
    pub values_cached: usize,
    /// Their bytes.
    pub bytes_cached: u64,
    /// How many bytes all values may have.
    pub bytes_limit: u64,
    /// Values that it sent to other nodes.
    pub values_sent: u64,
    /// Their bytes.
    pub value_bytes_sent: u64,
    /// Values that it got from other nodes.
    pub values_received: u64,
    /// Their bytes.
    pub value_bytes_received: u64,
    /// How often it looked for nodes or values.
    pub look_ups: u64,
    /// How often it banned a node, for a while, that gave out wrong data.
    pub bans: u64,
}
