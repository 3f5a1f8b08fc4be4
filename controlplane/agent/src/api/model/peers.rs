//! Peers: their traffic and the epochs of their keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Traffic;

/// Some peers, in the order of ISD-AS and protocol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeersPage {
    /// The peers.
    pub peers: Vec<Peer>,
    /// How many there are in all, of the kind asked for.
    pub total: usize,
    /// What to give as `after` to get the peers that follow; nothing if there are none.
    pub next: Option<String>,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// The AS.
    #[schema(example = "20-ff00:0:112")]
    pub isd_as: String,
    /// The DRKey protocol of the keys shared with it.
    pub drkey_protocol: u16,
    /// What operators call it.
    pub name: Option<String>,
    /// The prefixes behind it.
    pub prefixes: Vec<String>,
    /// Where its keys come from: `shared_secret`.
    pub key_source: String,
    /// What packets to it are put into: `lf` or `lf2`.
    #[schema(example = "lf")]
    pub encapsulation: String,
    /// What packets from it may be in.
    #[schema(example = json!(["lf"]))]
    pub accept: Vec<String>,
    /// What was counted for it. Of dropped packets, the peer is the one that the packet names, proven or not.
    pub traffic: Traffic,
    /// The epochs of its keys.
    pub keys: PeerKeys,
    /// What is wrong with its keys, if anything.
    pub degraded: Option<Degraded>,
}

/// The four key containers of a peer, by their epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerKeys {
    /// The newest key of what the peer sends.
    pub inbound: Option<KeyEpoch>,
    /// The key that it replaces, while packets may still have it.
    pub inbound_old: Option<KeyEpoch>,
    /// The newest key of what the peer is sent.
    pub outbound: Option<KeyEpoch>,
    /// The key that it replaces, until no worker can still send with it.
    pub outbound_old: Option<KeyEpoch>,
    /// When the next key is fetched, if that is settled.
    #[schema(format = DateTime)]
    pub next_fetch_at: Option<String>,
}

/// When a key is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyEpoch {
    /// The first instant of the epoch.
    #[schema(format = DateTime)]
    pub start: String,
    /// The first instant after it.
    #[schema(format = DateTime)]
    pub end: String,
}

/// Why a peer's keys are not as they should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Degraded {
    /// What went wrong last.
    pub reason: String,
    /// Since when.
    #[schema(format = DateTime)]
    pub since: String,
    /// How often it was tried since then.
    pub attempts: u32,
    /// When it is tried next.
    #[schema(format = DateTime)]
    pub next_attempt_at: Option<String>,
    /// When the last key for one of the directions ends, or ended: from then on the peer's traffic is dropped.
    #[schema(format = DateTime)]
    pub dark_at: Option<String>,
    /// Whether that time has come.
    pub is_dark: bool,
}
