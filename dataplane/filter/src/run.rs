//! A worker's life: polling until it is told to stop, then emptying what is under way.

use crate::idle::{Idle, Rest, Stopwatch};
use crate::worker::{Sources, Worker};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Tells the workers to stop, and how far they are with it.
#[derive(Debug)]
pub(crate) struct StopSignal {
    requested: AtomicBool,
    workers: usize,
    /// Workers that receive nothing from ports any more.
    off_ports: AtomicUsize,
    /// Workers that judge nothing any more.
    off_duty: AtomicUsize,
}

impl StopSignal {
    /// For so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        let (off_ports, off_duty) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { requested: AtomicBool::new(false), workers, off_ports, off_duty }
    }

    /// Tells the workers to stop.
    pub(crate) fn request(&self) {
        self.requested.store(true, Ordering::Release);
    }

    fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }
}

/// Polls until `stop` says otherwise, and then until nothing is left under way.
pub(crate) fn run(worker: &mut Worker, mut idle: Idle, stop: &StopSignal) {
    let mut stopwatch = Stopwatch::start();
    while !stop.is_requested() {
        let packets = worker.poll(&mut ());
        let cycles = stopwatch.lap();
        let counters = worker.counters();
        counters.all_cycles.add(cycles);
        counters.poll_times.count(cycles, packets > 0);
        if packets > 0 {
            counters.busy_cycles.add(cycles);
        }
        match idle.after(packets) {
            Rest::None => continue,
            Rest::Yield => worker.rest(std::thread::yield_now),
            Rest::Sleep(time) => worker.rest(|| std::thread::sleep(time)),
        }
        let rest = stopwatch.lap();
        worker.counters().all_cycles.add(rest);
    }
    drain(worker, stop);
}

/// Packets may lie in a port's queue, on the way to another worker, or on the way to a worker that sends them. They are
/// followed in this order: no worker leaves a stage before all have left the one before.
fn drain(worker: &mut Worker, stop: &StopSignal) {
    let begun = Instant::now();
    // Traffic may never end.
    while worker.poll_from(Sources::All, &mut ()) > 0 && begun.elapsed() < LONGEST_DRAIN {}
    stop.off_ports.fetch_add(1, Ordering::AcqRel);
    empty(worker, Sources::Workers, &stop.off_ports, stop.workers, begun);
    stop.off_duty.fetch_add(1, Ordering::AcqRel);
    empty(worker, Sources::Relays, &stop.off_duty, stop.workers, begun);
}

/// Polls `sources` until all workers have stopped filling them, and they are empty. A worker that has panicked never gets there.
fn empty(worker: &mut Worker, sources: Sources, done: &AtomicUsize, workers: usize, begun: Instant) {
    while begun.elapsed() < GIVE_UP {
        // Asked first: what is handed over before is then seen by the poll.
        let is_last = done.load(Ordering::Acquire) == workers;
        if worker.poll_from(sources, &mut ()) == 0 {
            if is_last {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// Time for what has arrived. It is milliseconds' worth on any port.
const LONGEST_DRAIN: Duration = Duration::from_millis(100);

/// Time for the other workers.
const GIVE_UP: Duration = Duration::from_secs(1);
