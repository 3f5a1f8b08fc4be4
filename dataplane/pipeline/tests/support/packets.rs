//! Plain packets as hosts send them.

use photongate_wire::{IpProtocol, UdpHeader, checksum};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A UDP datagram in an Ethernet frame.
pub(crate) fn udp(source: &str, destination: &str, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let header = |length, checksum| {
        let mut bytes = [0; 8];
        UdpHeader { source_port: ports.0, destination_port: ports.1, length, checksum }.emit(&mut bytes);
        bytes
    };
    let length = u16::try_from(payload.len() + 8).unwrap();
    let plain = [&header(length, 0), payload].concat();
    let sum = match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            checksum::udp(checksum::pseudo_header_v4(source, destination, IpProtocol::UDP, length), &plain)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let sum = checksum::pseudo_header_v6(source, destination, IpProtocol::UDP, u32::from(length));
            checksum::udp(sum, &plain)
        }
        _ => panic!("both addresses are of one version"),
    };
    ip(source, destination, IpProtocol::UDP, &[&header(length, sum), payload].concat())
}

/// A TCP SYN that asks for segments of `mss` bytes.
pub(crate) fn tcp_syn(source: &str, destination: &str, mss: u16) -> Vec<u8> {
    let [m0, m1] = mss.to_be_bytes();
    let segment = [0x10, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 0x02, 0xff, 0xff, 0, 0, 0, 0, 2, 4, m0, m1];
    ip(source, destination, IpProtocol::TCP, &segment)
}

/// An IP packet in an Ethernet frame.
pub(crate) fn ip(source: &str, destination: &str, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            ethernet(0x0800, &ipv4(source, destination, protocol, 0, payload))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            ethernet(0x86dd, &ipv6(source, destination, protocol, payload))
        }
        _ => panic!("both addresses are of one version"),
    }
}

/// An IPv4 packet; `flags_and_offset` makes it a fragment.
pub(crate) fn ipv4(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: IpProtocol,
    flags_and_offset: u16,
    payload: &[u8],
) -> Vec<u8> {
    let [l0, l1] = u16::try_from(payload.len() + 20).unwrap().to_be_bytes();
    let [f0, f1] = flags_and_offset.to_be_bytes();
    let mut header = [0x45, 0, l0, l1, 0x12, 0x34, f0, f1, 64, protocol.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    header[12..16].copy_from_slice(&source.octets());
    header[16..].copy_from_slice(&destination.octets());
    let sum = checksum::internet(&header).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    [&header, payload].concat()
}

pub(crate) fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, next: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let header = [0x60, 0, 0, 0, l0, l1, next.0, 64];
    [&header[..], &source.octets(), &destination.octets(), payload].concat()
}

pub(crate) fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let addresses = [0x02, 0, 0, 0, 0, 0xbb, 0x02, 0, 0, 0, 0, 0xaa];
    [&addresses[..], &ethertype.to_be_bytes(), payload].concat()
}

/// The frame with a VLAN tag in front of what it carries.
pub(crate) fn in_vlan(frame: &[u8], protocol: u16, vlan_id: u16) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(12);
    [addresses, &protocol.to_be_bytes(), &vlan_id.to_be_bytes(), rest].concat()
}
