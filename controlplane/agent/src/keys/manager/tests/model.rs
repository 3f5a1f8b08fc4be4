//! The rules of the containers once more, as plainly as they can be said, to hold the manager against.

use super::*;

/// One lane: at most two keys in containers, in the order in which they are used, and at most one that waits.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) containers: Vec<ModelKey>,
    waiting: Option<ModelKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ModelKey {
    pub(super) id: [u8; 16],
    pub(super) epoch: Epoch,
    pub(super) handover: UnixNanos,
    pub(super) former: bool,
    /// From when on it is known to be the one to send with.
    pub(super) known: UnixNanos,
}

impl Model {
    /// Keys that are over go, and one that waits takes a free place.
    pub(super) fn advance(&mut self, direction: Direction, now: UnixNanos, times: &KeyTimes) {
        self.containers.retain(|key| now < gone(key.epoch, times));
        self.waiting = self.waiting.filter(|key| now < gone(key.epoch, times));
        self.settle(direction, now, times);
    }

    /// A key that was fetched.
    pub(super) fn receive(&mut self, key: ModelKey, direction: Direction, now: UnixNanos, times: &KeyTimes) {
        let same = |held: &&mut ModelKey| held.id == key.id && held.epoch == key.epoch;
        if let Some(held) = self.containers.iter_mut().chain(&mut self.waiting).find(same) {
            *held = key;
            return;
        }
        if direction == Direction::Outbound && key.epoch.contains(now) {
            self.containers.retain(|held| !(held.former && held.epoch.contains(now)));
        }
        self.waiting = Some(key);
        self.settle(direction, now, times);
    }

    /// The source was replaced.
    pub(super) fn distrust(&mut self) {
        self.waiting = None;
        for key in &mut self.containers {
            key.former = true;
        }
    }

    /// The clock was set back.
    pub(super) fn set_back(&mut self, now: UnixNanos, ahead: Nanos) {
        let is_known = |key: &ModelKey| key.epoch.contains(now) && key.known <= now;
        if !self.containers.iter().chain(&self.waiting).any(is_known) {
            let soon = |key: &ModelKey| key.epoch.start <= now.saturating_add(ahead);
            self.containers.retain(soon);
            self.waiting = self.waiting.filter(soon);
            for key in self.containers.iter_mut().chain(&mut self.waiting) {
                key.former |= now < key.known;
            }
        }
    }

    /// All keys go.
    pub(super) fn empty(&mut self) -> Vec<ModelKey> {
        self.containers.drain(..).chain(self.waiting.take()).collect()
    }

    fn settle(&mut self, direction: Direction, now: UnixNanos, times: &KeyTimes) {
        let Some(waiting) = self.waiting else { return };
        if self.containers.len() == 2 {
            let met = |key: &ModelKey| {
                direction == Direction::Inbound && key.epoch.start.saturating_sub(times.time_threshold) <= now
            };
            let soon = |key: &ModelKey| key.epoch.start.saturating_sub(times.time_threshold) <= now;
            // In this order: what nobody can have yet, the later first; then, if the place is needed, what a replaced source gave.
            let candidates = [
                (1, self.containers[1].former && !met(&self.containers[1])),
                (1, self.containers[1].epoch.start > waiting.epoch.start && !soon(&self.containers[1])),
                (0, self.containers[0].former && !met(&self.containers[0])),
                (0, self.containers[0].former && met(&waiting)),
                (1, self.containers[1].former && met(&waiting)),
            ];
            let Some((leaves, _)) = candidates.into_iter().find(|(_, leaves)| *leaves) else { return };
            self.containers.remove(leaves);
        }
        self.containers.push(waiting);
        self.containers.sort_by_key(|key| (key.epoch.start, !key.former));
        self.waiting = None;
    }
}

/// From when on nobody needs the key.
pub(super) fn gone(epoch: Epoch, times: &KeyTimes) -> UnixNanos {
    epoch.end.saturating_add(times.grace).saturating_add(times.time_threshold)
}
