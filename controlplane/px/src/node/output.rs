//! What a node wants done.

use std::sync::Arc;

use super::{input::RequestId, message::PeerMessage};
use crate::{
    command::{Document, Name, Outcome, Revision},
    membership::{BadMembership, Membership, NodeName, StoreId},
    storage::Operation,
};

/// Something to be done, in the order given.
#[derive(Clone, Debug)]
pub enum Output {
    /// To be sent. May be lost, but what arrives must arrive in this order.
    Send {
        /// To whom.
        peer: NodeName,
        /// What.
        message: PeerMessage,
    },
    /// Whether anybody runs at all where `peer` was is to be looked up. If its machine says that nobody does, [`super::Input::Gone`] is due;
    /// else nothing is.
    Probe {
        /// Who.
        peer: NodeName,
    },
    /// To be written in one go and made durable; then [`super::Input::Persisted`] is due. Batches are written in the order of their
    /// numbers. If that fails the node must end: it has promised nothing yet that it could not keep, but it can promise nothing more.
    Persist {
        /// Counts the batches since the start.
        batch: BatchId,
        /// What to write.
        operations: Vec<Operation>,
    },
    /// The answer to a request.
    Reply {
        /// Which one.
        id: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// Documents have changed: for those who watch.
    Changed(Vec<Changed>),
    /// The whole state was replaced by that of another node, at this revision: who watches has to read it anew.
    Replaced(Revision),
    /// Something for the log, the audit and the metrics.
    Notice(Notice),
    /// The node does not lead (any more) and can be stopped.
    HandedOver,
}

/// Counts the batches of one run of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

/// A document after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Where in the log it was changed.
    pub revision: Revision,
    /// Which one.
    pub name: Name,
    /// What it is now; none if it was removed.
    pub document: Option<Arc<Document>>,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The command is in the log for good, and this came of it.
    Done(Outcome),
    /// What was read.
    Read {
        /// The documents.
        answer: Answer,
        /// Up to where in the log they are known.
        revision: Revision,
        /// Ticks since the node last heard of a leader; none if it never did. For stale reads.
        age_ticks: Option<u64>,
    },
    /// The members are now these.
    MembersChanged(Membership),
    /// Nothing was done, or nobody knows.
    Refused(Refusal),
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The document, if there is one.
    Document(Option<Arc<Document>>),
    /// Documents in the order of their names.
    List(Vec<(Name, Arc<Document>)>),
}

/// Why a request was not fulfilled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too much is under way. Nothing was done; try again later.
    #[error("the node is busy; nothing was done, try again later")]
    Busy,
    /// The node is no member of a cluster (yet). Nothing was done.
    #[error("the node is not a member of a cluster; nothing was done")]
    NotAMember,
    /// The node is about to stop. Nothing was done; ask another one.
    #[error("the node is stopping; ask another one")]
    Stopping,
    /// There was no agreement in time: the command may be applied later, or never. Ask again with the same client and number.
    #[error("no agreement in time: it may still happen; ask again with the same client id and sequence number")]
    Unknown,
    /// No majority could be reached in time. Nothing was done; stale reads are possible.
    #[error("no majority could be reached in time; nothing was done; stale reads are possible")]
    NoMajority,
    /// The members cannot be changed like that.
    #[error(transparent)]
    Members(BadMembership),
}

/// Something worth telling an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// All configured servers met, none with a past: this is the first configuration.
    Founded(Membership),
    /// All configured servers met, and what they are makes no cluster.
    CannotFound(BadMembership),
    /// A peer is set to found a cluster with other servers than this node. They wait until both are set the same, or a cluster exists.
    OtherServers {
        /// Who.
        peer: NodeName,
    },
    /// The node waits: a cluster exists, and it is not in it. The operator has to add or replace it.
    WaitsForMembership {
        /// Who told so.
        peer: NodeName,
        /// Whether the cluster knows this name with another disk.
        replaced: bool,
    },
    /// A peer has the name of a member but another disk: `photongate px member replace NAME`.
    DiskReplaced {
        /// Who.
        peer: NodeName,
        /// The disk it has now.
        store: StoreId,
    },
    /// A peer belongs to another cluster; nothing it says is heard.
    OtherCluster {
        /// Who.
        peer: NodeName,
    },
    /// The members changed.
    MembersChanged {
        /// Before.
        from: Membership,
        /// From now on.
        to: Membership,
    },
    /// Another member leads, or none.
    Leader(Option<NodeName>),
    /// The state was taken over from a peer, because the log in between is gone.
    CaughtUp {
        /// From whom.
        from: NodeName,
        /// Up to where.
        revision: Revision,
    },
}
