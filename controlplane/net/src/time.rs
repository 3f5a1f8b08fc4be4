//! Instants as they travel in JSON.

use jiff::Timestamp;
use photongate_wire::UnixNanos;

/// The instant in RFC 3339, in UTC. What lies beyond the calendar is shown as its end.
pub fn rfc3339(instant: UnixNanos) -> String {
    Timestamp::from_nanosecond(instant.0.into()).unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_rfc_3339_has_it() {
        assert_eq!(rfc3339(UnixNanos(1_700_000_000_500_000_000)), "2023-11-14T22:13:20.5Z");
        assert_eq!(rfc3339(UnixNanos(u64::MAX)), "2554-07-21T23:34:33.709551615Z");
    }
}
