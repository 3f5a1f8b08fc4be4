//! Why sessions end.

use std::io;
use std::time::Duration;

use crate::authentication::KeyUsedUp;
use crate::cascade::CascadeError;
use crate::message::{Malformed, Message};

/// Why a session has ended. All but the last are worth another try.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Connection(#[source] io::Error),
    /// The other end has closed a connection, or somebody in between has.
    #[error("the connection was closed")]
    Closed,
    /// Nothing comes.
    #[error("nothing was heard from the other end for {} s", .0.as_secs_f64())]
    Silent(Duration),
    /// A frame is longer than any can be.
    #[error("a frame of {length} bytes was announced; {longest} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The most bytes there may be.
        longest: usize,
    },
    /// It is not the message that was due.
    #[error("message {expected} was due and {found} came: messages were repeated, left out, or put out of order")]
    OutOfOrder {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// Its tag is wrong.
    #[error("message {number} is not authentic: it was changed on its way, or the two ends have different secrets")]
    NotAuthentic {
        /// The message's number.
        number: u64,
    },
    /// A message cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The other end says something else than is its turn.
    #[error("{due} was due, and the other end sent {found}")]
    Unexpected {
        /// What was due.
        due: &'static str,
        /// What came.
        found: &'static str,
    },
    /// The other end says something that contradicts what was said before.
    #[error("the other end contradicts itself: {0}")]
    Contradiction(&'static str),
    /// Something else is at the other end.
    #[error("the other end does not speak this protocol")]
    OtherProtocol,
    /// Both ends have the same part.
    #[error("both ends {}", if *lead { "lead" } else { "follow" })]
    SameRole {
        /// Which.
        lead: bool,
    },
    /// There were too many messages and too few keys.
    #[error(transparent)]
    KeyUsedUp(#[from] KeyUsedUp),
    /// Errors cannot be corrected.
    #[error(transparent)]
    Cascade(#[from] CascadeError),
    /// The operating system has no randomness.
    #[error("the operating system gives no randomness: {0}")]
    NoRandomness(#[from] getrandom::Error),
    /// Nobody wants blocks any more.
    #[error("no more keys are wanted")]
    NotWanted,
}

impl SessionError {
    pub(super) fn unexpected(due: &'static str, found: &Message) -> Self {
        Self::Unexpected { due, found: found.name() }
    }
}

impl From<io::Error> for SessionError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // How a connection ends depends on what was under way.
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Connection(error),
        }
    }
}
