//! Commands and results as lines of JSON: what the named pipe, the Unix socket and `photongate px` speak.
//!
//! A line is an object with the field `op`, and `id` if the caller wants one back. Its result is an object with that `id`, with
//! `"ok": true` and what came of it, or with `"ok": false`, a word in `error` that programs can decide by, and words for people in
//! `detail`.

mod answered;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;

pub use self::answered::{Answered, changed_fields, document_fields, refusal_word};
use crate::command::{Change, ClientId, Generation, Name, Revision, Sequence, Value};
use crate::node::{Consistency, Query, Request};

/// What one line asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// To write a document.
    Put {
        /// Comes back with the result.
        id: Option<Json>,
        /// Which document.
        name: Name,
        /// What it is to say, if that is text.
        value: Option<String>,
        /// What it is to say, any bytes.
        base64: Option<String>,
        /// Only if it has this generation; 0: only if there is none.
        expected: Option<u64>,
        /// Who asks, if the caller counts its commands itself.
        client: Option<ClientId>,
        /// The number of the command among those of the client.
        sequence: Option<u64>,
    },
    /// To remove a document.
    Delete {
        /// As for `put`.
        id: Option<Json>,
        /// As for `put`.
        name: Name,
        /// As for `put`.
        expected: Option<u64>,
        /// As for `put`.
        client: Option<ClientId>,
        /// As for `put`.
        sequence: Option<u64>,
    },
    /// To read a document.
    Get {
        /// As for `put`.
        id: Option<Json>,
        /// As for `put`.
        name: Name,
        /// Whether whatever the node knows will do.
        #[serde(default)]
        stale: bool,
    },
    /// To read several documents.
    List {
        /// As for `put`.
        id: Option<Json>,
        /// With which their names begin.
        #[serde(default)]
        prefix: String,
        /// Only those behind this name.
        after: Option<Name>,
        /// At most so many.
        limit: Option<usize>,
        /// As for `get`.
        #[serde(default)]
        stale: bool,
    },
    /// To see changes as they happen.
    Watch {
        /// As for `put`.
        id: Option<Json>,
        /// As for `list`.
        #[serde(default)]
        prefix: String,
        /// Behind this revision; from now on if it is left out.
        from: Option<u64>,
    },
    /// To wait until this node knows all that was acknowledged before.
    Barrier {
        /// As for `put`.
        id: Option<Json>,
    },
    /// To be known as a client that counts its commands itself.
    Register {
        /// As for `put`.
        id: Option<Json>,
    },
    /// How the node is.
    Status {
        /// As for `put`.
        id: Option<Json>,
    },
    /// To change who the members are.
    Member {
        /// As for `put`.
        id: Option<Json>,
        /// What is to be done.
        change: MemberWord,
        /// The name of the node.
        name: String,
        /// A host and a port where the others reach it, if their configurations do not say so.
        addr: Option<String>,
    },
}

/// What can be done about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemberWord {
    /// It joins.
    Add,
    /// It leaves.
    Remove,
    /// It has lost its disk, and joins with the one it has now.
    Replace,
}

/// What is to be done about which member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberWish {
    /// What is to be done.
    pub change: MemberWord,
    /// The name of the node.
    #[schema(example = "px-4.example")]
    pub name: String,
    /// A host and a port where the others reach a node that joins, if their configurations do not say so.
    #[schema(example = "192.0.2.4:8482")]
    pub addr: Option<String>,
}

/// What commands have in common that must keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order<'o> {
    /// They are commands of one client.
    Client(ClientId),
    /// They are about one document.
    Document(&'o Name),
}

/// What a line asks a node, in the node's terms.
#[derive(Debug)]
pub enum Asked {
    /// A change, counted by the caller or not.
    Write {
        /// Whose command it is by the caller's count, and its number there.
        counted: Option<(ClientId, Sequence)>,
        /// What changes.
        change: Change,
    },
    /// Anything else that the node answers.
    Request(Request),
    /// Changes from a revision on.
    Watch {
        /// With which names begin.
        prefix: String,
        /// Behind which revision.
        from: Option<Revision>,
    },
    /// How the node is.
    Status,
    /// To change the members.
    Member(MemberWish),
}

impl fmt::Display for MemberWish {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} {}", self.change, self.name)?;
        self.addr.iter().try_for_each(|addr| write!(formatter, " at {addr}"))
    }
}

impl Operation {
    /// Reads a line.
    ///
    /// # Errors
    /// A result that says what is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, Answered> {
        serde_json::from_slice(line).map_err(|error| {
            // The identity is told if the line has one that can be found, so that the caller knows which line it was.
            let id = serde_json::from_slice::<Json>(line).ok().and_then(|json| json.get("id").cloned());
            Answered::refused("bad_command", format!("this is no command: {error}")).with_id(id)
        })
    }

    /// What comes back with the result.
    pub fn take_id(&mut self) -> Option<Json> {
        match self {
            Self::Put { id, .. }
            | Self::Delete { id, .. }
            | Self::Get { id, .. }
            | Self::List { id, .. }
            | Self::Watch { id, .. }
            | Self::Barrier { id }
            | Self::Register { id }
            | Self::Status { id }
            | Self::Member { id, .. } => id.take(),
        }
    }

    /// What it asks a node.
    ///
    /// # Errors
    /// A result that says what is wrong with it.
    pub fn asks(self) -> Result<Asked, Answered> {
        Ok(match self {
            Self::Put { name, value, base64, expected, client, sequence, .. } => {
                let value = bytes(value, base64)?;
                let change = Change::Put { name, value, expected: expected.map(Generation) };
                Asked::Write { counted: counted(client, sequence)?, change }
            }
            Self::Delete { name, expected, client, sequence, .. } => {
                let change = Change::Delete { name, expected: expected.map(Generation) };
                Asked::Write { counted: counted(client, sequence)?, change }
            }
            Self::Get { name, stale, .. } => read(Query::Document(name), stale),
            Self::List { prefix, after, limit, stale, .. } => {
                let limit = limit.unwrap_or(MOST_LISTED).min(MOST_LISTED);
                read(Query::List { prefix, after, limit }, stale)
            }
            Self::Barrier { .. } => read(Query::List { prefix: String::new(), after: None, limit: 0 }, false),
            Self::Watch { prefix, from, .. } => Asked::Watch { prefix, from: from.map(Revision) },
            Self::Register { .. } => {
                let nonce = getrandom::u64().unwrap_or_default();
                let change = Change::Register { nonce };
                Asked::Write { counted: Some((ClientId::from(0), Sequence(0))), change }
            }
            Self::Status { .. } => Asked::Status,
            Self::Member { change, name, addr, .. } => Asked::Member(MemberWish { change, name, addr }),
        })
    }

    /// Commands for which this is the same must keep their order: those of a client that counts them, or about a document.
    pub fn order(&self) -> Option<Order<'_>> {
        match self {
            Self::Put { client: Some(client), .. } | Self::Delete { client: Some(client), .. } => {
                Some(Order::Client(*client))
            }
            Self::Put { name, .. } | Self::Delete { name, .. } | Self::Get { name, .. } => Some(Order::Document(name)),
            Self::List { .. }
            | Self::Watch { .. }
            | Self::Barrier { .. }
            | Self::Register { .. }
            | Self::Status { .. }
            | Self::Member { .. } => None,
        }
    }
}

fn read(query: Query, stale: bool) -> Asked {
    let consistency = if stale { Consistency::Stale } else { Consistency::Linearizable };
    Asked::Request(Request::Read { query, consistency })
}

fn bytes(value: Option<String>, base64: Option<String>) -> Result<Value, Answered> {
    let bytes = match (value, base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(base64)) => {
            STANDARD.decode(base64).map_err(|error| Answered::refused("bad_command", format!("base64: {error}")))?
        }
        (None, None) => return Err(Answered::refused("bad_command", "there is neither value nor base64")),
        (Some(_), Some(_)) => {
            return Err(Answered::refused("bad_command", "there are both value and base64: keep one"));
        }
    };
    Value::new(bytes).map_err(|error| Answered::refused("bad_command", error.to_string()))
}

fn counted(client: Option<ClientId>, sequence: Option<u64>) -> Result<Option<(ClientId, Sequence)>, Answered> {
    match (client, sequence) {
        (None, None) => Ok(None),
        (Some(client), Some(sequence)) => Ok(Some((client, Sequence(sequence)))),
        _ => Err(Answered::refused("bad_command", "client and sequence belong together: give both, or none")),
    }
}

/// The longest line, in bytes: the longest value, every byte of it escaped, and some more.
pub const LONGEST_LINE: usize = 6 * Value::MAX + 4_096;

/// Documents that one answer may have. The next ones can be asked for.
pub const MOST_LISTED: usize = 1_000;

#[cfg(test)]
mod tests;
