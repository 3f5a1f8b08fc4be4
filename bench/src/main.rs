//! Runs the packet path over prepared packets, case by case, for `scripts/instructions.sh` to count its instructions.
//!
//! Instructions, unlike cycles, do not depend on what else the machine does: a change that makes a packet dearer shows on
//! a busy machine, too. Valgrind's callgrind notes its counters when [`count_these_instructions`] is called, once a
//! case, and again when [`counting_ends`] is. For each case one line is printed: backend, direction, bytes of payload, packets.
//!
//! Everything is the same in each run: keys, times, payloads, the seed of the duplicate filter. No DPDK is needed, so
//! what the ports and the filter's key dictionary cost is not in it.

#![forbid(unsafe_code)]

use photongate_bench::{BURST, Direction, Peers, Site};
use photongate_crypto::backend::{self, Backend};
use photongate_pipeline::{Clock, Frame, Outcome, Pipeline};
use std::hint::black_box;

fn main() {
    for backend in backend::available() {
        for direction in Direction::ALL {
            for payload_len in PAYLOADS {
                let packets = run(backend, direction, payload_len);
                println!("{} {} {payload_len} {packets}", backend.name(), direction.name());
            }
        }
    }
}

/// Judges some bursts, and has all but the first of them counted. Returns how many packets those were.
fn run(backend: &'static dyn Backend, direction: Direction, payload_len: usize) -> usize {
    let mut site = Site::new(backend, direction);
    let mut packets: Vec<_> = (0..(WARM_UP + COUNTED) * BURST).map(|_| site.packet(payload_len)).collect();
    let mut frames: Vec<Frame<'_>> = packets.iter_mut().map(|packet| packet.frame(direction)).collect();
    let (first, counted) = frames.split_at_mut(WARM_UP * BURST);
    let mut outcomes = [Outcome::UNDECIDED; BURST];
    let Site { pipeline, peers, now, .. } = &mut site;
    for burst in first.chunks_mut(BURST) {
        pipeline.process(peers, *now, burst, &mut outcomes, &mut ());
    }
    count_these_instructions(pipeline, peers, *now, counted, &mut outcomes);
    counting_ends();
    for outcome in outcomes {
        assert_eq!(outcome.verdict, direction.verdict(), "with {}", backend.name());
    }
    counted.len()
}

/// What `scripts/instructions.sh` counts: callgrind finds it by its name.
#[inline(never)]
fn count_these_instructions(
    pipeline: &mut Pipeline,
    peers: &Peers,
    now: Clock,
    frames: &mut [Frame<'_>],
    outcomes: &mut [Outcome; BURST],
) {
    for burst in frames.chunks_mut(BURST) {
        pipeline.process(peers, now, burst, outcomes, &mut ());
    }
}

/// Callgrind finds this, too, by its name; it has nothing to do but to be called.
#[inline(never)]
fn counting_ends() {
    black_box(());
}

/// Bytes behind the inner IP header.
const PAYLOADS: [usize; 3] = [64, 512, 1400];

/// Bursts that have symbols resolved and lazy parts set up.
const WARM_UP: usize = 1;

/// Enough bursts that what happens now and then is averaged.
const COUNTED: usize = 8;
