//! Putting a packet into LF or `lf2` and taking it out again, in place.
//!
//! Only headers move: encapsulation shifts them towards the front and writes UDP's and ours into the gap,
//! decapsulation does the reverse. The payload stays where it is.

use crate::burst::ChecksumOffload;
use crate::frame::Frame;
use crate::packet::Packet;
use crate::peer_encapsulation::Encapsulation;
use photongate_wire::{IpProtocol, Ipv4Mut, Ipv6Mut, Lf2Header, LfHeader, Sum, UdpHeader, checksum};
use std::net::IpAddr;

/// What stands behind UDP and in front of the payload.
pub(crate) trait Header {
    /// Which of the encapsulations it belongs to.
    const ENCAPSULATION: Encapsulation;

    /// Writes the header to the start of `bytes`; `None` if they are too few.
    fn emit(&self, bytes: &mut [u8]) -> Option<()>;

    /// The sum of what is written.
    fn sum(&self) -> Sum;
}

impl Header for LfHeader {
    const ENCAPSULATION: Encapsulation = Encapsulation::Lf;

    #[inline]
    fn emit(&self, bytes: &mut [u8]) -> Option<()> {
        bytes.first_chunk_mut().map(|bytes| self.emit(bytes))
    }

    #[inline]
    fn sum(&self) -> Sum {
        self.sum()
    }
}

impl Header for Lf2Header {
    const ENCAPSULATION: Encapsulation = Encapsulation::Lf2;

    #[inline]
    fn emit(&self, bytes: &mut [u8]) -> Option<()> {
        bytes.first_chunk_mut().map(|bytes| self.emit(bytes))
    }

    #[inline]
    fn sum(&self) -> Sum {
        self.sum()
    }
}

/// Who fills in the UDP checksum.
#[derive(Clone, Copy, Debug)]
pub(crate) enum UdpChecksum {
    /// We do; this is the sum of the payload.
    Software(Sum),
    /// The port.
    Port,
}

/// Encapsulates the packet in `frame`, whose payload `header` vouches for. What stood behind the datagram is cut off.
/// `None`, and nothing changed, if there is no room.
#[inline(always)]
#[must_use]
pub(crate) fn encapsulate<H: Header>(
    frame: &mut Frame<'_>,
    packet: &Packet,
    header: &H,
    ports: (u16, u16),
    udp_checksum: UdpChecksum,
) -> Option<Option<ChecksumOffload>> {
    let overhead = const { H::ENCAPSULATION.overhead() };
    let payload_len = packet.datagram_len().checked_sub(packet.l3_len())?;
    let udp_len = u16::try_from(payload_len + overhead).ok()?;
    let datagram_len = u16::try_from(packet.datagram_len() + overhead).ok()?;
    frame.open_gap(packet.payload_at(), overhead)?;
    frame.truncate(packet.end() + overhead);

    let datagram = frame.bytes_mut().get_mut(packet.l2_len()..)?;
    set_ip(datagram, packet, datagram_len, IpProtocol::UDP)?;
    let segment = datagram.get_mut(packet.l3_len()..)?;
    let (udp_header, rest) = segment.split_first_chunk_mut()?;
    let (source_port, destination_port) = ports;
    header.emit(rest)?;

    let pseudo_header = pseudo_header(packet, udp_len);
    let (checksum, offload) = match udp_checksum {
        UdpChecksum::Software(payload) => {
            let udp = pseudo_header.add_u16(source_port).add_u16(destination_port).add_u16(udp_len);
            (checksum::udp_of(udp.append(header.sum()).append(payload)), None)
        }
        UdpChecksum::Port => {
            let is_ipv6 = packet.source.is_ipv6();
            (
                pseudo_header.folded(),
                Some(ChecksumOffload { l2_len: packet.l2_len(), l3_len: packet.l3_len(), is_ipv6 }),
            )
        }
    };
    UdpHeader { source_port, destination_port, length: udp_len, checksum }.emit(udp_header);
    Some(offload)
}

/// Takes the packet in `frame` out of its encapsulation. What stood behind the datagram, padding as it were, is cut off.
/// `None`, and nothing changed, if it is too short to have been encapsulated.
#[inline(always)]
#[must_use]
pub(crate) fn decapsulate(frame: &mut Frame<'_>, packet: &mut Packet) -> Option<()> {
    let (overhead, next_protocol) = (packet.encapsulation.overhead(), packet.next_protocol);
    let datagram_len = packet.datagram_len().checked_sub(overhead).filter(|len| *len >= packet.l3_len())?;
    let datagram_len = u16::try_from(datagram_len).ok()?;
    let end = packet.end().checked_sub(overhead)?;
    frame.close_gap(packet.payload_at(), overhead)?;
    frame.truncate(end);
    packet.set_datagram_len(datagram_len);
    packet.protocol = next_protocol;
    set_ip(frame.bytes_mut().get_mut(packet.l2_len()..)?, packet, datagram_len, next_protocol)
}

/// Sets length and protocol of the IP header, and the checksum of IPv4's.
#[inline(always)]
fn set_ip(datagram: &mut [u8], packet: &Packet, datagram_len: u16, protocol: IpProtocol) -> Option<()> {
    match packet.source {
        IpAddr::V4(_) => {
            let mut ip = Ipv4Mut::parse(datagram).ok()?;
            // Its checksum was right when the packet was classified.
            ip.replace(datagram_len, protocol);
        }
        IpAddr::V6(_) => {
            let mut ip = Ipv6Mut::parse(datagram).ok()?;
            ip.set_payload_length(datagram_len.checked_sub(u16::try_from(packet.l3_len()).ok()?)?);
            ip.set_next_header(protocol);
        }
    }
    Some(())
}

#[inline(always)]
fn pseudo_header(packet: &Packet, udp_len: u16) -> Sum {
    match (packet.source, packet.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            checksum::pseudo_header_v4(source, destination, IpProtocol::UDP, udp_len)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            checksum::pseudo_header_v6(source, destination, IpProtocol::UDP, u32::from(udp_len))
        }
        _ => Sum::ZERO,
    }
}
