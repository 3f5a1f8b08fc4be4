//! The present time of day.

use photongate_wire::UnixNanos;
use std::time::SystemTime;

/// The present time of day.
pub(crate) fn unix_now() -> UnixNanos {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixNanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
