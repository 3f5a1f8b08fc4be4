//! What the operations of a node make of a disk: the meaning that the real store is held to.

use super::{Acceptor, Operation};
use crate::state::Snapshot;

/// What is on a disk.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Image {
    snapshot: Option<Snapshot>,
    acceptor: Acceptor,
}

impl Image {
    /// Does what `operation` says.
    pub(crate) fn apply(&mut self, operation: &Operation) {
        self.acceptor.apply(operation);
        match operation {
            Operation::Replace(snapshot) => self.snapshot = Some(snapshot.clone()),
            Operation::Changes(changes) => {
                self.snapshot.as_mut().expect("a state comes before its changes").change(changes.clone());
            }
            _ => {}
        }
    }

    /// What a node finds there when it starts.
    pub(crate) fn recover(&self) -> Option<(Snapshot, Acceptor)> {
        self.snapshot.clone().map(|snapshot| (snapshot, self.acceptor.clone()))
    }
}
