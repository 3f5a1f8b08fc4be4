//! What one glance at a packet shows: its addresses, and the timestamp of an LF or lf2 header. Broken and cut packets show what
//! is left of them, so nothing here decides anything.

use std::net::{Ipv4Addr, Ipv6Addr};

use photongate_pipeline::LfSettings;
use photongate_wire::{EpochNanos, EtherType, Ethernet, IpProtocol, Lf, Lf2, ipv6, udp};

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

/// When the packet says it was sent, if it has an LF or lf2 header behind that one's UDP port in `lf`.
pub(crate) fn timestamp(frame: &[u8], lf: &LfSettings) -> Option<EpochNanos> {
    let ethernet = Ethernet::parse(frame).ok()?;
    let ip = ethernet.payload();
    let (protocol, header_len) = match ethernet.ethertype() {
        EtherType::IPV4 => (*ip.get(9)?, usize::from(ip.first()? & 0xf) * 4),
        EtherType::IPV6 => (*ip.get(6)?, ipv6::HEADER_LEN),
        _ => return None,
    };
    let datagram = ip.get(header_len..)?;
    if IpProtocol(protocol) != IpProtocol::UDP {
        return None;
    }
    let (port, header) = (u16::from_be_bytes(chunk(datagram, 2)?), datagram.get(udp::HEADER_LEN..)?);
    if port == lf.port {
        return Lf::split(header).ok().map(|(header, _)| header.timestamp());
    }
    let lf2 = if port == lf.lf2_port { Lf2::split(header).ok() } else { None };
    lf2.map(|(header, _)| header.timestamp())
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
        assert_eq!(timestamp(&arp, &PORTS), None);
    }

    #[test]
    fn only_packets_to_the_ports_of_lf_and_lf2_have_a_timestamp() {
        let mut ip = vec![0; 20 + 8 + 56];
        (ip[0], ip[9]) = (0x45, 17);
        ip[22..24].copy_from_slice(&40001_u16.to_be_bytes());
        ip[40..48].copy_from_slice(&77_u64.to_be_bytes());
        let frame = frame(0x0800, &ip);
        let elsewhere = |port, lf2_port| LfSettings { port, lf2_port, ..PORTS };
        assert_eq!(timestamp(&frame, &PORTS), Some(EpochNanos(77)));
        assert_eq!(timestamp(&frame, &elsewhere(40003, 40002)), None);
        assert_eq!(timestamp(&frame[..frame.len() - 1], &PORTS), None);
        assert_eq!(timestamp(&frame, &elsewhere(40002, 40001)), None, "of another version");
        let lf2 = &mut frame.clone()[..14 + 20 + 8 + 36];
        lf2[14 + 28] = photongate_wire::lf2::VERSION;
        assert_eq!(timestamp(lf2, &elsewhere(40002, 40001)), Some(EpochNanos(77)));
        assert_eq!(timestamp(&lf2[..lf2.len() - 1], &elsewhere(40002, 40001)), None);
    }

    const PORTS: LfSettings = LfSettings {
        port: 40001,
        lf2_port: 40002,
        protocol: photongate_drkey::Protocol(3),
        source_port: photongate_pipeline::SourcePort::Fixed,
        public_v4: None,
        public_v6: None,
    };

    fn frame(ethertype: u16, payload: &[u8]) -> Vec<u8> {
        let header = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &ethertype.to_be_bytes()].concat();
        [&header, payload].concat()
    }
}
