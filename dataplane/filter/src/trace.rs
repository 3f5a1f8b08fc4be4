//! Live traces: copies of packets with their verdicts, for whoever asks at the control socket.
//!
//! A worker has a [`Tap`]. While nobody traces, it costs one load per burst. While somebody does, the tap copies the beginning
//! of each sampled packet before the pipeline rewrites it, and passes on those whose verdict is wanted once it is known. Packets
//! travel in records that are allocated when the trace starts and circulate between worker and client through two
//! bounded queues; when none is free, the packet is left out of the trace and counted. So a worker never waits, and
//! what a slow client misses is known.
//!
//! [`ControlSocket`] listens for clients and gives each a thread, which writes pcapng with the verdict as a comment.

mod control;
mod record;
mod request;
mod sampler;
mod session;
mod tap;
mod writer;

use crate::trace::record::Record;
use crate::trace::request::Plan;
use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

pub use control::{ControlError, ControlOptions, ControlSocket};
pub use request::{InvalidTrace, Request, TraceRequest};
pub use session::{TraceDesk, TraceFailure, TraceSummary};
pub use tap::Tap;

/// What the taps of all workers share with those who trace: a few places for traces that run at the same time.
#[derive(Debug)]
pub struct Tracer {
    /// Whether anybody traces at all: what a worker looks at before each burst.
    running: CachePadded<AtomicU32>,
    places: [Place; MAX_TRACES],
}

impl Tracer {
    /// A tracer and the taps of `workers` workers, in their order.
    pub fn new(workers: usize) -> (Arc<Self>, Vec<Tap>) {
        let places = std::array::from_fn(|_| Place::new(workers));
        let tracer = Arc::new(Self { running: CachePadded::default(), places });
        let taps = (0..workers).map(|worker| Tap::new(Arc::clone(&tracer), worker)).collect();
        (tracer, taps)
    }

    /// Starts a trace; `None` if as many run already as there are places.
    pub(crate) fn start(&self, plan: &Plan) -> Option<Trace<'_>> {
        let place = self.places.iter().find(|place| !place.taken.swap(true, Ordering::AcqRel))?;
        let generation = place.open(plan);
        self.running.fetch_add(1, Ordering::Relaxed);
        Some(Trace { tracer: self, place, generation })
    }

    fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) != 0
    }
}

/// One running trace, seen from the client's thread. Ends when dropped.
pub(crate) struct Trace<'t> {
    tracer: &'t Tracer,
    place: &'t Place,
    generation: u64,
}

impl Trace<'_> {
    /// Hands the next packet to `use_record`, if there is one.
    pub(crate) fn take<T>(&self, use_record: impl FnOnce(&Record) -> T) -> Option<T> {
        let record = self.next_record()?;
        let used = use_record(&record);
        self.give_back(record);
        Some(used)
    }

    fn next_record(&self) -> Option<Box<Record>> {
        loop {
            let record = self.place.full.pop()?;
            if record.generation == self.generation {
                return Some(record);
            }
            self.give_back(record);
        }
    }

    fn give_back(&self, record: Box<Record>) {
        // The queue has room for every record there is.
        let _ = self.place.free.push(record);
    }

    /// Packets that would have been part of the trace, had the client read fast enough.
    pub(crate) fn left_out(&self) -> u64 {
        self.place.left_out.load(Ordering::Relaxed)
    }
}

impl Drop for Trace<'_> {
    fn drop(&mut self) {
        self.tracer.running.fetch_sub(1, Ordering::Relaxed);
        self.place.close();
    }
}

/// Room for one trace. Workers read the filters and move records; only the client's thread opens and closes.
#[derive(Debug)]
struct Place {
    taken: AtomicBool,
    /// Which trace runs here, counted from 1; 0 while none does. Records bear it, so that those of a worker that was
    /// still busy with the trace before are recognised.
    generation: AtomicU64,
    /// Which verdicts are wanted: a bit each, by [`photongate_pipeline::Verdict::index`].
    verdicts: AtomicU64,
    sample: AtomicU32,
    snap_len: AtomicU32,
    left_out: CachePadded<AtomicU64>,
    free: ArrayQueue<Box<Record>>,
    full: ArrayQueue<Box<Record>>,
    last_generation: AtomicU64,
}

impl Place {
    fn new(workers: usize) -> Self {
        // A worker that was interrupted may come back with a record of an earlier trace.
        let capacity = RECORDS + workers;
        Self {
            taken: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            verdicts: AtomicU64::new(0),
            sample: AtomicU32::new(1),
            snap_len: AtomicU32::new(0),
            left_out: CachePadded::default(),
            free: ArrayQueue::new(capacity),
            full: ArrayQueue::new(capacity),
            last_generation: AtomicU64::new(0),
        }
    }

    fn open(&self, plan: &Plan) -> u64 {
        self.empty();
        for _ in 0..RECORDS {
            let _ = self.free.push(Box::new(Record::with_capacity(plan.snap_len as usize)));
        }
        self.left_out.store(0, Ordering::Relaxed);
        self.verdicts.store(plan.verdicts, Ordering::Relaxed);
        self.sample.store(plan.sample, Ordering::Relaxed);
        self.snap_len.store(plan.snap_len, Ordering::Relaxed);
        let generation = self.last_generation.fetch_add(1, Ordering::Relaxed) + 1;
        // Last, so that a worker that sees the trace sees its filters too.
        self.generation.store(generation, Ordering::Release);
        generation
    }

    fn close(&self) {
        self.generation.store(0, Ordering::Relaxed);
        self.empty();
        self.taken.store(false, Ordering::Release);
    }

    fn empty(&self) {
        while self.full.pop().is_some() || self.free.pop().is_some() {}
    }
}

/// Traces that may run at the same time.
const MAX_TRACES: usize = 4;

/// Packets of a trace that may be on their way to its client: a hundredth of a second at 100,000 packets a second.
const RECORDS: usize = 1024;

#[cfg(test)]
mod tests;
