//! Plain packets, made by hand.

use std::net::{IpAddr, Ipv4Addr};

use photongate_wire::{IpProtocol, Ipv4Mut, UdpHeader, checksum, udp};

/// An Ethernet frame with a UDP datagram.
///
/// # Panics
/// If the addresses are of different versions of IP, or the payload does not fit a packet.
pub(crate) fn udp(source: IpAddr, destination: IpAddr, port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(udp::HEADER_LEN + payload.len()).expect("a payload that fits a packet");
    let mut header = [0; udp::HEADER_LEN];
    UdpHeader { source_port: port, destination_port: port, length, checksum: 0 }.emit(&mut header);
    let mut datagram = [&header[..], payload].concat();
    let mut frame = ETHERNET.to_vec();
    let pseudo_header = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend([0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, IpProtocol::UDP.0, 0, 0]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
            checksum::pseudo_header_v4(source, destination, IpProtocol::UDP, length)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let [high, low] = length.to_be_bytes();
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, high, low, IpProtocol::UDP.0, 64]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
            checksum::pseudo_header_v6(source, destination, IpProtocol::UDP, length.into())
        }
        _ => panic!("{source} and {destination} cannot be in one packet"),
    };
    let sum = checksum::udp(pseudo_header, &datagram).to_be_bytes();
    datagram[6..8].copy_from_slice(&sum);
    frame.extend_from_slice(&datagram);
    if source.is_ipv4() {
        let total_length = (frame.len() - ETHERNET_LEN) as u16;
        frame[16..18].copy_from_slice(&total_length.to_be_bytes());
        if let Ok(mut ip) = Ipv4Mut::parse(&mut frame[ETHERNET_LEN..]) {
            ip.fill_checksum();
        }
    }
    frame
}

/// An address that nobody has (RFC 5737).
pub(crate) const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));

/// To host B, from somebody unheard of.
const ETHERNET: [u8; 12] = [0x02, 0, 0, 0, 0, b'b', 0x02, 0, 0, 0, 0, 0x66];

const ETHERNET_LEN: usize = ETHERNET.len() + 2;
