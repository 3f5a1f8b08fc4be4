//! What one look at a packet's headers tells: which kind it is, and where its parts lie.

use crate::dictionary::PeerKey;
use crate::peer_encapsulation::Encapsulation;
use crate::settings::{ControlPolicy, PortSettings, Role, Settings};
use crate::verdict::DropReason;
use photongate_crypto::Tag;
use photongate_drkey::Protocol;
use photongate_wire::{
    EpochNanos, EtherType, Ethernet, Icmpv6Type, IpProtocol, Ipv4, Ipv6, IsdAs, Lf, Lf2, ipv6, lf, udp,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What later stages need to know of an IP packet.
///
/// It is written field by field where it stays: a copy of it would have to wait until all fields have left for memory. Two cache lines
/// hold it, so that to make it empty takes a few instructions and no call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    /// Of inbound packets: the peer that the header names, proven or not. Of outbound packets: the peer they are for.
    pub(crate) peer: PeerKey,
    l2_len: u16,
    l3_len: u16,
    datagram_len: u32,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// What the first byte behind the IP header belongs to.
    pub(crate) protocol: IpProtocol,
    /// Of inbound packets: what they are in. Of outbound packets: what they are put into, once the peer was looked up.
    pub(crate) encapsulation: Encapsulation,
    /// Of inbound packets: what the payload is, once it is taken out.
    pub(crate) next_protocol: IpProtocol,
    /// Of inbound packets: when the sender says it sent the packet, within an epoch yet to be found.
    pub(crate) timestamp: EpochNanos,
    /// Of inbound packets in LF: the whole header, at hand for every stage without a look at the frame. Of those in `lf2`: the tag, in
    /// the place of LF's MAC.
    pub(crate) header: [u8; lf::HEADER_LEN],
    /// Of inbound packets: the MAC covers what stands behind the datagram too.
    pub(crate) covers_trailer: bool,
}

/// The kinds of packet, each with a way of its own through the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Bears an LF or `lf2` header that names a peer.
    Inbound,
    /// Arrived from where peers are, without such a header.
    BestEffort,
    /// Where it goes depends on whether there is a route to its destination.
    ByRoute {
        /// Whether it is a piece of a datagram.
        is_fragment: bool,
    },
    /// Link control, or for the host itself.
    Control(ControlPolicy),
}

impl Packet {
    /// Stands where no IP packet is.
    pub(crate) const NONE: Self = Self {
        peer: PeerKey { isd_as: IsdAs::from_bits(0), protocol: Protocol(0) },
        l2_len: 0,
        l3_len: 0,
        datagram_len: 0,
        source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        protocol: IpProtocol::NO_NEXT_HEADER,
        encapsulation: Encapsulation::Lf,
        next_protocol: IpProtocol::NO_NEXT_HEADER,
        timestamp: EpochNanos(0),
        header: [0; lf::HEADER_LEN],
        covers_trailer: false,
    };

    /// Parses `frame`, which arrived by `port`, as far as is needed to tell which way it goes. Before, this is [`Self::NONE`].
    ///
    /// # Errors
    /// Why the packet can only be dropped.
    #[inline(always)]
    pub(crate) fn classify(
        &mut self,
        frame: &[u8],
        port: &PortSettings,
        settings: &Settings,
    ) -> Result<Class, DropReason> {
        let ethernet = Ethernet::parse(frame).map_err(|_| DropReason::Malformed)?;
        self.l2_len = ethernet.header_len() as u16;
        match ethernet.ethertype() {
            EtherType::IPV4 => {
                let ip = Ipv4::parse(ethernet.payload()).map_err(|_| DropReason::Malformed)?;
                if !ip.is_checksum_valid() {
                    return Err(DropReason::BadIpChecksum);
                }
                self.l3_len = ip.header().len() as u16;
                self.datagram_len = ip.datagram().len() as u32;
                self.protocol = ip.protocol();
                let control = is_link_scope_v4(ip.destination());
                let addresses = (ip.source().into(), ip.destination().into());
                self.direct(addresses, ip.payload(), ip.is_fragment(), control, port, settings)
            }
            EtherType::IPV6 => self.classify_v6(ethernet.payload(), port, settings),
            EtherType::ARP | EtherType::LLDP | EtherType::SLOW_PROTOCOLS => {
                *self = Self::NONE;
                Ok(Class::Control(port.control))
            }
            _ => Err(DropReason::UnsupportedProtocol),
        }
    }

    fn classify_v6(&mut self, packet: &[u8], port: &PortSettings, settings: &Settings) -> Result<Class, DropReason> {
        let ip = Ipv6::parse(packet).map_err(|_| DropReason::Malformed)?;
        if ipv6::is_ipv4_mapped(ip.source()) || ipv6::is_ipv4_mapped(ip.destination()) {
            return Err(DropReason::MappedAddress);
        }
        let upper = ip.upper_layer().map_err(|_| DropReason::Malformed)?;
        self.l3_len = ipv6::HEADER_LEN as u16;
        self.datagram_len = ip.datagram().len() as u32;
        self.protocol = ip.next_header();
        let neighbour_discovery = upper.protocol() == IpProtocol::ICMPV6
            && ip.hop_limit() == u8::MAX
            && Icmpv6Type::of(upper.payload()).is_some_and(Icmpv6Type::is_neighbor_discovery);
        let control = neighbour_discovery || is_link_scope_v6(ip.destination());
        let addresses = (ip.source().into(), ip.destination().into());
        self.direct(addresses, ip.payload(), upper.fragment().is_some(), control, port, settings)
    }

    /// The packet's direction, by where it comes from and goes to. `payload` is what stands behind the IP header.
    #[inline(always)]
    fn direct(
        &mut self,
        (source, destination): (IpAddr, IpAddr),
        payload: &[u8],
        is_fragment: bool,
        is_control: bool,
        port: &PortSettings,
        settings: &Settings,
    ) -> Result<Class, DropReason> {
        (self.source, self.destination) = (source, destination);
        if is_control {
            return Ok(Class::Control(port.control));
        }
        let may_be_inbound = port.role != Role::Inside;
        if may_be_inbound
            && !is_fragment
            && let Some(encapsulation) = self.encapsulation_of(payload, settings)
        {
            self.read_header(encapsulation, payload)?;
            return Ok(Class::Inbound);
        }
        if port.addresses.contains(&destination) {
            return Ok(Class::Control(ControlPolicy::Kernel));
        }
        if is_link_local(source) {
            // Routers must not forward it (RFC 4291 section 2.5.6): it is not from where it came.
            return Err(DropReason::Malformed);
        }
        match port.role {
            Role::Inside | Role::Auto => Ok(Class::ByRoute { is_fragment }),
            Role::Outside if is_fragment => Err(DropReason::FragmentInbound),
            Role::Outside => Ok(Class::BestEffort),
        }
    }

    /// What the packet is in, by its UDP destination port.
    #[inline(always)]
    fn encapsulation_of(&self, payload: &[u8], settings: &Settings) -> Option<Encapsulation> {
        if self.protocol != IpProtocol::UDP {
            return None;
        }
        let port = udp::UdpHeader::parse(payload.first_chunk()?).destination_port;
        if port == settings.lf.port {
            return Some(Encapsulation::Lf);
        }
        (settings.accept_lf2 && port == settings.lf.lf2_port).then_some(Encapsulation::Lf2)
    }

    /// Reads what is needed of the header before its MAC or tag is checked.
    #[inline(always)]
    fn read_header(&mut self, encapsulation: Encapsulation, payload: &[u8]) -> Result<(), DropReason> {
        let header = payload.get(udp::HEADER_LEN..).ok_or(DropReason::MalformedHeader)?;
        self.encapsulation = encapsulation;
        match encapsulation {
            Encapsulation::Lf => {
                let (lf, _) = Lf::split(header).map_err(|_| DropReason::MalformedHeader)?;
                if lf.reserved() != 0 {
                    return Err(DropReason::MalformedHeader);
                }
                // Assigned, it would go by way of the stack, and be waited for there.
                self.header.copy_from_slice(lf.as_bytes());
                self.timestamp = lf.timestamp();
                self.next_protocol = lf.next_protocol();
                self.peer = PeerKey { isd_as: lf.src_as(), protocol: Protocol(lf.drkey_protocol()) };
            }
            Encapsulation::Lf2 => {
                let (lf2, _) = Lf2::split(header).map_err(|_| DropReason::MalformedHeader)?;
                lf::set_mac(&mut self.header, &lf2.tag());
                self.timestamp = lf2.timestamp();
                self.next_protocol = lf2.next_protocol();
                self.peer = PeerKey { isd_as: lf2.src_as(), protocol: Protocol(lf2.drkey_protocol()) };
            }
        }
        Ok(())
    }

    /// Bytes before the IP header.
    #[inline]
    pub(crate) const fn l2_len(&self) -> usize {
        self.l2_len as usize
    }

    /// Bytes of the IP header, options included; of IPv6 the fixed header.
    #[inline]
    pub(crate) const fn l3_len(&self) -> usize {
        self.l3_len as usize
    }

    /// Bytes of the IP header and its payload, by the header's own account.
    #[inline]
    pub(crate) const fn datagram_len(&self) -> usize {
        self.datagram_len as usize
    }

    /// Notes that the datagram is that long now.
    #[inline]
    pub(crate) const fn set_datagram_len(&mut self, len: u16) {
        self.datagram_len = len as u32;
    }

    /// Of inbound packets: the MAC or tag that the header ends with.
    #[inline]
    pub(crate) fn tag(&self) -> Tag {
        Tag::from_bytes(Lf::new(&self.header).mac())
    }

    /// Offset in the frame of the first byte behind the IP header.
    #[inline]
    pub(crate) const fn payload_at(&self) -> usize {
        self.l2_len() + self.l3_len()
    }

    /// A UDP source port by the flow inside, from 49152 on. It need not be unique, just the same for a whole flow, so that
    /// packets that routers keep in order stay in order.
    #[inline(always)]
    pub(crate) fn flow_port(&self, frame: &[u8]) -> u16 {
        let ports = match self.protocol {
            IpProtocol::TCP | IpProtocol::UDP => frame.get(self.payload_at()..).and_then(<[u8]>::first_chunk::<4>),
            _ => None,
        };
        let folded = |address: IpAddr| match address {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64 ^ address.to_bits() as u64,
        };
        let flow = folded(self.source)
            ^ folded(self.destination).rotate_left(24)
            ^ u64::from(u32::from_be_bytes(*ports.unwrap_or(&[0; 4]))).rotate_left(32)
            ^ u64::from(self.protocol.0).rotate_left(16);
        DYNAMIC_PORTS | (flow.wrapping_mul(GOLDEN_RATIO) >> 50) as u16
    }

    /// Offset in the frame of the first byte behind the LF or `lf2` header.
    #[inline]
    pub(crate) const fn protected_at(&self) -> usize {
        self.payload_at() + self.encapsulation.overhead()
    }

    /// Bytes behind the LF or `lf2` header, up to the end of the datagram.
    #[inline]
    pub(crate) fn protected_len(&self) -> Option<u16> {
        u16::try_from(self.end().checked_sub(self.protected_at())?).ok()
    }

    /// Offset in the frame of the first byte behind the datagram.
    #[inline]
    pub(crate) const fn end(&self) -> usize {
        self.l2_len() + self.datagram_len()
    }
}

/// What no router forwards: the broadcast of DHCP, and the groups of routing protocols and IGMP (RFC 5771 section 4).
#[inline]
fn is_link_scope_v4(destination: Ipv4Addr) -> bool {
    destination.is_broadcast() || matches!(destination.octets(), [224, 0, 0, _])
}

/// What no router forwards: link-local addresses, and groups on the interface or the link (RFC 4291 section 2.7).
fn is_link_scope_v6(destination: Ipv6Addr) -> bool {
    destination.is_unicast_link_local() || matches!(destination.octets(), [0xff, 0x01 | 0x02, ..])
}

#[inline]
fn is_link_local(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(source) => source.is_link_local(),
        IpAddr::V6(source) => source.is_unicast_link_local(),
    }
}

/// The first of the ports that are nobody's by registration (RFC 6335 section 6): 2^14 of them.
const DYNAMIC_PORTS: u16 = 49_152;

/// 2^64 divided by the golden ratio: multiplying by it spreads what differs in a few bits (Knuth, "Sorting and Searching", 6.4).
pub(crate) const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_packet_fits_two_cache_lines() {
        assert!(size_of::<Packet>() <= 128, "{} bytes", size_of::<Packet>());
    }
}
