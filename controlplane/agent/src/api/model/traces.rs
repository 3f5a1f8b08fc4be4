//! Traces of packets, kept by the filter until they are fetched.

use photongate_pipeline::{DropReason, Verdict};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Which packets a trace is to have. What is left out has its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TraceRequest {
    /// Packets with these verdicts. Without verdicts and reasons: all packets.
    #[schema(value_type = Vec<VerdictName>, example = json!(["dropped"]))]
    pub verdicts: Vec<String>,
    /// Packets dropped for these reasons.
    #[schema(value_type = Vec<ReasonName>, example = json!(["bad_mac"]))]
    pub reasons: Vec<String>,
    /// One in so many packets, chosen before their verdicts are known.
    #[schema(value_type = u64, minimum = 1, maximum = 4_294_967_295_u64, default = 1)]
    pub sample: u32,
    /// The trace ends after so many packets.
    pub packets: Option<u64>,
    /// The trace ends after so many bytes of packets; at most 64 MiB, which is also the default.
    #[schema(maximum = 67_108_864)]
    pub bytes: Option<u64>,
    /// The trace ends after so many milliseconds; at most an hour. By default after a minute.
    #[schema(maximum = 3_600_000)]
    pub duration_ms: Option<u64>,
    /// Bytes to keep of each packet.
    #[schema(minimum = 1, maximum = 9728, default = 256)]
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

/// The name of a verdict.
#[derive(Debug)]
pub struct VerdictName;

/// The name of a reason to drop a packet.
#[derive(Debug)]
pub struct ReasonName;

impl PartialSchema for VerdictName {
    fn schema() -> RefOr<Schema> {
        // All reasons to drop a packet are one verdict here, and stand together.
        let mut names: Vec<_> = Verdict::all().map(Verdict::name).collect();
        names.dedup();
        one_of(names)
    }
}

impl PartialSchema for ReasonName {
    fn schema() -> RefOr<Schema> {
        one_of(DropReason::ALL.map(DropReason::name))
    }
}

impl ToSchema for VerdictName {}

impl ToSchema for ReasonName {}

fn one_of(names: impl IntoIterator<Item = &'static str>) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
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
    #[schema(format = DateTime)]
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
