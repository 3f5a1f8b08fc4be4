//! Who the peers are and which keys are shared with them, as the packet path sees it.

use crate::counters::Tally;
use crate::limits::Limit;
use crate::peer_counters::{Account, OftenAt, OftenPage, PeerLedger};
use crate::peer_encapsulation::PeerEncapsulation;
use crate::verdict::Verdict;
use photongate_drkey::{AsAsKey, EpochMiss, KeySet, KeyTimes, Protocol};
use photongate_wire::{EpochNanos, IsdAs, UnixNanos};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// What a peer is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey {
    /// The peer's AS.
    pub isd_as: IsdAs,
    /// The DRKey protocol that its packets are protected under.
    pub protocol: Protocol,
}

/// Everything known of one peer at one time. Immutable: a change builds a new entry and replaces the old one whole.
///
/// All that a packet from the peer needs is in one cache line, most of the time: the way to the counters, how the packet is judged, and the
/// newest key. Behind it is a second line, with what packets to the peer need, and what is rare. With many peers, to fetch those lines
/// is what a packet waits for most.
#[repr(C, align(128))]
pub struct Entry {
    /// What is counted most, at hand.
    often: OftenPage,
    often_at: OftenAt,
    /// The peer's, at hand.
    encapsulation: PeerEncapsulation,
    is_limited: bool,
    /// Whether there is an old inbound key to look at.
    has_inbound_old: bool,
    /// The four key containers.
    pub keys: KeySet,
    /// What outlives a change of keys.
    pub peer: Arc<PeerState>,
}

impl Entry {
    /// What is known of `peer` while it has these `keys`.
    pub fn new(peer: Arc<PeerState>, keys: KeySet) -> Self {
        let (encapsulation, is_limited) = (peer.encapsulation, peer.limit.is_some());
        let (often, often_at) = peer.account.often();
        let often = Arc::clone(often);
        let has_inbound_old = keys.inbound_old.is_some();
        Self { often, often_at, encapsulation, is_limited, has_inbound_old, keys, peer }
    }

    /// As [`KeySet::inbound_for`].
    ///
    /// # Errors
    /// [`EpochMiss`] if no key fits.
    #[inline(always)]
    pub(crate) fn inbound_for(
        &self,
        timestamp: EpochNanos,
        now: UnixNanos,
        times: &KeyTimes,
    ) -> Result<(&AsAsKey, UnixNanos), EpochMiss> {
        if self.has_inbound_old {
            return self.keys.inbound_for(timestamp, now, times);
        }
        self.keys.newest_inbound_for(timestamp, now, times)
    }

    /// What passes between the peer and us.
    #[inline]
    pub(crate) fn encapsulation(&self) -> PeerEncapsulation {
        self.encapsulation
    }

    /// Whether the peer has a limit of its own.
    #[inline]
    pub(crate) fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// Begins to fetch what `worker` counts most for the peer.
    #[inline(always)]
    pub(crate) fn prefetch_counters(&self, worker: usize) {
        if let Some(often) = self.often_at.of(&self.often, worker) {
            often.prefetch();
        }
    }

    /// Counts one packet of `bytes` bytes for the peer. If there is no such worker, nothing is counted.
    #[inline(always)]
    pub(crate) fn count(&self, worker: usize, verdict: Verdict, bytes: usize) {
        match self.often_at.of(&self.often, worker).and_then(|often| often.of(verdict)) {
            Some(pair) => pair.count(bytes),
            None => self.peer.account.count_rare(worker, verdict, bytes),
        }
    }
}

/// What stays with a peer while its keys come and go: its encapsulation, its limit and counters.
#[derive(Debug)]
pub struct PeerState {
    /// What the peer is found by.
    pub key: PeerKey,
    encapsulation: PeerEncapsulation,
    /// `None` if there is no limit, as most peers have none of their own.
    limit: Option<Arc<Limit>>,
    account: Arc<Account>,
}

impl PeerState {
    /// A peer with counters for `workers` workers, all at zero, that uses LF. Where there are many peers, their counters belong into a
    /// [`PeerLedger`]: see [`in_ledger`](Self::in_ledger).
    pub fn new(key: PeerKey, limit: Limit, workers: usize) -> Self {
        Self::with_account(key, limit, Account::alone(workers))
    }

    /// A peer with counters beside those of all others in `ledger`, all at zero, that uses LF.
    pub fn in_ledger(key: PeerKey, limit: Limit, ledger: &PeerLedger) -> Self {
        Self::with_account(key, limit, ledger.open())
    }

    fn with_account(key: PeerKey, limit: Limit, account: Account) -> Self {
        Self { key, encapsulation: PeerEncapsulation::default(), limit: shared(limit), account: Arc::new(account) }
    }

    /// The same peer with another limit. Its counters go on.
    #[must_use]
    pub fn with_limit(&self, limit: Limit) -> Self {
        let encapsulation = self.encapsulation;
        Self { key: self.key, encapsulation, limit: shared(limit), account: Arc::clone(&self.account) }
    }

    /// The same peer with another encapsulation. Its counters and its limit go on.
    #[must_use]
    pub fn with_encapsulation(&self, encapsulation: PeerEncapsulation) -> Self {
        Self { key: self.key, encapsulation, limit: self.limit.clone(), account: Arc::clone(&self.account) }
    }

    /// What passes between the peer and us.
    #[inline]
    pub fn encapsulation(&self) -> PeerEncapsulation {
        self.encapsulation
    }

    /// How much authenticated traffic it may send.
    #[inline]
    pub fn limit(&self) -> &Limit {
        static UNLIMITED: Limit = Limit::UNLIMITED;
        self.limit.as_deref().unwrap_or(&UNLIMITED)
    }

    /// Counts one packet of `bytes` bytes, Ethernet header included, as it arrived. Only `worker` itself may do so; if there is no such
    /// worker, nothing is counted.
    pub fn count(&self, worker: usize, verdict: Verdict, bytes: usize) {
        self.account.count(worker, verdict, bytes);
    }

    /// What all workers have counted.
    pub fn tally(&self) -> Tally {
        self.account.tally()
    }
}

/// Finds entries by peer, a burst at a time. Begins to fetch them, if that takes long: what is found is looked at soon.
pub trait KeyDictionary {
    /// Sets `entries[i]` to the entry of `keys[i]`, or to `None` if there is none. Looks up as many as the shorter slice has.
    fn look_up<'d>(&'d self, keys: &[PeerKey], entries: &mut [Option<&'d Entry>]);
}

/// A dictionary in ordinary memory, for capture files and tests.
#[derive(Default)]
pub struct MemoryDictionary(HashMap<PeerKey, Entry>);

impl MemoryDictionary {
    /// Adds an entry, or replaces the one that its peer has.
    pub fn insert(&mut self, entry: Entry) {
        self.0.insert(entry.peer.key, entry);
    }

    /// Takes the entry of `key` out, if there is one.
    pub fn remove(&mut self, key: PeerKey) -> Option<Entry> {
        self.0.remove(&key)
    }

    /// The entry of `key`, if there is one.
    pub fn get(&self, key: PeerKey) -> Option<&Entry> {
        self.0.get(&key)
    }
}

impl KeyDictionary for MemoryDictionary {
    fn look_up<'d>(&'d self, keys: &[PeerKey], entries: &mut [Option<&'d Entry>]) {
        for (key, entry) in keys.iter().zip(entries) {
            *entry = self.0.get(key);
        }
    }
}

fn shared(limit: Limit) -> Option<Arc<Limit>> {
    (!limit.is_unlimited()).then(|| Arc::new(limit))
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.isd_as.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn what_most_packets_from_a_peer_need_is_one_cache_line() {
        assert_eq!(size_of::<Entry>(), 128);
        assert_eq!(offset_of!(Entry, keys) + offset_of!(KeySet, outbound), 64);
    }
}
