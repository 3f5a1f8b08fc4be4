//! What a node wants done.

use std::net::SocketAddr;

use super::{
    Who,
    input::{RequestId, Source},
};
use crate::{contact::Contact, id::Id, message::Message};

/// Something to be done.
#[derive(Clone, Debug)]
pub enum Output {
    /// To be sent, as one datagram. May be lost.
    Send {
        /// To where.
        to: SocketAddr,
        /// What.
        message: Message,
        /// The key of a small value that is to go with it ([`Message::attach`]) if it can be read; there is room for it.
        attach: Option<Id>,
    },
    /// A look-up has ended.
    Found {
        /// Which one.
        request: RequestId,
        /// With what.
        found: Found,
    },
    /// An announcement has ended.
    Announced {
        /// Which one.
        request: RequestId,
        /// With what.
        announced: Announced,
    },
    /// A small value came with its announcement, and it is what its key says. To be stored; then [`super::Input::Held`] is due.
    Store {
        /// Its key.
        key: Id,
        /// The value.
        data: Vec<u8>,
    },
    /// A value was announced that this node should keep. To be fetched from there, checked, and stored; then [`super::Input::Held`] is
    /// due, or else [`super::Input::Dropped`].
    Pull {
        /// Its key.
        key: Id,
        /// Its length in bytes, as announced. More need not be read.
        size: u64,
        /// Who has it.
        from: Contact,
        /// Whom it counts for, so that nobody takes the room of others.
        share: Who,
    },
    /// Something for the log and the metrics.
    Notice(Notice),
}

/// What a look-up found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The nodes nearest to what was looked for, of those that answered; nearest first.
    pub nearest: Vec<Contact>,
    /// Nodes that are said to have the value. Some may lie.
    pub providers: Vec<Contact>,
    /// Those of them that say so themselves.
    pub claim: Vec<Contact>,
    /// Those of them that gave the value along with their answers: it was what its key says.
    pub gave: Vec<Contact>,
    /// How many providers the node that knows most of them claims to know.
    pub count: u32,
    /// The value, if it came with an answer. It is what its key says.
    pub data: Option<Vec<u8>>,
    /// Queries one after the other that led to the nearest node, or to the first that knew of the value.
    pub hops: u32,
    /// Queries, counted once however often they were sent.
    pub queries: u32,
}

/// What became of an announcement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Nodes that have the value, or fetch it now.
    pub kept: Vec<Contact>,
    /// Nodes that remember that this node has the value, and no more.
    pub noted: Vec<Contact>,
    /// How many refused, or did not answer.
    pub failed: u32,
}

/// Something worth telling an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The first contacts are known: the node is in the network.
    Joined,
    /// No contact is left, and none of the bootstrap addresses answers.
    Alone,
    /// A node is not heard for a while: it gave out wrong data.
    Banned(Source),
}
