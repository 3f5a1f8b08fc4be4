//! The filter at a glance.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AsListInForce, Count, Traffic};

/// The filter at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// The AS that the filter stands in front of.
    #[schema(example = "20-ff00:0:112")]
    pub isd_as: String,
    /// When the filter started.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// How long ago that was, in seconds.
    pub uptime_s: u64,
    /// Whether every worker polls and every peer has a key.
    pub ready: bool,
    /// Why it is not ready, a sentence each; at most twenty.
    pub not_ready_because: Vec<String>,
    /// Workers.
    pub workers: usize,
    /// Peers in numbers.
    pub peers: PeerSummary,
    /// Which AS list is in force.
    pub as_list: AsListInForce,
    /// Packets by verdict, all workers together.
    pub traffic: Traffic,
    /// Packets lost before they got a verdict, in the filter and in the devices.
    pub lost_before_verdict: u64,
    /// Packets lost after their verdict, because a port or the kernel did not take them.
    pub lost_after_verdict: u64,
    /// What all ports have received.
    pub ports_received: Count,
}

/// Peers in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerSummary {
    /// All peers.
    pub total: usize,
    /// Those with a key for each direction now.
    pub with_keys: usize,
    /// Those whose next key could not be fetched, dark ones included.
    pub degraded: usize,
    /// Those without a key for at least one direction now.
    pub dark: usize,
}
