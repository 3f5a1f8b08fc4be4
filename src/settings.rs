//! From what `filter.toml` says to what the packet path takes, the same for `filter` and for `verify`.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use photongate_agent::as_list::{ListedPeer, Source};
use photongate_agent::keys::shared_secret::{Secret, SecretMaterial};
use photongate_crypto::Key;
use photongate_drkey::{Rotation, SharedSecret, SharedSecrets};
use photongate_net::secret_file;
use photongate_pipeline::limits::{DestinationLimits, Limit, LimitSettings};
use photongate_pipeline::{PeerEncapsulation, PeerKey, PortIndex, PortSettings, Settings, WireGuardSettings};
use photongate_wire::{MacAddress, UnixNanos};

use crate::config::{FilterConfig, LimitsConfig, PortConfig, WireGuardConfig};

/// A peer, as the filter takes it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// What the peer is found by.
    pub key: PeerKey,
    /// What it may send: its own limit, or else that of all peers.
    pub limit: LimitSettings,
    /// What its packets and ours are put into.
    pub encapsulation: PeerEncapsulation,
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
        routes: config.peers.routes(),
        best_effort_refusals: config.peers.refuses_best_effort(),
        accept_lf2: config.peers.accepts_lf2(),
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

/// The peers of `config`, each with the schedule of its keys.
///
/// # Errors
/// A file with a secret cannot be read any more, or the keys of a peer come from a key server, which is not asked here.
pub(crate) fn peers(config: &FilterConfig) -> Result<Vec<Peer>> {
    let peer = |peer: &ListedPeer| {
        let Source::SharedSecret(secrets) = &peer.source else {
            bail!("the keys of {} come from a key server: give this peer shared secrets", peer.key.isd_as);
        };
        let secrets = secrets.iter().map(shared_secret).collect::<Result<_>>();
        let rotation = secrets.and_then(|secrets| {
            let secrets = SharedSecrets::new(secrets);
            Ok(Rotation::new(config.isd_as, peer.key.isd_as, secrets, config.keys.times)?)
        });
        let rotation = rotation.with_context(|| format!("the keys of {}", peer.key.isd_as))?;
        let limit = peer.limit_or(config.limits.peer);
        Ok(Peer { key: peer.key, limit, encapsulation: peer.encapsulation, rotation })
    };
    config.peers.peers().iter().map(peer).collect()
}

fn shared_secret(secret: &Secret) -> Result<SharedSecret> {
    let key = match &secret.material {
        SecretMaterial::Inline(key) => Key::from_bytes(*key.as_bytes()),
        SecretMaterial::File(path) => {
            secret_file::read_key(path).with_context(|| format!("the file {}", path.display()))?
        }
    };
    Ok(SharedSecret::new(key, secret.not_before)?)
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
