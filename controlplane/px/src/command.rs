//! What is put into the log, and what comes of it.
//!
//! A [`Command`] is one change that a client asks for. Applied to the state ([`crate::state`]) it has an [`Outcome`], the same one on
//! every node. An [`Entry`] is what a place of the log holds: a command, or the barrier that reads wait for.

mod text;

use std::{fmt, str::FromStr, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use text::BadName;

/// What one place of the log holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A client's command.
    Command(Arc<Command>),
    /// Changes nothing. A node that sees its own barrier applied knows everything that was acknowledged before it was proposed.
    Barrier(Ticket),
}

impl Entry {
    /// By which the node that proposed the entry knows it again.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        match self {
            Self::Command(command) => command.ticket,
            Self::Barrier(ticket) => *ticket,
        }
    }

    /// About how many bytes the entry takes in memory, in a message and on disk.
    #[must_use]
    pub fn weight(&self) -> usize {
        const FIXED: usize = 128;
        match self {
            Self::Command(command) => FIXED + command.change.weight() + command.author.len(),
            Self::Barrier(_) => FIXED,
        }
    }
}

/// A proposal of one node. The node retries a proposal under the same ticket, so one ticket may stand in the log several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket {
    /// The node that proposed.
    pub node: Pid,
    /// The how manieth start of that node it was.
    pub boot: u64,
    /// Counts that node's proposals since then.
    pub number: u64,
}

/// One change that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// By which the node that proposed the command knows it again.
    pub ticket: Ticket,
    /// Who counts [`Self::sequence`]. Without meaning for [`Change::Register`].
    pub client: ClientId,
    /// The client's number of this command: larger than those of its earlier ones. A retry has the same number.
    pub sequence: Sequence,
    /// Whom the document is to name as its author.
    pub author: Arc<str>,
    /// When the command was taken, by the clock of the node that took it.
    pub time: UnixMillis,
    /// What is to change.
    pub change: Change,
}

/// What a command changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Lets a client in. Its id is made of `nonce` and the revision, so it is never given twice.
    Register {
        /// Random; makes ids hard to guess.
        nonce: u64,
    },
    /// Writes a document.
    Put {
        /// Which one.
        name: Name,
        /// What it says from now on.
        value: Value,
        /// Only if the document has this generation ([`Generation::ABSENT`]: only if there is none).
        expected: Option<Generation>,
    },
    /// Removes a document. To remove what is not there is no error.
    Delete {
        /// Which one.
        name: Name,
        /// Only if the document has this generation ([`Generation::ABSENT`]: only if there is none).
        expected: Option<Generation>,
    },
}

impl Change {
    fn weight(&self) -> usize {
        match self {
            Self::Register { .. } => 0,
            Self::Put { name, value, .. } => name.as_str().len() + value.len(),
            Self::Delete { name, .. } => name.as_str().len(),
        }
    }
}

/// What came of a command. The same on every node, and the same when the command is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The client is known from now on, by this id.
    Registered {
        /// To be put into its commands.
        client: ClientId,
    },
    /// The document was written.
    Written {
        /// The document's generation now.
        generation: Generation,
        /// The place of the command in the log.
        revision: Revision,
    },
    /// The document is not there (any more).
    Deleted {
        /// The place of the command in the log.
        revision: Revision,
    },
    /// Nothing was changed: the document did not have the generation that the command expected.
    Conflict {
        /// The generation that it had, [`Generation::ABSENT`] if there was none.
        generation: Generation,
    },
    /// Nothing was changed: the client never registered, or so many others came after it that it was forgotten.
    UnknownClient,
    /// Nothing was changed: the client has meanwhile had a command with a larger number applied.
    Superseded,
}

/// A versioned document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// How often the document was written; never the same twice for one name, even if the document was removed in between.
    pub generation: Generation,
    /// Where it was last written.
    pub revision: Revision,
    /// Who wrote it.
    pub author: Arc<str>,
    /// When, by the clock of the node that took the command.
    pub time: UnixMillis,
    /// What it says.
    pub value: Value,
}

/// The name of a document: 1 to 256 printable characters without blanks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a document says: at most [`Value::MAX`] bytes. Text by Base64 in JSON.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Value(Bytes);

impl Value {
    /// The most bytes that a value may have.
    pub const MAX: usize = 64 * 1024;

    /// A value of these bytes.
    ///
    /// # Errors
    /// [`ValueTooLong`] if there are more than [`Self::MAX`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, ValueTooLong> {
        let bytes = bytes.into();
        if bytes.len() > Self::MAX { Err(ValueTooLong { length: bytes.len() }) } else { Ok(Self(bytes)) }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Value({} bytes)", self.0.len())
    }
}

/// A value that has more than [`Value::MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value has {length} bytes; at most {} are allowed", Value::MAX)]
pub struct ValueTooLong {
    /// How many it has.
    pub length: usize,
}

/// Who sends commands: 128 bits, of which 64 are random and the others say where in the log the client was let in. Prints as 32
/// hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u128);

impl ClientId {
    /// The id of a client that was let in at `revision`.
    #[must_use]
    pub fn new(nonce: u64, revision: Revision) -> Self {
        Self(u128::from(nonce) << 64 | u128::from(revision.0))
    }

    /// The id as a number.
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0
    }
}

impl From<u128> for ClientId {
    fn from(bits: u128) -> Self {
        Self(bits)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl FromStr for ClientId {
    type Err = BadClientId;

    fn from_str(text: &str) -> Result<Self, BadClientId> {
        let hexadecimal = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hexadecimal {
            return Err(BadClientId);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| BadClientId)
    }
}

/// A text that is no [`ClientId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client id has 32 hexadecimal digits")]
pub struct BadClientId;

/// A client's number of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

/// A place in the log, counted from 1 over all configurations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The place behind this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Counts how often a document was written, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// Stands for a document that is not there.
    pub const ABSENT: Self = Self(0);
}

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Milliseconds since 1970-01-01 00:00 UTC, leap seconds not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

/// A member's small number: given once, never again, not even to the same machine with a new disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pid(pub u64);

impl fmt::Display for Pid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests;
