//! The latest changes, for those who watch and were away for a moment.

use std::collections::VecDeque;

use super::output::Changed;
use crate::command::Revision;

/// Changes that somebody wants are not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("changes up to revision {up_to} are not kept any more; read everything, and watch from there")]
pub struct Compacted {
    /// Only later ones are.
    pub up_to: Revision,
}

/// The latest changes, oldest first.
pub(super) struct Ring {
    limit: usize,
    /// Changes up to here are gone.
    up_to: Revision,
    changes: VecDeque<Changed>,
}

impl Ring {
    pub(super) fn new(up_to: Revision, limit: usize) -> Self {
        Self { limit, up_to, changes: VecDeque::new() }
    }

    pub(super) fn extend(&mut self, changes: &[Changed]) {
        self.changes.extend(changes.iter().cloned());
        let gone = self.changes.len().saturating_sub(self.limit);
        if let Some(last) = self.changes.drain(..gone).next_back() {
            self.up_to = last.revision;
        }
    }

    pub(super) fn since(&self, revision: Revision) -> Result<Vec<Changed>, Compacted> {
        if revision < self.up_to {
            return Err(Compacted { up_to: self.up_to });
        }
        let first = self.changes.partition_point(|change| change.revision <= revision);
        Ok(self.changes.range(first..).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_from_a_revision_on_until_they_are_forgotten() {
        let mut ring = Ring::new(Revision(4), 2);
        let changes = [5, 7, 9].map(|revision| Changed {
            revision: Revision(revision),
            name: "a".parse().unwrap(),
            document: None,
        });
        ring.extend(&changes);
        assert_eq!(ring.since(Revision(4)), Err(Compacted { up_to: Revision(5) }));
        assert_eq!(ring.since(Revision(5)), Ok(changes[1..].to_vec()));
        assert_eq!(ring.since(Revision(8)), Ok(changes[2..].to_vec()));
        assert_eq!(ring.since(Revision(9)), Ok(vec![]));
    }
}
