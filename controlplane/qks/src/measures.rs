//! What is counted while the server works. The numbers only grow; they are read when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::StatusCode;

pub use photongate_net::metrics::{Counter, Latency};

/// Requests of applications, by method and status.
#[derive(Debug, Default)]
pub struct Requests([[AtomicU64; STATUSES.len()]; METHODS.len()]);

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

/// The methods of ETSI GS QKD 014, as paths name them.
const METHODS: [&str; 3] = ["status", "enc_keys", "dec_keys"];

/// The statuses of that standard.
const STATUSES: [u16; 4] = [200, 400, 401, 503];

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
}
