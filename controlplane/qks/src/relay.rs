//! Keys for servers without a common link, hop by hop. Pure.
//!
//! The source makes a payload and sends it along a path of servers; on every hop it is encrypted with fresh key material of the link
//! that the hop uses. A relay in between sees the payload, which is why it must be trusted, unless the payload is *shared*: then
//! each of several paths, which have no relay in common, carries one share, and a relay that sees one learns nothing.
//!
//! - [`plan`]: which paths.
//! - [`frame`]: what travels over one hop, how it is sealed, and what a receiver insists on.
//! - [`envelope`]: what is around a payload, so that its two ends know that they hold the same one.
//! - [`payload`]: what it consists of.
//! - [`source`], [`destination`]: what the two ends remember.

pub mod destination;
pub mod envelope;
pub mod frame;
pub mod payload;
pub mod plan;
pub mod source;

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

/// One payload's journey, however many attempts it takes. Random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RelayId(pub Uuid);

impl fmt::Display for RelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a payload is, for those who take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An assignment of keys to applications, with the keys.
    Keys,
    /// A DRKey, or what asks for one.
    Drkey,
}

/// Key material, or what holds some. Wiped when it is dropped.
pub type Secret = Zeroizing<Vec<u8>>;

/// Fills a buffer with secret random bytes.
pub type Fill<'f> = dyn FnMut(&mut [u8]) + 'f;

/// Servers on a path, both ends counted.
pub const LONGEST_PATH: usize = 16;
/// Shares of a payload.
pub const MOST_SHARES: usize = 8;
/// Bytes of a payload.
pub const LARGEST_PAYLOAD: usize = 256 * 1024;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
