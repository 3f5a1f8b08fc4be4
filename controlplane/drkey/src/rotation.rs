//! Which keys are in force for a peer when they come from shared secrets: a function of the time alone.
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

use photongate_crypto::Schedule;
use photongate_wire::{IsdAs, Nanos, UnixNanos};

use crate::derivation::{AsPair, shared_secret_input};
use crate::epoch::{Epoch, calendar};
use crate::key_set::{AsAsKey, KeySet};
use crate::key_times::{EpochTooShort, KeyTimes};
use crate::shared_secret::{SharedSecret, SharedSecrets};

/// The schedule of one peer's keys.
#[derive(Debug)]
pub struct Rotation {
    local: IsdAs,
    peer: IsdAs,
    secrets: SharedSecrets,
    times: KeyTimes,
}

impl Rotation {
    /// The schedule of the keys between `local` and `peer`, made of `secrets`.
    ///
    /// # Errors
    /// [`RotationError`] if the schedule would need more than two keys at once.
    pub fn new(local: IsdAs, peer: IsdAs, secrets: SharedSecrets, times: KeyTimes) -> Result<Self, RotationError> {
        times.validate()?;
        let rotation = Self { local, peer, secrets, times };
        rotation.check_takeovers()?;
        Ok(rotation)
    }

    /// The keys to hold at `now`.
    pub fn key_set(&self, now: UnixNanos) -> KeySet {
        let Line { previous, current, next } = self.line(now);
        let inbound = |term: Term<'_>| term.key(AsPair { fast: self.local, slow: self.peer });
        let outbound = |term: Term<'_>| term.key(AsPair { fast: self.peer, slow: self.local });
        match next.filter(|next| next.from <= now) {
            Some(next) => KeySet {
                inbound: Some(inbound(next.term)),
                inbound_old: current.map(inbound),
                outbound: Some(outbound(next.term)),
                outbound_old: current.map(outbound),
            },
            None => KeySet {
                inbound: current.map(inbound),
                inbound_old: previous.filter(|previous| now < previous.until).map(|previous| inbound(previous.term)),
                outbound: current.map(outbound),
                outbound_old: None,
            },
        }
    }

    /// The first instant after `now` at which [`Rotation::key_set`] may differ; `None` if it never will.
    pub fn next_change(&self, now: UnixNanos) -> Option<UnixNanos> {
        let Line { previous, next, .. } = self.line(now);
        let changes = [previous.map(|held| held.until), next.map(|held| held.from), next.map(|held| held.term.since)];
        changes.into_iter().flatten().filter(|change| *change > now).min()
    }

    fn line(&self, now: UnixNanos) -> Line<'_> {
        let current = self.term(now);
        let previous = current.and_then(|current| {
            let term = self.term(UnixNanos(current.since.0.checked_sub(1)?))?;
            Some(Leaving { term, until: term.epoch.end.saturating_add(self.times.tail()) })
        });
        let next = current.map_or(self.secrets.first(), |current| Some(current.epoch.end)).and_then(|start| {
            let term = self.term(start).filter(|term| term.since > now)?;
            let from = term.epoch.start.saturating_sub(self.times.lead());
            // An epoch of a new secret may have begun while the key before the current one may still be valid.
            let free = previous.map_or(from, |previous| previous.until);
            Some(Coming { term, from: from.max(free) })
        });
        Line { previous, current, next }
    }

    /// The term in which `at` lies; `None` before the first.
    fn term(&self, at: UnixNanos) -> Option<Term<'_>> {
        let mut since = self.secrets.first().filter(|first| *first <= at)?;
        let (mut secret, _) = self.secrets.select(since, self.times.epoch)?;
        while let Some(takeover) = self.takeover(secret).filter(|takeover| *takeover <= at) {
            (secret, _) = self.secrets.select(takeover, self.times.epoch)?;
            since = takeover;
        }
        let epoch = secret.epoch(at, self.times.epoch)?;
        Some(Term { secret, epoch, since: epoch.start.max(since) })
    }

    /// When `secret` gives way to a newer one: at the first end of an epoch at which there is one.
    fn takeover(&self, secret: &SharedSecret) -> Option<UnixNanos> {
        let newer = self.secrets.next_after(secret.not_before())?;
        let epochs = (newer.0 - secret.not_before().0).div_ceil(self.times.epoch.0);
        let span = epochs.checked_mul(self.times.epoch.0)?;
        secret.not_before().0.checked_add(span).map(UnixNanos)
    }

    /// A secret that takes over shortly before its own first epoch ends would be in force for too short a time: its
    /// predecessor may still be valid when its successor must be there already.
    fn check_takeovers(&self) -> Result<(), RotationError> {
        let least = self.times.least_in_force();
        let mut at = self.secrets.first();
        while let Some(start) = at {
            let Some(term) = self.term(start) else { break };
            let in_force = term.epoch.end.distance(term.since);
            if in_force < least {
                return Err(RotationError::SecretTooEarly { not_before: term.secret.not_before(), in_force, least });
            }
            at = self.takeover(term.secret);
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

/// A stretch of time during which one key is in force, that is, used to send.
#[derive(Clone, Copy)]
struct Term<'s> {
    secret: &'s SharedSecret,
    /// The epoch of the key. The term ends with it, but may begin later.
    epoch: Epoch,
    since: UnixNanos,
}

impl Term<'_> {
    fn key(self, pair: AsPair) -> AsAsKey {
        let secret = Schedule::new(self.secret.secret());
        AsAsKey::new(&secret.derive(&shared_secret_input(pair, self.epoch.start)), self.epoch)
    }
}

/// The terms around an instant.
struct Line<'s> {
    previous: Option<Leaving<'s>>,
    current: Option<Term<'s>>,
    next: Option<Coming<'s>>,
}

/// A term that is over; its key is held `until` no packet can have it any more.
#[derive(Clone, Copy)]
struct Leaving<'s> {
    term: Term<'s>,
    until: UnixNanos,
}

/// A term that has not begun; its key is held `from` some time before.
#[derive(Clone, Copy)]
struct Coming<'s> {
    term: Term<'s>,
    from: UnixNanos,
}

#[cfg(test)]
mod tests;
