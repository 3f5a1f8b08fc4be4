//! Packets between two running LightningFilter instances, taken apart and put together again byte for byte.

use photongate_wire::{EtherType, Ethernet, IpProtocol, Ipv4, Ipv4Mut, Lf, LfHeader, Udp, UdpHeader, UdpMut};
use photongate_wire::{checksum, ethernet, ipv4, lf, udp};

#[test]
fn every_captured_checksum_is_right() {
    for captured in captured() {
        let ip = captured.outer();
        assert!(ip.is_checksum_valid());
        let pseudo_header = checksum::pseudo_header_v4(
            ip.source(),
            ip.destination(),
            ip.protocol(),
            ip.payload().len().try_into().unwrap(),
        );
        assert_eq!(checksum::layer4(pseudo_header, Udp::parse(ip.payload()).unwrap().datagram()), 0);
    }
}

#[test]
fn the_mac_input_is_the_one_that_lightningfilter_computed() {
    for captured in captured() {
        let (header, payload) = captured.lf();
        let blocks = lf::mac_input(header.as_bytes(), payload.len().try_into().unwrap());
        assert_eq!(blocks.as_flattened(), captured.mac_input);
    }
}

#[test]
fn ethernet_padding_is_payload_for_lightningfilter_and_trails_the_datagram_for_us() {
    let captured = Captured::read(include_str!("captured/udp-padded.txt"));
    let ip = captured.outer();
    assert_eq!((ip.payload().len(), ip.trailing()), (8 + 56 + 9, &[0xee; 17][..]));
    assert_eq!(captured.lf().1.len(), 26);
}

#[test]
fn taking_the_encapsulation_out_gives_the_original_datagram() {
    for captured in captured() {
        let outer = captured.outer();
        let (header, payload) = captured.lf();
        let inner_len = usize::from(outer.total_length()) - lf::ENCAPSULATION_LEN - ipv4::HEADER_LEN;

        let mut datagram = [outer.header(), &payload[..inner_len]].concat();
        let length = datagram.len().try_into().unwrap();
        let mut ip = Ipv4Mut::parse(&mut datagram).unwrap();
        ip.set_total_length(length);
        ip.set_protocol(header.next_protocol());
        ip.fill_checksum();
        assert_eq!(datagram, captured.datagram);
    }
}

#[test]
fn putting_the_encapsulation_in_gives_the_captured_frame() {
    for captured in captured() {
        let original = Ipv4::parse(&captured.datagram).unwrap();
        let (header, payload) = captured.lf();
        let outer = captured.outer();
        let port = Udp::parse(outer.payload()).unwrap().source_port();
        let padding = outer.trailing();

        let mut datagram = captured.datagram.clone();
        datagram.splice(ipv4::HEADER_LEN..ipv4::HEADER_LEN, [0; lf::ENCAPSULATION_LEN]);
        let length: u16 = datagram.len().try_into().unwrap();
        let (ip, rest) = datagram.split_first_chunk_mut::<{ ipv4::HEADER_LEN }>().unwrap();
        let udp_len = rest.len().try_into().unwrap();

        let mut ip = Ipv4Mut::parse(ip).unwrap();
        ip.set_total_length(length);
        ip.set_protocol(IpProtocol::UDP);
        ip.fill_checksum();
        let udp_header = UdpHeader { source_port: port, destination_port: port, length: udp_len, checksum: 0 };
        udp_header.emit(rest.first_chunk_mut().unwrap());
        LfHeader { next_protocol: original.protocol(), ..LfHeader::parse(header.as_bytes()).unwrap() }
            .emit(rest[udp::HEADER_LEN..].first_chunk_mut().unwrap());
        let pseudo_header =
            checksum::pseudo_header_v4(original.source(), original.destination(), IpProtocol::UDP, udp_len);
        let sum = checksum::udp(pseudo_header, rest);
        UdpMut::parse(rest).unwrap().set_checksum(sum);

        assert_eq!(payload.len(), original.payload().len() + padding.len());
        let frame = [&captured.frame[..ethernet::HEADER_LEN], &datagram, padding].concat();
        assert_eq!(frame, captured.frame);
    }
}

struct Captured {
    frame: Vec<u8>,
    datagram: Vec<u8>,
    mac_input: Vec<u8>,
}

impl Captured {
    fn read(text: &str) -> Self {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            hex(line.unwrap_or_else(|| panic!("no line {name}")))
        };
        Self { frame: field("frame"), datagram: field("datagram"), mac_input: field("mac_input") }
    }

    fn outer(&self) -> Ipv4<'_> {
        let ethernet = Ethernet::parse(&self.frame).unwrap();
        assert_eq!(ethernet.ethertype(), EtherType::IPV4);
        Ipv4::parse(ethernet.payload()).unwrap()
    }

    /// LightningFilter's idea of the payload: everything that is left in the frame.
    fn lf(&self) -> (Lf<'_>, &[u8]) {
        Lf::split(&self.outer().payload_and_trailing()[udp::HEADER_LEN..]).unwrap()
    }
}

fn captured() -> [Captured; 5] {
    [
        include_str!("captured/echo-request.txt"),
        include_str!("captured/echo-reply.txt"),
        include_str!("captured/udp-there.txt"),
        include_str!("captured/udp-back.txt"),
        include_str!("captured/udp-padded.txt"),
    ]
    .map(Captured::read)
}

fn hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2) && digits.is_ascii());
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
