//! From what `filter.toml` says to what the packet path takes, the same for `filter` and for `verify`.

use std::sync::Arc;

use photongate_drkey::Rotation;
use photongate_pipeline::limits::{DestinationLimits, Limit, LimitSettings};
use photongate_pipeline::routes::RouteTable;
use photongate_pipeline::{PeerKey, PortIndex, PortSettings, Route, Settings, WireGuardSettings};
use photongate_wire::{MacAddress, UnixNanos};

use crate::config::{FilterConfig, LimitsConfig, PeerConfig, PortConfig, WireGuardConfig};

/// A peer, as the filter takes it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// What the peer is found by.
    pub key: PeerKey,
    /// What it may send: its own limit, or else that of all peers.
    pub limit: LimitSettings,
    /// Which keys are in force when.
    pub rotation: Rotation,
}

/// What the pipeline is told to do; limits are full at `now`.
///
/// What only the devices know is left at its default: a port's own address is a placeholder, and nothing is offloaded.
pub(crate) fn pipeline_settings(config: &FilterConfig, now: UnixNanos) -> Settings {
    let limit = |settings| Arc::new(Limit::from_settings(settings, now));
    Settings {
        local: config.isd_as,
        lf: config.lf.clone(),
        times: config.keys.times,
        ports: config
            .ports
            .iter()
            .zip(0..)
            .map(|(port, index)| port_settings(port, index, limit(&config.limits.control)))
            .collect(),
        routes: routes(&config.peers),
        best_effort_refusals: config.peers.iter().any(|peer| peer.refuse_best_effort),
        overall: limit(&config.limits.overall),
        authenticated: limit(&config.limits.authenticated),
        best_effort: config.best_effort.as_ref().map(|best_effort| limit(&best_effort.limit)),
        destinations: destinations(&config.limits, now),
        wireguard: config.wireguard.as_ref().map(|settings| wireguard(settings, now)),
        outbound_unknown: config.outbound.unknown_destination,
        reassemble: config.outbound.reassemble,
        clamp_mss: config.outbound.clamp_mss,
        inbound_next_hop: config.inbound.next_hop,
        outbound_next_hop: config.outbound.next_hop,
        icmp_errors: limit(&config.limits.icmp_errors),
    }
}

/// The peers of `config`, which has none afterwards: secrets are moved, never copied. To be called after
/// [`pipeline_settings`], which needs the peers' prefixes.
pub(crate) fn take_peers(config: &mut FilterConfig) -> Vec<Peer> {
    let default_limit = config.limits.peer;
    let peer = |PeerConfig { isd_as, protocol, limit, rotation, .. }| Peer {
        key: PeerKey { isd_as, protocol },
        limit: limit.unwrap_or(default_limit),
        rotation,
    };
    config.peers.drain(..).map(peer).collect()
}

fn port_settings(port: &PortConfig, index: u8, control_limit: Arc<Limit>) -> PortSettings {
    PortSettings {
        name: port.name.clone(),
        role: port.role,
        forward_to: PortIndex(u8::try_from(port.forward_to).expect("a configuration has few ports")),
        mtu: port.mtu.into(),
        mac: placeholder_address(index),
        next_hop: port.next_hop,
        control: port.control,
        control_limit,
        addresses: port.addresses.clone(),
        udp_checksum_offload: false,
    }
}

/// A locally administered address, recognisable by its zeroes.
fn placeholder_address(index: u8) -> MacAddress {
    MacAddress([0x02, 0, 0, 0, 0, index])
}

fn routes(peers: &[PeerConfig]) -> RouteTable<Route> {
    let routes = peers.iter().flat_map(|peer| {
        let key = PeerKey { isd_as: peer.isd_as, protocol: peer.protocol };
        let route = Route { peer: key, refuse_best_effort: peer.refuse_best_effort };
        peer.prefixes.iter().map(move |prefix| (*prefix, route))
    });
    RouteTable::new(routes).expect("a configuration has each prefix once, without bits beyond its length")
}

fn destinations(limits: &LimitsConfig, now: UnixNanos) -> Option<Arc<DestinationLimits>> {
    if limits.destinations.is_empty() {
        return None;
    }
    let limits = limits.destinations.iter().map(|destination| {
        let limit = Limit::from_settings(&destination.limit, now);
        (destination.prefix, Arc::new(limit))
    });
    Some(Arc::new(DestinationLimits::new(limits).expect("a configuration has each destination once")))
}

fn wireguard(settings: &WireGuardConfig, now: UnixNanos) -> WireGuardSettings {
    let limit = |settings| Arc::new(Limit::from_settings(settings, now));
    WireGuardSettings { port: settings.port, handshake: limit(&settings.handshake), data: limit(&settings.data) }
}
