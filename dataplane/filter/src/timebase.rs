//! The clocks that packets are judged by.

use photongate_net::now;
use photongate_pipeline::Clock;
use photongate_wire::UnixNanos;
use std::time::Instant;

/// A moment at which both clocks were read.
#[derive(Clone, Copy, Debug)]
pub struct Timebase {
    unix: UnixNanos,
    instant: Instant,
}

impl Timebase {
    /// Reads both clocks.
    pub fn start() -> Self {
        Self { unix: now(), instant: Instant::now() }
    }

    /// The time of day at the start.
    pub fn unix(&self) -> UnixNanos {
        self.unix
    }

    /// The time.
    pub fn now(&self) -> Clock {
        Clock { unix: now(), monotonic: self.monotonic() }
    }

    /// The time by the clock that nobody sets.
    #[inline]
    fn monotonic(&self) -> UnixNanos {
        let elapsed = u64::try_from(self.instant.elapsed().as_nanos()).unwrap_or(u64::MAX);
        UnixNanos(self.unix.0.saturating_add(elapsed))
    }
}

/// What a worker reads before each burst.
///
/// To read a clock takes as long as to judge a packet. So it is one of the two, and the time of day only now and then: in between it goes
/// as the other one does. When it is set, workers see that within [`GLANCE`].
#[derive(Debug)]
pub(crate) struct WorkerClock {
    timebase: Timebase,
    /// By how much the time of day is ahead of the other clock; it wraps where it is behind.
    ahead: u64,
    /// When the time of day is read again.
    due: UnixNanos,
}

impl WorkerClock {
    /// Has not been read.
    pub(crate) fn new(timebase: Timebase) -> Self {
        Self { timebase, ahead: 0, due: UnixNanos(0) }
    }

    /// The time.
    #[inline]
    pub(crate) fn now(&mut self) -> Clock {
        let monotonic = self.timebase.monotonic();
        if monotonic >= self.due {
            self.ahead = now().0.wrapping_sub(monotonic.0);
            self.due = UnixNanos(monotonic.0.saturating_add(GLANCE));
        }
        Clock { unix: UnixNanos(monotonic.0.wrapping_add(self.ahead)), monotonic }
    }
}

/// Nanoseconds. The clocks of two machines hardly agree better.
const GLANCE: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_workers_time_of_day_is_that_of_the_machine() {
        let mut clock = WorkerClock::new(Timebase::start());
        for _ in 0..3 {
            let before = now();
            let read = clock.now();
            // The machine's clock may be slowed or hurried a little while ours goes by the other one.
            assert!(read.unix.distance(before).0 < 1_000_000_000, "{before:?} {read:?}");
            std::thread::sleep(Duration::from_nanos(2 * GLANCE));
        }
    }

    #[test]
    fn neither_clock_stands_still() {
        let mut clock = WorkerClock::new(Timebase::start());
        let first = clock.now();
        std::thread::sleep(Duration::from_nanos(GLANCE / 2));
        let second = clock.now();
        assert!(second.monotonic > first.monotonic && second.unix > first.unix);
    }
}
