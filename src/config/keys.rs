//! `[keys]`: how long keys live, and how many peers may have some.

use photongate_drkey::KeyTimes;
use photongate_net::config::{FromValue, Reported, Section, Value};
use photongate_wire::Nanos;

/// `[keys]`.
#[derive(Clone, Debug)]
pub(crate) struct KeysConfig {
    /// Lengths of epochs and of what surrounds them. They leave room for one another.
    pub times: KeyTimes,
    /// Entries that the key dictionary has room for.
    pub max_peers: u32,
}

/// Reads `[keys]`.
pub(super) fn read(keys: &mut Section<'_>) -> Result<KeysConfig, Reported> {
    let default = KeyTimes::default();
    let epoch = keys.or_with("epoch", default.epoch, |epoch| within(epoch, Nanos(1), LONGEST_EPOCH));
    let prefetch = keys.or("prefetch", default.prefetch);
    let grace = keys.or("grace", default.grace);
    let time_threshold = keys.or_with("time_threshold", default.time_threshold, |threshold| {
        within(threshold, SHORTEST_THRESHOLD, LONGEST_THRESHOLD)
    });
    let max_peers = keys.or_with("max_peers", DEFAULT_PEERS, |peers| peers.number(1..=MOST_PEERS, "peers"));
    let times = KeyTimes { epoch: epoch?, prefetch: prefetch?, grace: grace?, time_threshold: time_threshold? };
    if let Err(error) = times.validate() {
        return Err(keys.refuse("epoch", error.to_string()));
    }
    Ok(KeysConfig { times, max_peers: max_peers? })
}

fn within(value: &Value<'_>, least: Nanos, most: Nanos) -> Result<Nanos, Reported> {
    let duration = Nanos::from_value(value)?;
    if duration < least {
        return Err(value.refuse(format!("is too short: at least {least}")));
    }
    if duration > most {
        return Err(value.refuse(format!("is too long: at most {most}")));
    }
    Ok(duration)
}

const LONGEST_EPOCH: Nanos = Nanos::from_secs(365 * 24 * 60 * 60);

/// The duplicate filter cuts the threshold into parts.
const SHORTEST_THRESHOLD: Nanos = Nanos::from_millis(1);

/// LightningFilter looks no further; beyond it the duplicate filter would have to remember packets for minutes.
const LONGEST_THRESHOLD: Nanos = Nanos::from_secs(180);

const DEFAULT_PEERS: u32 = 10_000;
const MOST_PEERS: u32 = 1_000_000;
