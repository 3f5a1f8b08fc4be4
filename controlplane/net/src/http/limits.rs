//! How often somebody may ask.

use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{HeaderValue, StatusCode, header};

use super::Problem;

/// The rate limits of a server.
#[derive(Debug)]
pub(super) struct RateLimits {
    callers: Limiter<String>,
    strangers: Limiter<Source>,
    failures: Limiter<Source>,
    records: Limiter<String>,
}

/// Where a request came from, as far as limits tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// The Unix socket.
    Unix,
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address: whoever has one address usually has all that begin like it.
    V6([u16; 4]),
    /// One of more than can be told apart.
    Overflow,
}

impl RateLimits {
    /// Every caller may ask `per_second` times, and twice as often in one go. So may everybody at one source together
    /// who has not shown who they are. Failing to show it is allowed ten times in one go, and then once in six
    /// seconds.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let requests = Quota::per_second(per_second).allow_burst(per_second.saturating_mul(BURST));
        let failures = Quota::with_period(FAILURE_PERIOD).expect("it is not zero").allow_burst(FAILURE_BURST);
        Self {
            callers: Limiter::new(requests, String::new()),
            strangers: Limiter::new(requests, Source::Overflow),
            failures: Limiter::new(failures, Source::Overflow),
            records: Limiter::new(failures, String::new()),
        }
    }

    /// Counts a request of somebody who is known.
    pub(super) fn admit_caller(&self, name: &str) -> Result<(), Problem> {
        self.callers.take(&name.to_owned()).map_err(|wait| too_many("this caller asks too often", wait))
    }

    /// Counts a request of somebody who is not.
    pub(super) fn admit_stranger(&self, source: Source) -> Result<(), Problem> {
        self.strangers.take(&source).map_err(|wait| too_many("too many requests come from this address", wait))
    }

    /// Counts that somebody failed to show who they are. Whoever shows it is served all the same, or anybody at the
    /// same address could lock the others out.
    pub(super) fn note_failure(&self, source: Source) -> Result<(), Problem> {
        let detail = "too many requests from this address came without a valid token or certificate";
        self.failures.take(&source).map_err(|wait| too_many(detail, wait))
    }

    /// Whether it may be written down once more that `caller` was refused: as often as somebody may fail to show who they are.
    pub(super) fn may_record(&self, caller: &str) -> bool {
        self.records.take(&caller.to_owned()).is_ok()
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// A limit for each key. It remembers at most [`MOST_KEYS`]: whoever comes later shares one.
#[derive(Debug)]
struct Limiter<K: Clone + Eq + Hash> {
    keys: DefaultKeyedRateLimiter<K>,
    overflow: K,
    /// When it was last looked for keys that can be forgotten.
    swept: Mutex<Option<Instant>>,
}

impl<K: Clone + Eq + Hash> Limiter<K> {
    fn new(quota: Quota, overflow: K) -> Self {
        Self { keys: RateLimiter::keyed(quota), overflow, swept: Mutex::new(None) }
    }

    /// Counts one request of `key`, or says how long to wait.
    fn take(&self, key: &K) -> Result<(), Duration> {
        if self.keys.len() >= MOST_KEYS {
            self.sweep();
        }
        let key = if self.keys.len() >= MOST_KEYS { &self.overflow } else { key };
        self.keys.check_key(key).map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }

    /// Forgets those who have not asked for a while, who are as good as new. Not at every request: it looks at all.
    fn sweep(&self) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.is_none_or(|swept| swept.elapsed() >= SWEEP_PAUSE) {
            self.keys.retain_recent();
            self.keys.shrink_to_fit();
            *swept = Some(Instant::now());
        }
    }
}

fn too_many(detail: &str, wait: Duration) -> Problem {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests")
        .with_detail(format!("{detail}: ask again in {seconds} seconds"))
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
}

/// How many keys a limiter remembers, about 100 bytes each.
const MOST_KEYS: usize = 4_096;

/// For how many seconds a caller may ask in one go.
const BURST: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");

const SWEEP_PAUSE: Duration = Duration::from_secs(1);

const FAILURE_PERIOD: Duration = Duration::from_secs(6);

const FAILURE_BURST: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_too_often_is_told_when_to_ask_again() {
        let limits = RateLimits::new(NonZeroU32::MIN);
        let refused = std::iter::repeat_with(|| limits.admit_caller("ops")).find_map(Result::err).unwrap();
        assert_eq!(refused.status_code(), StatusCode::TOO_MANY_REQUESTS);
        assert!(limits.admit_caller("monitor").is_ok(), "one caller's limit is not another's");
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_limit_and_mapped_addresses_are_ipv4() {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }

    #[test]
    fn a_flood_of_addresses_does_not_grow_the_memory_of_a_limiter() {
        let period = Quota::with_period(Duration::from_secs(3_600)).unwrap();
        let limiter = Limiter::new(period, Source::Overflow);
        let outcomes = (0..3 * MOST_KEYS as u32).map(|address| limiter.take(&Source::V4(address.into())));
        assert_eq!(outcomes.filter(Result::is_ok).count(), MOST_KEYS + 1, "those who came too late share one");
        assert!(limiter.keys.len() <= MOST_KEYS + 1);
    }
}
