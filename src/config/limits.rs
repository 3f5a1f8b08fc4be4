//! `[limits]` and `[wireguard]`: how much may pass.

use std::collections::HashMap;

use ipnet::IpNet;
use photongate_agent::as_list::Limit;
use photongate_net::config::{Located, Reported, Section};
use photongate_pipeline::limits::LimitSettings;

/// `[limits]`, all of inbound traffic. What has no limit has empty settings.
#[derive(Clone, Debug)]
pub(crate) struct LimitsConfig {
    /// Everything that passes inwards.
    pub overall: LimitSettings,
    /// Everything authenticated.
    pub authenticated: LimitSettings,
    /// Each peer that has no limit of its own.
    pub peer: LimitSettings,
    /// By destination.
    pub destinations: Vec<DestinationLimit>,
    /// ICMP errors that the filter itself sends.
    pub icmp_errors: LimitSettings,
    /// Link control traffic and unauthenticated packets for the host itself, at each port.
    pub control: LimitSettings,
}

/// One of `limits.destinations`.
#[derive(Clone, Debug)]
pub(crate) struct DestinationLimit {
    /// The destinations, which share the limit.
    pub prefix: IpNet,
    /// What may pass to them.
    pub limit: LimitSettings,
}

/// `[wireguard]`.
#[derive(Clone, Debug)]
pub(crate) struct WireGuardConfig {
    /// UDP destination port.
    pub port: u16,
    /// Handshake messages.
    pub handshake: LimitSettings,
    /// Data messages.
    pub data: LimitSettings,
}

/// Reads `[limits]`.
pub(super) fn read(limits: &mut Section<'_>) -> Result<LimitsConfig, Reported> {
    let overall = limit(limits, "overall");
    let authenticated = limit(limits, "authenticated");
    let peer = limit(limits, "peer");
    let icmp_errors = limits.or("icmp_errors", Limit(DEFAULT_ICMP_ERRORS));
    let control = limits.or("control", Limit(DEFAULT_CONTROL));
    let destinations = destinations(limits);
    Ok(LimitsConfig {
        overall: overall?,
        authenticated: authenticated?,
        peer: peer?,
        destinations: destinations?,
        icmp_errors: icmp_errors?.0,
        control: control?.0,
    })
}

/// Reads `[wireguard]`.
pub(super) fn wireguard(wireguard: &mut Section<'_>) -> Result<WireGuardConfig, Reported> {
    let port = wireguard.or_with("port", WIREGUARD_PORT, |port| port.number(1..=u16::MAX, ""));
    let handshake = limit(wireguard, "handshake");
    let data = limit(wireguard, "data");
    if !wireguard.has("handshake") && !wireguard.has("data") {
        let message = "limits nothing: add handshake or data, or remove [wireguard]";
        return Err(wireguard.refuse_at(wireguard.place(), message));
    }
    Ok(WireGuardConfig { port: port?, handshake: handshake?, data: data? })
}

/// Reads a limit that is none when absent.
pub(super) fn limit(section: &mut Section<'_>, name: &'static str) -> Result<LimitSettings, Reported> {
    section.or(name, Limit(LimitSettings::default())).map(|limit| limit.0)
}

fn destinations(limits: &mut Section<'_>) -> Result<Vec<DestinationLimit>, Reported> {
    let mut first_of = HashMap::new();
    let mut index = 0;
    limits.sections("destinations", |destination| {
        let prefix = destination.required::<Located<IpNet>>("prefix");
        let limit = destination.required::<Limit>("limit");
        let prefix = prefix?;
        let first = *first_of.entry(prefix.value).or_insert(index);
        index += 1;
        if first + 1 != index {
            let message = format!("{} has a limit already, in limits.destinations[{first}]: keep one", prefix.value);
            return Err(destination.refuse_at(&prefix.place, message));
        }
        Ok(DestinationLimit { prefix: prefix.value, limit: limit?.0 })
    })
}

const WIREGUARD_PORT: u16 = 51820;

/// Enough for every flow to learn its path's MTU, too little for a flood of answers.
const DEFAULT_ICMP_ERRORS: LimitSettings =
    LimitSettings { bits_per_second: None, packets_per_second: Some(1_000), burst_bytes: None, burst_packets: None };

/// Far more than neighbours have to tell each other, far less than would keep a worker from its packets.
const DEFAULT_CONTROL: LimitSettings =
    LimitSettings { bits_per_second: None, packets_per_second: Some(10_000), burst_bytes: None, burst_packets: None };
