//! How long polls take, in cycles: what a burst costs, and the longest a worker was away from its queues.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The lengths of one worker's polls. The worker counts; anyone may read, and one reader at a time begin anew.
#[derive(Debug)]
pub struct PollTimes {
    /// Polls that brought packets, by the logarithm of their length.
    lengths: [AtomicU64; BUCKETS],
    longest: AtomicU64,
}

impl Default for PollTimes {
    fn default() -> Self {
        Self { lengths: std::array::from_fn(|_| AtomicU64::new(0)), longest: AtomicU64::new(0) }
    }
}

impl PollTimes {
    /// Counts a poll of so many cycles.
    #[inline]
    pub(crate) fn count(&self, cycles: u64, brought_packets: bool) {
        if brought_packets {
            // There is one writer, so a load and a store suffice and the bus need not be locked.
            let counter = &self.lengths[bucket(cycles)];
            counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
        }
        if cycles > self.longest.load(Relaxed) {
            self.longest.store(cycles, Relaxed);
        }
    }

    /// What was counted since this was last asked.
    pub fn take(&self) -> Polls {
        let lengths = self.lengths.iter().map(|counter| counter.swap(0, Relaxed)).collect();
        Polls { lengths, longest: self.longest.swap(0, Relaxed) }
    }
}

/// The polls of a while.
#[derive(Clone, Debug, Default)]
pub struct Polls {
    lengths: Vec<u64>,
    longest: u64,
}

impl Polls {
    /// The cycles of the longest poll, with packets or without.
    pub fn longest(&self) -> u64 {
        self.longest
    }

    /// What all but a share of `above` of the polls with packets took at most, in cycles, to an eighth.
    pub fn most_but(&self, above: f64) -> u64 {
        let wanted = self.lengths.iter().sum::<u64>() as f64 * (1.0 - above);
        let mut seen = 0;
        let at_most = self.lengths.iter().position(|count| {
            seen += count;
            seen as f64 >= wanted
        });
        at_most.map_or(0, bound)
    }

    /// How many polls with packets took longer than so many cycles, to an eighth.
    pub fn longer_than(&self, cycles: u64) -> u64 {
        self.lengths.iter().skip(bucket(cycles) + 1).sum()
    }
}

/// Eight buckets to each power of two.
#[inline]
fn bucket(cycles: u64) -> usize {
    let exponent = cycles.max(8).ilog2();
    let within = (cycles.max(8) >> (exponent - 3)) & 7;
    (((exponent - 3) as usize) << 3 | within as usize).min(BUCKETS - 1)
}

/// The first number of cycles beyond a bucket.
fn bound(bucket: usize) -> u64 {
    let (exponent, within) = (bucket >> 3, bucket as u64 & 7);
    (8 + within + 1) << exponent
}

const BUCKETS: usize = 40 * 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_polls_take_at_most_is_known_to_an_eighth() {
        let times = PollTimes::default();
        for cycles in 1..=1_000 {
            times.count(cycles, true);
        }
        times.count(1_000_000, false);
        let polls = times.take();
        assert_eq!(polls.longest(), 1_000_000);
        assert!((990..=990 * 9 / 8).contains(&polls.most_but(0.01)), "{polls:?}");
        assert_eq!((polls.longer_than(512 - 1), polls.longer_than(1_000)), (489, 0));
        assert_eq!(times.take().longest(), 0, "it begins anew");
    }

    #[test]
    fn every_length_lies_below_the_bound_of_its_bucket() {
        for cycles in (0..100_000).chain([1 << 30, (1 << 30) + 12_345]) {
            assert!(cycles < bound(bucket(cycles)), "{cycles}");
        }
    }
}
