//! What a node keeps of the agreement: in memory for OmniPaxos to read, as operations for the disk.
//!
//! [`Log`] answers OmniPaxos from memory at once and collects what is to be written; the node hands that out as a batch, and holds back
//! whatever promises something until the batch is on disk. Places in the log are counted from 0 in each configuration; a stop-sign,
//! which ends a configuration, has a place, too.

#[cfg(test)]
pub(crate) mod image;
mod log;

use omnipaxos::{ballot_leader_election::Ballot, storage::StopSign};

use crate::{
    command::Entry,
    membership::StoreId,
    state::{Snapshot, StateChanges},
};

pub use self::log::{Acceptor, Log};

/// One change of what is on disk. A batch of them is written in one go.
#[derive(Clone, Debug)]
pub enum Operation {
    /// The log of this configuration consists of what it had before the place `index`, and of `entries` from there on.
    Append {
        /// The place of the first entry.
        index: u64,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// No proposal of a smaller ballot will be accepted.
    Promise(Ballot),
    /// The ballot in which the log was accepted last.
    AcceptedRound(Ballot),
    /// So many places of the log are decided. It may be lost: it is found out again.
    Decided(u64),
    /// The stop-sign behind the last entry; none if it was taken back.
    StopSign(Option<StopSign>),
    /// The log before this place is not needed any more: the state has it.
    Trim(u64),
    /// The state was changed.
    Changes(StateChanges),
    /// The state is this one: the first of a cluster, or that of another node.
    Replace(Snapshot),
    /// A configuration began, as the state's header says. Nothing is promised in it, and its log up to this place is known through the
    /// state alone.
    Begin(u64),
}

impl Operation {
    /// Whether a promise may depend on it, so that it has to be made durable soon.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        !matches!(self, Self::Decided(_))
    }
}

/// What a node finds on its disk when it starts.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Which disk it is.
    pub store: StoreId,
    /// The how manieth start this is, from 1; on disk already.
    pub boot: u64,
    /// The state as it was last written, and what was accepted since; none on a new disk.
    pub cluster: Option<(Snapshot, Acceptor)>,
}
