//! Where AS-AS keys come from.

use std::fmt;
use std::pin::Pin;

use photongate_crypto::Key;
use photongate_drkey::Epoch;
use photongate_pipeline::PeerKey;
use photongate_wire::UnixNanos;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A source of AS-AS keys: a secret shared with one peer, a key server, a SCION control service.
pub trait KeySource: Send + Sync + 'static {
    /// The source's kind, as it is written in an AS list: `shared_secret` or `qks`.
    fn kind(&self) -> &'static str;

    /// Fetches one key. Dropping the future gives up. The caller limits how long it takes and how many run at a time.
    fn fetch(&self, request: KeyRequest) -> Pin<Box<dyn Future<Output = Result<FetchedKey, FetchError>> + Send + '_>>;
}

/// Which key is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRequest {
    /// The peer to share it with.
    pub peer: PeerKey,
    /// What it is for.
    pub direction: Direction,
    /// An instant at which the key is to be in force.
    pub at: UnixNanos,
}

/// What a key protects, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// What the peer sends; the local AS is the key's fast side.
    Inbound,
    /// What the peer is sent; the peer is the key's fast side.
    Outbound,
}

impl Direction {
    /// Both, in the order in which they are listed.
    pub const BOTH: [Self; 2] = [Self::Inbound, Self::Outbound];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        })
    }
}

impl Direction {
    /// The direction as it is written in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// A key as its source gives it.
#[derive(Debug)]
pub struct FetchedKey {
    /// The AS-AS key.
    pub key: Key,
    /// When it is used to send. Contains the instant that was asked for.
    pub epoch: Epoch,
    /// When the epoch of its successor begins, if that is before the end of this one: a peer that was restarted after a new secret
    /// came into use takes the successor up at once. It is then fetched and held as if this key ended there, and used to send when
    /// this key truly ends.
    pub successor_from: Option<UnixNanos>,
}

/// Why a source gives no key. Never contains key bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Not now; it is worth asking again.
    #[error("{0}")]
    Unavailable(String),
    /// There is no key for that instant, and asking again does not help before `until`, if that is known.
    #[error("{reason}")]
    NoKey {
        /// What a person should know.
        reason: String,
        /// When there may be one.
        until: Option<UnixNanos>,
    },
    /// The source took too long.
    #[error("no answer within {0}")]
    TimedOut(photongate_wire::Nanos),
}
