//! What the control plane counts of its own doings, for metrics.

use std::time::Duration;

use photongate_wire::Nanos;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::keys::{FetchError, FetchedKey, Outcome};

/// Counters and histograms of the control plane. Clones count into the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Statistics {
    fetches: Family<ResultLabel, Counter>,
    fetch_seconds: Histogram,
    rotations: Counter,
    updates: Counter,
    entries: Counter,
    grace_seconds: Histogram,
    reloads: Family<ResultLabel, Counter>,
    store_failures: Counter,
}

impl Statistics {
    /// Counts a fetch of a key, and how long it took.
    pub(super) fn count_fetch(&self, answer: &Result<FetchedKey, FetchError>, took: Nanos) {
        let result = match answer {
            Ok(_) => FETCHED,
            Err(FetchError::Unavailable(_)) => UNAVAILABLE,
            Err(FetchError::NoKey { .. }) => NO_KEY,
            Err(FetchError::TimedOut(_)) => TIMED_OUT,
        };
        self.fetches.get_or_create(&[("result", result)]).inc();
        self.fetch_seconds.observe(Duration::from(took).as_secs_f64());
    }

    /// Counts a key that was taken into use, if that is what became of a fetch.
    pub(super) fn count_outcome(&self, outcome: Outcome) {
        if outcome == Outcome::Taken {
            self.rotations.inc();
        }
    }

    /// Counts an update of the key dictionary, and the entries in it.
    pub(super) fn count_update(&self, entries: usize) {
        self.updates.inc();
        self.entries.inc_by(entries as u64);
    }

    /// Counts how long it took until the last worker had let go of what was replaced.
    pub(super) fn count_grace(&self, took: Duration) {
        self.grace_seconds.observe(took.as_secs_f64());
    }

    /// Counts an AS list or a configuration that was put in force.
    pub(super) fn count_applied(&self) {
        self.reloads.get_or_create(&[("result", APPLIED)]).inc();
    }

    /// Counts an AS list or a configuration that was refused.
    pub(super) fn count_refused(&self) {
        self.reloads.get_or_create(&[("result", REFUSED)]).inc();
    }

    /// Counts a time that the state could not be written.
    pub(super) fn count_store_failure(&self) {
        self.store_failures.inc();
    }

    /// Names everything for the encoder, which adds `_total` to counters, units, and full stops.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, counter: &Counter| registry.register(name, help, counter.clone());
        counter("photongate_key_rotations", "Fetched keys that were taken into use", &self.rotations);
        counter(
            "photongate_dictionary_updates",
            "Updates of the key dictionary, each of all that was due",
            &self.updates,
        );
        counter("photongate_dictionary_entries_published", "Peers in these updates", &self.entries);
        counter("photongate_state_write_failures", "Times that the state could not be written", &self.store_failures);
        let mut by_result = |name: &str, help: &str, family: &Family<ResultLabel, Counter>| {
            registry.register(name, help, family.clone());
        };
        by_result("photongate_key_fetches", "Fetches of keys by how they ended", &self.fetches);
        by_result("photongate_reloads", "AS lists and configurations that were to be put in force", &self.reloads);
        let mut seconds = |name: &str, help: &str, histogram: &Histogram| {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        };
        seconds("photongate_key_fetch_duration", "How long fetches of keys took", &self.fetch_seconds);
        let help = "How long it took until the last worker had let go of what was replaced";
        seconds("photongate_grace_period_duration", help, &self.grace_seconds);
    }
}

impl Default for Statistics {
    /// Every result is there from the beginning, so that the first failure is seen as a change.
    fn default() -> Self {
        let seconds = |shortest| Histogram::new(exponential_buckets(shortest, 4.0, BUCKETS));
        let by_result = |results: &[&'static str]| {
            let family = Family::<ResultLabel, Counter>::default();
            for result in results {
                family.get_or_create(&[("result", *result)]).inc_by(0);
            }
            family
        };
        Self {
            fetches: by_result(&[FETCHED, UNAVAILABLE, NO_KEY, TIMED_OUT]),
            fetch_seconds: seconds(100e-6),
            rotations: Counter::default(),
            updates: Counter::default(),
            entries: Counter::default(),
            grace_seconds: seconds(1e-6),
            reloads: by_result(&[APPLIED, REFUSED]),
            store_failures: Counter::default(),
        }
    }
}

/// The label `result`.
type ResultLabel = [(&'static str, &'static str); 1];

const FETCHED: &str = "fetched";
const UNAVAILABLE: &str = "unavailable";
const NO_KEY: &str = "no_key";
const TIMED_OUT: &str = "timed_out";
const APPLIED: &str = "applied";
const REFUSED: &str = "refused";

/// Up to 26 s for fetches, 0.26 s for grace periods: each bucket is four times as long as the one before.
const BUCKETS: u16 = 10;
