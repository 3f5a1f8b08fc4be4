//! How large the duplicate filters must be.
//!
//! The keys of a generation fall into its blocks like a Poisson process, and a filter as full as its fullest blocks
//! is what costs: the false-positive rate of a blocked filter is the mean, over the Poisson-distributed load of a
//! block, of the rate at that load (Putze, Sanders, Singler 2007, section 3). With the bits of a key spread evenly
//! over independent words, the rate at a given load is computed exactly: the chance that one word has all the bits
//! asked for, to the power of the number of words.

use std::fmt;

use photongate_wire::Nanos;

use super::{Block, GENERATIONS, SPANS_PER_THRESHOLD, STREAMS, WORDS};

/// The dimensions of each worker's filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizing {
    time_threshold: Nanos,
    span: Nanos,
    keys_per_generation: f64,
    keys_per_block: f64,
    probes_per_word: usize,
    blocks_per_generation: usize,
    workers: usize,
}

impl Sizing {
    /// Dimensions for filters of `workers` workers that together accept `packets_per_second`, so that a fresh packet
    /// is taken for a duplicate with probability `false_positive_rate` at most, even the last of a full generation
    /// (over the whole generation the mean is several times lower).
    ///
    /// `time_threshold` is how far a packet's send time may lie from the present. Each worker's filter is made for
    /// twice its fair share of the packets, because hashing spreads them unevenly.
    ///
    /// # Errors
    /// When a value makes no sense, and when all filters together would take more than `memory_limit_bytes`.
    pub fn new(
        packets_per_second: u64,
        false_positive_rate: f64,
        time_threshold: Nanos,
        memory_limit_bytes: u64,
        workers: usize,
    ) -> Result<Self, SizingError> {
        if packets_per_second == 0 {
            return Err(SizingError::NoPackets);
        }
        if !(MIN_RATE..=MAX_RATE).contains(&false_positive_rate) {
            return Err(SizingError::FalsePositiveRate(false_positive_rate));
        }
        if time_threshold < MIN_THRESHOLD {
            return Err(SizingError::TimeThreshold(time_threshold));
        }
        let workers = workers.max(1);
        let span = Nanos(time_threshold.0.div_ceil(SPANS_PER_THRESHOLD));
        let share = (2.0 / workers as f64).min(1.0);
        let keys_per_packet_rate = share * span.0 as f64 / NANOS_PER_SECOND;
        let keys_per_generation = packets_per_second as f64 * keys_per_packet_rate;
        let (probes_per_word, keys_per_block) = densest(false_positive_rate);
        let blocks = (keys_per_generation / keys_per_block).ceil().max(1.0);
        let needed_bytes = blocks * (size_of::<Block>() * GENERATIONS * workers) as f64;
        if needed_bytes > memory_limit_bytes as f64 {
            let fitting_blocks = memory_limit_bytes / (size_of::<Block>() * GENERATIONS * workers) as u64;
            let fitting = fitting_blocks as f64 * keys_per_block / keys_per_packet_rate;
            return Err(SizingError::TooLarge {
                packets_per_second,
                false_positive_rate,
                time_threshold,
                needed_mib: (needed_bytes / BYTES_PER_MIB).ceil() as u64,
                limit_mib: memory_limit_bytes / BYTES_PER_MIB as u64,
                fitting_packets_per_second: fitting as u64,
            });
        }
        Ok(Self {
            time_threshold,
            span,
            keys_per_generation,
            keys_per_block,
            probes_per_word,
            blocks_per_generation: blocks as usize,
            workers,
        })
    }

    /// Memory of the filters of all workers together.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes_per_worker() * self.workers as u64
    }

    /// Memory of one worker's filter.
    pub fn memory_bytes_per_worker(&self) -> u64 {
        (self.blocks_per_generation * GENERATIONS * size_of::<Block>()) as u64
    }

    /// Bits of memory for each packet remembered, when the filter is as full as it was made for.
    pub fn bits_per_key(&self) -> f64 {
        (size_of::<Block>() * 8) as f64 / self.keys_per_block
    }

    /// Bits that each packet sets: what the literature calls `k`.
    pub fn probes(&self) -> usize {
        self.probes_per_word * WORDS
    }

    /// How far a packet's send time may lie from the present.
    pub fn time_threshold(&self) -> Nanos {
        self.time_threshold
    }

    /// How long a generation lasts.
    pub fn span(&self) -> Nanos {
        self.span
    }

    pub(super) fn keys_per_generation(&self) -> f64 {
        self.keys_per_generation
    }

    pub(super) fn probes_per_word(&self) -> usize {
        self.probes_per_word
    }

    pub(super) fn blocks_per_generation(&self) -> usize {
        self.blocks_per_generation
    }
}

impl fmt::Display for Sizing {
    /// For the log at start: `12.6 MiB (1 worker, 46.7 bits a packet, 14 of them set)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.memory_bytes() as f64 / BYTES_PER_MIB;
        let plural = if self.workers == 1 { "" } else { "s" };
        let (workers, bits, probes) = (self.workers, self.bits_per_key(), self.probes());
        write!(f, "{mib:.1} MiB ({workers} worker{plural}, {bits:.1} bits a packet, {probes} of them set)")
    }
}

/// Why there are no dimensions for what was asked.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum SizingError {
    /// No packets are expected.
    #[error("packets_per_second is 0: give the rate of authenticated packets to expect, all workers together")]
    NoPackets,
    /// The rate of false positives is no useful probability.
    #[error("false_positive_rate is {0}: give a probability from {MIN_RATE:e} to {MAX_RATE}")]
    FalsePositiveRate(f64),
    /// The window is too short to cut into generations.
    #[error("time_threshold is {0}: it must be at least {MIN_THRESHOLD}")]
    TimeThreshold(Nanos),
    /// The filters would not fit.
    #[error(
        "remembering {packets_per_second} packets per second over twice the time_threshold of {time_threshold}, with a \
         false_positive_rate of {false_positive_rate:e}, takes {needed_mib} MiB, and the limit is {limit_mib} MiB: \
         raise memory_limit_mib to {needed_mib}, lower packets_per_second to {fitting_packets_per_second}, or shorten \
         time_threshold"
    )]
    TooLarge {
        /// What was asked for.
        packets_per_second: u64,
        /// What was asked for.
        false_positive_rate: f64,
        /// What was asked for.
        time_threshold: Nanos,
        /// Memory of the filters of all workers, in MiB, rounded up.
        needed_mib: u64,
        /// The limit, in MiB.
        limit_mib: u64,
        /// The packet rate that would fit, all else being equal.
        fitting_packets_per_second: u64,
    },
}

/// The number of probes per word that lets most keys share a block at no more than `false_positive_rate`, and how many
/// keys that is in the mean.
fn densest(false_positive_rate: f64) -> (usize, f64) {
    let candidates = (1..=STREAMS.len()).map(|probes| (probes, keys_per_block(probes, false_positive_rate)));
    candidates.max_by(|(_, few), (_, many)| few.total_cmp(many)).expect("there is at least one stream")
}

/// The mean load of a block at which the filter reaches `false_positive_rate`: by bisection, as the rate grows with
/// the load.
fn keys_per_block(probes: usize, false_positive_rate: f64) -> f64 {
    let by_load = rates_by_load(probes);
    let (mut low, mut high) = (0.0, MAX_KEYS_PER_BLOCK);
    for _ in 0..BISECTIONS {
        let middle = f64::midpoint(low, high);
        if poisson_mean(&by_load, middle) > false_positive_rate {
            high = middle;
        } else {
            low = middle;
        }
    }
    low
}

/// The false-positive rate of a block that holds 0, 1, 2, … keys.
///
/// Follows the distribution of the number of bits set in one word while key after key sets `probes` bits in it,
/// independent of each other. A key that is not there meets only bits that are set with the mean of (set / 64)^probes.
fn rates_by_load(probes: usize) -> Vec<f64> {
    let mut set = [0.0; WORD_BITS + 1];
    set[0] = 1.0;
    let mut rates = Vec::with_capacity(MAX_LOAD + 1);
    for _ in 0..=MAX_LOAD {
        let hit: f64 = set.iter().enumerate().map(|(n, chance)| chance * share(n).powi(probes as i32)).sum();
        rates.push(hit.powi(WORDS as i32));
        for _ in 0..probes {
            for n in (0..=WORD_BITS).rev() {
                let from_fewer = n.checked_sub(1).map_or(0.0, |fewer| set[fewer] * (1.0 - share(fewer)));
                set[n] = set[n] * share(n) + from_fewer;
            }
        }
    }
    rates
}

/// The mean of `by_load` over a Poisson-distributed load.
fn poisson_mean(by_load: &[f64], mean: f64) -> f64 {
    let chances = (1..=by_load.len()).scan((-mean).exp(), |next, load| {
        let chance = *next;
        *next *= mean / load as f64;
        Some(chance)
    });
    chances.zip(by_load).map(|(chance, rate)| chance * rate).sum()
}

fn share(bits_set: usize) -> f64 {
    bits_set as f64 / WORD_BITS as f64
}

const WORD_BITS: usize = 64;

/// More than a block holds at the highest rate allowed, and a load that is then out of the question.
const MAX_KEYS_PER_BLOCK: f64 = 100.0;
const MAX_LOAD: usize = 300;
const BISECTIONS: usize = 50;

const MIN_RATE: f64 = 1e-12;
const MAX_RATE: f64 = 0.1;
const MIN_THRESHOLD: Nanos = Nanos::from_millis(1);

const NANOS_PER_SECOND: f64 = 1e9;
const BYTES_PER_MIB: f64 = 1024.0 * 1024.0;

#[cfg(test)]
mod tests;
