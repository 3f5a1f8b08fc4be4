//! Traces of packets, kept by the filter until they are fetched.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which packets a trace is to have. What is left out has its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TraceRequest {
    /// Packets with these verdicts. Without verdicts and reasons: all packets.
    pub verdicts: Vec<String>,
    /// Packets dropped for these reasons.
    pub reasons: Vec<String>,
    /// One in so many packets, chosen before their verdicts are known.
    #[schema(minimum = 1)]
    pub sample: u32,
    /// The trace ends after so many packets.
    pub packets: Option<u64>,
    /// The trace ends after so many bytes of packets; at most 64 MiB, which is also the default.
    pub bytes: Option<u64>,
    /// The trace ends after so many milliseconds; at most an hour. By default after a minute.
    pub duration_ms: Option<u64>,
    /// Bytes to keep of each packet.
    #[schema(minimum = 1, maximum = 9728)]
    pub snap_len: u32,
}

impl Default for TraceRequest {
    fn default() -> Self {
        Self {
            verdicts: Vec::new(),
            reasons: Vec::new(),
            sample: 1,
            packets: None,
            bytes: None,
            duration_ms: None,
            snap_len: 256,
        }
    }
}

/// A trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TraceInfo {
    /// Its number.
    pub id: u64,
    /// What was asked for.
    pub request: TraceRequest,
    /// Who asked for it.
    pub started_by: String,
    /// When it began.
    pub started_at: String,
    /// Whether it still runs.
    pub state: TraceState,
    /// Bytes of pcapng so far.
    pub size_bytes: u64,
    /// Packets in it, once it has ended.
    pub packets: Option<u64>,
    /// Packets that should have been in it, but came too fast, once it has ended.
    pub left_out: Option<u64>,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

/// Whether a trace still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceState {
    /// It runs.
    Running,
    /// It has ended and can be downloaded.
    Finished,
    /// It could not be made, or not to its end.
    Failed,
}
