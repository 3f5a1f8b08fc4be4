//! The time at which a burst is judged. It is handed in: nothing here reads a clock.

use photongate_wire::UnixNanos;

/// The time at which a burst is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Time of day, for epochs and timestamps. It may be set back.
    pub unix: UnixNanos,
    /// The time of day at some fixed moment, and what has passed since, for rates. It never steps.
    pub monotonic: UnixNanos,
}
