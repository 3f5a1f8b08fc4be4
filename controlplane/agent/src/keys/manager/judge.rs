//! Which answers of a source are taken, and what follows from those that are not.

use photongate_drkey::{KeyTimes, calendar};
use photongate_wire::UnixNanos;

use super::KeyManager;
use super::lane::{Context, Lane, Trouble};
use super::pace::LONGEST_RETRY;
use super::schedule::Flight;
use super::slots::Slot;
use crate::keys::{Direction, FetchError, FetchedKey};

/// Why a lane did not get its key.
#[derive(Debug)]
pub(super) struct Refusal {
    reason: String,
    /// From when on there may be one.
    until: Option<UnixNanos>,
}

impl KeyManager {
    /// Whether the key is one that was asked for and may be used. `None` if it came too late to be of use.
    pub(super) fn judge(
        &mut self,
        fetched: FetchedKey,
        flight: Flight,
        slot: Slot,
        direction: Direction,
    ) -> Result<Option<FetchedKey>, Refusal> {
        let (now, epoch, times) = (self.now, fetched.epoch, self.pace.times);
        if !epoch.contains(flight.at) {
            return Err(Refusal::because(format!("the source gave that of {epoch} for {}", calendar(flight.at))));
        }
        KeyTimes { epoch: epoch.end.distance(epoch.start), ..times }
            .validate()
            .map_err(|error| Refusal::because(format!("the source gave one of {epoch}: {error}")))?;
        if fetched.key.is_zero() {
            return Err(Refusal::because("the source gave one that is all zeroes"));
        }
        let peer = self.peers.get(slot).expect("flights of removed peers are forgotten");
        if let Some(revoked) = self.revocation(peer.key, direction, &fetched.key) {
            let reason = format!("the source still gives the one that was revoked, of {}", revoked.epoch);
            return Err(Refusal { reason, until: Some(epoch.end) });
        }
        let lane = &peer.lanes[direction as usize];
        let last = lane.last_own();
        if let Some(last) = last
            && last.epoch != epoch
        {
            if last.key.matches(&fetched.key) {
                return Err(Refusal::because(format!("the source gave that of {} again, for {epoch}", last.epoch)));
            }
            if last.epoch.end == flight.at && epoch.start <= last.epoch.start {
                return Err(Refusal::because(format!(
                    "the source gave one of {epoch} to follow that of {}",
                    last.epoch
                )));
            }
        }
        let follows = flight.successor && last.is_some_and(|last| last.epoch.end == flight.at);
        let is_near = epoch.start <= now.saturating_add(self.pace.ahead);
        let is_gone = self.pace.of_no_use(direction, epoch) <= now;
        Ok((!is_gone && (follows || is_near)).then_some(fetched))
    }
}

impl Refusal {
    fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), until: None }
    }

    /// Settles when the lane tries again.
    pub(super) fn trouble(self, lane: &mut Lane, context: Context<'_>) {
        let Context { pace, peer, direction, now } = context;
        let until = self.until.filter(|until| now < *until);
        let earlier = lane.trouble.take();
        let attempts = earlier.as_ref().map_or(0, |trouble| trouble.attempts).saturating_add(1);
        // When the next key is known to be far ahead, it is still asked now and then: the source may have got another.
        let wait = pace.back_off(attempts, peer, direction);
        let next_attempt = match until.map(|until| context.fetch_at(until)) {
            Some(fetch) if now < fetch => fetch.min(now.saturating_add(LONGEST_RETRY)),
            // Only now is it known for which instant to ask, and a peer whose clock is ahead may soon use that key. Once only, for
            // a source may name ever later instants.
            Some(_) if attempts == 1 => now,
            _ => now.saturating_add(wait),
        };
        lane.trouble = Some(Box::new(Trouble {
            reason: self.reason.into(),
            since: earlier.as_ref().map_or(now, |trouble| trouble.since),
            attempts,
            next_attempt,
            until,
            dark_at: earlier.and_then(|trouble| trouble.dark_at),
        }));
        lane.note_darkness(context);
    }
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        let reason = error.to_string();
        match error {
            FetchError::NoKey { until, .. } => Self { reason, until },
            FetchError::Unavailable(_) | FetchError::TimedOut(_) => Self { reason, until: None },
        }
    }
}
