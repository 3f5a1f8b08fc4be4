//! When keys are fetched, tried again and let go: what follows from the configured times.

use std::hash::{DefaultHasher, Hash, Hasher};

use photongate_drkey::{Epoch, KeyTimes};
use photongate_pipeline::PeerKey;
use photongate_wire::{Nanos, UnixNanos};

use crate::keys::Direction;

/// The times, and what is derived from them. The same for all peers.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    pub(super) times: KeyTimes,
    /// How long before its predecessor ends a key is fetched at the earliest.
    pub(super) ahead: Nanos,
    /// Fetches are spread over this span.
    window: Nanos,
    first_retry: Nanos,
    last_retry: Nanos,
    seed: u64,
}

/// How long a source may take for one key: a fetch that fails in the first half of the prefetch period leaves time for another.
pub(crate) fn fetch_timeout(times: &KeyTimes) -> Nanos {
    Nanos(times.prefetch.0 / 4).clamp(SHORTEST_TIMEOUT, LONGEST_TIMEOUT)
}

impl Pace {
    pub(super) fn new(times: KeyTimes, seed: u64) -> Self {
        let timeout = fetch_timeout(&times);
        // Where the prefetch period is shorter than the clock skew, there would be no time to fetch anything.
        let least = times.time_threshold.saturating_add(timeout).saturating_add(timeout);
        let ahead = times.lead().max(least);
        let room = ahead.0 - times.time_threshold.0 - timeout.0;
        let first_retry = Nanos(times.prefetch.0 / 20).clamp(Nanos::from_millis(50), Nanos::from_secs(1));
        let last_retry = Nanos(times.prefetch.0 / 4).clamp(first_retry, LONGEST_RETRY);
        Self { times, ahead, window: Nanos(room.min(ahead.0 / 2)), first_retry, last_retry, seed }
    }

    /// From when on nobody needs the key any more: no packet that arrives can have it, and no worker acts by an instant at which it
    /// was sent with. Workers read the clock once a burst, and may be held up after that.
    pub(super) fn gone(&self, epoch: Epoch) -> UnixNanos {
        epoch.end.saturating_add(self.times.tail())
    }

    /// From when on packets in this direction cannot be protected with the key.
    pub(super) fn of_no_use(&self, direction: Direction, epoch: Epoch) -> UnixNanos {
        match direction {
            Direction::Inbound => self.gone(epoch),
            Direction::Outbound => epoch.end,
        }
    }

    /// How long a key that was revoked must be refused: far beyond its end, for the clock may be set back after it.
    pub(super) fn refused_until(&self, epoch: Epoch) -> UnixNanos {
        epoch.end.saturating_add(self.times.tail()).saturating_add(MOST_SET_BACK)
    }

    /// From when on a peer whose clock is ahead may send with the key.
    pub(super) fn met_from(&self, epoch: Epoch) -> UnixNanos {
        epoch.start.saturating_sub(self.times.time_threshold)
    }

    /// When the key is fetched that is to be held from shortly before `handover` on: each peer and direction at another time, lest all
    /// ask at once.
    pub(super) fn fetch_at(&self, handover: UnixNanos, peer: PeerKey, direction: Direction) -> UnixNanos {
        let offset = self.share(self.window, (peer, direction));
        handover.saturating_sub(self.ahead).saturating_add(offset)
    }

    /// How long to wait after the attempt numbered `attempts` has failed: twice as long each time, and not all for the same time.
    pub(super) fn back_off(&self, attempts: u32, peer: PeerKey, direction: Direction) -> Nanos {
        let doublings = attempts.saturating_sub(1).min(30);
        let whole = Nanos(self.first_retry.0 << doublings).min(self.last_retry);
        Nanos(whole.0 / 2).saturating_add(self.share(Nanos(whole.0 / 2), (peer, direction, attempts)))
    }

    /// The longest time after which it is tried again in any case.
    pub(super) fn last_retry(&self) -> Nanos {
        self.last_retry
    }

    /// A part of `span`, the same for the same seed and `what`, evenly distributed.
    fn share(&self, span: Nanos, what: impl Hash) -> Nanos {
        let mut hasher = DefaultHasher::new();
        (self.seed, what).hash(&mut hasher);
        let share = (u128::from(span.0) * u128::from(hasher.finish())) >> u64::BITS;
        Nanos(share as u64)
    }
}

/// However far ahead the next key is known to be, its source is asked this often.
pub(super) const LONGEST_RETRY: Nanos = Nanos::from_secs(60);

/// A clock that was wrong by more than this, and is set right, may bring back what was revoked.
const MOST_SET_BACK: Nanos = Nanos::from_secs(30 * 24 * 3_600);
const SHORTEST_TIMEOUT: Nanos = Nanos::from_millis(100);
const LONGEST_TIMEOUT: Nanos = Nanos::from_secs(10);

#[cfg(test)]
mod tests {
    use photongate_drkey::Protocol;
    use photongate_wire::IsdAs;

    use super::*;

    #[test]
    fn fetches_are_spread_evenly_over_the_first_half_of_the_prefetch_period() {
        let pace = pace(3_600, 1);
        let end = UnixNanos(Nanos::from_secs(100_000).0);
        let mut tenths = [0; 10];
        for number in 0..10_000 {
            let before = end.distance(pace.fetch_at(end, peer(number), Direction::Inbound)).0;
            let into = Nanos::from_secs(3_600).0 - before;
            tenths[(into * 10 / Nanos::from_secs(1_800).0) as usize] += 1;
        }
        assert!(tenths.iter().all(|fetches| (850..1_150).contains(fetches)), "{tenths:?}");
    }

    #[test]
    fn the_directions_of_a_peer_are_fetched_apart() {
        let pace = pace(3_600, 1);
        let end = UnixNanos(Nanos::from_secs(100_000).0);
        let [inbound, outbound] = Direction::BOTH.map(|direction| pace.fetch_at(end, peer(1), direction));
        assert_ne!(inbound, outbound);
    }

    #[test]
    fn however_the_times_are_chosen_a_fetch_that_takes_all_its_time_is_over_when_a_peer_may_use_the_key() {
        let end = UnixNanos(Nanos::from_secs(100_000).0);
        for (prefetch, threshold) in [(30, 1), (2, 2), (0, 5), (5, 60), (40, 39), (0, 0)] {
            let pace = pace(prefetch, threshold);
            for number in 0..1_000 {
                let fetch = pace.fetch_at(end, peer(number), Direction::Outbound);
                let done = fetch.saturating_add(fetch_timeout(&pace.times));
                assert!(done <= end.saturating_sub(pace.times.time_threshold), "{prefetch} {threshold}: {done:?}");
            }
        }
    }

    #[test]
    fn retries_come_ever_later_within_bounds_and_not_all_at_once() {
        let pace = pace(40, 1);
        let waits: Vec<_> = (1..100).map(|attempts| pace.back_off(attempts, peer(1), Direction::Inbound)).collect();
        assert!(waits[0] >= Nanos::from_millis(500) && waits[0] <= Nanos::from_secs(1), "{waits:?}");
        assert!(waits[4..].iter().all(|wait| (Nanos::from_secs(5)..=Nanos::from_secs(10)).contains(wait)), "{waits:?}");
        let peers = (0..100).map(|number| pace.back_off(9, peer(number), Direction::Inbound));
        assert!(peers.collect::<std::collections::BTreeSet<_>>().len() > 90);
    }

    fn pace(prefetch: u64, time_threshold: u64) -> Pace {
        let [prefetch, time_threshold] = [prefetch, time_threshold].map(Nanos::from_secs);
        Pace::new(KeyTimes { prefetch, time_threshold, ..KeyTimes::default() }, 7)
    }

    fn peer(number: u64) -> PeerKey {
        PeerKey { isd_as: IsdAs::from_bits(number), protocol: Protocol(3) }
    }
}
