//! The times that govern every key, and the one condition that they must meet together.

use photongate_wire::Nanos;

/// How long keys live, and how much earlier and later than that they are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTimes {
    /// Length of an epoch.
    pub epoch: Nanos,
    /// The next key is held this long before the current one ends.
    pub prefetch: Nanos,
    /// Packets are accepted this long after the end of their key's epoch.
    pub grace: Nanos,
    /// The largest clock difference plus transit time that is accepted.
    pub time_threshold: Nanos,
}

impl KeyTimes {
    /// Checks that the times leave room for one another: never are more than two keys needed at once.
    ///
    /// # Errors
    /// [`EpochTooShort`] if an old key may still be valid when the key after the next must be there already.
    pub fn validate(&self) -> Result<(), EpochTooShort> {
        let least = self.lead().saturating_add(self.tail()).max(self.least_in_force());
        if self.epoch < least { Err(EpochTooShort { times: *self, least }) } else { Ok(()) }
    }

    /// The width of the window around the receiver's clock in which a packet must have been sent, to be any of our keys'.
    ///
    /// It is LightningFilter's, 360 s, or else just wide enough that `time_threshold` has the last word.
    pub fn acceptance_window(&self) -> Nanos {
        let half = self.time_threshold.saturating_add(Nanos(1));
        ACCEPTANCE_WINDOW.max(half.saturating_add(half))
    }

    /// How long before its epoch a key is held. A peer's clock may be ahead by `time_threshold`, so no less than that.
    pub fn lead(&self) -> Nanos {
        self.prefetch.max(self.time_threshold)
    }

    /// How long after the end of its epoch a key may still be that of a packet.
    pub fn tail(&self) -> Nanos {
        self.grace.saturating_add(self.time_threshold)
    }

    /// How long a key must at least be used to send: its predecessor may still be valid for a while, and its successor
    /// is needed a while before; and a packet's time must tell whether it has this key or its predecessor's.
    pub(crate) fn least_in_force(&self) -> Nanos {
        let skew = self.time_threshold.saturating_add(self.time_threshold);
        self.tail().saturating_add(self.time_threshold).max(skew.saturating_add(Nanos(1)))
    }
}

impl Default for KeyTimes {
    /// LightningFilter's three days and its two seconds of grace; the rest as in the example configuration.
    fn default() -> Self {
        Self {
            epoch: Nanos::from_secs(3 * 24 * 60 * 60),
            prefetch: Nanos::from_secs(30),
            grace: Nanos::from_secs(2),
            time_threshold: Nanos::from_secs(1),
        }
    }
}

/// The epoch is too short for the other times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an epoch of {} is too short: with prefetch {}, grace {} and time_threshold {} it must be at least {least}",
    times.epoch, times.prefetch, times.grace, times.time_threshold
)]
pub struct EpochTooShort {
    /// The times as they were given.
    pub times: KeyTimes,
    /// The shortest epoch that goes with the other times.
    pub least: Nanos,
}

const ACCEPTANCE_WINDOW: Nanos = Nanos::from_secs(360);

#[cfg(test)]
mod tests {
    use super::*;

    fn times(epoch: u64, prefetch: u64, grace: u64, time_threshold: u64) -> KeyTimes {
        KeyTimes {
            epoch: Nanos::from_secs(epoch),
            prefetch: Nanos::from_secs(prefetch),
            grace: Nanos::from_secs(grace),
            time_threshold: Nanos::from_secs(time_threshold),
        }
    }

    #[test]
    fn the_default_times_are_valid() {
        assert_eq!(KeyTimes::default().validate(), Ok(()));
    }

    #[test]
    fn an_epoch_must_hold_prefetch_grace_and_threshold() {
        assert_eq!(times(33, 30, 2, 1).validate(), Ok(()));
        let times = times(32, 30, 2, 1);
        assert_eq!(times.validate(), Err(EpochTooShort { times, least: Nanos::from_secs(33) }));
    }

    #[test]
    fn the_threshold_counts_twice_when_the_prefetch_is_shorter() {
        assert_eq!(times(12, 1, 2, 5).validate(), Ok(()));
        assert_eq!(times(11, 1, 2, 5).validate().unwrap_err().least, Nanos::from_secs(12));
    }

    #[test]
    fn an_epoch_of_no_length_is_refused_even_when_nothing_else_takes_time() {
        assert!(times(0, 0, 0, 0).validate().is_err());
    }

    #[test]
    fn an_epoch_must_be_longer_than_two_clocks_can_be_apart() {
        assert_eq!(times(10, 0, 0, 5).validate().unwrap_err().least, Nanos(Nanos::from_secs(10).0 + 1));
        assert_eq!(times(11, 0, 0, 5).validate(), Ok(()));
    }

    #[test]
    fn times_beyond_all_clocks_are_refused() {
        let times = KeyTimes { grace: Nanos(u64::MAX - 1), time_threshold: Nanos(3), ..KeyTimes::default() };
        assert!(times.validate().is_err());
    }

    #[test]
    fn the_refusal_names_every_time() {
        assert_eq!(
            times(10, 30, 2, 1).validate().unwrap_err().to_string(),
            "an epoch of 10s is too short: with prefetch 30s, grace 2s and time_threshold 1s it must be at least 33s"
        );
    }

    #[test]
    fn the_window_is_lightning_filters_unless_the_threshold_is_wider() {
        assert_eq!(times(1_000, 30, 2, 1).acceptance_window(), Nanos::from_secs(360));
        assert_eq!(times(1_000, 30, 2, 200).acceptance_window(), Nanos(Nanos::from_secs(400).0 + 2));
    }
}
