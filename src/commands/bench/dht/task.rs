//! What the bench and its processes say to each other: a JSON line that says what to do, and lines that say how far it is and what came
//! of it.

use std::net::SocketAddr;

use photongate_dht::Id;
use serde::{Deserialize, Serialize};

/// Something that a process is to do with its nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Task {
    /// Start nodes, those with these numbers.
    Start {
        /// The first of them.
        first: usize,
        /// How many.
        count: usize,
        /// Whether they speak in the clear.
        plain: bool,
        /// On how many nodes each value is kept.
        replicas: usize,
        /// A node that is there already.
        bootstrap: Option<SocketAddr>,
    },
    /// Wait until each node knows so many others.
    Settle {
        /// How many.
        others: usize,
    },
    /// Look for the nodes nearest to any id, so often.
    LookUp {
        /// How often.
        count: usize,
        /// Look-ups under way.
        at_once: usize,
    },
    /// Store so many values.
    Store {
        /// How many.
        count: usize,
        /// Bytes of each.
        bytes: usize,
        /// Values under way.
        at_once: usize,
    },
    /// Get these values, each at a node that does not have it.
    Get {
        /// Which.
        keys: Vec<Id>,
        /// Values under way.
        at_once: usize,
    },
    /// Put a file into the network at the first node.
    PutFile {
        /// How long it is.
        bytes: u64,
    },
    /// Get a file at all nodes but the first ones.
    GetFile {
        /// Which.
        key: Id,
        /// How many have it already.
        without: usize,
    },
    /// Say what each node sent so far.
    Count,
}

/// What a process says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// So much more is done.
    Progress(usize),
    /// Nodes listen there.
    Started(Vec<SocketAddr>),
    /// How many others each node knows.
    Settled(Vec<usize>),
    /// Many operations were tried.
    Done(Phase),
    /// A file is in the network.
    Put {
        /// Its key.
        key: Id,
        /// Its pieces.
        pieces: usize,
    },
    /// Nodes that have the file.
    Got(usize),
    /// What each node sent.
    Counted(Vec<Sent>),
    /// It cannot be done.
    Failed(String),
}

/// What came of many operations of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Phase {
    /// How long each took that succeeded, in microseconds.
    pub(super) micros: Vec<u64>,
    /// How many failed.
    pub(super) failed: usize,
    /// The values that were stored.
    pub(super) keys: Vec<Id>,
    /// Queries one after the other, of all look-ups.
    pub(super) hops: u64,
}

/// What a node sent to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sent {
    /// Bytes of values.
    pub(super) value_bytes: u64,
    /// Bytes of queries and answers.
    pub(super) datagram_bytes: u64,
}
