//! How long a node has nothing to do, so that nobody need wake it.

use super::Node;

impl Node {
    /// For so many ticks nothing will be due, or nothing that could not wait as long; one at least. Whoever keeps the time may hand them
    /// in together, when the last of them is over. Any other input may change it.
    #[must_use]
    pub fn quiet_ticks(&self) -> u64 {
        let instance = self.cluster.as_ref().and_then(|cluster| cluster.instance.as_ref());
        let Some(instance) = instance.filter(|instance| instance.is_in_step()) else { return 1 };
        let waits = !self.requests.is_empty()
            || self.fetching.is_some()
            || !self.serving.is_empty()
            || self.hand_over_since.is_some()
            || self.vacancy.is_some()
            || self.waits_for_leader();
        if waits { 1 } else { instance.ticks_to_heartbeat() }
    }
}
