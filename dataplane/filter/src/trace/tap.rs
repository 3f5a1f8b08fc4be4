//! The worker's end of all traces.

use crate::trace::record::About;
use crate::trace::request::LARGEST_SNAP_LEN;
use crate::trace::sampler::Sampler;
use crate::trace::{MAX_TRACES, Place, Tracer};
use arrayvec::ArrayVec;
use photongate_pipeline::{Frame, MAX_BURST, Outcome, PortIndex};
use photongate_wire::UnixNanos;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Copies the packets of one worker that somebody traces. Never waits and never allocates.
///
/// For each burst, if [`is_active`](Self::is_active): [`before`](Self::before) with the frames as they arrived, then
/// [`after`](Self::after) with the outcomes in the same order.
#[derive(Debug)]
pub struct Tap {
    tracer: Arc<Tracer>,
    worker: usize,
    /// The trace that was seen in each place, 0 for none.
    generations: [u64; MAX_TRACES],
    samplers: [Sampler; MAX_TRACES],
    /// The copies of this burst, one behind the other.
    copies: Box<[u8]>,
    copied: ArrayVec<Copied, MAX_BURST>,
    now: UnixNanos,
}

/// A packet that was copied.
#[derive(Debug)]
struct Copied {
    /// Its place in the burst.
    lane: usize,
    /// The traces that picked it: a bit for each place.
    picked_by: u8,
    at: Range<usize>,
    port: PortIndex,
    original_len: usize,
}

impl Tap {
    pub(crate) fn new(tracer: Arc<Tracer>, worker: usize) -> Self {
        Self {
            tracer,
            worker,
            generations: [0; MAX_TRACES],
            samplers: std::array::from_fn(|_| Sampler::new(1, 0)),
            copies: vec![0; MAX_BURST * LARGEST_SNAP_LEN as usize].into(),
            copied: ArrayVec::new(),
            now: UnixNanos(0),
        }
    }

    /// Whether anybody traces. One load: asked once per burst.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.tracer.is_running()
    }

    /// Copies the beginnings of the packets that a trace picks out of this burst, which is judged at `now`.
    pub fn before(&mut self, frames: &[Frame<'_>], now: UnixNanos) {
        self.copied.clear();
        self.now = now;
        let snap_len = self.look_at_traces();
        let mut end = 0;
        for (lane, frame) in frames.iter().enumerate().take(MAX_BURST) {
            let picked_by = self.pick();
            if picked_by == 0 {
                continue;
            }
            let bytes = frame.bytes();
            let at = end..end + bytes.len().min(snap_len);
            let Some(copy) = self.copies.get_mut(at.clone()) else { break };
            copy.copy_from_slice(&bytes[..at.len()]);
            end = at.end;
            self.copied.push(Copied { lane, picked_by, at, port: frame.port(), original_len: bytes.len() });
        }
    }

    /// Passes on the packets copied before whose verdict is wanted.
    pub fn after(&mut self, outcomes: &[Outcome]) {
        for copied in &self.copied {
            let Some(outcome) = outcomes.get(copied.lane) else { continue };
            let about = About {
                time: self.now,
                port: copied.port,
                worker: self.worker,
                verdict: outcome.verdict,
                peer: outcome.peer,
                original_len: copied.original_len,
            };
            let bytes = self.copies.get(copied.at.clone()).unwrap_or_default();
            for (number, place) in self.tracer.places.iter().enumerate() {
                if copied.picked_by & 1 << number != 0 {
                    place.offer(self.generations[number], about, bytes);
                }
            }
        }
        self.copied.clear();
    }

    /// Takes note of traces that began or ended, and returns how much of each packet the most curious one wants.
    fn look_at_traces(&mut self) -> usize {
        let mut longest = 0;
        for (number, place) in self.tracer.places.iter().enumerate() {
            let generation = place.generation.load(Ordering::Acquire);
            if generation != self.generations[number] {
                self.generations[number] = generation;
                let seed = (self.worker as u64 + 1) << 32 | generation;
                self.samplers[number] = Sampler::new(place.sample.load(Ordering::Relaxed), seed);
            }
            if generation != 0 {
                longest = longest.max(place.snap_len.load(Ordering::Relaxed));
            }
        }
        longest.min(LARGEST_SNAP_LEN) as usize
    }

    /// Which traces pick the next packet.
    #[inline]
    fn pick(&mut self) -> u8 {
        let mut picked_by = 0;
        for (number, sampler) in self.samplers.iter_mut().enumerate() {
            if self.generations[number] != 0 && sampler.pick() {
                picked_by |= 1 << number;
            }
        }
        picked_by
    }
}

impl Place {
    /// Sends a packet to the client if its verdict is wanted and a record is free.
    #[inline]
    fn offer(&self, generation: u64, about: About, bytes: &[u8]) {
        if self.verdicts.load(Ordering::Relaxed) & 1 << about.verdict.index() == 0 {
            return;
        }
        match self.free.pop() {
            Some(mut record) => {
                record.fill(generation, about, bytes);
                record.left_out_before = self.left_out.load(Ordering::Relaxed);
                if let Err(record) = self.full.push(record) {
                    let _ = self.free.push(record);
                }
            }
            None => _ = self.left_out.fetch_add(1, Ordering::Relaxed),
        }
    }
}
