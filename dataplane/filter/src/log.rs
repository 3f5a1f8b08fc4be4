//! DPDK's log lines in our own log.

use photongate_dpdk::eal::log::LogLevel;

/// Takes a message of DPDK's.
pub(crate) fn dpdk(level: LogLevel, message: &str) {
    match level {
        LogLevel::Error => tracing::error!(target: "dpdk", "{message}"),
        LogLevel::Warning => tracing::warn!(target: "dpdk", "{message}"),
        LogLevel::Info => tracing::info!(target: "dpdk", "{message}"),
        LogLevel::Debug => tracing::debug!(target: "dpdk", "{message}"),
    }
}
