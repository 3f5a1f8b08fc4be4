//! A limit, as it is written in configurations and lists.

use photongate_net::config::{FromValue, Reported, Value};
use photongate_pipeline::limits::LimitSettings;

/// A limit on bytes, on packets, or on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub LimitSettings);

impl FromValue for Limit {
    const EXAMPLE: &'static str = "{ bits_per_second = 1_000_000_000 }";

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        value.section(|limit| {
            let bits_per_second = limit.optional("bits_per_second");
            let packets_per_second = limit.optional("packets_per_second");
            let burst_bytes = limit.optional("burst_bytes");
            let burst_packets = limit.optional("burst_packets");
            let settings = LimitSettings {
                bits_per_second: bits_per_second?,
                packets_per_second: packets_per_second?,
                burst_bytes: burst_bytes?,
                burst_packets: burst_packets?,
            };
            if settings == LimitSettings::default() {
                let message = "limits nothing: add bits_per_second or packets_per_second, or remove it";
                return Err(limit.refuse_at(limit.place(), message));
            }
            let mut outcome = Ok(Self(settings));
            for problem in settings.validate().err().into_iter().flatten() {
                outcome = Err(limit.refuse(problem.field(), problem.to_string()));
            }
            outcome
        })
    }
}
