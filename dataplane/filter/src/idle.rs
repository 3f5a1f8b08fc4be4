//! Rest for a worker that finds nothing to do, and what share of its time is work.

use photongate_dpdk::clock;
use std::time::Duration;

/// Decides how a worker spends the time until its next poll.
///
/// After some empty polls it sleeps, each time twice as long up to [`LONGEST`]; the first packet ends that.
#[derive(Debug)]
pub(crate) struct Idle {
    adaptive: bool,
    empty_polls: u32,
}

/// What to do until the next poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing: poll at once.
    None,
    /// Let another thread of this processor run, if one waits.
    Yield,
    /// Sleep.
    Sleep(Duration),
}

impl Idle {
    /// A worker that never rests unless it is `adaptive`.
    pub(crate) fn new(adaptive: bool) -> Self {
        Self { adaptive, empty_polls: 0 }
    }

    /// How to rest after a poll that brought so many packets.
    #[inline]
    pub(crate) fn after(&mut self, packets: usize) -> Rest {
        if packets > 0 || !self.adaptive {
            self.empty_polls = 0;
            return Rest::None;
        }
        self.empty_polls = self.empty_polls.saturating_add(1);
        match self.empty_polls {
            0..SPINS => Rest::None,
            SPINS..YIELDS => Rest::Yield,
            polls => {
                let doublings = ((polls - YIELDS) / SLEEPS_OF_ONE_LENGTH).min(MOST_DOUBLINGS);
                Rest::Sleep((SHORTEST * (1 << doublings)).min(LONGEST))
            }
        }
    }
}

/// Measures a worker's time in cycles.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    last: u64,
}

impl Stopwatch {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self { last: clock::tsc() }
    }

    /// Cycles since the last lap.
    #[inline]
    pub(crate) fn lap(&mut self) -> u64 {
        let now = clock::tsc();
        let cycles = now.saturating_sub(self.last);
        self.last = now;
        cycles
    }
}

/// Empty polls before a worker yields: some tens of microseconds.
const SPINS: u32 = 256;

/// Empty polls before a worker sleeps.
const YIELDS: u32 = 512;

const SLEEPS_OF_ONE_LENGTH: u32 = 8;
const MOST_DOUBLINGS: u32 = 4;
const SHORTEST: Duration = Duration::from_micros(10);

/// The longest sleep: a full receive queue of a 10 Gbit/s port lasts longer.
const LONGEST: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_without_work_rests_longer_and_longer_up_to_a_limit() {
        let mut idle = Idle::new(true);
        let rests: Vec<_> = (0..2000).map(|_| idle.after(0)).collect();
        assert_eq!(rests[0], Rest::None);
        assert_eq!(rests[SPINS as usize], Rest::Yield);
        assert_eq!(rests[YIELDS as usize], Rest::Sleep(SHORTEST));
        assert_eq!(rests[1999], Rest::Sleep(LONGEST));
    }

    #[test]
    fn a_packet_ends_the_rest() {
        let mut idle = Idle::new(true);
        let _ = (0..2000).map(|_| idle.after(0)).last();
        assert_eq!(idle.after(1), Rest::None);
        assert_eq!(idle.after(0), Rest::None);
    }

    #[test]
    fn a_worker_that_is_to_poll_always_never_rests() {
        let mut idle = Idle::new(false);
        assert!((0..5000).all(|_| idle.after(0) == Rest::None));
    }
}
