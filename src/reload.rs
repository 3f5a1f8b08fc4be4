//! A new configuration for a running filter: what it changes, and whether it can be taken up without a restart.

use std::fmt;
use std::sync::Arc;

use photongate_pipeline::limits::{DestinationLimits, Limit, LimitSettings};
use photongate_pipeline::{PortSettings, Settings, WireGuardSettings};
use photongate_wire::UnixNanos;
use serde_json::Value;

use crate::config::{DestinationLimit, FilterConfig, PortConfig, WireGuardConfig};

/// A configuration that can be taken up as it is, as a whole.
#[derive(Debug)]
pub(crate) struct Reload {
    /// The fields that have another value now, like `limits.peer.bits_per_second`. The peers are not among them: what changes
    /// about them, the difference of the lists tells.
    pub fields: Vec<String>,
    /// What the pipeline is told to do from now on. Routes are those of the list in force: they change with the list.
    pub settings: Settings,
    /// What peers without a limit of their own may send, if that changes.
    pub peer_limit: Option<LimitSettings>,
}

/// A configuration that cannot be taken up while the filter runs. Nothing of it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NeedsRestart {
    /// The fields that are in the way.
    pub fields: Vec<String>,
}

/// What it takes to get from the configuration `running`, by which the pipeline has `settings`, to `new`. Whatever stays the same is
/// kept; limits that are new are full at `now`.
///
/// # Errors
/// A field changes that takes effect at the start only.
pub(crate) fn plan(
    running: &FilterConfig,
    new: &FilterConfig,
    settings: &Settings,
    now: UnixNanos,
) -> Result<Reload, NeedsRestart> {
    let mut fields = Vec::new();
    differences(&running.to_json_without_peers(), &new.to_json_without_peers(), "", &mut fields);
    let in_the_way = |field: &&String| !is_live(field) || *field == PUBLIC_ADDRESS && steers_otherwise(running, new);
    let needs_restart: Vec<_> = fields.iter().filter(in_the_way).cloned().collect();
    if !needs_restart.is_empty() {
        return Err(NeedsRestart { fields: needs_restart });
    }
    let peer_limit = (!is_same(&running.limits.peer, &new.limits.peer)).then_some(new.limits.peer);
    Ok(Reload { fields, settings: Transition { running, new, now }.settings(settings), peer_limit })
}

/// Whether `field` is `section`, or lies in it. Indices do not matter: `ports[3].mtu` lies in `ports[].mtu`.
pub(crate) fn is_within(field: &str, section: &str) -> bool {
    let (field, section) = (pattern(field), pattern(section));
    field.strip_prefix(&section).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

impl fmt::Display for NeedsRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.fields.join(", ");
        write!(
            f,
            "{fields}: takes effect at the next start only. Nothing was changed: restart the filter, or undo this"
        )
    }
}

impl std::error::Error for NeedsRestart {}

fn is_live(field: &str) -> bool {
    LIVE.iter().any(|live| is_within(field, live))
}

/// By which addresses packets find their worker depends on whether ours are translated, and is settled at the start: copies of a
/// packet from before and after would meet different workers, and the later one would not be known for a replay.
fn steers_otherwise(running: &FilterConfig, new: &FilterConfig) -> bool {
    let is_translated = |config: &FilterConfig| config.lf.public_v4.is_some() || config.lf.public_v6.is_some();
    is_translated(running) != is_translated(new)
}

/// `ports[3].mtu` as `ports[].mtu`.
fn pattern(field: &str) -> String {
    let mut in_index = false;
    let kept = field.chars().filter(|character| {
        in_index = in_index && *character != ']';
        let keep = !in_index;
        in_index |= *character == '[';
        keep
    });
    kept.collect()
}

/// Collects the fields below `path` in which two values differ.
fn differences(one: &Value, other: &Value, path: &str, fields: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
            for name in names {
                let dot = if path.is_empty() { "" } else { "." };
                let value = |object: &serde_json::Map<String, Value>| object.get(name).cloned().unwrap_or_default();
                differences(&value(one), &value(other), &format!("{path}{dot}{name}"), fields);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() && one.iter().all(Value::is_object) => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differences(one, other, &format!("{path}[{index}]"), fields);
            }
        }
        (one, other) if one == other => (),
        _ => fields.push(path.to_owned()),
    }
}

/// Whether two limits let the same pass. A new bucket would start with a whole burst, so a limit that only looks different is kept.
fn is_same(one: &LimitSettings, other: &LimitSettings) -> bool {
    one.bytes() == other.bytes() && one.packets() == other.packets()
}

struct Transition<'c> {
    running: &'c FilterConfig,
    new: &'c FilterConfig,
    now: UnixNanos,
}

impl Transition<'_> {
    fn settings(&self, held: &Settings) -> Settings {
        let (running, new) = (self.running, self.new);
        let best_effort = |settings: &LimitSettings| {
            let kept = running.best_effort.as_ref().zip(held.best_effort.as_ref());
            self.limit(settings, kept.map(|(former, held)| (&former.limit, held)))
        };
        let ports = running.ports.iter().zip(&new.ports).zip(&held.ports);
        Settings {
            lf: new.lf.clone(),
            ports: ports.map(|((_, new), held)| self.port(new, held)).collect(),
            overall: self.limit(&new.limits.overall, Some((&running.limits.overall, &held.overall))),
            authenticated: self
                .limit(&new.limits.authenticated, Some((&running.limits.authenticated, &held.authenticated))),
            best_effort: new.best_effort.as_ref().map(|new| best_effort(&new.limit)),
            destinations: self.destinations(held.destinations.as_deref()),
            wireguard: new.wireguard.as_ref().map(|new| self.wireguard(new, held.wireguard.as_ref())),
            outbound_unknown: new.outbound.unknown_destination,
            clamp_mss: new.outbound.clamp_mss,
            inbound_next_hop: new.inbound.next_hop,
            outbound_next_hop: new.outbound.next_hop,
            icmp_errors: self.limit(&new.limits.icmp_errors, Some((&running.limits.icmp_errors, &held.icmp_errors))),
            ..held.clone()
        }
    }

    /// The limit that is in force already, if its settings stay the same.
    fn limit(&self, new: &LimitSettings, former: Option<(&LimitSettings, &Arc<Limit>)>) -> Arc<Limit> {
        match former {
            Some((former, held)) if is_same(former, new) => Arc::clone(held),
            _ => Arc::new(Limit::from_settings(new, self.now)),
        }
    }

    fn port(&self, new: &PortConfig, held: &PortSettings) -> PortSettings {
        let former = (&self.running.limits.control, &held.control_limit);
        PortSettings {
            control: new.control,
            control_limit: self.limit(&self.new.limits.control, Some(former)),
            addresses: new.addresses.clone(),
            ..held.clone()
        }
    }

    fn destinations(&self, held: Option<&DestinationLimits>) -> Option<Arc<DestinationLimits>> {
        let new = &self.new.limits.destinations;
        if new.is_empty() {
            return None;
        }
        let held = held.map_or(&[][..], DestinationLimits::limits);
        let former = || self.running.limits.destinations.iter().zip(held);
        let limit = |new: &DestinationLimit| {
            let former = former().find(|(former, _)| former.prefix == new.prefix);
            let limit = self.limit(&new.limit, former.map(|(former, held)| (&former.limit, held)));
            (new.prefix, limit)
        };
        let limits = DestinationLimits::new(new.iter().map(limit));
        Some(Arc::new(limits.expect("a configuration has each destination once")))
    }

    fn wireguard(&self, new: &WireGuardConfig, held: Option<&WireGuardSettings>) -> WireGuardSettings {
        let former = self.running.wireguard.as_ref().zip(held);
        WireGuardSettings {
            port: new.port,
            handshake: self.limit(&new.handshake, former.map(|(former, held)| (&former.handshake, &held.handshake))),
            data: self.limit(&new.data, former.map(|(former, held)| (&former.data, &held.data))),
        }
    }
}

/// The fields and sections that a running filter takes up, as `docs/reference/filter.toml.md` lists them. All others need a restart.
pub(crate) const LIVE: &[&str] = &[
    "peers",
    "limits",
    "best_effort",
    "wireguard",
    "inbound",
    "outbound.next_hop",
    "outbound.unknown_destination",
    "outbound.clamp_mss",
    "lf.port",
    "lf.lf2_port",
    "lf.source_port",
    "lf.public_address",
    "ports[].control",
    "ports[].addresses",
];

const PUBLIC_ADDRESS: &str = "lf.public_address";

#[cfg(test)]
mod tests;
