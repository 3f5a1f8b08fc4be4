//! What changes while the filter runs: keys, peers, settings. One owner, who never waits for a worker nor makes one wait.

use crate::dictionary::DictionaryWriter;
use crate::report::Peers;
use crate::timebase::Timebase;
use arc_swap::ArcSwap;
use photongate_dpdk::hash::InsertError;
use photongate_dpdk::qsbr::GracePeriod;
use photongate_pipeline::{Clock, Entry, PeerKey, Settings};
use std::sync::Arc;

/// Changes what the workers of a running filter see.
pub struct Control {
    pub(crate) dictionary: DictionaryWriter,
    pub(crate) settings: Arc<ArcSwap<Settings>>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) workers: usize,
    pub(crate) timebase: Timebase,
}

impl Control {
    /// How many workers there are: what a peer's counters are made for.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The clocks that the workers judge by.
    pub fn clock(&self) -> Clock {
        self.timebase.now()
    }

    /// Puts the entry in the place of the one that its peer has, or adds it. The peer's counters are reported from then on.
    ///
    /// # Errors
    /// [`InsertError`] when the peer is new and there is no room. Then nothing changed.
    pub fn publish(&mut self, entry: Entry) -> Result<(), InsertError> {
        let peer = Arc::clone(&entry.peer);
        self.dictionary.publish(entry)?;
        self.peers.insert(peer);
        Ok(())
    }

    /// Takes a peer out, with its counters. Returns whether it was there.
    pub fn remove(&mut self, peer: PeerKey) -> bool {
        self.peers.remove(peer);
        self.dictionary.remove(peer)
    }

    /// What the pipeline is told to do now.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Tells the pipeline to do this, from each worker's next poll on.
    ///
    /// Ports must stay as many as they are, with their roles, MTUs, next hops and offloads: devices, steering between workers and
    /// buffers were made ready for them. Nor may reassembly be turned on, for which there are tables only from the start, or the
    /// time threshold be raised, which the duplicate filters were sized for, or public addresses come or go, which tell
    /// how packets are steered.
    pub fn replace_settings(&mut self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// Begins a grace period. When it is over, no worker holds anything that was replaced or removed before, and all act by the
    /// settings that were in force.
    ///
    /// A worker takes up new settings at the beginning of a poll, before it looks anything up, and quiesces at the end. One
    /// that has quiesced since the settings were replaced has therefore finished its last poll with older ones, or was resting.
    pub fn begin_grace(&mut self) -> GracePeriod {
        self.dictionary.begin_grace()
    }

    /// Whether a grace period is over. Frees what no worker holds any more.
    pub fn is_over(&mut self, period: GracePeriod) -> bool {
        self.dictionary.reclaim();
        self.dictionary.is_over(period)
    }
}
