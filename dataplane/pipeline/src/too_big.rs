//! Telling a sender that its packet does not fit, by an ICMP error in the packet's own buffer.

use crate::clock::Clock;
use crate::frame::Frame;
use crate::limits::Limit;
use crate::packet::Packet;
use photongate_wire::{Ethernet, EthernetMut, Ipv4, Ipv6, TooBig, too_big};
use std::net::IpAddr;

/// Turns the packet in `frame` into the ICMP error about itself, addressed back to its sender; `fits` is the largest IP
/// packet that would have gone through. Whether there is anything to send back: not for what must not be answered, not
/// over the limit, not without room in the buffer.
///
/// A filter in the wire has no address of its own on the way, so the error bears the address the packet was for, as if
/// the destination had sent it. Hosts look at the quoted packet, not at who sent the error (RFC 5927 section 4.1).
#[cold]
pub(crate) fn reply(frame: &mut Frame<'_>, packet: &Packet, fits: usize, limit: &Limit, now: Clock) -> bool {
    write(frame, packet, fits, limit, now).is_some()
}

fn write(frame: &mut Frame<'_>, packet: &Packet, fits: usize, limit: &Limit, now: Clock) -> Option<()> {
    let mut buffer = [0; MAX_LINK_HEADER + too_big::MAX_LEN_V6];
    let (link_header, datagram) = frame.bytes().split_at_checked(packet.l2_len())?;
    if Ethernet::parse(frame.bytes()).ok()?.destination().is_multicast() {
        // One packet to a group would make many filters answer (RFC 1122 section 3.2.2).
        return None;
    }
    let (link_copy, rest) = buffer.split_at_mut_checked(packet.l2_len())?;
    link_copy.copy_from_slice(link_header);
    let answer = match packet.destination {
        IpAddr::V4(own) => TooBig::for_ipv4(&Ipv4::parse(datagram).ok()?, own, u16::try_from(fits).ok()?),
        IpAddr::V6(own) => TooBig::for_ipv6(&Ipv6::parse(datagram).ok()?, own, u32::try_from(fits).ok()?),
    }
    .ok()?;
    let len = packet.l2_len() + answer.emit(rest)?.len();
    if !limit.take(len as u64, now.monotonic) {
        return None;
    }
    frame.replace(len, |bytes| bytes.copy_from_slice(&buffer[..len]))?;
    EthernetMut::parse(frame.bytes_mut()).ok()?.swap_addresses();
    Some(())
}

/// Ethernet with two VLAN tags.
const MAX_LINK_HEADER: usize = 22;
