//! What the packet path is told to do: one immutable snapshot, replaced whole at a reload.

use crate::dictionary::PeerKey;
use crate::frame::PortIndex;
use crate::limits::{DestinationLimits, Limit};
use crate::peer_encapsulation::Encapsulation;
use crate::routes::RouteTable;
use crate::verdict::DropReason;
use photongate_drkey::{KeyTimes, Protocol};
use photongate_wire::{IpProtocol, IsdAs, MacAddress, Udp, WireguardMessage};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Everything that decides what happens to a packet, but for the keys.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The AS this filter stands in front of.
    pub local: IsdAs,
    /// The encapsulations.
    pub lf: LfSettings,
    /// Epochs, grace and time window.
    pub times: KeyTimes,
    /// The ports; [`crate::PortIndex`] counts from the first.
    pub ports: Vec<PortSettings>,
    /// From address to the peer behind which it lies.
    pub routes: RouteTable<Route>,
    /// Whether any route refuses unauthenticated packets, so that sources need to be looked up at all.
    pub best_effort_refusals: bool,
    /// Whether any peer may send packets in `lf2`, so that its UDP port means anything.
    pub accept_lf2: bool,
    /// Limit of all forwarded inbound traffic.
    pub overall: Arc<Limit>,
    /// Limit of all authenticated inbound traffic.
    pub authenticated: Arc<Limit>,
    /// Limit of unauthenticated inbound traffic; `None` lets none of it pass.
    pub best_effort: Option<Arc<Limit>>,
    /// Limits by destination prefix.
    pub destinations: Option<Arc<DestinationLimits>>,
    /// Limits of WireGuard by kind of message.
    pub wireguard: Option<WireGuardSettings>,
    /// What becomes of packets to no peer.
    pub outbound_unknown: UnknownDestination,
    /// Whether outbound fragments are put together before they come here; if not they are refused.
    pub reassemble: bool,
    /// Whether TCP's maximum segment size is lowered so that the encapsulated packet fits.
    pub clamp_mss: bool,
    /// Ethernet destination of authenticated and best-effort packets on their way in; over the port's.
    pub inbound_next_hop: Option<NextHop>,
    /// Ethernet destination of packets on their way out; over the port's.
    pub outbound_next_hop: Option<NextHop>,
    /// Limit of ICMP errors sent.
    pub icmp_errors: Arc<Limit>,
}

/// What both encapsulations, LF and `lf2`, go by.
#[derive(Clone, Debug)]
pub struct LfSettings {
    /// UDP destination port of authenticated packets in LF.
    pub port: u16,
    /// UDP destination port of authenticated packets in `lf2`. Another one than LF's.
    pub lf2_port: u16,
    /// DRKey protocol of what we send.
    pub protocol: Protocol,
    /// UDP source port of what we send.
    pub source_port: SourcePort,
    /// Our IPv4 address as the peers see it, where that differs from the one in the packet.
    pub public_v4: Option<Ipv4Addr>,
    /// Our IPv6 address as the peers see it, where that differs from the one in the packet.
    pub public_v6: Option<Ipv6Addr>,
}

/// How the UDP source port of an encapsulated packet is chosen. It is not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourcePort {
    /// The same as the destination port, as LightningFilter does.
    Fixed,
    /// By a hash of the inner flow, from 49152 on, so that routers can spread flows over equal paths (as RFC 6438 suggests for tunnels).
    Flow,
}

/// One port as the pipeline sees it.
#[derive(Clone, Debug)]
pub struct PortSettings {
    /// The port's name.
    pub name: String,
    /// Which side it is on.
    pub role: Role,
    /// Where packets that arrive here leave.
    pub forward_to: PortIndex,
    /// Largest IP packet on this link, in bytes.
    pub mtu: usize,
    /// The port's own address: Ethernet source of what is rewritten to leave here.
    pub mac: MacAddress,
    /// Ethernet destination of what leaves here.
    pub next_hop: NextHop,
    /// What becomes of link control traffic that arrives here.
    pub control: ControlPolicy,
    /// Limit of link control traffic and of unauthenticated packets for the host, which nothing else limits. One for each
    /// port: a flood outside is no matter inside.
    pub control_limit: Arc<Limit>,
    /// Addresses of the host itself on this link.
    pub addresses: Vec<IpAddr>,
    /// Whether the port fills in UDP checksums of what leaves here.
    pub udp_checksum_offload: bool,
}

/// Which side of the filter a port is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Towards our own hosts: what arrives is outbound.
    Inside,
    /// Towards the peers: what arrives is inbound.
    Outside,
    /// Both, told apart packet by packet: with LF header inbound, to a peer's prefix outbound, otherwise inbound best effort.
    Auto,
}

/// Ethernet destination of what leaves by a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// Both Ethernet addresses stay as they are: the filter is a bump in the wire.
    Keep,
    /// Back to whoever sent it; the source becomes the port's own address.
    Swap,
    /// This neighbour; the source becomes the port's own address.
    Address(MacAddress),
}

/// What becomes of ARP, NDP, LLDP and their like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlPolicy {
    /// To the host's kernel.
    Kernel,
    /// On to the other port, as an Ethernet bridge would.
    Forward,
    /// Refused.
    Drop,
}

/// Where an address belongs.
///
/// Sixteen bytes, also where there may be none, so that four of them are in a cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    isd_as: IsdAs,
    protocol: Protocol,
    refuse_best_effort: bool,
}

impl Route {
    /// Addresses that lie behind `peer`, and whether unauthenticated packets from there are refused.
    pub const fn new(peer: PeerKey, refuse_best_effort: bool) -> Self {
        Self { isd_as: peer.isd_as, protocol: peer.protocol, refuse_best_effort }
    }

    /// The peer behind which they lie.
    #[inline]
    pub const fn peer(self) -> PeerKey {
        PeerKey { isd_as: self.isd_as, protocol: self.protocol }
    }

    /// Whether unauthenticated packets from there are refused.
    #[inline]
    pub const fn refuses_best_effort(self) -> bool {
        self.refuse_best_effort
    }
}

/// What becomes of outbound packets to no peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownDestination {
    /// Forwarded as they are.
    Forward,
    /// Refused.
    Drop,
}

/// WireGuard in inbound traffic, limited by kind of message.
#[derive(Clone, Debug)]
pub struct WireGuardSettings {
    /// UDP destination port.
    pub port: u16,
    /// Limit of handshake messages (types 1 to 3).
    pub handshake: Arc<Limit>,
    /// Limit of data messages (type 4).
    pub data: Arc<Limit>,
}

impl WireGuardSettings {
    /// The limit of the packet whose `protocol` begins with `inner`, and the reason when it is used up; `None` for what is no
    /// WireGuard.
    #[inline]
    pub(crate) fn limit(&self, protocol: IpProtocol, inner: &[u8]) -> Option<(&Limit, DropReason)> {
        if protocol != IpProtocol::UDP {
            return None;
        }
        let udp = Udp::parse(inner).ok().filter(|udp| udp.destination_port() == self.port)?;
        match WireguardMessage::recognise(udp.payload())? {
            message if message.is_handshake() => Some((&*self.handshake, DropReason::RateLimitWireGuardHandshake)),
            _ => Some((&*self.data, DropReason::RateLimitWireGuardData)),
        }
    }
}

impl LfSettings {
    /// The UDP destination port of packets in `encapsulation`.
    #[inline]
    pub const fn port_of(&self, encapsulation: Encapsulation) -> u16 {
        match encapsulation {
            Encapsulation::Lf => self.port,
            Encapsulation::Lf2 => self.lf2_port,
        }
    }

    /// The local address that enters key derivation when the packet shows `local`.
    #[inline]
    pub fn public(&self, local: IpAddr) -> IpAddr {
        match local {
            IpAddr::V4(local) => IpAddr::V4(self.public_v4.unwrap_or(local)),
            IpAddr::V6(local) => IpAddr::V6(self.public_v6.unwrap_or(local)),
        }
    }
}
