//! The configuration as it was understood, for programs: the file's own names, with every default filled in.

use std::fmt::Display;

use photongate_agent::as_list::ListedPeer;
use photongate_agent::keys::qks::KeyServerOptions;
use photongate_net::http::{ManagementConfig, ManagementTls};
use photongate_net::{JwksLocation, OidcConfig};
use photongate_pipeline::limits::LimitSettings;
use photongate_pipeline::{ControlPolicy, Encapsulation, NextHop, Role, SourcePort, UnknownDestination};
use photongate_wire::Nanos;
use serde_json::{Value, json};

use super::{DEFAULT_SOCKET, DestinationLimit, FilterConfig, ListSource, PortConfig, WireGuardConfig};

impl FilterConfig {
    /// The configuration without its secrets. Durations are text, like `259200s`.
    pub(crate) fn to_json(&self) -> Value {
        let mut object = self.to_json_without_peers();
        object["peers"] = self.peers.peers().iter().map(peer).collect();
        object
    }

    /// As [`to_json`](Self::to_json), but for the peers, who may be many.
    pub(crate) fn to_json_without_peers(&self) -> Value {
        to_json(self)
    }
}

fn to_json(config: &FilterConfig) -> Value {
    let FilterConfig { isd_as, lf, keys, ports, workers, memory, dpdk, control, .. } = config;
    let FilterConfig { duplicates, limits, best_effort, wireguard, inbound, outbound, .. } = config;
    let FilterConfig { as_list, state, api, qks, .. } = config;
    json!({
        "isd_as": isd_as.to_string(),
        "lf": {
            "port": lf.port,
            "lf2_port": lf.lf2_port,
            "drkey_protocol": lf.protocol.0,
            "source_port": match lf.source_port {
                SourcePort::Fixed => "fixed",
                SourcePort::Flow => "flow",
            },
            "public_address": texts(lf.public_v4).chain(texts(lf.public_v6)).collect::<Vec<_>>(),
        },
        "keys": {
            "epoch": keys.times.epoch.to_string(),
            "prefetch": keys.times.prefetch.to_string(),
            "grace": keys.times.grace.to_string(),
            "time_threshold": keys.times.time_threshold.to_string(),
            "max_peers": keys.max_peers,
        },
        "qks": qks.as_ref().map(qks_json),
        "ports": ports.iter().map(|port| port_json(port, ports)).collect::<Vec<_>>(),
        "workers": {
            "count": workers.count,
            "cores": workers.cores,
            "burst": workers.burst,
            "adaptive_polling": workers.adaptive_polling,
            "crypto": workers.crypto.name(),
        },
        "memory": { "hugepages": memory.hugepages, "mib": memory.mib, "buffers": memory.buffers },
        "dpdk": { "name": dpdk.name, "arguments": dpdk.arguments },
        "control": { "socket": control.socket.as_deref().unwrap_or(DEFAULT_SOCKET.as_ref()).display().to_string() },
        "duplicates": match duplicates {
            Some(duplicates) => json!({
                "enabled": true,
                "packets_per_second": duplicates.packets_per_second,
                "false_positive_rate": duplicates.false_positive_rate,
                "memory_limit_mib": duplicates.memory_limit_mib,
            }),
            None => json!({ "enabled": false }),
        },
        "limits": {
            "overall": limit(&limits.overall),
            "authenticated": limit(&limits.authenticated),
            "peer": limit(&limits.peer),
            "destinations": limits.destinations.iter().map(destination).collect::<Vec<_>>(),
            "icmp_errors": limit(&limits.icmp_errors),
            "control": limit(&limits.control),
        },
        "best_effort": {
            "enabled": best_effort.is_some(),
            "limit": best_effort.as_ref().map(|best_effort| limit(&best_effort.limit)),
        },
        "wireguard": wireguard.as_ref().map(wireguard_json),
        "inbound": { "next_hop": inbound.next_hop.map(next_hop) },
        "outbound": {
            "next_hop": outbound.next_hop.map(next_hop),
            "unknown_destination": match outbound.unknown_destination {
                UnknownDestination::Forward => "forward",
                UnknownDestination::Drop => "drop",
            },
            "fragments": if outbound.reassemble { "reassemble" } else { "drop" },
            "clamp_mss": outbound.clamp_mss,
        },
        "as_list": match as_list {
            ListSource::Inline => Value::Null,
            ListSource::File { path, watch } => json!({ "file": path.display().to_string(), "watch": watch }),
        },
        "state": {
            "directory": state.directory().display().to_string(),
            "key_file": state.key_file.as_ref().map(|path| path.display().to_string()),
        },
        "api": api.as_ref().map_or(json!({ "enabled": false }), api_json),
    })
}

fn qks_json(qks: &KeyServerOptions) -> Value {
    json!({
        "url": qks.url.to_string(),
        "other_urls": qks.other_urls.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "ca": qks.ca.display().to_string(),
        "certificate": qks.certificate.display().to_string(),
        "key": qks.key.display().to_string(),
        "server": qks.server.to_string(),
    })
}

fn port_json(port: &PortConfig, ports: &[PortConfig]) -> Value {
    json!({
        "name": port.name,
        "device": port.device.arguments(),
        "role": match port.role {
            Role::Inside => "inside",
            Role::Outside => "outside",
            Role::Auto => "auto",
        },
        "forward_to": ports[port.forward_to].name,
        "mtu": port.mtu,
        "next_hop": next_hop(port.next_hop),
        "control": match port.control {
            ControlPolicy::Kernel => "kernel",
            ControlPolicy::Forward => "forward",
            ControlPolicy::Drop => "drop",
        },
        "exception": port.exception,
        "addresses": texts(&port.addresses).collect::<Vec<_>>(),
        "checksum_offload": port.checksum_offload,
    })
}

fn peer(peer: &ListedPeer) -> Value {
    json!({
        "isd_as": peer.key.isd_as.to_string(),
        "drkey_protocol": peer.key.protocol.0,
        "name": peer.name,
        "prefixes": texts(&peer.prefixes).collect::<Vec<_>>(),
        "keys": peer.source.kind(),
        "limit": peer.limit.as_deref().map(limit),
        "best_effort": if peer.refuse_best_effort { "drop" } else { "allow" },
        "encapsulation": peer.encapsulation.send.name(),
        "accept": peer.encapsulation.accept.iter().map(Encapsulation::name).collect::<Vec<_>>(),
    })
}

fn destination(destination: &DestinationLimit) -> Value {
    json!({ "prefix": destination.prefix.to_string(), "limit": limit(&destination.limit) })
}

fn wireguard_json(wireguard: &WireGuardConfig) -> Value {
    json!({ "port": wireguard.port, "handshake": limit(&wireguard.handshake), "data": limit(&wireguard.data) })
}

fn api_json(api: &ManagementConfig) -> Value {
    json!({
        "enabled": true,
        "socket": api.socket().display().to_string(),
        "listen": texts(&api.listen).collect::<Vec<_>>(),
        "requests_per_second": api.requests_per_second,
        "tls": api.tls.as_ref().map(|ManagementTls { certificate, key, client_ca, admins, readers }| json!({
            "certificate": certificate.display().to_string(),
            "key": key.display().to_string(),
            "client_ca": client_ca.as_ref().map(|path| path.display().to_string()),
            "admins": admins,
            "readers": readers,
        })),
        "oidc": api.oidc.as_ref().map(oidc),
    })
}

fn oidc(oidc: &OidcConfig) -> Value {
    let (jwks, ca) = match &oidc.jwks {
        JwksLocation::File(path) => (Some(path.display().to_string()), None),
        JwksLocation::Url { url, ca } => (Some(url.to_string()), Some(ca.display().to_string())),
        JwksLocation::Issuer { ca, .. } => (None, Some(ca.display().to_string())),
    };
    json!({
        "issuer": oidc.issuer,
        "audience": oidc.audience,
        "jwks": jwks,
        "ca": ca,
        "refresh": Nanos::from(oidc.refresh).to_string(),
        "refresh_pause": Nanos::from(oidc.refresh_pause).to_string(),
        "leeway": Nanos::from(oidc.leeway).to_string(),
        "roles_claim": oidc.roles_claim,
        "admins": oidc.admins,
        "readers": oidc.readers,
    })
}

/// Bursts are filled in where there is a rate; without any rate it is null.
fn limit(settings: &LimitSettings) -> Value {
    let mut object = json!({});
    if let (Some(bits), Some(rate)) = (settings.bits_per_second, settings.bytes()) {
        object["bits_per_second"] = bits.into();
        object["burst_bytes"] = rate.burst.into();
    }
    if let Some(rate) = settings.packets() {
        object["packets_per_second"] = rate.tokens.into();
        object["burst_packets"] = rate.burst.into();
    }
    if object == json!({}) { Value::Null } else { object }
}

fn next_hop(next_hop: NextHop) -> String {
    match next_hop {
        NextHop::Keep => "keep".to_owned(),
        NextHop::Swap => "swap".to_owned(),
        NextHop::Address(address) => address.to_string(),
    }
}

fn texts<T: Display>(items: impl IntoIterator<Item = T>) -> impl Iterator<Item = String> {
    items.into_iter().map(|item| item.to_string())
}
