//! How the filter is doing: one line a second on a terminal, a log entry now and then elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use photongate_filter::{Observer, Report};
use photongate_pipeline::{Tally, Verdict};

use crate::numbers::scaled;

/// What was shown last, and when.
pub(super) struct Status {
    is_terminal: bool,
    shown: Instant,
    report: Report,
}

impl Status {
    /// Begins with the present numbers.
    pub(super) fn start(observer: &Observer) -> Self {
        Self { is_terminal: io::stderr().is_terminal(), shown: Instant::now(), report: observer.report() }
    }

    /// Shows what happened since the last time, if it is time.
    pub(super) fn show(&mut self, observer: &Observer, now: Instant) {
        let elapsed = now.duration_since(self.shown);
        if elapsed < if self.is_terminal { LINE_EVERY } else { LOG_EVERY } {
            return;
        }
        let report = observer.report();
        if self.is_terminal {
            // Back to the start of the line, and clear what was there. It is no loss if the terminal is gone.
            let _ = write!(io::stderr(), "\r\x1b[K{}", line(&report, &self.report, elapsed));
        } else {
            log(&report, &self.report, elapsed);
        }
        (self.shown, self.report) = (now, report);
    }

    /// Leaves the last line standing.
    pub(super) fn end(&self) {
        if self.is_terminal {
            let _ = writeln!(io::stderr());
        }
    }
}

/// The rates of the last second, the share of time the workers were busy, and what was lost, if anything.
fn line(now: &Report, before: &Report, elapsed: Duration) -> String {
    let (tally, earlier) = (now.tally(), before.tally());
    let seconds = elapsed.as_secs_f64();
    let rate = |now: u64, before: u64| scaled(now.saturating_sub(before) as f64 / seconds);
    let packets = |verdict| rate(tally.of(verdict).packets, earlier.of(verdict).packets);
    let (received, received_before) = (tally.received(), earlier.received());
    let bits = received.bytes.saturating_sub(received_before.bytes) as f64 * 8.0 / seconds;
    let mut line = format!(
        "{} packet/s {}bit/s  accepted {}  outbound {}  best effort {}  control {}  dropped {}",
        rate(received.packets, received_before.packets),
        scaled(bits),
        packets(Verdict::Accepted),
        packets(Verdict::Outbound),
        packets(Verdict::BestEffort),
        packets(Verdict::Control),
        rate(tally.dropped().packets, earlier.dropped().packets),
    );
    if let Some((reason, _)) = worst_reason(&tally, &earlier) {
        line += &format!(" (most: {reason})");
    }
    let busy: Vec<_> = now.busy_since(before).map(|share| format!("{:.0}%", share * 100.0)).collect();
    line += &format!("  busy {}", busy.join(" "));
    let lost = now.lost_before() + now.lost_after();
    if lost > 0 {
        line += &format!("  lost {lost}");
    }
    line
}

fn log(now: &Report, before: &Report, elapsed: Duration) {
    let (tally, earlier) = (now.tally(), before.tally());
    let packets = |verdict: Verdict| tally.of(verdict).packets - earlier.of(verdict).packets;
    let busy: Vec<_> = now.busy_since(before).map(|share| (share * 100.0).round() as u64).collect();
    tracing::info!(
        seconds = elapsed.as_secs(),
        received = tally.received().packets - earlier.received().packets,
        accepted = packets(Verdict::Accepted),
        outbound = packets(Verdict::Outbound),
        best_effort = packets(Verdict::BestEffort),
        control = packets(Verdict::Control),
        dropped = tally.dropped().packets - earlier.dropped().packets,
        lost = now.lost_before() + now.lost_after(),
        busy_percent = ?busy,
        "status"
    );
}

/// The reason for most drops since `earlier`.
fn worst_reason(tally: &Tally, earlier: &Tally) -> Option<(&'static str, u64)> {
    let reasons = tally.iter().filter_map(|(verdict, count)| {
        let packets = count.packets.saturating_sub(earlier.of(verdict).packets);
        Some((verdict.reason()?.name(), packets))
    });
    reasons.filter(|(_, packets)| *packets > 0).max_by_key(|(_, packets)| *packets)
}

const LINE_EVERY: Duration = Duration::from_secs(1);
const LOG_EVERY: Duration = Duration::from_secs(10);
