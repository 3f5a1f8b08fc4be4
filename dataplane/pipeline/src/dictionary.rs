//! Who the peers are and which keys are shared with them, as the packet path sees it.

use crate::counters::Tally;
use crate::limits::Limit;
use crate::peer_counters::PeerCounters;
use crate::peer_encapsulation::PeerEncapsulation;
use photongate_crypto::backend::prefetch;
use photongate_drkey::{AsAsKey, KeySet, Protocol};
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
pub struct Entry {
    /// What outlives a change of keys.
    pub peer: Arc<PeerState>,
    /// The four key containers.
    pub keys: KeySet,
}

impl Entry {
    /// Begins to fetch what the packets of one direction need of it. Done for a whole burst in a row, the memory accesses overlap, which
    /// they would not where each packet's result decides what is done next.
    #[inline]
    pub(crate) fn prefetch(&self, direction: Direction) {
        prefetch(&self.peer);
        match direction {
            Direction::Inbound => {
                prefetch(&self.keys.inbound_old);
                prefetch_key(&self.keys.inbound);
            }
            Direction::Outbound => {
                prefetch(&self.keys.outbound_old);
                prefetch_key(&self.keys.outbound);
            }
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

    /// As [`Entry::prefetch`].
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch(&self.encapsulation);
        prefetch(&self.workers);
    }

    /// What `worker` counts for this peer; `None` if there is no such worker.
    #[inline]
    pub fn counters(&self, worker: usize) -> Option<&PeerCounters> {
        self.workers.get(worker)
    }

    /// What all workers have counted.
    pub fn tally(&self) -> Tally {
        self.workers.iter().fold(Tally::default(), |sum, worker| sum + worker.snapshot())
    }
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Inbound,
    Outbound,
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

/// A key is some cache lines long, most of which only the portable backend reads.
#[inline]
fn prefetch_key(key: &Option<AsAsKey>) {
    prefetch(key);
    if let Some(key) = key {
        prefetch(&key.epoch);
        prefetch(key.schedule.key());
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
