//! How long to wait before the next attempt. No clock and no randomness of its own.

use std::time::Duration;

/// Delays that double with each failure, up to a longest one.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    base: Duration,
    failures: u32,
}

impl Backoff {
    /// Begins with `base`.
    pub(super) const fn new(base: Duration) -> Self {
        Self { base, failures: 0 }
    }

    /// The delay after one more failure: between half of what is due and all of it, as `random` has it, so that nodes that lost each other
    /// at the same moment do not all come back at one.
    pub(super) fn next(&mut self, random: u32) -> Duration {
        let longest = LONGEST.max(self.base);
        let due = self.base.saturating_mul(1 << self.failures.min(MOST_DOUBLINGS)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let half = due / 2;
        half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// An attempt succeeded: the next delay is the first one again.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Unless the base is longer. A node that comes back should not wait long to be noticed.
const LONGEST: Duration = Duration::from_secs(2);
const MOST_DOUBLINGS: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(100));
        let delays: Vec<_> = (0..7).map(|_| backoff.next(u32::MAX).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1_600, 2_000, 2_000]);
        for _ in 0..100 {
            backoff.next(0);
        }
        backoff.reset();
        assert_eq!(backoff.next(u32::MAX), Duration::from_millis(100));
    }

    #[test]
    fn chance_takes_away_up_to_half() {
        let mut backoff = Backoff::new(Duration::from_millis(100));
        assert_eq!(backoff.next(0), Duration::from_millis(50));
        let delay = backoff.next(u32::MAX / 2);
        assert!((Duration::from_millis(149)..=Duration::from_millis(150)).contains(&delay), "{delay:?}");
    }

    #[test]
    fn a_base_beyond_the_longest_is_kept() {
        let mut backoff = Backoff::new(Duration::from_secs(30));
        assert_eq!(
            (backoff.next(u32::MAX), backoff.next(u32::MAX)),
            (Duration::from_secs(30), Duration::from_secs(30))
        );
    }
}
