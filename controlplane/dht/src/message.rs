//! What nodes say to each other, one datagram each: queries, answers and errors.
//!
//! Nothing in a message is to be believed: not the address its sender claims, nor the nodes it names. What a datagram looks like is in
//! `codec`; `docs/protocol/dht.md`, "Messages", has an example of each.

mod codec;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use codec::{LARGEST, Malformed, PADDED};

use crate::{contact::Contact, id::Id};

/// One datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Somebody asks.
    Query(Query),
    /// Somebody answers.
    Answer(Answer),
    /// Somebody will not answer.
    Error(ErrorReply),
}

impl Message {
    /// Puts the value that it is about into it: into a `store_value`, or the answer to a `find_value`.
    pub fn attach(&mut self, value: Vec<u8>) {
        match self {
            Self::Query(Query { question: Question::StoreValue { data, .. }, .. })
            | Self::Answer(Answer { value: Some(Known { data, .. }), .. }) => *data = Some(value),
            Self::Query(_) | Self::Answer(_) | Self::Error(_) => {}
        }
    }
}

/// Ties an answer to its query: random, so that who does not see the query cannot answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Magic(pub u64);

/// A question and who asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// To be repeated in the answer.
    pub magic: Magic,
    /// Who asks. The id introduces a new node; the address is only what it believes of itself.
    pub requestor: Contact,
    /// What is asked.
    pub question: Question,
    /// What an earlier answer gave: it proves that who asks receives what is sent to its address.
    pub token: Option<Token>,
    /// Whether the query is made [`PADDED`] bytes long, so that a long answer to it is no amplification.
    pub padded: bool,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// `ping_node`: are you there?
    Ping,
    /// `find_node`: which nodes do you know that are nearest to this?
    FindNode(Id),
    /// `find_value`: who has this value, or else, which nodes are nearest to it?
    FindValue(Id),
    /// `store_value`: I have this value; remember that, and keep it if it is near you. Needs a token.
    StoreValue {
        /// The value's key.
        key: Id,
        /// Its length in bytes.
        size: u64,
        /// The value, if it is small enough for a datagram.
        data: Option<Vec<u8>>,
    },
}

/// What is answered. Which of it is there depends on the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// From the query.
    pub magic: Magic,
    /// Who answers.
    pub id: Id,
    /// Nodes near to what was asked for, nearest first.
    pub nodes: Vec<Contact>,
    /// For later queries from the same address.
    pub token: Option<Token>,
    /// What is known of the value.
    pub value: Option<Known>,
    /// What became of a `store_value`.
    pub stored: Option<Stored>,
}

impl Answer {
    /// An upper bound of the datagram's length in bytes, without a value in it.
    #[must_use]
    pub fn most_bytes(&self) -> usize {
        let providers = self.value.iter().flat_map(|value| &value.providers);
        MOST_BARE + self.nodes.iter().chain(providers).map(most_contact_bytes).sum::<usize>()
    }
}

/// What a node knows of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Some of the nodes that said they have it, the one that answers among them if it has it.
    pub providers: Vec<Contact>,
    /// How many have said so.
    pub count: u32,
    /// The value itself, if it is small.
    pub data: Option<Vec<u8>>,
}

/// What became of a `store_value`. In a message it is a text: `kept`, `pull` or `noted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    /// The node has the value.
    Kept,
    /// The node will fetch the value from who asked.
    Pull,
    /// The node remembers who has the value, and does not keep it itself.
    Noted,
}

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorReply {
    /// From the query. Other implementations leave it out; then nobody knows what the error belongs to.
    pub magic: Option<Magic>,
    /// Why.
    pub complaint: Complaint,
}

/// Why a query is refused. In a message it is a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Complaint {
    /// There is no such query.
    #[error("unknown type")]
    UnknownType,
    /// A parameter is missing.
    #[error("missing parameter")]
    MissingParameter,
    /// There is no token, or it is not valid for this address now: ask for another one.
    #[error("token not valid")]
    Token,
    /// The value is larger than the node keeps.
    #[error("value too large")]
    TooLarge,
    /// The value is not what its key says.
    #[error("value does not match its key")]
    WrongHash,
    /// Who asks has had its share, or the node is full.
    #[error("quota exceeded")]
    Quota,
    /// Who asks must not have the id that it claims.
    #[error("id not allowed")]
    Id,
    /// Something else.
    #[error("refused")]
    Other,
}

/// Proves that who presents it received what was sent to its address. Compared in constant time (`matches`), and never with `==`
/// where it counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(pub [u8; Token::LENGTH]);

impl Token {
    /// Bytes of a token.
    pub const LENGTH: usize = 16;
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(..)")
    }
}

fn most_contact_bytes(contact: &Contact) -> usize {
    if contact.address.is_ipv4() { 112 } else { 136 }
}

/// Bytes of the longest answer without contacts and without a value.
const MOST_BARE: usize = 256;
/// Bytes that a small value takes in a message, beside its base64.
pub(crate) const DATA_FIELD: usize = r#","data":"""#.len();
