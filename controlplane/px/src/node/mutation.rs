//! Mistakes on purpose. Tests build nodes that make one, and show that the simulation finds it; other builds have none of it.

use omnipaxos::messages::{Message, sequence_paxos::PaxosMsg};

use crate::{
    command::Entry,
    state::StateChanges,
    storage::{Acceptor, Operation},
};

/// A mistake that a node can be made to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Everything is sent before what it depends on is on disk.
    NothingWaitsForDisk,
    /// An entry is called accepted before it is on disk.
    AcceptedBeforeDisk,
    /// A leader counts its own vote before it is on disk.
    OwnVoteBeforeDisk,
    /// A promise is given before it is on disk, where it soon is.
    PromiseBeforeDisk,
    /// A promised ballot is never written.
    PromiseNotWritten,
    /// A message that comes again, or after later ones, is taken in like any other.
    RepeatsTakenIn,
    /// Entries are applied and answered as soon as they are accepted, without a majority.
    AnswerBeforeQuorum,
    /// What is remembered of clients is not written with the state.
    SessionsNotWritten,
    /// A replaced disk passes for the old one.
    ReplacedDiskVotes,
    /// Linearizable reads are answered at once, without a barrier.
    ReadWithoutBarrier,
    /// The state of another node replaces what was promised and accepted, too.
    CatchUpForgetsPromise,
}

/// Which mistake a node makes, if any.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mutations(#[cfg(test)] pub(crate) Option<Mutation>);

impl Mutations {
    #[cfg(test)]
    pub(crate) fn has(self, mutation: Mutation) -> bool {
        self.0 == Some(mutation)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the twin for tests looks at itself")]
    pub(crate) const fn has(self, _: Mutation) -> bool {
        false
    }

    /// Whether a message promises nothing, so that it need not wait for the disk.
    ///
    /// A proposal is none: that its ballot was promised is on disk before its promises are asked for.
    pub(super) fn may_leave_early(self, message: &Message<Entry>) -> bool {
        let Message::SequencePaxos(message) = message else { return true };
        let promises_something = match &message.msg {
            PaxosMsg::Prepare(_) | PaxosMsg::NotAccepted(_) => true,
            PaxosMsg::Promise(_) => !self.has(Mutation::PromiseBeforeDisk),
            PaxosMsg::Accepted(_) => !self.has(Mutation::AcceptedBeforeDisk),
            PaxosMsg::PrepareReq(_)
            | PaxosMsg::AcceptSync(_)
            | PaxosMsg::AcceptDecide(_)
            | PaxosMsg::Decide(_)
            | PaxosMsg::ProposalForward(_)
            | PaxosMsg::Compaction(_)
            | PaxosMsg::AcceptStopSign(_)
            | PaxosMsg::ForwardStopSign(_) => false,
        };
        !promises_something || self.has(Mutation::NothingWaitsForDisk)
    }

    /// So many places of the log may be applied.
    pub(super) fn decided(self, acceptor: &Acceptor) -> u64 {
        if self.has(Mutation::AnswerBeforeQuorum) { acceptor.end() } else { acceptor.decided }
    }

    pub(super) fn forget_sessions(self, changes: &mut StateChanges) {
        if self.has(Mutation::SessionsNotWritten) {
            changes.sessions.retain(|(_, session)| session.is_none_or(|session| session.outcome.is_none()));
        }
    }

    pub(super) fn written(self, mut operations: Vec<Operation>) -> Vec<Operation> {
        if self.has(Mutation::PromiseNotWritten) {
            operations.retain(|operation| !matches!(operation, Operation::Promise(_)));
        }
        operations
    }
}
