//! Points at which a test lets the process die, as a crash would: nothing is finished, nothing is cleaned up.
//!
//! The variable [`VARIABLE`] names a point, and after a `#` how often it is passed before: `kept#2`. It counts in builds with debug
//! assertions only, those that tests run; in others a point is nothing at all, so no variable can end a server in use, and no
//! second build is needed to test what is built.

/// The process dies here if it was told to.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static PASSED: AtomicU32 = AtomicU32::new(0);

    debug_assert!(POINTS.contains(&name), "{name} is not among the points");
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var(VARIABLE).ok()?;
        let (name, times) = text.split_once('#').unwrap_or((&text, "0"));
        Some((name.to_owned(), times.parse().unwrap_or(0)))
    });
    if let Some((wanted, times)) = wanted
        && wanted == name
        && PASSED.fetch_add(1, Ordering::Relaxed) >= *times
    {
        std::process::abort();
    }
}

/// Nothing: what is in use has no such points.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) const fn point(_: &str) {}

/// The variable that names a point.
pub const VARIABLE: &str = "PHOTONGATE_QKS_DIE_AT";

/// All points, in the order in which a key passes them.
pub const POINTS: &[&str] = &[
    // Key material comes in, and both ends agree on it.
    "block-sealed",
    "block-committed",
    "block-in-stock",
    "blocks-announced",
    "blocks-confirmed",
    "handover-written",
    "handover-answered",
    "handover-taken-on",
    // Keys are reserved: here, there, and here again.
    "pieces-taken",
    "marks-written",
    "reserve-to-send",
    "reserve-heard",
    "reserve-kept",
    "reserve-answered",
    "keys-confirmed",
    "keys-opened",
    // Keys are fetched.
    "fetch-judged",
    "fetch-opened",
    // Any change of the database.
    "batch-collected",
    "batch-committed",
    // Keys travel: from the source over a relay to the destination, and its word back.
    "relay-sealed",
    "relay-answered",
    "relay-heard",
    "relay-opened",
    "relay-passed-on",
    "relay-arrived",
    "relay-kept",
];
