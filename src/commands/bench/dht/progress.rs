//! What the bench is at, on a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How far a part of the bench is. Silent unless it is to be seen.
#[derive(Debug, Default)]
pub(super) struct Progress {
    is_seen: bool,
    what: &'static str,
    total: usize,
    done: AtomicUsize,
}

impl Progress {
    /// Of nothing, and seen by nobody.
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// Of so many. It is seen if standard error is a terminal.
    pub(super) fn new(what: &'static str, total: usize, is_wanted: bool) -> Self {
        let progress =
            Self { is_seen: is_wanted && io::stderr().is_terminal(), what, total, done: AtomicUsize::new(0) };
        progress.add(0);
        progress
    }

    /// So many more are done.
    pub(super) fn add(&self, more: usize) {
        let done = self.done.fetch_add(more, Ordering::Relaxed) + more;
        if self.is_seen {
            // Not `eprint!`, which panics when nobody reads standard error any more.
            let _ = write!(io::stderr(), "\r{}\x1b[K", self.line(done));
        }
    }

    fn line(&self, done: usize) -> String {
        format!("{}: {done} of {}", self.what, self.total)
    }
}

impl Drop for Progress {
    /// The next part takes its place, or the report.
    fn drop(&mut self) {
        if self.is_seen {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_done_and_how_far() {
        let progress = Progress::new("storing", 500, false);
        progress.add(3);
        progress.add(4);
        assert_eq!(progress.line(progress.done.load(Ordering::Relaxed)), "storing: 7 of 500");
    }
}
