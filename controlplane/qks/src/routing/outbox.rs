//! What one neighbour has yet to acknowledge.

use std::collections::{BTreeMap, BTreeSet};

use photongate_wire::Nanos;

use super::advertisement::{Key, Stamp};

/// The advertisements that a neighbour may not have. One message of them is under way at a time: what comes meanwhile
/// goes with the next, and a neighbour that does not answer is asked more and more seldom.
#[derive(Debug)]
pub(super) struct Outbox {
    waiting: BTreeSet<Key>,
    sent: BTreeMap<Key, Stamp>,
    sent_at: Nanos,
    patience: Nanos,
    patience_at_first: Nanos,
}

impl Outbox {
    pub(super) const fn new(patience: Nanos) -> Self {
        Self {
            waiting: BTreeSet::new(),
            sent: BTreeMap::new(),
            sent_at: Nanos(0),
            patience,
            patience_at_first: patience,
        }
    }

    /// The advertisement is to be sent. One that does not fit is left to the next comparison of summaries.
    pub(super) fn put(&mut self, key: Key) {
        if self.waiting.len() < LONGEST {
            self.waiting.insert(key);
        }
    }

    /// The neighbour has the advertisement, or a newer one.
    pub(super) fn acknowledge(&mut self, key: &Key, stamp: Stamp, newest: Option<Stamp>) {
        if self.sent.get(key).is_some_and(|sent| *sent <= stamp) {
            self.sent.remove(key);
            self.patience = self.patience_at_first;
        }
        if newest.is_none_or(|newest| newest <= stamp) {
            self.waiting.remove(key);
        }
    }

    /// What is to be sent now, given what there is of an advertisement: its stamp and what it weighs. `None` for one that is
    /// no longer there.
    pub(super) fn take(
        &mut self,
        now: Nanos,
        most: usize,
        heavy: usize,
        what: impl Fn(&Key) -> Option<(Stamp, usize)>,
    ) -> Vec<Key> {
        if !self.sent.is_empty() {
            if now < self.sent_at.saturating_add(self.patience) {
                return Vec::new();
            }
            self.patience =
                Nanos(self.patience.0.saturating_mul(2).min(self.patience_at_first.0.saturating_mul(MOST_PATIENCE)));
            self.waiting.extend(std::mem::take(&mut self.sent).into_keys());
        }
        let mut weight = 0;
        while self.sent.len() < most && weight < heavy {
            let Some(key) = self.waiting.pop_first() else { break };
            if let Some((stamp, more)) = what(&key) {
                weight += more;
                self.sent.insert(key, stamp);
            }
        }
        self.sent_at = now;
        self.sent.keys().cloned().collect()
    }

    /// Whether nothing is to be sent and everything is acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty()
    }
}

const LONGEST: usize = 16 * 1024;
/// How many times the first patience an answer is waited for at most.
const MOST_PATIENCE: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::advertisement::Kind;

    #[test]
    fn the_next_message_waits_for_the_acknowledgement_of_the_last() {
        let mut outbox = Outbox::new(Nanos(10));
        outbox.put(key("a"));
        assert_eq!(take(&mut outbox, 0), [key("a")]);
        outbox.put(key("b"));
        assert_eq!(take(&mut outbox, 9), []);
        outbox.acknowledge(&key("a"), STAMP, Some(STAMP));
        assert_eq!(take(&mut outbox, 9), [key("b")]);
        outbox.acknowledge(&key("b"), STAMP, Some(STAMP));
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again_with_growing_patience() {
        let mut outbox = Outbox::new(Nanos(10));
        outbox.put(key("a"));
        let times: Vec<_> = (0..1_000).filter(|now| !take(&mut outbox, *now).is_empty()).collect();
        assert_eq!(times, [0, 10, 30, 70, 150, 310, 470, 630, 790, 950]);
    }

    #[test]
    fn an_acknowledgement_of_something_older_does_not_count() {
        let mut outbox = Outbox::new(Nanos(10));
        outbox.put(key("a"));
        take(&mut outbox, 0);
        outbox.acknowledge(&key("a"), Stamp::first(0), Some(STAMP));
        assert_eq!(take(&mut outbox, 10), [key("a")]);
    }

    #[test]
    fn it_holds_no_more_than_its_bound() {
        let mut outbox = Outbox::new(Nanos(10));
        (0..2 * LONGEST).for_each(|number| outbox.put(key(&number.to_string())));
        assert_eq!(outbox.waiting.len(), LONGEST);
    }

    fn take(outbox: &mut Outbox, now: u64) -> Vec<Key> {
        outbox.take(Nanos(now), 5, usize::MAX, |_| Some((STAMP, 1)))
    }

    fn key(origin: &str) -> Key {
        Key { origin: origin.parse().unwrap(), kind: Kind::Adjacent, page: 0 }
    }

    const STAMP: Stamp = Stamp { boot: 1, sequence: 1 };
}
