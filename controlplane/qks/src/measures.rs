//! What is counted while the server works. The numbers only grow; they are read when somebody asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;

/// Requests of applications, by method and status.
#[derive(Debug, Default)]
pub struct Requests([[AtomicU64; STATUSES.len()]; METHODS.len()]);

/// A number. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

/// How long something took, as a histogram.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; BOUNDS_S.len()],
    sum_nanos: AtomicU64,
}

impl Requests {
    /// Counts a request. `method` is the last part of its path; what has another one is not counted.
    pub fn count(&self, method: &str, status: StatusCode) {
        let place = |status: u16| STATUSES.iter().position(|known| *known == status);
        let method = METHODS.iter().position(|known| *known == method);
        if let (Some(method), Some(status)) = (method, place(status.as_u16()).or_else(|| place(503))) {
            self.0[method][status].fetch_add(1, Relaxed);
        }
    }

    /// Method, status, and how many there were; also where there were none.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u16, u64)> {
        let of_method = |(method, counts): (usize, &[AtomicU64; STATUSES.len()])| {
            let counts: Vec<_> = counts.iter().map(|count| count.load(Relaxed)).collect();
            STATUSES.into_iter().zip(counts).map(move |(status, count)| (METHODS[method], status, count))
        };
        self.0.iter().enumerate().flat_map(of_method)
    }
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

/// The methods of ETSI GS QKD 014, as paths name them.
const METHODS: [&str; 3] = ["status", "enc_keys", "dec_keys"];

/// The statuses of that standard.
const STATUSES: [u16; 4] = [200, 400, 401, 503];

const BOUNDS_S: [f64; 10] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1.0, f64::INFINITY];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_where_it_belongs_and_nowhere_else() {
        let requests = Requests::default();
        requests.count("enc_keys", StatusCode::OK);
        requests.count("enc_keys", StatusCode::OK);
        requests.count("dec_keys", StatusCode::UNAUTHORIZED);
        requests.count("something", StatusCode::OK);
        let counted: Vec<_> = requests.all().filter(|(.., count)| *count > 0).collect();
        assert_eq!(counted, [("enc_keys", 200, 2), ("dec_keys", 401, 1)]);
        assert_eq!(requests.all().count(), 12);
    }

    #[test]
    fn a_time_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let latency = Latency::default();
        [1, 2, 5_000].map(Duration::from_millis).into_iter().for_each(|took| latency.note(took));
        let counted: Vec<_> = latency.buckets().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(0.001, 1), (0.002, 1), (f64::INFINITY, 1)]);
        assert!((latency.sum_s() - 5.003).abs() < 1e-9);
    }
}
