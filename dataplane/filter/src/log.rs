//! DPDK's log lines in our own log.

use photongate_dpdk::eal::log::LogLevel;

/// Takes a message of DPDK's.
pub(crate) fn dpdk(level: LogLevel, message: &str) {
    match level {
        _ if is_harmless(message) => tracing::debug!(target: "dpdk", "{message}"),
        LogLevel::Error => tracing::error!(target: "dpdk", "{message}"),
        LogLevel::Warning => tracing::warn!(target: "dpdk", "{message}"),
        LogLevel::Info => tracing::info!(target: "dpdk", "{message}"),
        LogLevel::Debug => tracing::debug!(target: "dpdk", "{message}"),
    }
}

/// Whether DPDK calls an error what is none here, and would only worry an operator.
fn is_harmless(message: &str) -> bool {
    HARMLESS.iter().any(|part| message.contains(part))
}

const HARMLESS: [&str; 5] = [
    // net_tap tries to offload flow rules, which nothing here uses, to a queueing discipline that many kernels lack.
    "Specified qdisc kind is unknown",
    "multiq qdisc",
    "Disabling rte flow support",
    // net_tap tells secondary processes, of which there are none.
    "tap_mp_req_on_rxtx()",
    // Only the telemetry socket of old has no commands; the present one works.
    "No legacy callbacks",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_messages_are_taken_for_harmless() {
        assert!(is_harmless("qdisc_create_multiq(): Could not add multiq qdisc (2): No such file or directory"));
        assert!(!is_harmless("tun_alloc(): Unable to open /dev/net/tun interface"));
    }
}
