//! What nodes say to each other.
//!
//! As JSON, each message is an object `{"type": …, "body": …}`.

use std::{collections::BTreeSet, sync::Arc};

use omnipaxos::messages::Message;
use serde::{Deserialize, Serialize};

use crate::{
    command::{ClientId, Document, Entry, Name, Revision},
    membership::{ClusterId, ConfigurationId, NodeName, StoreId},
    state::{Header, Session},
};

/// Something that one node says to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "body", rename_all = "snake_case")]
pub enum PeerMessage {
    /// Who the sender is. The first message in each direction, and again when it changes.
    Hello(Hello),
    /// A message of the agreement.
    Paxos(Box<Envelope>),
    /// Messages of the receiver were lost on their way to the sender.
    Gap,
    /// The receiver lacks what the sender has thrown away: it should ask for the state.
    Behind,
    /// Asks for a part of the state.
    Fetch(Fetch),
    /// A part of the state.
    Part(Box<Part>),
    /// The receiver asked for the state, and is no member: an operator has to add or replace it.
    NotAMember {
        /// Whether a member has its name, but another disk.
        replaced: bool,
    },
    /// The sender stops and wants the receiver to lead.
    Lead,
    /// The machine of the leader has told the sender that nothing runs there any more.
    Gone {
        /// Who led.
        leader: NodeName,
    },
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its name; the one in its certificate.
    pub name: NodeName,
    /// Its disk.
    pub store: StoreId,
    /// Its cluster; none if it has no state yet.
    pub cluster: Option<ClusterId>,
    /// Its configuration; 0 if it has no state yet.
    pub configuration: ConfigurationId,
    /// With whom it is set to found a cluster, itself included.
    pub servers: BTreeSet<NodeName>,
}

/// A message of the agreement, with what lets the receiver trust the order of those it gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// In which configuration it was said. Others do not listen.
    pub configuration: ConfigurationId,
    /// Its place among those of this sender to this receiver.
    pub stamp: Stamp,
    /// What OmniPaxos says.
    pub message: Message<Entry>,
}

/// The place of a message among those of one sender to one receiver. Later ones have larger stamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// The how manieth start of the sender it is.
    pub boot: u64,
    /// Counts its connections to the receiver since then.
    pub link: u64,
    /// Counts the messages on that connection, from 0.
    pub number: u64,
}

/// Asks for a part of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// The asking node's name for the transfer.
    pub transfer: u64,
    /// Which part, from 0.
    pub part: u64,
    /// What the asking node has.
    pub have: Revision,
}

/// A part of the state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// The asking node's name for the transfer.
    pub transfer: u64,
    /// Which part, from 0.
    pub part: u64,
    /// What the whole is; the same in every part.
    pub header: Header,
    /// Documents in the order of their names.
    pub documents: Vec<(Name, Arc<Document>)>,
    /// What is known of clients.
    pub sessions: Vec<(ClientId, Session)>,
    /// Whether no other part follows.
    pub last: bool,
}
