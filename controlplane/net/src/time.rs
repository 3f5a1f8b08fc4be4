//! What time it is, and how instants travel in JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use photongate_wire::UnixNanos;

/// The present time of day, as the machine's clock has it. Only shells ask.
pub fn now() -> UnixNanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixNanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

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
