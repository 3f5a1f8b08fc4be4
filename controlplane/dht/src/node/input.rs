//! What a node is told.

use std::net::SocketAddr;

use crate::{contact::Contact, id::Id, message::Message};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A datagram came.
    Message {
        /// From where.
        from: Source,
        /// Its length in bytes: an answer to an address that is not proven is no longer than three times as much.
        bytes: usize,
        /// What [`Message::decode`] made of it.
        message: Message,
    },
    /// There is a connection to a node, which has proven who it is. It is worth a ping, unless a query is under way to it: the handshake may
    /// have taken longer than answers are waited for.
    Connected(Contact),
    /// Nothing can be sent there: queries under way to it have failed.
    Unreachable(SocketAddr),
    /// Nodes that are said to be in the network. They are asked for this node's neighbours.
    Bootstrap(Vec<SocketAddr>),
    /// Somebody looks for something. [`super::Output::Found`] follows.
    Find {
        /// The caller's name for it.
        request: RequestId,
        /// What for.
        wanted: Wanted,
    },
    /// The nodes nearest to a value are to be told that this node has it, so that they keep it. The value is [`Input::Held`].
    /// [`super::Output::Announced`] follows.
    Announce {
        /// The caller's name for it.
        request: RequestId,
        /// The value's key.
        key: Id,
    },
    /// This node has a value: on disk, and its SHA-256 is the key.
    Held {
        /// The value's key.
        key: Id,
        /// Its length in bytes.
        size: u64,
        /// Whether it is to be announced again and again: what this node is responsible for, or put into the network itself.
        republish: bool,
    },
    /// This node does not have a value (any more), or could not fetch it.
    Dropped(Id),
    /// A node gave out wrong data: it is not heard for a while, nor is whoever counts as the same ([`Source::who`]).
    Ban(Source),
    /// The time that `Node::next_timeout` gave has come. Harmless at any other time.
    Wake,
}

/// Where something comes from: a datagram, or a value that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The address that it is sent from, and that an answer goes to.
    pub address: SocketAddr,
    /// The id that follows from the certificate of who is there. `None` where nothing is proven.
    pub proven: Option<Id>,
}

/// The caller's name for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a look-up looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The nodes nearest to an id.
    Nodes(Id),
    /// Who has a value.
    Value {
        /// Its key.
        key: Id,
        /// With so many providers the look-up ends early, and with the value itself.
        providers: usize,
    },
    /// Who has a value, and not the value itself, which may come with the answers.
    Holders {
        /// Its key.
        key: Id,
        /// With so many of them the look-up ends early.
        providers: usize,
    },
}

impl Wanted {
    /// What the nodes are near to.
    #[must_use]
    pub const fn target(&self) -> Id {
        match self {
            Self::Nodes(id) | Self::Value { key: id, .. } | Self::Holders { key: id, .. } => *id,
        }
    }
}
