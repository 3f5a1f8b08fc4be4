//! What time it is. Only shells ask.

use std::time::{SystemTime, UNIX_EPOCH};

use photongate_wire::UnixNanos;

/// The machine's time.
pub(crate) fn now() -> UnixNanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixNanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
