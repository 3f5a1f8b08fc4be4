//! What is told about a peer's keys: when they are used, never what they are.

use photongate_drkey::Epoch;
use photongate_wire::UnixNanos;

/// The keys of one peer, by their epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerView {
    /// The newest key of what the peer sends.
    pub inbound: Option<Epoch>,
    /// The other one that is accepted.
    pub inbound_old: Option<Epoch>,
    /// The newest key of what the peer is sent.
    pub outbound: Option<Epoch>,
    /// The one that is sent with until it ends.
    pub outbound_old: Option<Epoch>,
    /// When the next key is fetched; `None` while one is.
    pub next_fetch: Option<UnixNanos>,
    /// What is wrong, if anything.
    pub degraded: Option<Degraded>,
}

/// Why a peer's keys are not as they should be. If both directions are affected, this is the one that goes dark first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Degraded {
    /// What went wrong last.
    pub reason: String,
    /// When it first went wrong.
    pub since: UnixNanos,
    /// How often it was tried since then, in vain.
    pub attempts: u32,
    /// When it is tried next; `None` while it is.
    pub next_attempt: Option<UnixNanos>,
    /// When the last key ends, or ended; `None` if there was none since the trouble began.
    pub dark_at: Option<UnixNanos>,
    /// Whether there is no key now for at least one direction.
    pub is_dark: bool,
}
