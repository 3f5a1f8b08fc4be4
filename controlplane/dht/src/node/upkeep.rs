//! What is due from time to time: silent contacts, neglected buckets, values to announce, what is over.

use photongate_wire::Nanos;

use super::{Errand, Node, Notice, Wanted};
use crate::id::Id;

impl Node {
    /// Does what is due, every now and then. Nodes begin with it at different times.
    pub(super) fn look_after(&mut self) {
        let every = self.settings.timing.upkeep;
        let Some(at) = self.upkeep_at else {
            self.tokens.change(self.now, self.settings.timing.token, &mut self.random);
            self.upkeep_at = Some(self.within(every));
            return;
        };
        if at > self.now {
            return;
        }
        self.upkeep_at = Some(self.now.saturating_add(every));
        self.tokens.change(self.now, self.settings.timing.token, &mut self.random);
        self.providers.expire(self.now);
        let lost = before(self.now, ARRIVAL);
        self.arriving.retain(|_, since| Some(*since) > lost);
        self.ping_unheard();
        self.look_for_neglected();
        self.announce_due();
        self.notice_loneliness();
    }

    fn ping_unheard(&mut self) {
        let Some(since) = before(self.now, self.settings.timing.stale) else { return };
        let unheard: Vec<_> = self.table.unheard(since).collect();
        unheard.into_iter().for_each(|contact| self.ping(contact));
    }

    fn look_for_neglected(&mut self) {
        let since = before(self.now, self.settings.timing.refresh);
        if self.errands.is_refreshing() {
            return;
        }
        if self.is_joined && self.looked_around < since {
            self.look_around();
        } else {
            self.look_into(since);
        }
    }

    /// Looks for the nodes nearest to this one.
    pub(super) fn look_around(&mut self) {
        self.looked_around = Some(self.now);
        self.begin(Errand::Refresh, Wanted::Nodes(self.me.id));
    }

    /// Looks up something in the most neglected bucket: one in which nothing was looked up at all, or not after `since`.
    pub(super) fn look_into(&mut self, since: Option<Nanos>) {
        if let Some(bucket) = self.table.neglected(since) {
            let mut random = Id([0; Id::LENGTH]);
            (self.random)(&mut random.0);
            let target = self.table.id_in(bucket, &random);
            self.begin(Errand::Refresh, Wanted::Nodes(target));
        }
    }

    fn announce_due(&mut self) {
        let due: Vec<_> = self.providers.due(self.now).take(self.settings.limits.lookups / 2).collect();
        for key in due {
            // If the look-up should get lost it is due again.
            let again = self.republish_at(false);
            if let Some(held) = self.providers.held_mut(&key) {
                held.due = Some(again);
            }
            self.begin(Errand::Announce(None), Wanted::Nodes(key));
        }
    }

    fn notice_loneliness(&mut self) {
        if self.is_joined && self.table.contacts().next().is_none() {
            self.is_joined = false;
            self.notice(Notice::Alone);
        }
    }
}

fn before(now: Nanos, span: Nanos) -> Option<Nanos> {
    now.0.checked_sub(span.0).map(Nanos)
}

/// A value that did not arrive within this time will not.
const ARRIVAL: Nanos = Nanos::from_secs(300);
