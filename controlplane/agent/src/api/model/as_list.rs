//! The AS list in force, and what a new one changes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which AS list is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AsListInForce {
    /// Counts up with every list that changed something; what `If-Match` is compared with.
    pub generation: u64,
    /// SHA-256 of the list in its canonical form, without secrets, in hexadecimal digits.
    pub digest: String,
    /// How many peers it has.
    pub peers: usize,
    /// Where it came from.
    pub origin: AsListOrigin,
    /// When it was applied.
    #[schema(format = DateTime)]
    pub applied_at: String,
    /// Why the last attempt to apply another one was refused, if that was later.
    pub last_refusal: Option<String>,
}

/// Where an AS list came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum AsListOrigin {
    /// A file.
    File {
        /// Its path.
        path: String,
    },
    /// Somebody put it here over HTTP.
    Http {
        /// Who.
        by: String,
    },
    /// It was in force before the last start, and its file was not there or not valid.
    LastGood,
}

/// What a list changes, or would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changes {
    /// The generation in force afterwards; of a dry run, the one in force now.
    pub generation: u64,
    /// Whether it was a dry run, which changes nothing.
    pub dry_run: bool,
    /// Peers that are new.
    pub added: Vec<PeerName>,
    /// Peers that go.
    pub removed: Vec<PeerName>,
    /// Peers of which something changes.
    pub changed: Vec<ChangedPeer>,
    /// How many peers stay as they are.
    pub unchanged: usize,
    /// New peers for which there was no key yet when the list was applied. They are retried.
    pub without_key: Vec<PeerName>,
    /// What works, yet is hardly meant so.
    pub warnings: Vec<String>,
}

/// A peer by what it is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct PeerName {
    /// The AS.
    #[schema(example = "20-ff00:0:112")]
    pub isd_as: String,
    /// The DRKey protocol.
    pub drkey_protocol: u16,
}

/// A peer of which something changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedPeer {
    /// The AS.
    #[schema(example = "20-ff00:0:112")]
    pub isd_as: String,
    /// The DRKey protocol.
    pub drkey_protocol: u16,
    /// What changes.
    pub changes: Vec<Change>,
}

/// What can change about a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// What operators call it.
    Name,
    /// The prefixes behind it.
    Prefixes,
    /// What it may send.
    Limit,
    /// Whether packets from its prefixes must be authenticated.
    BestEffort,
    /// What its packets and ours are put into.
    Encapsulation,
    /// Where its keys come from, or the secrets they are made of.
    Keys,
}
