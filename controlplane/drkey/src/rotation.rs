//! Which keys are held for a peer when they come from shared secrets: a function of the time alone.

use photongate_wire::{IsdAs, UnixNanos};

use crate::derivation::AsPair;
use crate::key_set::{AsAsKey, KeySet};
use crate::key_times::KeyTimes;
use crate::shared_secret::{SharedSecrets, shared_secret_key};
use crate::terms::{RotationError, Term, Terms};

/// The schedule of one peer's keys.
#[derive(Debug)]
pub struct Rotation {
    local: IsdAs,
    peer: IsdAs,
    secrets: SharedSecrets,
    terms: Terms,
    times: KeyTimes,
}

impl Rotation {
    /// The schedule of the keys between `local` and `peer`, made of `secrets`.
    ///
    /// # Errors
    /// [`RotationError`] if the schedule would need more than two keys at once.
    pub fn new(local: IsdAs, peer: IsdAs, secrets: SharedSecrets, times: KeyTimes) -> Result<Self, RotationError> {
        let terms = Terms::new(secrets.starts(), times)?;
        Ok(Self { local, peer, secrets, terms, times })
    }

    /// The keys to hold at `now`.
    pub fn key_set(&self, now: UnixNanos) -> KeySet {
        let Line { previous, current, next } = self.line(now);
        let inbound = |term| self.key(AsPair { fast: self.local, slow: self.peer }, term);
        let outbound = |term| self.key(AsPair { fast: self.peer, slow: self.local }, term);
        match next.filter(|next| next.from <= now) {
            Some(next) => KeySet {
                inbound: Some(inbound(next.term)),
                inbound_old: current.map(inbound).map(Box::new),
                outbound: Some(outbound(next.term)),
                outbound_old: current.map(outbound).map(Box::new),
            },
            None => {
                let previous = previous.filter(|previous| now < previous.until).map(|previous| previous.term);
                KeySet {
                    inbound: current.map(inbound),
                    inbound_old: previous.map(inbound).map(Box::new),
                    outbound: current.map(outbound),
                    outbound_old: previous.map(outbound).map(Box::new),
                }
            }
        }
    }

    /// The first instant after `now` at which [`Rotation::key_set`] may differ; `None` if it never will.
    pub fn next_change(&self, now: UnixNanos) -> Option<UnixNanos> {
        let Line { previous, next, .. } = self.line(now);
        let changes = [previous.map(|held| held.until), next.map(|held| held.from), next.map(|held| held.term.since)];
        changes.into_iter().flatten().filter(|change| *change > now).min()
    }

    fn key(&self, pair: AsPair, term: Term) -> AsAsKey {
        let secret = self.secrets.starting(term.not_before).expect("terms are those of the secrets");
        AsAsKey::new(&shared_secret_key(secret.secret(), pair, term.epoch), term.epoch)
    }

    fn line(&self, now: UnixNanos) -> Line {
        let current = self.terms.at(now);
        let previous = current.and_then(|current| {
            let term = self.terms.at(UnixNanos(current.since.0.checked_sub(1)?))?;
            Some(Leaving { term, until: term.epoch.end.saturating_add(self.times.tail()) })
        });
        let next = current.map_or(self.terms.first(), |current| Some(current.epoch.end)).and_then(|start| {
            let term = self.terms.at(start).filter(|term| term.since > now)?;
            let from = term.epoch.start.saturating_sub(self.times.lead());
            // An epoch of a new secret may have begun while the key before the current one may still be valid.
            let free = previous.map_or(from, |previous| previous.until);
            Some(Coming { term, from: from.max(free) })
        });
        Line { previous, current, next }
    }
}

/// The terms around an instant.
struct Line {
    previous: Option<Leaving>,
    current: Option<Term>,
    next: Option<Coming>,
}

/// A term that is over; its key is held `until` no packet can have it any more.
#[derive(Clone, Copy)]
struct Leaving {
    term: Term,
    until: UnixNanos,
}

/// A term that has not begun; its key is held `from` some time before.
#[derive(Clone, Copy)]
struct Coming {
    term: Term,
    from: UnixNanos,
}

#[cfg(test)]
mod tests;
