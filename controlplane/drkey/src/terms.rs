//! Which of the secrets shared with a peer makes the key of a moment, and in which of its epochs: a function of the time alone.
//!
//! LightningFilter fetches a key when it starts and again whenever one ends, each time with the newest secret that may be
//! used at that instant. A secret that comes into use within an epoch is therefore taken up only when the epoch ends
//! by an instance that was running before, but at once by one that was started since, and the two cannot talk until then.
//! We behave as an instance that has been running since the first of its secrets came into use. So two hosts agree
//! whenever they were started, and with every LightningFilter that was given the secret ahead of time. As long as an old
//! secret is in force it must stay configured: without it, we would be like an instance that never had it.
//!
//! What we receive may also be from the other kind of instance: the key that comes next is accepted from the
//! beginning of its own epoch, even when that is long before it is in force.

use photongate_wire::{Nanos, UnixNanos};

use crate::epoch::{Epoch, calendar};
use crate::key_times::{EpochTooShort, KeyTimes};

/// When each of several secrets is in force. Knows when they may be used, not what they are.
#[derive(Clone, Debug)]
pub struct Terms {
    /// When the secrets come into use: ascending, no two the same.
    starts: Vec<UnixNanos>,
    times: KeyTimes,
}

/// A stretch of time during which one key is in force, that is, used to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// The secret that the key is made of, by the instant at which it comes into use.
    pub not_before: UnixNanos,
    /// The epoch of the key. The term ends with it, but may begin later.
    pub epoch: Epoch,
    /// The first instant of the term.
    pub since: UnixNanos,
}

impl Terms {
    /// The terms of secrets that come into use at `starts`, in any order.
    ///
    /// # Errors
    /// [`RotationError`] if more than two keys would be needed at once.
    pub fn new(starts: impl IntoIterator<Item = UnixNanos>, times: KeyTimes) -> Result<Self, RotationError> {
        times.validate()?;
        let mut starts: Vec<_> = starts.into_iter().collect();
        starts.sort_unstable();
        starts.dedup();
        let terms = Self { starts, times };
        terms.check_takeovers()?;
        Ok(terms)
    }

    /// When the first secret comes into use, and the first term begins.
    pub fn first(&self) -> Option<UnixNanos> {
        self.starts.first().copied()
    }

    /// The term in which `at` lies; `None` before the first.
    pub fn at(&self, at: UnixNanos) -> Option<Term> {
        let mut since = self.first().filter(|first| *first <= at)?;
        let mut not_before = self.newest(since)?;
        while let Some(takeover) = self.takeover(not_before).filter(|takeover| *takeover <= at) {
            not_before = self.newest(takeover)?;
            since = takeover;
        }
        let epoch = Epoch::counted_from(not_before, at, self.times.epoch)?;
        Some(Term { not_before, epoch, since: epoch.start.max(since) })
    }

    /// When the epoch of the key after that of `term` begins, if `term` is not over by then.
    pub fn early_successor(&self, term: Term) -> Option<UnixNanos> {
        let next = self.at(term.epoch.end)?;
        (next.epoch.start < term.epoch.end).then_some(next.epoch.start)
    }

    /// The newest secret that may be used at `at`.
    fn newest(&self, at: UnixNanos) -> Option<UnixNanos> {
        self.starts.iter().copied().rfind(|start| *start <= at)
    }

    /// When a secret gives way to a newer one: at the first end of an epoch at which there is one.
    fn takeover(&self, not_before: UnixNanos) -> Option<UnixNanos> {
        let newer = self.starts.iter().find(|start| **start > not_before)?;
        let epochs = (newer.0 - not_before.0).div_ceil(self.times.epoch.0);
        let span = epochs.checked_mul(self.times.epoch.0)?;
        not_before.0.checked_add(span).map(UnixNanos)
    }

    /// A secret that takes over shortly before its own first epoch ends would be in force for too short a time: its
    /// predecessor may still be valid when its successor must be there already.
    fn check_takeovers(&self) -> Result<(), RotationError> {
        let least = self.times.least_in_force();
        let mut at = self.first();
        while let Some(start) = at {
            let Some(term) = self.at(start) else { break };
            let in_force = term.epoch.end.distance(term.since);
            if in_force < least {
                return Err(RotationError::SecretTooEarly { not_before: term.not_before, in_force, least });
            }
            at = self.takeover(term.not_before);
        }
        Ok(())
    }
}

/// Why there is no schedule that makes do with two keys at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// The times leave no room for one another.
    #[error(transparent)]
    EpochTooShort(#[from] EpochTooShort),
    /// A secret comes into use right after an epoch of the one before it began.
    #[error(
        "the shared secret with not_before {} begins too soon after an epoch of the one before it: its first key would be \
         used for {in_force}, and must be for {least}; set not_before {in_force} earlier, or at least {} later",
        calendar(*not_before), Nanos(least.0 - in_force.0)
    )]
    SecretTooEarly {
        /// When the secret comes into use.
        not_before: UnixNanos,
        /// How long the first key made of it would be in force.
        in_force: Nanos,
        /// How long a key must be in force.
        least: Nanos,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret, by its `not_before`, and the epoch of the key in force at `at`. Epochs are 100 s long, times short.
    fn in_force(starts: &[u64], at: u64) -> Option<(u64, u64, u64)> {
        let term = terms(starts).at(seconds(at))?;
        let [not_before, start, end] = [term.not_before, term.epoch.start, term.epoch.end].map(|at| at.0 / SECOND);
        Some((not_before, start, end))
    }

    #[test]
    fn epochs_follow_one_another_from_the_beginning_of_the_secret() {
        assert_eq!(in_force(&[1_030], 1_029), None);
        assert_eq!(in_force(&[1_030], 1_030), Some((1_030, 1_030, 1_130)));
        assert_eq!(in_force(&[1_030], 1_129), Some((1_030, 1_030, 1_130)));
        assert_eq!(in_force(&[1_030], 1_130), Some((1_030, 1_130, 1_230)));
    }

    #[test]
    fn a_newer_secret_takes_over_when_an_epoch_ends_in_whatever_order_they_are_given() {
        let starts = [1_250, 9_000, 1_000];
        assert_eq!(in_force(&starts, 1_250), Some((1_000, 1_200, 1_300)));
        assert_eq!(in_force(&starts, 1_300), Some((1_250, 1_250, 1_350)));
        assert_eq!(in_force(&starts, 9_049), Some((1_250, 8_950, 9_050)));
        assert_eq!(in_force(&starts, 9_050), Some((9_000, 9_000, 9_100)));
    }

    #[test]
    fn only_a_successor_of_another_secret_may_begin_before_its_predecessor_ends() {
        let terms = terms(&[1_000, 1_240]);
        let early = |at| terms.early_successor(terms.at(seconds(at)).unwrap());
        assert_eq!(early(1_100), None);
        assert_eq!(early(1_200), Some(seconds(1_240)));
        assert_eq!(early(1_300), None);
    }

    fn terms(starts: &[u64]) -> Terms {
        let times = KeyTimes { epoch: Nanos::from_secs(100), ..KeyTimes::default() };
        Terms::new(starts.iter().copied().map(seconds), times).unwrap()
    }

    fn seconds(seconds: u64) -> UnixNanos {
        UnixNanos(seconds * SECOND)
    }

    const SECOND: u64 = 1_000_000_000;
}
