//! How far a transfer is, on a terminal: a bar, the rate, and the time left.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::numbers::{scaled_in, span};

/// How far a transfer is. Silent unless standard error is a terminal.
#[derive(Debug)]
pub(super) struct Progress {
    total: u64,
    done: u64,
    /// What was there before it began, which says nothing about the rate.
    before: u64,
    began: Instant,
    shown: Option<Instant>,
    is_seen: bool,
}

impl Progress {
    /// Of so many bytes in all.
    pub(super) fn new(total: u64, is_wanted: bool) -> Self {
        let is_seen = is_wanted && io::stderr().is_terminal();
        Self { total, done: 0, before: 0, began: Instant::now(), shown: None, is_seen }
    }

    /// So many bytes were there before.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.before += bytes;
        self.add(bytes);
    }

    /// So many bytes more are done.
    pub(super) fn add(&mut self, bytes: u64) {
        self.done += bytes;
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= BETWEEN);
        if self.is_seen && (is_due || self.done >= self.total) {
            self.shown = Some(Instant::now());
            // Not `eprint!`, which panics when nobody reads standard error any more.
            let _ = write!(io::stderr(), "\r{}\x1b[K", self.line(self.began.elapsed()));
        }
    }

    /// How long it took.
    pub(super) fn took(&self) -> Duration {
        self.began.elapsed()
    }

    fn line(&self, elapsed: Duration) -> String {
        let part = if self.total == 0 { 1.0 } else { self.done as f64 / self.total as f64 };
        let full = ((part * WIDTH as f64) as usize).min(WIDTH);
        let bar = format!("{}{}", "#".repeat(full), "-".repeat(WIDTH - full));
        let rate = (self.done - self.before) as f64 / elapsed.as_secs_f64().max(1e-3);
        let left = (self.total - self.done.min(self.total)) as f64 / rate.max(1e-9);
        let left = match left {
            _ if self.done >= self.total => "done".to_owned(),
            left if left < 1e6 => format!("{} left", span(Duration::from_secs_f64(left.ceil()))),
            _ => "waiting".to_owned(),
        };
        format!("[{bar}] {:3.0} %  {}  {left}", 100.0 * part, scaled_in(rate, "B/s"))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_seen && self.shown.is_some() {
            let _ = writeln!(io::stderr());
        }
    }
}

const WIDTH: usize = 30;
const BETWEEN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_shows_part_rate_and_time_left() {
        let mut progress = Progress::new(1_000_000, false);
        progress.skip(200_000);
        progress.add(300_000);
        let line = progress.line(Duration::from_secs(3));
        assert_eq!(line, "[###############---------------]  50 %  100 kB/s  5 s left");
        progress.add(500_000);
        assert!(progress.line(Duration::from_secs(8)).ends_with("100 %  100 kB/s  done"));
    }

    #[test]
    fn nothing_done_yet_is_no_division_by_zero() {
        assert!(Progress::new(10, false).line(Duration::ZERO).ends_with("  0 %  0 B/s  waiting"));
        assert!(Progress::new(0, false).line(Duration::ZERO).ends_with("done"));
    }
}
