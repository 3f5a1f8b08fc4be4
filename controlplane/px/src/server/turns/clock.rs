//! When the core is told that time has passed: as seldom as possible, and never more than this process itself has seen of it.

use std::time::Duration;

use tokio::time::Instant;

/// Counts the ticks that have passed.
///
/// While nothing is due, ticks are counted together, when the last of them is over: a node that has nothing to do is not woken for them.
///
/// A node that was not run for a while finds its clock advanced, and what others said meanwhile still on its way through the system. Were
/// the next tick to end a round of heartbeats, it would take them for dead. So what is late by a tick or more counts for no more than was
/// planned, less one: until the next tick there is time to hear the others. Of two that are late the second counts in full, or a machine
/// that is always late would never tick.
#[derive(Debug)]
pub(super) struct Clock {
    tick: Duration,
    /// Up to when ticks were counted.
    last: Instant,
    /// So many more will be, when they are over.
    planned: u32,
    was_held_up: bool,
}

impl Clock {
    /// Begins now, with so much time between two ticks.
    pub(super) fn new(tick: Duration) -> Self {
        Self { tick, last: Instant::now(), planned: 1, was_held_up: false }
    }

    /// When to [advance](Self::advance).
    pub(super) fn due(&self) -> Instant {
        self.last + self.tick * self.planned
    }

    /// Nothing is due for so many ticks from the last advance on: the next one is put off until then, or moved to the end of this tick.
    /// It stays if it is due already.
    pub(super) fn plan(&mut self, now: Instant, quiet: u64) {
        if self.due() > now {
            let begun = now.duration_since(self.last).as_nanos() / self.tick.as_nanos() + 1;
            let begun = u32::try_from(begun).unwrap_or(MOST);
            self.planned = begun.max(u32::try_from(quiet).unwrap_or(MOST).min(MOST));
        }
    }

    /// How many ticks count, now that they are due.
    pub(super) fn advance(&mut self, now: Instant) -> u32 {
        let is_late = now >= self.due() + self.tick;
        self.last = if is_late { now } else { self.due() };
        self.was_held_up = is_late && !self.was_held_up;
        let counted = if self.was_held_up { self.planned - 1 } else { self.planned };
        self.planned = 1;
        counted
    }
}

/// More are never counted together.
const MOST: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_counted_together_while_nothing_is_due() {
        let (mut clock, start) = clock();
        clock.plan(start, 6);
        assert_eq!(clock.due(), start + 6 * TICK);
        assert_eq!(clock.advance(start + 6 * TICK), 6);
        assert_eq!(clock.due(), start + 7 * TICK);
    }

    #[test]
    fn when_something_becomes_due_the_tick_that_has_begun_is_the_last_to_be_counted() {
        let (mut clock, start) = clock();
        clock.plan(start, 6);
        clock.plan(start + TICK * 5 / 2, 1);
        assert_eq!(clock.due(), start + 3 * TICK);
        clock.plan(start + TICK * 5 / 2, 6);
        assert_eq!(clock.due(), start + 6 * TICK, "it is done");
    }

    #[test]
    fn what_is_due_is_not_put_off_however_often_something_happens() {
        let (mut clock, start) = clock();
        clock.plan(start, 1);
        clock.plan(start + TICK, 1);
        clock.plan(start + TICK * 3 / 2, 6);
        assert_eq!(clock.due(), start + TICK);
    }

    #[test]
    fn after_a_pause_of_this_process_a_tick_less_counts_and_the_next_time_all_do() {
        let (mut clock, start) = clock();
        clock.plan(start, 3);
        let late = start + 40 * TICK;
        assert_eq!(clock.advance(late), 2);
        assert_eq!(clock.due(), late + TICK);
        assert_eq!(clock.advance(late + 40 * TICK), 1, "it is always late");
        assert_eq!(clock.advance(late + 80 * TICK), 0);
    }

    fn clock() -> (Clock, Instant) {
        let clock = Clock::new(TICK);
        let start = clock.last;
        (clock, start)
    }

    const TICK: Duration = Duration::from_millis(20);
}
