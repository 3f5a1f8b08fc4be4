//! Rates: what counters have gained since they were read before.

use std::collections::{BTreeMap, VecDeque};

use photongate_agent::api::{Count, Traffic};

/// Packets and bits by second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub packets: f64,
    pub bits: f64,
}

/// The traffic of the last second by verdict, and of the last minutes as curves.
#[derive(Debug, Default)]
pub(super) struct Rates {
    before: Option<(u64, Traffic)>,
    series: BTreeMap<&'static str, Series>,
    reasons: Vec<Reason>,
}

/// One rate, and what it was.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub rate: Rate,
    /// Packets by second, the latest last.
    pub history: VecDeque<u64>,
}

/// Packets dropped for one reason.
#[derive(Debug, PartialEq)]
pub(super) struct Reason {
    pub name: String,
    pub rate: Rate,
    /// Since the filter started.
    pub packets: u64,
}

impl Rates {
    /// Takes note of the counters of `at_ms`, in milliseconds since 1970.
    pub(super) fn update(&mut self, at_ms: u64, traffic: &Traffic) {
        let before = self.before.replace((at_ms, traffic.clone()));
        // A filter that was started anew counts from the beginning.
        let goes_on =
            |(ms, before): &(u64, Traffic)| *ms < at_ms && before.received.packets <= traffic.received.packets;
        let Some((before_ms, before)) = before.filter(goes_on) else { return };
        let seconds = (at_ms - before_ms) as f64 / 1000.0;
        for name in SERIES {
            let series = self.series.entry(name).or_default();
            series.rate = rate(of(traffic, name), of(&before, name), seconds);
            series.history.push_back(series.rate.packets.round() as u64);
            if series.history.len() > HISTORY {
                series.history.pop_front();
            }
        }
        let reason = |(name, now): (&String, &Count)| {
            let earlier = before.dropped.get(name).copied().unwrap_or_default();
            Reason { name: name.clone(), rate: rate(*now, earlier, seconds), packets: now.packets }
        };
        self.reasons = traffic.dropped.iter().map(reason).collect();
        self.reasons.sort_by(|a, b| {
            b.rate.packets.total_cmp(&a.rate.packets).then(b.packets.cmp(&a.packets)).then(a.name.cmp(&b.name))
        });
    }

    /// One of [`SERIES`]; nothing before the second update.
    pub(super) fn series(&self, name: &str) -> Option<&Series> {
        self.series.get(name)
    }

    /// Drop reasons, the most frequent of the last second first.
    pub(super) fn reasons(&self) -> &[Reason] {
        &self.reasons
    }
}

/// What is gained by second between two readings.
pub(super) fn rate(now: Count, before: Count, seconds: f64) -> Rate {
    let gained = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
    Rate { packets: gained(now.packets, before.packets), bits: gained(now.bytes, before.bytes) * 8.0 }
}

/// What is shown of traffic: the whole, then its parts.
pub(super) const SERIES: [&str; 6] = ["received", "accepted", "outbound", "best_effort", "control", "dropped"];

/// The counter behind one of [`SERIES`].
pub(super) fn of(traffic: &Traffic, series: &str) -> Count {
    match series {
        "received" => traffic.received,
        "dropped" => traffic.all_dropped(),
        verdict => traffic.verdicts.get(verdict).copied().unwrap_or_default(),
    }
}

/// Seconds that a curve goes back.
const HISTORY: usize = 240;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_what_was_gained_by_second() {
        let mut rates = Rates::default();
        rates.update(1_000, &traffic(100, 10));
        rates.update(3_000, &traffic(300, 50));
        assert_eq!(rates.series("received").unwrap().rate, Rate { packets: 100.0, bits: 80_000.0 });
        assert_eq!(rates.series("dropped").unwrap().rate.packets, 20.0);
        let rate = Rate { packets: 20.0, bits: 16_000.0 };
        assert_eq!(rates.reasons(), [Reason { name: "bad_mac".to_owned(), rate, packets: 50 }]);
    }

    #[test]
    fn a_filter_that_counts_from_the_beginning_again_gives_no_rate_for_that_second() {
        let mut rates = Rates::default();
        for (second, received) in [(1, 100), (2, 200), (3, 5), (4, 6)] {
            rates.update(second * 1_000, &traffic(received, 0));
        }
        let received = rates.series("received").unwrap();
        assert_eq!((received.rate.packets, received.history.len()), (1.0, 2));
    }

    #[test]
    fn curves_have_an_end() {
        let mut rates = Rates::default();
        for second in 0..1_000 {
            rates.update(second * 1_000, &traffic(second, 0));
        }
        assert_eq!(rates.series("received").unwrap().history.len(), HISTORY);
    }

    fn traffic(received: u64, bad_mac: u64) -> Traffic {
        let count = |packets| Count { packets, bytes: packets * 100 };
        let dropped = [("bad_mac".to_owned(), count(bad_mac))].into();
        Traffic { received: count(received), dropped, ..Traffic::default() }
    }
}
