//! How far the key of a direction is through its time.

use jiff::Timestamp;
use photongate_agent::api::KeyEpoch;

/// The key in use now, and whether the one after it is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Timeline {
    /// The share of its time that is over, from 0 to 1.
    pub gone: f64,
    /// Seconds until it ends.
    pub left_s: i64,
    /// Whether the next key is there already.
    pub has_next: bool,
}

impl Timeline {
    /// Of the newest key of a direction and the one that it replaces, at `now_ms` in milliseconds since 1970; `None` if
    /// neither is in use then.
    pub(super) fn of(newest: Option<&KeyEpoch>, replaced: Option<&KeyEpoch>, now_ms: u64) -> Option<Self> {
        let now = i64::try_from(now_ms).ok()?;
        let in_use = |epoch: &KeyEpoch| {
            let (start, end) = (milliseconds(&epoch.start)?, milliseconds(&epoch.end)?);
            (start <= now && now < end).then_some((start, end))
        };
        let newest_in_use = newest.and_then(in_use);
        let (start, end) = newest_in_use.or_else(|| replaced.and_then(in_use))?;
        let gone = (now - start) as f64 / (end - start) as f64;
        Some(Self { gone, left_s: (end - now) / 1000, has_next: newest.is_some() && newest_in_use.is_none() })
    }

    /// A bar of `width` cells, full cells for what is over.
    pub(super) fn bar(&self, width: usize) -> String {
        let full = ((self.gone * width as f64) as usize).min(width);
        "█".repeat(full) + &"░".repeat(width - full)
    }

    /// How long the key is used yet, in at most four characters, and a `+` if the next one is there.
    pub(super) fn left(&self) -> String {
        let seconds = self.left_s;
        let left = match seconds {
            ..100 => format!("{seconds}s"),
            100..6_000 => format!("{}m", seconds / 60),
            6_000..360_000 => format!("{}h", seconds / 3_600),
            _ => format!("{}d", seconds / 86_400),
        };
        left + if self.has_next { "+" } else { "" }
    }
}

fn milliseconds(instant: &str) -> Option<i64> {
    instant.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_in_use_counts_and_not_the_one_fetched_ahead() {
        let (current, next) = (epoch(0, 100), epoch(100, 200));
        let timeline = Timeline::of(Some(&next), Some(&current), 75_000).unwrap();
        assert_eq!(timeline, Timeline { gone: 0.75, left_s: 25, has_next: true });
        assert_eq!((timeline.bar(8).as_str(), timeline.left().as_str()), ("██████░░", "25s+"));
        let timeline = Timeline::of(Some(&next), Some(&current), 100_000).unwrap();
        assert_eq!(timeline, Timeline { gone: 0.0, left_s: 100, has_next: false });
    }

    #[test]
    fn a_direction_whose_keys_have_ended_has_no_timeline() {
        assert_eq!(Timeline::of(Some(&epoch(0, 100)), None, 100_000), None);
        assert_eq!(Timeline::of(None, None, 0), None);
    }

    #[test]
    fn the_time_left_is_short_at_any_length() {
        for seconds in [0, 99, 100, 5_999, 6_000, 359_999, 360_000, 30_000_000] {
            let left = Timeline { gone: 0.0, left_s: seconds, has_next: true }.left();
            assert!(left.len() <= 5, "{left}");
        }
    }

    fn epoch(start: i64, end: i64) -> KeyEpoch {
        let text = |second| Timestamp::from_second(second).unwrap().to_string();
        KeyEpoch { start: text(start), end: text(end) }
    }
}
