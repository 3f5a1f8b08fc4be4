//! `[duplicates]`: replay suppression.

use photongate_net::config::{Reported, Section};
use photongate_pipeline::duplicates::{Sizing, SizingError};
use photongate_wire::Nanos;

use super::{KeysConfig, WorkersConfig};

/// `[duplicates]`, while it is enabled.
#[derive(Clone, Debug)]
pub(crate) struct DuplicatesConfig {
    /// Authenticated packets to expect, all workers together.
    pub packets_per_second: u64,
    /// Share of fresh packets taken for replays at that rate.
    pub false_positive_rate: f64,
    /// The most memory that the filters of all workers may take, in MiB.
    pub memory_limit_mib: u32,
}

impl DuplicatesConfig {
    /// The dimensions of the filters of `workers` workers that remember all packets within `time_threshold`.
    ///
    /// # Errors
    /// They do not fit into the memory limit. Not for the numbers of the configuration, which were tried when it was read.
    pub(crate) fn sizing(&self, time_threshold: Nanos, workers: usize) -> Result<Sizing, SizingError> {
        let limit_bytes = u64::from(self.memory_limit_mib) << 20;
        Sizing::new(self.packets_per_second, self.false_positive_rate, time_threshold, limit_bytes, workers)
    }
}

/// Reads `[duplicates]`, and tries the size of the filters.
pub(super) fn read(
    duplicates: &mut Section<'_>,
    keys: Result<&KeysConfig, Reported>,
    workers: Result<&WorkersConfig, Reported>,
) -> Result<Option<DuplicatesConfig>, Reported> {
    let enabled = duplicates.or("enabled", true);
    let packets_per_second = duplicates.or_with("packets_per_second", DEFAULT_RATE, |rate| {
        rate.number(1..=MOST_PACKETS_PER_SECOND, "packets per second")
    });
    let false_positive_rate =
        duplicates.or_with("false_positive_rate", DEFAULT_FALSE_POSITIVES, |rate| rate.decimal(1e-12..=0.1));
    let memory_limit_mib = duplicates.or_with("memory_limit_mib", DEFAULT_MIB, |mib| mib.number(1..=MOST_MIB, "MiB"));
    let config = DuplicatesConfig {
        packets_per_second: packets_per_second?,
        false_positive_rate: false_positive_rate?,
        memory_limit_mib: memory_limit_mib?,
    };
    if !enabled? {
        return Ok(None);
    }
    match config.sizing(keys?.times.time_threshold, workers?.count) {
        Ok(_) => Ok(Some(config)),
        Err(error) => Err(duplicates.refuse("memory_limit_mib", error.to_string())),
    }
}

const DEFAULT_RATE: u64 = 1_000_000;
const MOST_PACKETS_PER_SECOND: u64 = 10_000_000_000;
const DEFAULT_FALSE_POSITIVES: f64 = 1e-6;
const DEFAULT_MIB: u32 = 512;
const MOST_MIB: u32 = 1 << 20;
