//! Who the peers are and which keys are shared with them, as the packet path sees it.

use crate::counters::Tally;
use crate::limits::Limit;
use crate::peer_counters::PeerCounters;
use crate::peer_encapsulation::PeerEncapsulation;
use photongate_crypto::backend::prefetch;
use photongate_drkey::{KeySet, Protocol};
use photongate_wire::IsdAs;
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
/// All that packets need of a peer is in two cache lines side by side: in the first how packets from the peer are judged, in the second
/// the keys of those to it, and the way to the counters. With many peers, to fetch those lines is what a packet waits for most.
#[repr(C, align(128))]
pub struct Entry {
    /// What outlives a change of keys.
    pub peer: Arc<PeerState>,
    /// The peer's, at hand.
    encapsulation: PeerEncapsulation,
    is_limited: bool,
    /// The four key containers.
    pub keys: KeySet,
    /// The peer's counters, at hand.
    workers: Arc<[PeerCounters]>,
}

impl Entry {
    /// What is known of `peer` while it has these `keys`.
    pub fn new(peer: Arc<PeerState>, keys: KeySet) -> Self {
        let (encapsulation, is_limited, workers) =
            (peer.encapsulation, peer.limit.is_some(), Arc::clone(&peer.workers));
        Self { peer, encapsulation, is_limited, keys, workers }
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

    /// What `worker` counts for the peer; `None` if there is no such worker.
    #[inline(always)]
    pub(crate) fn counters(&self, worker: usize) -> Option<&PeerCounters> {
        self.workers.get(worker)
    }

    /// Begins to fetch all of it. Done for a whole burst in a row, the memory accesses overlap, which they would not where each packet's
    /// result decides what is done next.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        prefetch(&self.peer);
        prefetch(&self.workers);
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
    workers: Arc<[PeerCounters]>,
}

impl PeerState {
    /// A peer with counters for `workers` workers, all at zero, that uses LF.
    pub fn new(key: PeerKey, limit: Limit, workers: usize) -> Self {
        let workers = (0..workers).map(|_| PeerCounters::default()).collect();
        Self { key, encapsulation: PeerEncapsulation::default(), limit: shared(limit), workers }
    }

    /// The same peer with another limit. Its counters go on.
    #[must_use]
    pub fn with_limit(&self, limit: Limit) -> Self {
        let encapsulation = self.encapsulation;
        Self { key: self.key, encapsulation, limit: shared(limit), workers: Arc::clone(&self.workers) }
    }

    /// The same peer with another encapsulation. Its counters and its limit go on.
    #[must_use]
    pub fn with_encapsulation(&self, encapsulation: PeerEncapsulation) -> Self {
        Self { key: self.key, encapsulation, limit: self.limit.clone(), workers: Arc::clone(&self.workers) }
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

    /// What `worker` counts for this peer; `None` if there is no such worker.
    #[inline(always)]
    pub fn counters(&self, worker: usize) -> Option<&PeerCounters> {
        self.workers.get(worker)
    }

    /// What all workers have counted.
    pub fn tally(&self) -> Tally {
        self.workers.iter().fold(Tally::default(), |sum, worker| sum + worker.snapshot())
    }
}

/// Finds entries by peer, a burst at a time.
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
    fn an_entry_is_two_cache_lines_one_of_them_for_each_direction() {
        assert_eq!(size_of::<Entry>(), 128);
        let at = offset_of!(Entry, keys);
        assert_eq!((at + offset_of!(KeySet, inbound_old)) / 64, 0);
        assert_eq!((at + offset_of!(KeySet, outbound)) / 64, 1);
    }
}
