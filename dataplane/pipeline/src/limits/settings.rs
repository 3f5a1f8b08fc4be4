//! What an operator writes about a limit.

use super::Rate;

/// A limit as configured. Plain data: compare two to see whether a reload changes the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// Largest mean rate in bits per second; 0 blocks everything, nothing is no limit.
    pub bits_per_second: Option<u64>,
    /// Largest mean rate in packets per second; 0 blocks everything, nothing is no limit.
    pub packets_per_second: Option<u64>,
    /// Bytes that may pass at once after a pause. By default what a tenth of a second allows, but at least one jumbo
    /// frame (9,216 bytes).
    pub burst_bytes: Option<u64>,
    /// Packets that may pass at once after a pause. By default what a tenth of a second allows, but at least 32, a
    /// burst of the packet path.
    pub burst_packets: Option<u64>,
}

impl LimitSettings {
    /// Looks for settings that cannot be meant.
    ///
    /// # Errors
    /// All that were found.
    pub fn validate(&self) -> Result<(), Vec<InvalidLimit>> {
        let rates = [("bits_per_second", self.bits_per_second), ("packets_per_second", self.packets_per_second)];
        let too_high = rates.into_iter().filter(|(_, rate)| rate.is_some_and(|rate| rate > MAX_RATE));
        let mut problems: Vec<_> = too_high.map(|(field, _)| InvalidLimit::RateTooHigh { field }).collect();
        problems.extend(burst_problem(
            "burst_bytes",
            self.burst_bytes,
            MIN_BURST_BYTES,
            "bits_per_second",
            self.bits_per_second,
        ));
        problems.extend(burst_problem(
            "burst_packets",
            self.burst_packets,
            1,
            "packets_per_second",
            self.packets_per_second,
        ));
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The rate of bytes, if there is a limit on it.
    pub fn bytes(&self) -> Option<Rate> {
        let bits = self.bits_per_second?;
        let default = (bits / 8 / BURSTS_PER_SECOND).max(DEFAULT_BURST_BYTES);
        Some(Rate::of_bytes(bits, self.burst_bytes.unwrap_or(default)))
    }

    /// The rate of packets, if there is a limit on it.
    pub fn packets(&self) -> Option<Rate> {
        let packets = self.packets_per_second?;
        let default = (packets / BURSTS_PER_SECOND).max(DEFAULT_BURST_PACKETS);
        Some(Rate::new(packets, self.burst_packets.unwrap_or(default)))
    }
}

/// A setting that cannot be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimit {
    /// A burst is given for a rate that is not limited.
    #[error("{field} has no effect without {rate}: add {rate}, or remove {field}")]
    BurstWithoutRate {
        /// The setting.
        field: &'static str,
        /// The setting it belongs to.
        rate: &'static str,
    },
    /// The burst is smaller than an ordinary packet, which would then never pass.
    #[error("{field} is {given}: packets larger than the burst never pass, so give at least {least}")]
    BurstTooSmall {
        /// The setting.
        field: &'static str,
        /// Its value.
        given: u64,
        /// The smallest value allowed.
        least: u64,
    },
    /// The rate is higher than any link's.
    #[error("{field} is more than {MAX_RATE}: for no limit, leave it out")]
    RateTooHigh {
        /// The setting.
        field: &'static str,
    },
}

impl InvalidLimit {
    /// The name of the setting, as in the configuration file.
    pub fn field(&self) -> &'static str {
        match self {
            Self::BurstWithoutRate { field, .. } | Self::BurstTooSmall { field, .. } | Self::RateTooHigh { field } => {
                field
            }
        }
    }
}

fn burst_problem(
    field: &'static str,
    burst: Option<u64>,
    least: u64,
    rate_field: &'static str,
    rate: Option<u64>,
) -> Option<InvalidLimit> {
    let given = burst?;
    match rate {
        None => Some(InvalidLimit::BurstWithoutRate { field, rate: rate_field }),
        Some(rate) if rate > 0 && given < least => Some(InvalidLimit::BurstTooSmall { field, given, least }),
        Some(_) => None,
    }
}

const BURSTS_PER_SECOND: u64 = 10;
const DEFAULT_BURST_BYTES: u64 = 9_216;
const DEFAULT_BURST_PACKETS: u64 = 32;

/// One full frame of ordinary Ethernet.
const MIN_BURST_BYTES: u64 = 1_518;

/// A hundred terabits, or packets, per second.
const MAX_RATE: u64 = 100_000_000_000_000;

#[cfg(test)]
mod tests;
