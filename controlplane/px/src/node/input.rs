//! What a node is told.

use std::sync::Arc;

use super::{
    message::{Hello, PeerMessage},
    output::BatchId,
};
use crate::{
    command::{Change, ClientId, Name, Sequence},
    membership::{MemberChange, NodeName},
};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Another tick of the clock has passed. A tick that comes late counts once, however late it is: a node that was not run must not
    /// think that the others were silent.
    Tick,
    /// Messages can be sent to `peer` from now on, and none that was sent earlier will still arrive there. Also when a connection
    /// was replaced by another one. Comes once `peer` has said hello.
    Connected {
        /// The name in the peer's certificate.
        peer: NodeName,
        /// What it says it is.
        hello: Hello,
    },
    /// Nothing reaches `peer` any more.
    Disconnected {
        /// The name in the peer's certificate.
        peer: NodeName,
    },
    /// Nothing runs any more where `peer` was: its machine says so, in answer to [`super::Output::Probe`]. May be wrong.
    Gone {
        /// The name in the peer's certificate.
        peer: NodeName,
    },
    /// `peer` said something. The messages of one peer come in the order in which it sent them.
    Message {
        /// The name in the peer's certificate.
        peer: NodeName,
        /// What it said.
        message: PeerMessage,
    },
    /// Somebody wants something.
    Request {
        /// The caller's name for it; the reply has it, too.
        id: RequestId,
        /// What is wanted.
        request: Request,
    },
    /// The operations of this batch, and of all before it, are on disk and stay there.
    Persisted {
        /// The number that [`super::Output::Persist`] gave.
        batch: BatchId,
    },
    /// The node is to stop soon: it takes no more requests, and if it leads it hands over. [`super::Output::HandedOver`] follows.
    HandOver,
}

/// The caller's name for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What can be asked of a node.
#[derive(Clone, Debug)]
pub enum Request {
    /// To change something, exactly once.
    Write {
        /// Who asks; any value for [`Change::Register`].
        client: ClientId,
        /// The client's number of this command. To ask again after [`super::Refusal::Unknown`], or at another node, use the same one.
        sequence: Sequence,
        /// Whom the document is to name as its author.
        author: Arc<str>,
        /// What is to change.
        change: Change,
    },
    /// To read something.
    Read {
        /// What.
        query: Query,
        /// How fresh it must be.
        consistency: Consistency,
    },
    /// To change who votes.
    ChangeMembers(MemberChange),
}

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// One document.
    Document(Name),
    /// Documents in the order of their names.
    List {
        /// With which their names begin.
        prefix: String,
        /// Only names behind this one.
        after: Option<Name>,
        /// At most so many.
        limit: usize,
    },
}

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// It knows of everything that was acknowledged anywhere before it was asked. Takes a round of agreement.
    Linearizable,
    /// Whatever this node knows, at once.
    Stale,
}
