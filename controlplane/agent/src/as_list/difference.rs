//! What one list has that another has not.

use std::cmp::Ordering;

use photongate_pipeline::PeerKey;

use super::secrets::same_source;
use super::{AsList, ListedPeer};
use crate::api::model::{Change, ChangedPeer, Changes, PeerName};

/// What has to be done to get from one list to another, each part in the order of the peers' keys.
///
/// A peer that was removed and added again in one step is not in it, or is among the changed. A new name concerns nobody but
/// those who look; new prefixes and another policy only the routes; a new limit only the peer's bucket; another encapsulation only the peer's state; and only where `keys` is among
/// the changes are there keys to fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Peers that only the other list has.
    pub added: Vec<PeerKey>,
    /// Peers that only this list has.
    pub removed: Vec<PeerKey>,
    /// Peers that both have, and what differs about them: at least one thing.
    pub changed: Vec<(PeerKey, Vec<Change>)>,
    /// How many peers are the same in both.
    pub unchanged: usize,
}

impl AsList {
    /// What has to be done to get from this list to the list `to`.
    pub fn difference(&self, to: &Self) -> Difference {
        let mut difference = Difference::default();
        let (mut from, mut to) = (self.peers().iter().peekable(), to.peers().iter().peekable());
        loop {
            let order = match (from.peek(), to.peek()) {
                (None, None) => return difference,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.key.cmp(&new.key),
            };
            let old = if order.is_le() { from.next() } else { None };
            let new = if order.is_ge() { to.next() } else { None };
            match (old, new) {
                (Some(old), Some(new)) => match changes(old, new) {
                    changes if changes.is_empty() => difference.unchanged += 1,
                    changes => difference.changed.push((old.key, changes)),
                },
                (Some(old), None) => difference.removed.push(old.key),
                (None, new) => difference.added.extend(new.map(|new| new.key)),
            }
        }
    }
}

impl Difference {
    /// Whether nothing has to be done.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// The difference as it is told over HTTP; the generation and what depends on it is left at its default.
    pub fn to_changes(&self) -> Changes {
        let changed = |(key, changes): &(PeerKey, Vec<Change>)| {
            let PeerName { isd_as, drkey_protocol } = PeerName::from(*key);
            ChangedPeer { isd_as, drkey_protocol, changes: changes.clone() }
        };
        Changes {
            added: self.added.iter().copied().map(PeerName::from).collect(),
            removed: self.removed.iter().copied().map(PeerName::from).collect(),
            changed: self.changed.iter().map(changed).collect(),
            unchanged: self.unchanged,
            ..Changes::default()
        }
    }
}

impl From<PeerKey> for PeerName {
    fn from(key: PeerKey) -> Self {
        Self { isd_as: key.isd_as.to_string(), drkey_protocol: key.protocol.0 }
    }
}

fn changes(old: &ListedPeer, new: &ListedPeer) -> Vec<Change> {
    let differs = [
        (Change::Name, old.name != new.name),
        (Change::Prefixes, old.prefixes != new.prefixes),
        (Change::Limit, old.limit != new.limit),
        (Change::BestEffort, old.refuse_best_effort != new.refuse_best_effort),
        (Change::Encapsulation, old.encapsulation != new.encapsulation),
        (Change::Keys, !same_source(&old.source, &new.source)),
    ];
    differs.into_iter().filter_map(|(change, differs)| differs.then_some(change)).collect()
}
