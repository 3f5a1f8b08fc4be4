//! What a worker counts besides verdicts. One writer (the worker), any number of readers, no lock.

use crate::poll_times::PollTimes;
use photongate_pipeline::SkewHistogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one thread changes and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, amount: u64) {
        // There is one writer, so a load and a store suffice and the bus need not be locked.
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One worker's counters.
#[derive(Debug)]
pub struct WorkerCounters {
    /// Cycles of polls that brought something.
    pub(crate) busy_cycles: Counter,
    /// All cycles since the worker began.
    pub(crate) all_cycles: Counter,
    /// ICMP errors sent.
    pub(crate) icmp_replies: Counter,
    /// Packets lost on the way to the worker that owns them, because that one is behind.
    pub(crate) handoff_lost: Counter,
    /// Packets in several buffers, for which there was no buffer that holds them whole.
    pub(crate) unsuitable: Counter,
    /// Fragments that came to be put together.
    pub(crate) fragments_received: Counter,
    /// Packets put together.
    pub(crate) fragments_reassembled: Counter,
    /// Fragments given up.
    pub(crate) fragments_expired: Counter,
    /// Fragments that wait for others.
    pub(crate) fragments_pending: Counter,
    /// How long polls take.
    pub(crate) poll_times: PollTimes,
    /// How full the duplicate filter is, as the bits of an `f64`.
    pub(crate) duplicate_load: Counter,
    /// How old packets are.
    pub(crate) skew: Arc<SkewHistogram>,
    /// By port.
    pub(crate) ports: Box<[PortCounters]>,
}

/// What a worker counts of one port.
#[derive(Debug, Default)]
pub(crate) struct PortCounters {
    /// Packets that were to leave by the port, and that it did not take.
    pub(crate) transmit_lost: Counter,
    /// Packets handed to the kernel.
    pub(crate) to_kernel: Counter,
    /// Packets that the kernel did not take, or for which there is no kernel interface.
    pub(crate) to_kernel_lost: Counter,
    /// Packets of the kernel's that left by the port.
    pub(crate) from_kernel: Counter,
}

impl WorkerCounters {
    /// Zeroes, for a worker of so many ports whose pipeline has this histogram.
    pub(crate) fn new(ports: usize, skew: Arc<SkewHistogram>) -> Self {
        Self {
            busy_cycles: Counter::default(),
            all_cycles: Counter::default(),
            icmp_replies: Counter::default(),
            handoff_lost: Counter::default(),
            unsuitable: Counter::default(),
            fragments_received: Counter::default(),
            fragments_reassembled: Counter::default(),
            fragments_expired: Counter::default(),
            fragments_pending: Counter::default(),
            poll_times: PollTimes::default(),
            duplicate_load: Counter::default(),
            skew,
            ports: (0..ports).map(|_| PortCounters::default()).collect(),
        }
    }
}
