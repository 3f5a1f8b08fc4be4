//! What neighbouring key servers say to one another about routes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::advertisement::{Key, Signed, Stamp};
use crate::encoding;

/// From one neighbour to another, over a channel that says who it is from. Any of them may be lost, doubled or late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", content = "body", rename_all = "snake_case")]
pub enum Message {
    /// A hash over each of the [`BUCKETS`] that advertisements are sorted into by their origin: "this is what I know".
    Summary(Vec<u64>),
    /// All that is known of some buckets, for a neighbour whose summary differs there.
    Digest(Digest),
    /// "Send me these."
    Wanted(Vec<Key>),
    /// Advertisements that the other side may not have.
    Advertisements(Vec<Flooded>),
    /// "You need not send me these again."
    Acknowledged(Vec<Heading>),
}

/// All advertisements of some buckets, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Which buckets.
    pub buckets: Vec<u16>,
    /// All that is known of them.
    pub headings: Vec<Heading>,
}

/// An advertisement on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flooded {
    /// What its origin signed.
    #[serde(with = "encoding::shared")]
    pub signed: Arc<Signed>,
    /// How long ago its origin signed it, in milliseconds, as added up by those who had it. Without it, an advertisement that is
    /// passed on just before its time is over would live again and again.
    pub age_millis: u64,
}

/// Which advertisement, and how new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// Which.
    #[serde(flatten)]
    pub key: Key,
    /// How new.
    #[serde(flatten)]
    pub stamp: Stamp,
}

impl Flooded {
    pub(super) fn heading(&self) -> Heading {
        Heading { key: self.signed.advertisement.key(), stamp: self.signed.advertisement.stamp }
    }
}

impl Message {
    /// Whether it keeps to the bounds.
    pub(super) fn is_small(&self) -> bool {
        match self {
            Self::Summary(hashes) => hashes.len() == BUCKETS,
            Self::Digest(digest) => digest.buckets.len() <= BUCKETS && digest.headings.len() <= MOST_HEADINGS,
            Self::Wanted(keys) => keys.len() <= MOST_HEADINGS,
            Self::Advertisements(flooded) => flooded.len() <= MOST_ADVERTISEMENTS,
            Self::Acknowledged(headings) => headings.len() <= MOST_ADVERTISEMENTS,
        }
    }
}

/// In a [`Message::Summary`].
pub const BUCKETS: usize = 64;
/// Headings or keys in one message.
pub(super) const MOST_HEADINGS: usize = 4096;
/// Advertisements in one message.
pub(super) const MOST_ADVERTISEMENTS: usize = 128;
/// Once a message weighs this much, no further advertisement is put into it.
pub(super) const HEAVY: usize = 512 * 1024;
/// Of a message as JSON, in bytes: whoever receives larger ones may refuse them unread.
pub const LARGEST_MESSAGE: usize = 4 * 1024 * 1024;
