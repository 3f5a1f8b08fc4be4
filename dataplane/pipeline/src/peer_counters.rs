//! What a worker counts for one peer. One writer (the worker), any number of readers, no lock.

use crate::counters::{Count, Pair, Tally};
use crate::verdict::{DropReason, Verdict};
use photongate_crypto::backend::prefetch;

/// What one worker has counted for one peer: a packet and a byte counter for each verdict that a packet of a known peer can meet.
///
/// As [`VerdictCounters`](crate::VerdictCounters), but small, since there is one for every peer and worker. The counters of a peer's
/// workers lie side by side without padding between them. In its place are verdicts that are rare, at the beginning and the end:
/// those that workers count all the time are thus two cache lines apart, and no worker waits for another's.
#[derive(Debug, Default)]
pub struct PeerCounters([Pair; PLACES]);

impl PeerCounters {
    /// Begins to fetch what is counted most.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch(&self.0[OFTEN]);
    }

    /// Counts one packet of `bytes` bytes, Ethernet header included, as it arrived.
    #[inline]
    pub fn count(&self, verdict: Verdict, bytes: usize) {
        debug_assert!(place(verdict).is_some(), "{verdict:?} is decided before the peer is looked up");
        if let Some(pair) = place(verdict).and_then(|place| self.0.get(place)) {
            pair.count(bytes);
        }
    }

    /// The counts as they stand now.
    pub fn snapshot(&self) -> Tally {
        let mut tally = Tally::default();
        for verdict in Verdict::all() {
            tally.0[verdict.index()] = place(verdict).map_or(Count::default(), |place| self.0[place].read());
        }
        tally
    }
}

/// Where a verdict is counted; `None` if it is decided before the peer is looked up.
#[inline]
const fn place(verdict: Verdict) -> Option<usize> {
    match verdict {
        Verdict::Accepted => Some(OFTEN),
        Verdict::Outbound => Some(10),
        Verdict::BestEffort | Verdict::Control => None,
        Verdict::Dropped(reason) => match reason {
            DropReason::Malformed => Some(0),
            DropReason::MalformedHeader => Some(1),
            DropReason::NoHeadroom => Some(2),
            DropReason::TooBig => Some(3),
            DropReason::TimestampInFuture => Some(4),
            DropReason::RateLimitWireGuardData => Some(5),
            DropReason::RateLimitDestination => Some(6),
            DropReason::RateLimitPeer => Some(7),
            DropReason::BadMac => Some(8),
            DropReason::Duplicate => Some(11),
            DropReason::BadHash => Some(12),
            DropReason::TimestampTooOld => Some(13),
            DropReason::RateLimitAuthenticated => Some(14),
            DropReason::RateLimitOverall => Some(15),
            DropReason::SourceMismatch => Some(16),
            DropReason::RateLimitWireGuardHandshake => Some(17),
            DropReason::NoKey => Some(18),
            DropReason::OutboundNoKey => Some(19),
            DropReason::UnsupportedProtocol
            | DropReason::BadIpChecksum
            | DropReason::MappedAddress
            | DropReason::ControlRefused
            | DropReason::FragmentInbound
            | DropReason::FragmentOutbound
            | DropReason::UnknownPeer
            | DropReason::RateLimitBestEffort
            | DropReason::RateLimitControl
            | DropReason::BestEffortDisabled
            | DropReason::BestEffortRefused
            | DropReason::UnknownDestination => None,
        },
    }
}

const PLACES: usize = 20;

/// The place of what is accepted, beside which stand the others that are counted all the time.
const OFTEN: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_verdicts_share_a_place_and_none_is_left_empty() {
        let places: Vec<usize> = Verdict::all().filter_map(place).collect();
        assert_eq!(places.iter().copied().collect::<BTreeSet<_>>(), (0..PLACES).collect());
        assert_eq!(places.len(), PLACES);
    }

    #[test]
    fn what_is_counted_is_found_under_its_verdict() {
        let counters = PeerCounters::default();
        for verdict in Verdict::all().filter(|verdict| place(*verdict).is_some()) {
            counters.count(verdict, 100);
        }
        let tally = counters.snapshot();
        for verdict in Verdict::all() {
            assert_eq!(tally.of(verdict).packets, u64::from(place(verdict).is_some()), "{verdict:?}");
        }
        assert_eq!(tally.received(), Count { packets: PLACES as u64, bytes: 100 * PLACES as u64 });
    }

    #[test]
    fn what_two_workers_count_all_the_time_is_two_cache_lines_apart() {
        let often = [
            Verdict::Accepted,
            Verdict::Outbound,
            Verdict::Dropped(DropReason::BadMac),
            Verdict::Dropped(DropReason::Duplicate),
            Verdict::Dropped(DropReason::RateLimitPeer),
            Verdict::Dropped(DropReason::TimestampTooOld),
        ];
        let places: Vec<usize> = often.into_iter().filter_map(place).collect();
        let (first, last) = (places.iter().min().unwrap(), places.iter().max().unwrap());
        assert!((PLACES + first - last - 1) * size_of::<Pair>() >= 128);
    }

    #[test]
    fn a_worker_takes_at_most_320_bytes_for_a_peer() {
        assert!(size_of::<PeerCounters>() <= 320, "{} bytes", size_of::<PeerCounters>());
    }
}
