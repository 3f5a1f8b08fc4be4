//! What is counted and timed while a program works. The numbers only grow; they are read when somebody asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

/// How long something took, as a histogram.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; BOUNDS_S.len()],
    sum_nanos: AtomicU64,
}

impl Counter {
    /// Counts so many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// How many there were.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Latency {
    /// Notes that it took so long once.
    pub fn note(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS_S.iter().position(|bound| seconds <= *bound).expect("the last bound is infinite");
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Upper bounds in seconds, each with how often it took longer than the bound before and not longer than this one.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        BOUNDS_S.into_iter().zip(self.buckets.iter().map(|count| count.load(Relaxed))).collect()
    }

    /// How long it took in all, in seconds.
    pub fn sum_s(&self) -> f64 {
        self.sum_nanos.load(Relaxed) as f64 / 1e9
    }
}

const BOUNDS_S: [f64; 10] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1.0, f64::INFINITY];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let latency = Latency::default();
        [1, 2, 5_000].map(Duration::from_millis).into_iter().for_each(|took| latency.note(took));
        let counted: Vec<_> = latency.buckets().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(0.001, 1), (0.002, 1), (f64::INFINITY, 1)]);
        assert!((latency.sum_s() - 5.003).abs() < 1e-9);
    }
}
