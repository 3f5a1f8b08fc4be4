//! What the control plane counts of its own doings, for metrics.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Counters and histograms of the control plane. Clones count into the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Statistics {
    /// Fetches of keys that brought one.
    pub fetched: Counter,
    /// Fetches of keys that failed.
    pub fetch_failures: Counter,
    /// How long fetches took, in seconds, failures included.
    pub fetch_seconds: Histogram,
    /// Updates of the key dictionary; one serves all keys that are due.
    pub updates: Counter,
    /// Entries that these updates published: one each time a peer's keys or limits changed.
    pub published: Counter,
    /// How long it took until the last worker had let go of what was replaced, in seconds.
    pub grace_seconds: Histogram,
    /// AS lists and configurations applied.
    pub applied: Counter,
    /// AS lists and configurations refused.
    pub refused: Counter,
    /// Times that the state could not be written.
    pub store_failures: Counter,
}

impl Default for Statistics {
    fn default() -> Self {
        let seconds = |start, count| Histogram::new(exponential_buckets(start, 4.0, count));
        Self {
            fetched: Counter::default(),
            fetch_failures: Counter::default(),
            fetch_seconds: seconds(100e-6, 10),
            updates: Counter::default(),
            published: Counter::default(),
            grace_seconds: seconds(1e-6, 10),
            applied: Counter::default(),
            refused: Counter::default(),
            store_failures: Counter::default(),
        }
    }
}

impl Statistics {
    /// Names everything for the encoder.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, counter: &Counter| registry.register(name, help, counter.clone());
        counter("photongate_keys_fetched", "Fetches of keys that brought one", &self.fetched);
        counter("photongate_key_fetch_failures", "Fetches of keys that failed", &self.fetch_failures);
        counter(
            "photongate_dictionary_updates",
            "Updates of the key dictionary; one serves all keys that are due",
            &self.updates,
        );
        counter(
            "photongate_entries_published",
            "Entries published: one whenever a peer's keys or limits change",
            &self.published,
        );
        counter("photongate_reloads_applied", "AS lists and configurations applied", &self.applied);
        counter("photongate_reloads_refused", "AS lists and configurations refused", &self.refused);
        counter("photongate_store_failures", "Times that the state could not be written", &self.store_failures);
        let help = "How long fetches of keys took, failures included";
        registry.register("photongate_key_fetch_seconds", help, self.fetch_seconds.clone());
        let help = "How long it took until the last worker had let go of what was replaced";
        registry.register("photongate_grace_period_seconds", help, self.grace_seconds.clone());
    }

    pub(super) fn count_fetch(&self, succeeded: bool, took: Duration) {
        if succeeded {
            self.fetched.inc()
        } else {
            self.fetch_failures.inc()
        };
        self.fetch_seconds.observe(took.as_secs_f64());
    }
}
