//! Keys by hand.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Degraded, KeyEpoch, PeerKeys};
use crate::keys::Direction;

/// Which keys of a peer are to be revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RevokeRequest {
    /// Only those of this direction; by default those of both.
    pub direction: Option<Direction>,
}

/// What was revoked. No worker holds any of it any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevokeOutcome {
    /// The keys that are out of use. They are refused if their source offers them again.
    pub revoked: Vec<RevokedKey>,
    /// The keys in force now.
    pub keys: PeerKeys,
    /// How long it took until the last worker had let go of them, in microseconds.
    pub grace_period_us: u64,
    /// What is wrong with the peer's keys now, if anything.
    pub degraded: Option<Degraded>,
}

/// A key that was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevokedKey {
    /// What it was for.
    pub direction: Direction,
    /// When it would have been used.
    pub epoch: KeyEpoch,
}

/// What came of fetching the next keys ahead of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PrefetchOutcome {
    /// The keys held now.
    pub keys: PeerKeys,
    /// What is wrong with the peer's keys, if anything.
    pub degraded: Option<Degraded>,
}
