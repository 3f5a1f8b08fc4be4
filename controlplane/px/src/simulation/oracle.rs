//! What must never happen, whatever clients saw: two nodes that disagree about a place in the log, a command that is applied twice, a
//! write that was acknowledged and is not in the log.

use std::collections::BTreeMap;

use crate::{
    command::{ClientId, Entry, Outcome, Revision, Sequence},
    node::Audited,
};

/// The one log that there must be.
#[derive(Default)]
pub(crate) struct Oracle {
    log: BTreeMap<Revision, Audited>,
    /// Where each command took effect.
    effects: BTreeMap<(ClientId, Sequence), Revision>,
    acknowledged: Vec<(ClientId, Sequence, Outcome)>,
}

impl Oracle {
    /// A node applied an entry.
    pub(crate) fn applied(&mut self, node: &str, audited: Audited) -> Result<(), String> {
        let revision = audited.revision;
        if let Some(known) = self.log.get(&revision) {
            if *known != audited {
                return Err(format!("{node} applied {audited:?}, but another node {known:?}"));
            }
            return Ok(());
        }
        if let (Entry::Command(command), Some(outcome)) = (&audited.entry, audited.outcome)
            && effect(&outcome) == Some(revision)
            && let Some(earlier) = self.effects.insert((command.client, command.sequence), revision)
        {
            return Err(format!("{node} applied {audited:?} a second time; the first was at revision {earlier}"));
        }
        self.log.insert(revision, audited);
        Ok(())
    }

    /// A client was told what came of its command.
    pub(crate) fn acknowledged(&mut self, client: ClientId, sequence: Sequence, outcome: Outcome) {
        self.acknowledged.push((client, sequence, outcome));
    }

    /// What can be said once all nodes are up to `revision`.
    pub(crate) fn judge(&self, revision: Revision) -> Result<(), String> {
        for (client, sequence, outcome) in &self.acknowledged {
            let Some(effect) = effect(outcome) else { continue };
            if self.effects.get(&(*client, *sequence)) != Some(&effect) || effect > revision {
                return Err(format!(
                    "{client} was told {outcome:?} for its command {}, but the nodes end at {revision} and have it at {:?}",
                    sequence.0,
                    self.effects.get(&(*client, *sequence))
                ));
            }
        }
        Ok(())
    }

    /// How many entries there are in the log.
    pub(crate) fn entries(&self) -> usize {
        self.log.len()
    }
}

/// Where the command took effect, if it did.
fn effect(outcome: &Outcome) -> Option<Revision> {
    match outcome {
        Outcome::Written { revision, .. } | Outcome::Deleted { revision } => Some(*revision),
        Outcome::Registered { .. } | Outcome::Conflict { .. } | Outcome::UnknownClient | Outcome::Superseded => None,
    }
}
