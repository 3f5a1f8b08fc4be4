//! How old packets are when they arrive, by their timestamps: the first sign of a clock that is wrong.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use photongate_wire::UnixNanos;

/// Ages of the packets that one worker has accepted, and of those that it refused for their age. One thread counts; any may read.
///
/// An age is what lies between a packet's timestamp and its arrival; it is below zero when the sender's clock is ahead. Buckets end
/// at powers of two, in both directions from zero.
#[derive(Debug)]
pub struct SkewHistogram {
    accepted: Ages,
    refused: Ages,
}

/// The counts of a histogram at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Skew {
    /// Upper bounds of the buckets in nanoseconds, ascending; an age at the bound is within. None for the last.
    pub bounds_ns: [Option<i64>; BUCKETS],
    /// Accepted packets.
    pub accepted: Distribution,
    /// Packets refused as too old, or from the future.
    pub refused: Distribution,
}

/// How often ages fell into each bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution {
    /// Packets in each bucket.
    pub counts: [u64; BUCKETS],
    /// The sum of all ages, in nanoseconds.
    pub sum_ns: i64,
}

#[derive(Debug)]
struct Ages {
    counts: [AtomicU64; BUCKETS],
    /// Two's complement, so that it can go below zero.
    sum_ns: AtomicU64,
}

impl SkewHistogram {
    /// Counts packets that were accepted, by when they were sent.
    #[inline(always)]
    pub(crate) fn accept_all(&self, sent: impl Iterator<Item = UnixNanos>, now: UnixNanos) {
        self.accepted.count_all(sent.map(|sent| age(sent, now)));
    }

    /// Counts a packet that was refused for its age.
    #[inline]
    pub(crate) fn refuse(&self, sent: UnixNanos, now: UnixNanos) {
        self.refused.count(age(sent, now));
    }

    /// The counts as they stand now.
    pub fn snapshot(&self) -> Skew {
        Skew {
            bounds_ns: std::array::from_fn(bound),
            accepted: self.accepted.snapshot(),
            refused: self.refused.snapshot(),
        }
    }
}

impl Default for SkewHistogram {
    fn default() -> Self {
        Self { accepted: Ages::new(), refused: Ages::new() }
    }
}

impl Ages {
    fn new() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::new(0)), sum_ns: AtomicU64::new(0) }
    }

    fn count(&self, age_ns: i64) {
        self.count_all([age_ns].into_iter());
    }

    /// Ages that fall into one bucket several times in a row, as they mostly do, are added up first, so that one addition to a counter
    /// does not wait for the one before.
    #[inline(always)]
    fn count_all(&self, ages_ns: impl Iterator<Item = i64>) {
        let (mut run, mut length, mut sum_ns) = (0, 0, 0_i64);
        for age_ns in ages_ns {
            let bucket = bucket(age_ns);
            if bucket != run {
                self.add(run, length);
                (run, length) = (bucket, 0);
            }
            length += 1;
            sum_ns = sum_ns.wrapping_add(age_ns);
        }
        self.add(run, length);
        // There is one writer, so a load and a store suffice and the bus need not be locked.
        self.sum_ns.store(self.sum_ns.load(Relaxed).wrapping_add_signed(sum_ns), Relaxed);
    }

    #[inline(always)]
    fn add(&self, bucket: usize, count: u64) {
        if let Some(counter) = self.counts.get(bucket) {
            counter.store(counter.load(Relaxed).wrapping_add(count), Relaxed);
        }
    }

    fn snapshot(&self) -> Distribution {
        Distribution {
            counts: std::array::from_fn(|index| self.counts[index].load(Relaxed)),
            sum_ns: self.sum_ns.load(Relaxed).cast_signed(),
        }
    }
}

/// The age in nanoseconds. A few years are as good as for ever, and their sum does not overflow soon.
#[inline(always)]
fn age(sent: UnixNanos, now: UnixNanos) -> i64 {
    now.0.wrapping_sub(sent.0).cast_signed().clamp(-LONGEST_NS, LONGEST_NS)
}

/// The bucket of an age: below zero, at zero and a little above, and doubling from there.
#[inline(always)]
fn bucket(age_ns: i64) -> usize {
    // How many bits the age has beyond those of the smallest bound.
    let doublings = |age: u64| (u64::BITS - (age >> SMALLEST_BITS).leading_zeros()).min(DOUBLINGS) as usize;
    if age_ns > 0 {
        // At a bound is within it.
        MIDDLE + 1 + doublings(age_ns.unsigned_abs() - 1)
    } else {
        MIDDLE - doublings(age_ns.unsigned_abs())
    }
}

/// The upper bound of a bucket.
fn bound(index: usize) -> Option<i64> {
    if index <= MIDDLE {
        let doublings = MIDDLE - index;
        return Some(if doublings == 0 { 0 } else { -(1 << (SMALLEST_BITS as usize + doublings - 1)) });
    }
    let doublings = index - MIDDLE - 1;
    (doublings < DOUBLINGS as usize).then(|| 1 << (SMALLEST_BITS as usize + doublings))
}

/// The bound nearest to zero: 2^17 ns, an eighth of a millisecond.
const SMALLEST_BITS: u32 = 17;

/// Up to 2^34 ns, 17 s.
const DOUBLINGS: u32 = 18;

/// The bucket whose upper bound is zero.
const MIDDLE: usize = DOUBLINGS as usize;

/// How many buckets there are.
pub const BUCKETS: usize = 2 * (DOUBLINGS as usize + 1);

/// Some three years.
const LONGEST_NS: i64 = 100_000_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_age_lies_within_the_bounds_of_its_bucket(age_ns in prop_oneof![any::<i64>(), -1_000_000i64..1_000_000]) {
            let age_ns = age_ns.clamp(-LONGEST_NS, LONGEST_NS);
            let index = bucket(age_ns);
            prop_assert!(bound(index).is_none_or(|bound| age_ns <= bound), "{age_ns} in {index}");
            if let Some(below) = index.checked_sub(1) {
                prop_assert!(bound(below).is_some_and(|bound| age_ns > bound), "{age_ns} in {index}");
            }
        }
    }

    #[test]
    fn bounds_ascend_and_only_the_last_bucket_has_none() {
        let bounds: Vec<_> = (0..BUCKETS).map(bound).collect();
        assert!(bounds[..BUCKETS - 1].iter().all(Option::is_some));
        assert!(bounds[..BUCKETS - 1].is_sorted_by(|one, next| one < next));
        assert_eq!((bounds[0], bounds[MIDDLE], bounds[BUCKETS - 1]), (Some(-(1 << 34)), Some(0), None));
    }

    #[test]
    fn a_clock_that_is_ahead_shows_below_zero() {
        let skew = SkewHistogram::default();
        skew.accept_all([UnixNanos(5_000_000)].into_iter(), UnixNanos(2_000_000));
        skew.refuse(UnixNanos(0), UnixNanos(u64::MAX));
        let skew = skew.snapshot();
        let at = skew.accepted.counts.iter().position(|count| *count == 1).unwrap();
        assert!(skew.bounds_ns[at].unwrap() < 0);
        assert_eq!((skew.accepted.sum_ns, skew.refused.counts.iter().sum::<u64>()), (-3_000_000, 1));
    }
}
