//! When the keys held are written down for the next start.

use std::time::{Duration, Instant};

/// Decides when to write: soon after a change, but not all the time while many change one after the other.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// Since when the keys held are others than those written down.
    changed: Option<Instant>,
    /// What writing has cost the last time.
    took: Duration,
}

impl Keeper {
    /// Notes that the keys held are others now.
    pub(super) fn note_change(&mut self) {
        self.changed.get_or_insert_with(Instant::now);
    }

    /// Whether it is time to write.
    pub(super) fn is_due(&self) -> bool {
        let pause = SHORTEST_PAUSE.max(self.took * COST_FACTOR);
        self.changed.is_some_and(|changed| changed.elapsed() >= pause)
    }

    /// Whether something has changed that is not written down.
    pub(super) fn is_behind(&self) -> bool {
        self.changed.is_some()
    }

    /// Notes that nothing was written down, which took so long. It is tried again.
    pub(super) fn note_failed(&mut self, took: Duration) {
        (self.changed, self.took) = (Some(Instant::now()), took);
    }

    /// Notes that everything was written down, which took so long.
    pub(super) fn note_written(&mut self, took: Duration) {
        (self.changed, self.took) = (None, took);
    }
}

/// Changes of a rotation come together.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Writing may take a tenth of the time.
const COST_FACTOR: u32 = 10;
