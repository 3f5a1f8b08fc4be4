//! What travels over HTTP, as JSON. Times are RFC 3339 in UTC; numbers bear their unit in their names; key bytes
//! never occur.

mod as_list;
mod events;
mod keys;
mod peers;
mod reload;
mod status;
mod traces;
mod traffic;

pub use as_list::{AsListInForce, AsListOrigin, Change, ChangedPeer, Changes, PeerName};
pub use events::{DegradedPeer, Sample};
pub use keys::{PrefetchOutcome, RevokeOutcome, RevokeRequest, RevokedKey};
pub use peers::{Degraded, KeyEpoch, Peer, PeerKeys, PeersPage};
pub use reload::{LogLevel, LogSettings, ReloadOutcome};
pub use status::{PeerSummary, Status};
pub use traces::{ReasonName, TraceInfo, TraceRequest, TraceState, VerdictName};
pub use traffic::{Count, Port, SkewBucket, Traffic, Worker};
