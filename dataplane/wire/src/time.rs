//! Instants and spans of the packet path, in nanoseconds, with their origin in the type.

use std::fmt;
use std::time::Duration;

/// A span of time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

/// Nanoseconds since the Unix epoch (1970-01-01T00:00:00Z), leap seconds not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanos(pub u64);

/// Nanoseconds since a DRKey epoch began, as in the LF header. Two values compare only within one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochNanos(pub u64);

impl Nanos {
    /// `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000_000)
    }

    /// The sum of the spans, or the largest span.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl UnixNanos {
    /// The instant `span` later, or the last one.
    #[must_use]
    pub const fn saturating_add(self, span: Nanos) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The instant `span` earlier, or the Unix epoch.
    #[must_use]
    pub const fn saturating_sub(self, span: Nanos) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// The instant that lies `since` after `epoch_start`; `None` where no clock can show it.
    #[must_use]
    pub const fn in_epoch(epoch_start: Self, since: EpochNanos) -> Option<Self> {
        match epoch_start.0.checked_add(since.0) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// How long after `epoch_start` this is; `None` if it is before.
    #[must_use]
    pub const fn since_epoch(self, epoch_start: Self) -> Option<EpochNanos> {
        match self.0.checked_sub(epoch_start.0) {
            Some(nanos) => Some(EpochNanos(nanos)),
            None => None,
        }
    }

    /// How far apart the two instants are, whichever is earlier.
    #[must_use]
    pub const fn distance(self, other: Self) -> Nanos {
        Nanos(self.0.abs_diff(other.0))
    }
}

impl From<Duration> for Nanos {
    /// Saturates after 584 years.
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanos> for Duration {
    fn from(nanos: Nanos) -> Self {
        Self::from_nanos(nanos.0)
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from(*self))
    }
}
