//! What one glance at a packet shows: its addresses, and the timestamp of an LF header. Broken and cut packets show what
//! is left of them, so nothing here decides anything.

use std::net::{Ipv4Addr, Ipv6Addr};

use photongate_wire::{EpochNanos, EtherType, Ethernet, IpProtocol, Lf, ipv6, udp};

/// The addresses of a frame: of IP, or else of Ethernet.
pub(crate) fn addresses(frame: &[u8]) -> Option<(String, String)> {
    let ethernet = Ethernet::parse(frame).ok()?;
    let payload = ethernet.payload();
    let addresses = match ethernet.ethertype() {
        EtherType::IPV4 => chunk::<4>(payload, 12)
            .zip(chunk::<4>(payload, 16))
            .map(|(source, destination)| (Ipv4Addr::from(source).to_string(), Ipv4Addr::from(destination).to_string())),
        EtherType::IPV6 => chunk::<16>(payload, 8)
            .zip(chunk::<16>(payload, 24))
            .map(|(source, destination)| (Ipv6Addr::from(source).to_string(), Ipv6Addr::from(destination).to_string())),
        _ => None,
    };
    addresses.or_else(|| Some((ethernet.source().to_string(), ethernet.destination().to_string())))
}

/// When the packet says it was sent, if it has an LF header behind UDP port `lf_port`.
pub(crate) fn timestamp(frame: &[u8], lf_port: u16) -> Option<EpochNanos> {
    let ethernet = Ethernet::parse(frame).ok()?;
    let ip = ethernet.payload();
    let (protocol, header_len) = match ethernet.ethertype() {
        EtherType::IPV4 => (*ip.get(9)?, usize::from(ip.first()? & 0xf) * 4),
        EtherType::IPV6 => (*ip.get(6)?, ipv6::HEADER_LEN),
        _ => return None,
    };
    let datagram = ip.get(header_len..)?;
    let to_lf = IpProtocol(protocol) == IpProtocol::UDP && u16::from_be_bytes(chunk(datagram, 2)?) == lf_port;
    let (header, _) = Lf::split(datagram.get(udp::HEADER_LEN..)?).ok().filter(|_| to_lf)?;
    Some(header.timestamp())
}

fn chunk<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_cut_behind_its_ip_header_still_shows_its_addresses() {
        let frame = frame(0x0800, &[&[0x45; 12][..], &[10, 248, 2, 1], &[10, 248, 1, 1]].concat());
        assert_eq!(addresses(&frame), Some(("10.248.2.1".to_owned(), "10.248.1.1".to_owned())));
        assert_eq!(addresses(&frame[..33]), Some(("02:00:00:00:00:01".to_owned(), "ff:ff:ff:ff:ff:ff".to_owned())));
        assert_eq!(addresses(&frame[..13]), None);
    }

    #[test]
    fn what_is_not_ip_shows_its_ethernet_addresses() {
        let arp = frame(0x0806, &[0; 28]);
        assert_eq!(addresses(&arp), Some(("02:00:00:00:00:01".to_owned(), "ff:ff:ff:ff:ff:ff".to_owned())));
        assert_eq!(timestamp(&arp, 40001), None);
    }

    #[test]
    fn only_packets_to_the_lf_port_have_a_timestamp() {
        let mut ip = vec![0; 20 + 8 + 56];
        (ip[0], ip[9]) = (0x45, 17);
        ip[22..24].copy_from_slice(&40001_u16.to_be_bytes());
        ip[40..48].copy_from_slice(&77_u64.to_be_bytes());
        let frame = frame(0x0800, &ip);
        assert_eq!(timestamp(&frame, 40001), Some(EpochNanos(77)));
        assert_eq!(timestamp(&frame, 40002), None);
        assert_eq!(timestamp(&frame[..frame.len() - 1], 40001), None);
    }

    fn frame(ethertype: u16, payload: &[u8]) -> Vec<u8> {
        let header = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &ethertype.to_be_bytes()].concat();
        [&header, payload].concat()
    }
}
