//! What a worker counts for one peer. One writer (the worker), any number of readers, no lock.
//!
//! Nearly all packets meet one of four verdicts. Those counters are a cache line, and those of all peers lie side by side, in a
//! [`PeerLedger`], so that with a hundred thousand peers they fill no more pages than the processor knows the places of. All others are
//! apart.

use crate::counters::{Count, Pair, Tally};
use crate::verdict::{DropReason, Verdict};
use photongate_crypto::backend::prefetch;
use std::sync::{Arc, Mutex, PoisonError};

/// Makes accounts of peers.
#[derive(Debug)]
pub struct PeerLedger {
    workers: usize,
    free: Arc<Mutex<Vec<Place>>>,
}

/// What all workers have counted for one peer.
#[derive(Debug)]
pub(crate) struct Account {
    page: OftenPage,
    at: OftenAt,
    /// By worker.
    rare: Box<[RareCounters]>,
    /// Where the place goes when it is free.
    free: Option<Arc<Mutex<Vec<Place>>>>,
}

/// Where the counters are that a peer's packets mostly need, given the page that they are on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OftenAt {
    /// The peer's, for the first worker.
    first: u16,
    /// From there to those for the next worker.
    stride: u16,
}

/// The counters of some peers: one peer after the other, and so for each worker.
pub(crate) type OftenPage = Arc<[OftenCounters]>;

/// A place for the counters of one more peer.
type Place = (OftenPage, u16);

/// What one worker has counted for one peer of the verdicts that nearly all packets meet, honest ones or an attacker's.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct OftenCounters {
    accepted: Pair,
    outbound: Pair,
    bad_mac: Pair,
    duplicate: Pair,
}

impl PeerLedger {
    /// An empty ledger for the peers of as many workers.
    pub fn new(workers: usize) -> Self {
        Self { workers, free: Arc::default() }
    }

    /// An account with all counters at zero.
    pub(crate) fn open(&self) -> Account {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.is_empty() {
            let counters = (0..usize::from(PEERS_IN_PAGE) * self.workers).map(|_| OftenCounters::default());
            let page: OftenPage = counters.collect();
            // The last is taken first.
            free.extend((0..PEERS_IN_PAGE).rev().map(|first| (Arc::clone(&page), first)));
        }
        let place = free.pop();
        drop(free);
        let Some((page, first)) = place else { return Account::alone(self.workers) };
        let at = OftenAt { first, stride: PEERS_IN_PAGE };
        Account { page, at, rare: rare(self.workers), free: Some(Arc::clone(&self.free)) }
    }
}

impl Account {
    /// An account in no ledger.
    pub(crate) fn alone(workers: usize) -> Self {
        let page = (0..workers).map(|_| OftenCounters::default()).collect();
        Self { page, at: OftenAt { first: 0, stride: 1 }, rare: rare(workers), free: None }
    }

    /// Where the counters are that are needed most.
    pub(crate) fn often(&self) -> (&OftenPage, OftenAt) {
        (&self.page, self.at)
    }

    /// Counts one packet of `bytes` bytes, as it arrived. If there is no such worker, nothing is counted.
    pub(crate) fn count(&self, worker: usize, verdict: Verdict, bytes: usize) {
        match self.at.of(&self.page, worker).and_then(|often| often.of(verdict)) {
            Some(pair) => pair.count(bytes),
            None => self.count_rare(worker, verdict, bytes),
        }
    }

    /// Counts one packet of `bytes` bytes, as it arrived, of a verdict that is not among [`OftenCounters`]. If there is no such worker,
    /// nothing is counted.
    #[cold]
    pub(crate) fn count_rare(&self, worker: usize, verdict: Verdict, bytes: usize) {
        if let Some(counters) = self.rare.get(worker) {
            counters.count(verdict, bytes);
        }
    }

    /// What all workers have counted, as it stands now.
    pub(crate) fn tally(&self) -> Tally {
        (0..self.rare.len()).fold(Tally::default(), |sum, worker| {
            let mut tally = self.rare[worker].snapshot();
            if let Some(often) = self.at.of(&self.page, worker) {
                for verdict in Verdict::all() {
                    often.of(verdict).into_iter().for_each(|pair| tally.0[verdict.index()] = pair.read());
                }
            }
            sum + tally
        })
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let Some(free) = &self.free else { return };
        // Whoever counts holds the peer, and so this.
        for often in (0..self.rare.len()).filter_map(|worker| self.at.of(&self.page, worker)) {
            Verdict::all().filter_map(|verdict| often.of(verdict)).for_each(Pair::clear);
        }
        free.lock().unwrap_or_else(PoisonError::into_inner).push((Arc::clone(&self.page), self.at.first));
    }
}

impl OftenAt {
    /// Those of `worker` on `page`.
    #[inline(always)]
    pub(crate) fn of(self, page: &OftenPage, worker: usize) -> Option<&OftenCounters> {
        page.get(usize::from(self.first) + worker * usize::from(self.stride))
    }
}

impl OftenCounters {
    /// Begins to fetch them.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        prefetch(self);
    }

    /// Those of `verdict`, if it is one of them.
    #[inline(always)]
    pub(crate) fn of(&self, verdict: Verdict) -> Option<&Pair> {
        match verdict {
            Verdict::Accepted => Some(&self.accepted),
            Verdict::Outbound => Some(&self.outbound),
            Verdict::Dropped(DropReason::BadMac) => Some(&self.bad_mac),
            Verdict::Dropped(DropReason::Duplicate) => Some(&self.duplicate),
            _ => None,
        }
    }
}

/// What one worker has counted for one peer: a packet and a byte counter for each verdict that a packet of a known peer can meet, but for
/// those in [`OftenCounters`].
///
/// As [`VerdictCounters`](crate::VerdictCounters), but small, since there is one for every peer and worker. The counters of a peer's
/// workers lie side by side without padding between them. In its place are verdicts that are rare, at the beginning and the end:
/// those that workers may count for long are thus two cache lines apart, and no worker waits for another's.
#[derive(Debug, Default)]
struct RareCounters([Pair; PLACES]);

impl RareCounters {
    /// Counts one packet of `bytes` bytes, Ethernet header included, as it arrived.
    #[inline]
    fn count(&self, verdict: Verdict, bytes: usize) {
        debug_assert!(place(verdict).is_some(), "{verdict:?} is decided before the peer is looked up");
        if let Some(pair) = place(verdict).and_then(|place| self.0.get(place)) {
            pair.count(bytes);
        }
    }

    /// The counts as they stand now.
    fn snapshot(&self) -> Tally {
        let mut tally = Tally::default();
        for verdict in Verdict::all() {
            tally.0[verdict.index()] = place(verdict).map_or(Count::default(), |place| self.0[place].read());
        }
        tally
    }
}

fn rare(workers: usize) -> Box<[RareCounters]> {
    (0..workers).map(|_| RareCounters::default()).collect()
}

/// Where a verdict is counted; `None` if it is counted elsewhere, or decided before the peer is looked up.
#[inline]
const fn place(verdict: Verdict) -> Option<usize> {
    match verdict {
        Verdict::Accepted | Verdict::Outbound | Verdict::BestEffort | Verdict::Control => None,
        Verdict::Dropped(reason) => match reason {
            DropReason::Malformed => Some(0),
            DropReason::MalformedHeader => Some(1),
            DropReason::NoHeadroom => Some(2),
            DropReason::TooBig => Some(3),
            DropReason::TimestampInFuture => Some(4),
            DropReason::RateLimitWireGuardData => Some(5),
            DropReason::RateLimitDestination => Some(6),
            DropReason::RateLimitPeer => Some(7),
            DropReason::BadHash => Some(8),
            DropReason::TimestampTooOld => Some(9),
            DropReason::RateLimitAuthenticated => Some(10),
            DropReason::RateLimitOverall => Some(11),
            DropReason::SourceMismatch => Some(12),
            DropReason::RateLimitWireGuardHandshake => Some(13),
            DropReason::NoKey => Some(14),
            DropReason::OutboundNoKey => Some(15),
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
            | DropReason::UnknownDestination
            | DropReason::BadMac
            | DropReason::Duplicate => None,
        },
    }
}

const PLACES: usize = 16;

/// Peers whose counters for one worker are side by side: 64 KiB.
const PEERS_IN_PAGE: u16 = 1024;

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
        let account = PeerLedger::new(2).open();
        for verdict in Verdict::all() {
            count(&account, 1, verdict, 100);
        }
        let tally = account.tally();
        for verdict in Verdict::all() {
            assert_eq!(tally.of(verdict).packets, u64::from(is_counted(verdict)), "{verdict:?}");
        }
        assert_eq!(tally.received(), Count { packets: PLACES as u64 + 4, bytes: 100 * (PLACES as u64 + 4) });
    }

    #[test]
    fn no_two_accounts_share_a_counter() {
        let ledger = PeerLedger::new(3);
        let accounts: Vec<_> = (0..2 * u64::from(PEERS_IN_PAGE) + 1).map(|n| (n, ledger.open())).collect();
        for (n, account) in &accounts {
            for worker in 0..3 {
                (0..=*n % 7).for_each(|_| count(account, worker, Verdict::Accepted, 1));
                count(account, worker, Verdict::Outbound, 10);
            }
        }
        for (n, account) in &accounts {
            let tally = account.tally();
            assert_eq!(tally.of(Verdict::Accepted).packets, 3 * (n % 7 + 1));
            assert_eq!(tally.of(Verdict::Outbound), Count { packets: 3, bytes: 30 });
        }
    }

    #[test]
    fn a_place_that_is_free_again_begins_at_zero() {
        let ledger = PeerLedger::new(2);
        let first = ledger.open();
        count(&first, 1, Verdict::Accepted, 1);
        count(&first, 0, Verdict::Outbound, 1);
        let place = first.at.first;
        drop(first);
        let second = ledger.open();
        assert_eq!((second.at.first, second.tally()), (place, Tally::default()));
    }

    #[test]
    fn an_account_of_a_ledger_that_is_gone_still_counts() {
        let account = PeerLedger::new(1).open();
        count(&account, 0, Verdict::Accepted, 1);
        assert_eq!(account.tally().received().packets, 1);
    }

    #[test]
    fn a_worker_that_does_not_exist_counts_nothing() {
        let account = Account::alone(1);
        count(&account, 1, Verdict::Accepted, 1);
        count(&account, 1, Verdict::Dropped(DropReason::BadMac), 1);
        assert_eq!(account.tally(), Tally::default());
    }

    fn count(account: &Account, worker: usize, verdict: Verdict, bytes: usize) {
        if is_counted(verdict) {
            account.count(worker, verdict, bytes);
        }
    }

    fn is_counted(verdict: Verdict) -> bool {
        place(verdict).is_some() || OftenCounters::default().of(verdict).is_some()
    }

    #[test]
    fn what_two_workers_may_count_for_long_is_two_cache_lines_apart() {
        let often = [Verdict::Dropped(DropReason::RateLimitPeer), Verdict::Dropped(DropReason::TimestampTooOld)];
        let places: Vec<usize> = often.into_iter().filter_map(place).collect();
        let (first, last) = (places.iter().min().unwrap(), places.iter().max().unwrap());
        assert!((PLACES + first - last - 1) * size_of::<Pair>() >= 128);
    }

    #[test]
    fn a_worker_takes_320_bytes_for_a_peer_of_which_most_packets_need_one_cache_line() {
        assert_eq!((size_of::<RareCounters>(), size_of::<OftenCounters>()), (256, 64));
    }
}
