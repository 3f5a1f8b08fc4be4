//! The answer to a packet that does not fit the next link: ICMPv4 "fragmentation needed" (RFC 792, RFC 1191) and
//! ICMPv6 "packet too big" (RFC 4443 section 3.2).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::{IcmpType, Icmpv6Type, IpProtocol, Ipv4, Ipv6, Malformed, Sum, checksum, ipv4, ipv6};

/// The answer to one packet, ready to be written.
#[derive(Clone, Copy, Debug)]
pub struct TooBig<'p> {
    addresses: Addresses,
    mtu: u32,
    quote: &'p [u8],
}

impl<'p> TooBig<'p> {
    /// The answer to the IPv4 datagram `offending`, sent from `source`, one of our own addresses. `mtu` is the largest
    /// datagram, header included, that would have fitted.
    ///
    /// Whether the datagram forbids fragmentation is not looked at. A datagram that came to a group's Ethernet address
    /// must not be answered either; that is for the caller to see.
    ///
    /// # Errors
    /// Why RFC 1122 section 3.2.2 wants silence.
    pub fn for_ipv4(offending: &Ipv4<'p>, source: Ipv4Addr, mtu: u16) -> Result<Self, NoAnswer> {
        if !is_one_host(offending.source()) {
            return Err(NoAnswer::Source);
        }
        if offending.destination().is_multicast() || offending.destination().is_broadcast() {
            return Err(NoAnswer::Destination);
        }
        if offending.fragment_offset() != 0 {
            return Err(NoAnswer::LaterFragment);
        }
        if offending.protocol() == IpProtocol::ICMP && IcmpType::of(offending.payload()).is_none_or(IcmpType::is_error)
        {
            return Err(NoAnswer::IcmpError);
        }
        let addresses = Addresses::V4 { source, destination: offending.source() };
        let quote = prefix(offending.datagram(), MAX_LEN_V4 - ipv4::HEADER_LEN - ICMP_HEADER_LEN);
        Ok(Self { addresses, mtu: mtu.into(), quote })
    }

    /// The answer to the IPv6 packet `offending`, sent from `source`, one of our own addresses. `mtu` is the largest
    /// packet, fixed header included, that would have fitted.
    ///
    /// A packet that came to a group's Ethernet address must not be answered either, unless its IPv6 destination is one
    /// host; that is for the caller to see.
    ///
    /// # Errors
    /// Why RFC 4443 section 2.4 (e) wants silence. It allows an answer to multicast here, and to later fragments; we
    /// send none, for we cannot tell what a later fragment belongs to, and multicast makes one packet many answers.
    pub fn for_ipv6(offending: &Ipv6<'p>, source: Ipv6Addr, mtu: u32) -> Result<Self, NoAnswer> {
        if offending.source().is_unspecified() || offending.source().is_multicast() || offending.source().is_loopback()
        {
            return Err(NoAnswer::Source);
        }
        if offending.destination().is_multicast() {
            return Err(NoAnswer::Destination);
        }
        let upper = offending.upper_layer().map_err(NoAnswer::Unreadable)?;
        if upper.fragment().is_some_and(|fragment| fragment.offset() != 0) {
            return Err(NoAnswer::LaterFragment);
        }
        let is_error = |kind: Icmpv6Type| kind.is_error() || kind == Icmpv6Type::REDIRECT;
        if upper.protocol() == IpProtocol::ICMPV6 && Icmpv6Type::of(upper.payload()).is_none_or(is_error) {
            return Err(NoAnswer::IcmpError);
        }
        let addresses = Addresses::V6 { source, destination: offending.source() };
        let quote = prefix(offending.datagram(), MAX_LEN_V6 - ipv6::HEADER_LEN - ICMP_HEADER_LEN);
        Ok(Self { addresses, mtu, quote })
    }

    /// Bytes of the answer, from its IP header on.
    pub const fn packet_len(&self) -> usize {
        let header_len = match self.addresses {
            Addresses::V4 { .. } => ipv4::HEADER_LEN,
            Addresses::V6 { .. } => ipv6::HEADER_LEN,
        };
        header_len + ICMP_HEADER_LEN + self.quote.len()
    }

    /// Writes the answer, from its IP header on, to the start of `packet`, and returns what was written.
    ///
    /// `None`, and nothing written, if there is less room than [`packet_len`](Self::packet_len).
    pub fn emit<'b>(&self, packet: &'b mut [u8]) -> Option<&'b mut [u8]> {
        let packet = packet.get_mut(..self.packet_len())?;
        match self.addresses {
            Addresses::V4 { source, destination } => {
                let length = u16::try_from(packet.len()).ok()?;
                let (header, message) = packet.split_first_chunk_mut()?;
                *header = ipv4_header(source, destination, length);
                self.emit_message(message, IcmpType::DESTINATION_UNREACHABLE.0, FRAGMENTATION_NEEDED, Sum::ZERO)?;
            }
            Addresses::V6 { source, destination } => {
                let (header, message) = packet.split_first_chunk_mut()?;
                let length = u16::try_from(message.len()).ok()?;
                *header = ipv6_header(source, destination, length);
                let pseudo_header =
                    checksum::pseudo_header_v6(source, destination, IpProtocol::ICMPV6, u32::from(length));
                self.emit_message(message, Icmpv6Type::PACKET_TOO_BIG.0, 0, pseudo_header)?;
            }
        }
        Some(packet)
    }

    /// Both kinds have the MTU in their second word: in ICMPv4 its upper half is zero (RFC 1191 section 4).
    fn emit_message(&self, message: &mut [u8], kind: u8, code: u8, pseudo_header: Sum) -> Option<()> {
        let (header, quote) = message.split_first_chunk_mut::<ICMP_HEADER_LEN>()?;
        let [m0, m1, m2, m3] = self.mtu.to_be_bytes();
        *header = [kind, code, 0, 0, m0, m1, m2, m3];
        quote.copy_from_slice(self.quote);
        let [c0, c1] = pseudo_header.add_bytes(header).add_bytes(quote).checksum().to_be_bytes();
        *header = [kind, code, c0, c1, m0, m1, m2, m3];
        Some(())
    }
}

/// Why a packet gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It reports an error itself.
    #[error("the packet reports an error itself")]
    IcmpError,
    /// It is a fragment other than the first.
    #[error("the packet is a fragment other than the first")]
    LaterFragment,
    /// It comes from no single host.
    #[error("the packet comes from no single host")]
    Source,
    /// It goes to many hosts.
    #[error("the packet goes to many hosts")]
    Destination,
    /// Its extension headers cannot be followed.
    #[error("the extension headers cannot be followed: {0}")]
    Unreadable(Malformed),
}

#[derive(Clone, Copy, Debug)]
enum Addresses {
    V4 { source: Ipv4Addr, destination: Ipv4Addr },
    V6 { source: Ipv6Addr, destination: Ipv6Addr },
}

/// RFC 1122 section 3.2.2: not zero, loopback, broadcast, multicast, or class E.
fn is_one_host(address: Ipv4Addr) -> bool {
    let [network, ..] = address.octets();
    network != 0 && !address.is_loopback() && network < 224
}

/// Precedence 6 as RFC 1812 section 4.3.2.5 asks. The answer is whole and may not be fragmented, so that it needs no
/// identification (RFC 6864).
fn ipv4_header(source: Ipv4Addr, destination: Ipv4Addr, length: u16) -> [u8; ipv4::HEADER_LEN] {
    let [l0, l1] = length.to_be_bytes();
    let [s0, s1, s2, s3] = source.octets();
    let [d0, d1, d2, d3] = destination.octets();
    let header = |[c0, c1]: [u8; 2]| {
        [0x45, 0xc0, l0, l1, 0, 0, 0x40, 0, HOPS, IpProtocol::ICMP.0, c0, c1, s0, s1, s2, s3, d0, d1, d2, d3]
    };
    header(checksum::internet(&header([0, 0])).to_be_bytes())
}

fn ipv6_header(source: Ipv6Addr, destination: Ipv6Addr, payload_length: u16) -> [u8; ipv6::HEADER_LEN] {
    let [l0, l1] = payload_length.to_be_bytes();
    let mut header = [0; ipv6::HEADER_LEN];
    header[..8].copy_from_slice(&[0x60, 0, 0, 0, l0, l1, IpProtocol::ICMPV6.0, HOPS]);
    header[8..24].copy_from_slice(&source.octets());
    header[24..].copy_from_slice(&destination.octets());
    header
}

fn prefix(bytes: &[u8], at_most: usize) -> &[u8] {
    bytes.get(..at_most).unwrap_or(bytes)
}

/// Largest answer over IPv4, in bytes (RFC 1812 section 4.3.2.3): every host can take in that much.
pub const MAX_LEN_V4: usize = 576;

/// Largest answer over IPv6, in bytes (RFC 4443 section 3.2): every link carries that much.
pub const MAX_LEN_V6: usize = 1280;

const ICMP_HEADER_LEN: usize = 8;
const FRAGMENTATION_NEEDED: u8 = 4;
const HOPS: u8 = 64;

#[cfg(test)]
mod tests;
