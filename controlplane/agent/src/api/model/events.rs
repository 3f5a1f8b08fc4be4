//! What changes from second to second.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Degraded, PeerName, PeerSummary, Traffic};

/// The numbers of one moment, sent every second. Counters run from the start of the filter; rates are their differences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// When the numbers were read, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// Packets by verdict, all workers together.
    pub traffic: Traffic,
    /// The share of its time that each worker spent on packets since the sample before, from 0 to 1.
    pub busy: Vec<f64>,
    /// Packets lost without or after a verdict.
    pub lost: u64,
    /// Peers in numbers.
    pub peers: PeerSummary,
    /// The generation of the AS list in force.
    pub as_list_generation: u64,
    /// Whether every worker polls and every peer has a key.
    pub ready: bool,
    /// The first degraded peers, those that go dark first in front; at most twenty.
    pub degraded: Vec<DegradedPeer>,
}

/// A peer that is degraded, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DegradedPeer {
    /// Which peer.
    pub peer: PeerName,
    /// What operators call it.
    pub name: Option<String>,
    /// What is wrong.
    pub degraded: Degraded,
}
