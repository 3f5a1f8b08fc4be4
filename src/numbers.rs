//! Numbers and times as people read them.

use std::time::Duration;

use jiff::Timestamp;

/// Three digits and a unit prefix: `1.2 k`.
pub(crate) fn scaled(value: f64) -> String {
    let prefixes = ["", "k", "M", "G", "T"];
    let mut scaled = value;
    let mut prefix = 0;
    while scaled >= 999.5 && prefix + 1 < prefixes.len() {
        scaled /= 1000.0;
        prefix += 1;
    }
    let digits = if prefix == 0 || scaled >= 99.95 { 0 } else { 1 };
    format!("{scaled:.digits$} {}", prefixes[prefix]).trim_end().to_owned()
}

/// Three digits and a unit with its prefix: `1.2 kbit/s`, `7 bit/s`.
pub(crate) fn scaled_in(value: f64, unit: &str) -> String {
    let scaled = scaled(value);
    let gap = if scaled.contains(' ') { "" } else { " " };
    format!("{scaled}{gap}{unit}")
}

/// All digits, in groups of three: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// A time by its two largest units: `3 d 4 h`.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let [days, hours, minutes, seconds] = [seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60];
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A time that somebody has written, as `500ms`.
///
/// # Errors
/// What to write instead.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(HOW_TO_WRITE_TIME.to_owned()),
    };
    let count: u64 = count.parse().map_err(|_| HOW_TO_WRITE_TIME.to_owned())?;
    count.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| HOW_TO_WRITE_TIME.to_owned())
}

/// How an instant, as the filter writes it, lies to now: `in 3 h 2 min`, `5 s ago`; as it is if it cannot be read.
pub(crate) fn relative(instant: &str, now: Timestamp) -> String {
    match seconds_until(instant, now) {
        None => instant.to_owned(),
        Some(seconds @ 0..) => format!("in {}", span(Duration::from_secs(seconds.unsigned_abs()))),
        Some(seconds) => format!("{} ago", span(Duration::from_secs(seconds.unsigned_abs()))),
    }
}

/// Seconds from now to an instant, negative if it is over.
pub(crate) fn seconds_until(instant: &str, now: Timestamp) -> Option<i64> {
    let instant: Timestamp = instant.parse().ok()?;
    Some(instant.as_second() - now.as_second())
}

const HOW_TO_WRITE_TIME: &str = "write a whole number and a unit: 500ms, 10s, 5m or 1h";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for text in ["", "10", "s", "1.5s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn scaled_numbers_have_at_most_three_digits() {
        for (value, shown) in [(0.0, "0"), (999.0, "999"), (1_234.0, "1.2 k"), (99_960.0, "100 k"), (2.5e9, "2.5 G")] {
            assert_eq!(scaled(value), shown);
        }
        assert_eq!([scaled_in(7.0, "B"), scaled_in(7_000.0, "B")], ["7 B", "7.0 kB"]);
    }

    #[test]
    fn long_numbers_are_grouped() {
        for (number, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), shown);
        }
    }

    #[test]
    fn times_are_shown_by_their_two_largest_units() {
        for (seconds, shown) in [(7, "7 s"), (67, "1 min 7 s"), (3_700, "1 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(span(Duration::from_secs(seconds)), shown);
        }
    }

    #[test]
    fn instants_lie_before_or_behind_now() {
        let now: Timestamp = "2026-11-21T03:00:00Z".parse().unwrap();
        assert_eq!(relative("2026-11-21T03:01:05Z", now), "in 1 min 5 s");
        assert_eq!(relative("2026-11-21T02:59:55.5Z", now), "5 s ago");
        assert_eq!(relative("some day", now), "some day");
    }
}
