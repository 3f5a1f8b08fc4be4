//! Having TCP choose segments that fit once encapsulated.

use crate::frame::Frame;
use crate::packet::Packet;
use photongate_wire::{IpProtocol, tcp};

/// Lowers the maximum segment size in a TCP SYN so that segments of an IP packet of at most `fits` bytes come back.
/// Other packets are left alone.
#[inline]
pub(crate) fn clamp(frame: &mut Frame<'_>, packet: &Packet, fits: usize) {
    if packet.protocol != IpProtocol::TCP {
        return;
    }
    // The option counts data only: IP and TCP headers without their options are left out of it (RFC 6691).
    let base = if packet.source.is_ipv4() { IPV4_HEADER_LEN } else { IPV6_HEADER_LEN };
    let Some(limit) = fits.checked_sub(base + TCP_HEADER_LEN).and_then(|limit| u16::try_from(limit).ok()) else {
        return;
    };
    if let Some(segment) = frame.bytes_mut().get_mut(packet.payload_at()..packet.end()) {
        tcp::clamp_max_segment_size(segment, limit);
    }
}

const IPV4_HEADER_LEN: usize = photongate_wire::ipv4::HEADER_LEN;
const IPV6_HEADER_LEN: usize = photongate_wire::ipv6::HEADER_LEN;
const TCP_HEADER_LEN: usize = 20;
