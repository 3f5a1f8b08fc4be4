//! What a filter says it did with its packets.

use std::collections::BTreeMap;

use serde_json::Value;

/// Packets by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// All that got a verdict.
    pub(crate) received: u64,
    /// What went on, by verdict.
    pub(crate) forwarded: BTreeMap<String, u64>,
    /// What did not, by reason. Reasons that never applied are left out.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// What was lost in the filter, before its verdict or after.
    pub(crate) lost: u64,
}

impl Counters {
    /// Reads the answer to the telemetry question `/photongate/counters`.
    pub(super) fn read(answer: &Value) -> Self {
        let mut counters = Self::default();
        for (name, value) in answer.as_object().into_iter().flatten() {
            let Some(count) = value.as_u64().filter(|count| *count > 0) else { continue };
            match name.as_str() {
                "received" => counters.received = count,
                "lost_before_verdict" | "lost_after_verdict" => counters.lost += count,
                verdict if FORWARDED.contains(&verdict) => drop(counters.forwarded.insert(name.clone(), count)),
                _ => {
                    if let Some(reason) = name.strip_prefix("dropped_") {
                        counters.dropped.insert(reason.to_owned(), count);
                    }
                }
            }
        }
        counters
    }

    /// Whether every packet that was received is accounted for, once.
    pub(crate) fn add_up(&self) -> bool {
        self.received == self.all_forwarded() + self.all_dropped()
    }

    /// Packets that went on.
    pub(crate) fn all_forwarded(&self) -> u64 {
        self.forwarded.values().sum()
    }

    /// Packets that did not.
    pub(crate) fn all_dropped(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Packets with this verdict that went on.
    pub(crate) fn forwarded(&self, verdict: &str) -> u64 {
        self.forwarded.get(verdict).copied().unwrap_or_default()
    }

    /// Packets dropped for this reason.
    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        self.dropped.get(reason).copied().unwrap_or_default()
    }

    /// What was dropped since `earlier`, by reason.
    pub(crate) fn dropped_since(&self, earlier: &Self) -> BTreeMap<String, u64> {
        let grown = self.dropped.iter().map(|(reason, count)| (reason.clone(), count - earlier.dropped(reason)));
        grown.filter(|(_, count)| *count > 0).collect()
    }
}

const FORWARDED: [&str; 4] = ["accepted", "best_effort", "control", "outbound"];
