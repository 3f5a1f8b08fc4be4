//! A worker on its way to the lcore where it is put together, so that its memory is near.

use crate::dictionary::DictionaryReader;
use crate::links::WorkerLinks;
use crate::reassembly::Reassembly;
use crate::timebase::Timebase;
use crate::trace::Tap;
use crate::worker::{Worker, WorkerParts};
use arc_swap::ArcSwap;
use photongate_crypto::Backend;
use photongate_dpdk::Mempool;
use photongate_dpdk::hugepages;
use photongate_pipeline::duplicates::{DuplicateFilter, Sizing};
use photongate_pipeline::timestamps::TimestampIssuer;
use photongate_pipeline::{Parts, Pipeline, Settings};
use std::sync::Arc;

/// What a worker is made of.
pub(crate) struct Plan {
    /// Its number, from 0, of so many `workers`.
    pub(crate) index: usize,
    pub(crate) workers: usize,
    /// Dimensions of its duplicate filter, if it is to have one, and what keeps peers from aiming at that.
    pub(crate) sizing: Option<Sizing>,
    pub(crate) seed: [u64; 2],
    pub(crate) backend: &'static dyn Backend,
    pub(crate) dictionary: DictionaryReader,
    pub(crate) links: WorkerLinks,
    pub(crate) reassembly: Option<Reassembly>,
    pub(crate) tap: Tap,
    pub(crate) settings: Arc<ArcSwap<Settings>>,
    pub(crate) pool: Mempool,
    pub(crate) burst: usize,
    pub(crate) timebase: Timebase,
}

impl Plan {
    /// Puts the worker together. Touches the memory of its duplicate filter.
    pub(crate) fn build(self) -> Worker {
        let settings = self.settings.load_full();
        let duplicates = self.sizing.as_ref().map(|sizing| {
            let mut duplicates = DuplicateFilter::new(sizing, self.seed);
            hugepages::gather(duplicates.memory());
            // What an earlier run accepted is unknown, so nothing sent before this one is.
            duplicates.refuse_before(self.timebase.unix());
            duplicates
        });
        let issuer = TimestampIssuer::new(self.index, self.workers, settings.times.time_threshold);
        let pipeline = Pipeline::new(Parts { settings, backend: self.backend, duplicates, issuer, worker: self.index });
        Worker::new(WorkerParts {
            ports: self.links.ports,
            pipeline,
            dictionary: self.dictionary,
            settings: self.settings,
            handoff: self.links.handoff,
            reassembly: self.reassembly,
            tap: Some(self.tap),
            pool: self.pool,
            burst: self.burst,
            timebase: self.timebase,
        })
    }
}
