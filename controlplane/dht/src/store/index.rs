//! What there is, without looking at the disk, and what gives way when there is no room.

use std::collections::{BTreeMap, HashMap};

use super::{Keep, Usage};
use crate::id::{Distance, Id};

/// The values, and in which order they give way: cached ones first, the one that was not used for longest; then those that are held for
/// others, the one first whose key is farthest from the node.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) entries: HashMap<Id, Entry>,
    by_use: BTreeMap<u64, Id>,
    by_distance: BTreeMap<Distance, Id>,
    node: Id,
    /// Counts uses.
    uses: u64,
    pub(super) usage: Usage,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) size: u32,
    pub(super) keep: Keep,
    /// When it was last used, in uses.
    used: u64,
}

impl Index {
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self {
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            by_distance: BTreeMap::new(),
            node: Id([0; Id::LENGTH]),
            uses: 0,
            usage: Usage { limit_bytes, ..Usage::default() },
        }
    }

    /// From now on distances are those from this node.
    pub(super) fn set_node(&mut self, node: Id) {
        self.node = node;
        let held = self.entries.iter().filter(|(_, entry)| entry.keep == Keep::Held);
        self.by_distance = held.map(|(key, _)| (key.distance(&node), *key)).collect();
    }

    pub(super) fn insert(&mut self, key: Id, size: u32, keep: Keep) {
        self.uses += 1;
        self.entries.insert(key, Entry { size, keep, used: self.uses });
        self.count(size, keep, 1);
        match keep {
            Keep::Cached => drop(self.by_use.insert(self.uses, key)),
            Keep::Held => drop(self.by_distance.insert(key.distance(&self.node), key)),
            Keep::Own => {}
        }
    }

    pub(super) fn remove(&mut self, key: Id) -> Option<Keep> {
        let entry = self.entries.remove(&key)?;
        self.by_use.remove(&entry.used);
        self.by_distance.remove(&key.distance(&self.node));
        self.count(entry.size, entry.keep, -1);
        Some(entry.keep)
    }

    pub(super) fn set_keep(&mut self, key: Id, keep: Keep) {
        let Some(entry) = self.entries.get(&key) else { return };
        let size = entry.size;
        self.remove(key);
        self.insert(key, size, keep);
    }

    pub(super) fn touch(&mut self, key: Id) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if entry.keep == Keep::Cached {
            self.by_use.remove(&entry.used);
            self.uses += 1;
            entry.used = self.uses;
            self.by_use.insert(entry.used, key);
        }
    }

    /// Makes room for a value of `bytes`, if those that may give way to it are long enough together. Gives those that did, and why they
    /// were kept.
    pub(super) fn make_room(&mut self, key: Id, bytes: u64, keep: Keep) -> Option<Vec<(Id, Keep)>> {
        let Usage { held_bytes, cached_bytes, limit_bytes, .. } = self.usage;
        let mut missing = (held_bytes + cached_bytes + bytes).saturating_sub(limit_bytes);
        let distance = key.distance(&self.node);
        let may_displace = |other: &Distance| match keep {
            Keep::Cached => false,
            Keep::Held => *other > distance,
            Keep::Own => true,
        };
        let farther = self.by_distance.iter().rev().take_while(|(distance, _)| may_displace(distance));
        let mut give_way = self.by_use.values().chain(farther.map(|(_, key)| key));
        let mut chosen = Vec::new();
        while missing > 0 {
            let next = *give_way.next()?;
            missing = missing.saturating_sub(self.entries[&next].size.into());
            chosen.push(next);
        }
        Some(chosen.into_iter().filter_map(|key| Some((key, self.evict(key)?))).collect())
    }

    /// Drops cached values until there is room for all others, or none is left. Gives those dropped.
    pub(super) fn shrink(&mut self) -> Vec<(Id, Keep)> {
        let mut dropped = Vec::new();
        while self.usage.held_bytes + self.usage.cached_bytes > self.usage.limit_bytes {
            let Some(&key) = self.by_use.values().next() else { break };
            dropped.extend(self.evict(key).map(|keep| (key, keep)));
        }
        dropped
    }

    fn evict(&mut self, key: Id) -> Option<Keep> {
        let keep = self.remove(key)?;
        self.usage.evicted += u64::from(keep == Keep::Cached);
        self.usage.displaced += u64::from(keep == Keep::Held);
        Some(keep)
    }

    fn count(&mut self, size: u32, keep: Keep, by: i64) {
        let usage = &mut self.usage;
        let (values, bytes) = match keep {
            Keep::Own | Keep::Held => (&mut usage.held, &mut usage.held_bytes),
            Keep::Cached => (&mut usage.cached, &mut usage.cached_bytes),
        };
        *values = values.checked_add_signed(by as isize).expect("what is removed was counted");
        *bytes = bytes.checked_add_signed(by * i64::from(size)).expect("what is removed was counted");
    }
}
