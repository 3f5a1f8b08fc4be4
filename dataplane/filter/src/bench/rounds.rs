//! Rounds of a measurement, of one worker or several, and what they come to.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use photongate_dpdk::clock;
use photongate_pipeline::{Probe, Stage, Tally};

use super::environment::Host;
use super::pipeline::PipelineResults;

/// Where workers wait for one another, without going to sleep: that would take longer than a round.
pub(super) struct Pace {
    workers: usize,
    arrived: AtomicUsize,
    /// The first meeting after which there is nothing left to do.
    last: AtomicUsize,
    /// One has gone, and will not come again.
    has_left: AtomicBool,
}

impl Pace {
    pub(super) fn new(workers: usize) -> Self {
        let (arrived, last) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        Self { workers, arrived, last, has_left: AtomicBool::new(false) }
    }

    /// Lets nobody wait for this worker once it has ended, however it did.
    pub(super) fn leave_at_end(&self) -> Leave<'_> {
        Leave(self)
    }

    /// Waits until all have come as often as the caller. Whether one of them was done by then, or has left.
    pub(super) fn meet(&self, done: bool) -> bool {
        let meeting = self.arrived.load(SeqCst) / self.workers;
        if done {
            self.last.fetch_min(meeting, SeqCst);
        }
        self.arrived.fetch_add(1, SeqCst);
        while self.arrived.load(SeqCst) < (meeting + 1) * self.workers {
            if self.has_left.load(SeqCst) {
                return true;
            }
            spin_loop();
        }
        self.last.load(SeqCst) <= meeting
    }
}

/// Says at its end that a worker has left.
pub(super) struct Leave<'p>(&'p Pace);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.has_left.store(true, SeqCst);
    }
}

/// Adds up the cycles between one stage and the next.
pub(super) struct StageCycles {
    last: u64,
    cycles: [u64; Stage::ALL.len()],
}

impl StageCycles {
    /// From now on.
    pub(super) fn begin() -> Self {
        Self { last: clock::tsc(), cycles: [0; Stage::ALL.len()] }
    }
}

impl Probe for StageCycles {
    #[inline]
    fn end_of(&mut self, stage: Stage) {
        let now = clock::tsc();
        self.cycles[stage as usize] += now - self.last;
        self.last = now;
    }
}

/// What the rounds of one worker came to, in cycles per packet.
#[derive(Default)]
pub(super) struct Rounds {
    cycles: Vec<f64>,
    stages: [Vec<f64>; Stage::ALL.len()],
    packets: u64,
    pub(super) tally: Tally,
}

impl Rounds {
    pub(super) fn add(&mut self, packets: u64, cycles: u64, probe: Option<&StageCycles>) {
        // Without a packet there is nothing to be measured: the figure is then none, not a small one.
        if packets == 0 {
            return;
        }
        let per_packet = |cycles: u64| cycles as f64 / packets as f64;
        let Some(probe) = probe else {
            self.packets += packets;
            return self.cycles.push(per_packet(cycles));
        };
        for (stage, cycles) in self.stages.iter_mut().zip(probe.cycles) {
            stage.push(per_packet(cycles));
        }
    }
}

/// The workers' rounds together: cycles of all rounds alike, packets per second of all workers.
pub(super) fn results(workers: Vec<Rounds>, host: Host) -> PipelineResults {
    let mut all = Rounds::default();
    let mut packets_per_second = 0.0;
    for mut rounds in workers {
        packets_per_second += host.tsc_hz as f64 / median(&mut rounds.cycles);
        all.packets += rounds.packets;
        all.tally = all.tally + rounds.tally;
        all.cycles.append(&mut rounds.cycles);
        for (all, stage) in all.stages.iter_mut().zip(&mut rounds.stages) {
            all.append(stage);
        }
    }
    let cycles_per_packet = median(&mut all.cycles);
    let stages = Stage::ALL.into_iter().zip(&mut all.stages).map(|(stage, cycles)| (stage, median(cycles)));
    PipelineResults {
        packets_per_second,
        cycles_per_packet,
        cycles_per_packet_min: all.cycles.first().copied().unwrap_or(f64::NAN),
        stages: stages.filter(|(_, cycles)| *cycles > 0.0).collect(),
        tally: all.tally,
        packets: all.packets,
        host,
    }
}

/// Sorts, and takes the middle.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
