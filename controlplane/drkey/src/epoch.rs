//! Epochs: how long a key is used, and which packets it may authenticate.

use std::fmt;

use photongate_wire::{EpochNanos, Nanos, UnixNanos};

/// The time during which a key is used to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch {
    /// Its first instant, from which the timestamps of packets count.
    pub start: UnixNanos,
    /// The first instant after it.
    pub end: UnixNanos,
}

impl Epoch {
    /// The epoch that holds `at` where epochs of this `length` follow one another from `first` on; `None` before it, or if
    /// `length` is zero.
    pub fn counted_from(first: UnixNanos, at: UnixNanos, length: Nanos) -> Option<Self> {
        let past = at.since_epoch(first)?.0.checked_div(length.0)?;
        let start = first.saturating_add(Nanos(past * length.0));
        Some(Self { start, end: start.saturating_add(length) })
    }

    /// Whether `at` lies within the epoch.
    pub fn contains(self, at: UnixNanos) -> bool {
        self.start <= at && at < self.end
    }

    /// When a packet of this epoch was sent, judged at `now`; `None` if it cannot have been sent in this epoch.
    ///
    /// That takes two things of `sent`, the instant `timestamp` after the start of the epoch: it lies within half a
    /// `window` of `now`, and no later than `grace` after the end of the epoch. Without the second, a sender could use
    /// an old key for as long as it likes.
    ///
    /// Source: scionproto `doc/protocols/authenticator-option.rst`, "Absolute time"; scionproto/scion#4894.
    #[must_use]
    pub fn sent(self, timestamp: EpochNanos, now: UnixNanos, window: Nanos, grace: Nanos) -> Option<UnixNanos> {
        let sent = UnixNanos::in_epoch(self.start, timestamp)?;
        let half = Nanos(window.0 / 2);
        let in_window = now.saturating_sub(half) <= sent && sent < now.saturating_add(half);
        (in_window && sent <= self.end.saturating_add(grace)).then_some(sent)
    }
}

/// As operators write it: `2026-11-21T00:00:00Z to 2026-11-24T00:00:00Z`.
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", calendar(self.start), calendar(self.end))
    }
}

/// The instant as date and time of day in UTC (RFC 3339).
pub fn calendar(instant: UnixNanos) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(instant.0)).expect("64 bits of nanoseconds end in the year 2554")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Nanos = Nanos::from_secs(86_400);
    const GRACE: Nanos = Nanos::from_secs(5);
    const WINDOW: Nanos = Nanos::from_secs(60);

    fn at(secs: u64) -> UnixNanos {
        UnixNanos(secs * 1_000_000_000)
    }

    fn first_day() -> Epoch {
        Epoch { start: at(0), end: at(86_400) }
    }

    fn sent(epoch: Epoch, timestamp: Nanos, now: UnixNanos) -> Option<UnixNanos> {
        epoch.sent(EpochNanos(timestamp.0), now, WINDOW, GRACE)
    }

    #[test]
    fn an_epoch_holds_its_first_instant_and_not_its_last() {
        let epoch = first_day();
        assert!(epoch.contains(epoch.start));
        assert!(epoch.contains(UnixNanos(epoch.end.0 - 1)));
        assert!(!epoch.contains(epoch.end));
    }

    #[test]
    fn the_grace_period_ends_after_its_last_instant() {
        let last = DAY.saturating_add(GRACE);
        assert_eq!(sent(first_day(), last, at(86_410)), Some(at(86_405)));
        assert_eq!(sent(first_day(), Nanos(last.0 + 1), at(86_410)), None);
    }

    #[test]
    fn the_window_holds_its_earliest_instant_and_not_its_latest() {
        let now = at(1_000);
        assert_eq!(sent(first_day(), Nanos::from_secs(970), now), Some(at(970)));
        assert_eq!(sent(first_day(), Nanos(Nanos::from_secs(970).0 - 1), now), None);
        assert_eq!(sent(first_day(), Nanos(Nanos::from_secs(1_030).0 - 1), now), Some(UnixNanos(at(1_030).0 - 1)));
        assert_eq!(sent(first_day(), Nanos::from_secs(1_030), now), None);
    }

    #[test]
    fn a_timestamp_that_no_clock_can_show_is_refused() {
        let epoch = Epoch { start: at(1), end: at(86_401) };
        for now in [at(1), UnixNanos(u64::MAX)] {
            assert_eq!(epoch.sent(EpochNanos(u64::MAX), now, WINDOW, GRACE), None);
        }
    }

    #[test]
    fn an_epoch_beyond_the_end_of_all_clocks_ends_with_them() {
        let epoch = Epoch::counted_from(UnixNanos(u64::MAX - 10), UnixNanos(u64::MAX), Nanos(100));
        assert_eq!(epoch, Some(Epoch { start: UnixNanos(u64::MAX - 10), end: UnixNanos(u64::MAX) }));
    }

    #[test]
    fn epochs_of_no_length_are_none() {
        assert_eq!(Epoch::counted_from(at(0), at(1), Nanos(0)), None);
    }

    #[test]
    fn an_epoch_prints_as_dates() {
        assert_eq!(first_day().to_string(), "1970-01-01T00:00:00Z to 1970-01-02T00:00:00Z");
    }
}
