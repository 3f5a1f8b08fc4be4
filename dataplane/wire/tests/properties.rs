//! What holds for any bytes: no parser panics, what a view shows stays within its bytes, and writing undoes reading.

use photongate_wire::{
    EpochNanos, Ethernet, EthernetMut, IcmpType, Icmpv6Type, IpProtocol, Ipv4, Ipv4Mut, Ipv6, Ipv6Mut, IsdAs, Lf, Lf2,
    Lf2Header, LfHeader, MacAddress, Malformed, Tcp, TooBig, Udp, UdpHeader, WireguardMessage, checksum, ethernet,
    ipv4, ipv6, lf, lf2, tcp, too_big,
};
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_bytes_read_as_ethernet_without_a_panic(bytes in frame_like()) {
        if let Ok(frame) = Ethernet::parse(&bytes) {
            prop_assert_eq!(frame.header_len() + frame.payload().len(), bytes.len());
            prop_assert_eq!(frame.header_len(), ethernet::HEADER_LEN + ethernet::TAG_LEN * frame.vlan_tags().count());
        } else {
            prop_assert!(bytes.len() < ethernet::HEADER_LEN + ethernet::TAG_LEN * ethernet::MAX_TAGS);
        }
    }

    #[test]
    fn addresses_set_in_any_frame_read_back(mut bytes in frame_like(), to: [u8; 6], from: [u8; 6]) {
        let Ok(mut frame) = EthernetMut::parse(&mut bytes) else { return Ok(()) };
        frame.set_destination(MacAddress(from));
        frame.set_source(MacAddress(to));
        frame.swap_addresses();
        prop_assert_eq!(&bytes[..12], [to, from].concat());
    }

    #[test]
    fn addresses_print_as_they_read(address: [u8; 6]) {
        let address = MacAddress(address);
        prop_assert_eq!(address.to_string().parse(), Ok(address));
    }

    #[test]
    fn any_bytes_read_as_ipv4_without_a_panic(bytes in ip_like(4)) {
        if let Ok(ip) = Ipv4::parse(&bytes) {
            prop_assert_eq!([ip.header(), ip.payload()].concat(), ip.datagram());
            prop_assert_eq!([ip.datagram(), ip.trailing()].concat(), &bytes[..]);
            prop_assert_eq!([ip.header(), ip.payload_and_trailing()].concat(), &bytes[..]);
            prop_assert_eq!(ip.datagram().len(), usize::from(ip.total_length()));
        }
    }

    #[test]
    fn fields_set_in_any_ipv4_header_read_back(mut bytes in ip_like(4), length: u16, protocol: u8) {
        let before = bytes.clone();
        let Ok(mut ip) = Ipv4Mut::parse(&mut bytes) else { return Ok(()) };
        ip.set_total_length(length);
        ip.set_protocol(IpProtocol(protocol));
        ip.fill_checksum();
        let header_len = usize::from(bytes[0] & 0x0f) * 4;
        prop_assert_eq!(checksum::internet(&bytes[..header_len]), 0);
        prop_assert_eq!(&bytes[header_len..], &before[header_len..]);
        match Ipv4::parse(&bytes) {
            Ok(ip) => prop_assert_eq!((ip.total_length(), ip.protocol().0), (length, protocol)),
            Err(reason) => prop_assert_eq!(reason, Malformed::Length),
        }
    }

    #[test]
    fn any_bytes_read_as_ipv6_without_a_panic(bytes in ip_like(6)) {
        if let Ok(ip) = Ipv6::parse(&bytes) {
            prop_assert_eq!([ip.header(), ip.payload()].concat(), ip.datagram());
            prop_assert_eq!([ip.datagram(), ip.trailing()].concat(), &bytes[..]);
            prop_assert_eq!(ip.payload_and_trailing(), &bytes[ipv6::HEADER_LEN..]);
            if let Ok(upper) = ip.upper_layer() {
                prop_assert!(ip.payload().ends_with(upper.payload()));
            }
        }
    }

    #[test]
    fn fields_set_in_any_ipv6_header_read_back(mut bytes in ip_like(6), length: u16, protocol: u8) {
        let Ok(mut ip) = Ipv6Mut::parse(&mut bytes) else { return Ok(()) };
        ip.set_payload_length(length);
        ip.set_next_header(IpProtocol(protocol));
        match Ipv6::parse(&bytes) {
            Ok(ip) => prop_assert_eq!((ip.payload_length(), ip.next_header().0), (length, protocol)),
            Err(reason) => prop_assert!(matches!(reason, Malformed::Length | Malformed::Jumbogram)),
        }
    }

    #[test]
    fn any_answer_is_a_whole_packet_within_its_limit(v4 in ip_like(4), v6 in ip_like(6), mtu: u16) {
        let mut buffer = [0; too_big::MAX_LEN_V6];
        if let Ok(Ok(answer)) = Ipv4::parse(&v4).map(|ip| TooBig::for_ipv4(&ip, [192, 0, 2, 1].into(), mtu)) {
            prop_assert!(answer.packet_len() <= too_big::MAX_LEN_V4);
            let answer = answer.emit(&mut buffer).expect("there is room");
            let ip = Ipv4::parse(answer).unwrap();
            prop_assert!(ip.is_checksum_valid() && ip.trailing().is_empty());
            prop_assert_eq!(checksum::internet(ip.payload()), 0);
            prop_assert!(IcmpType::of(ip.payload()).is_some_and(IcmpType::is_error));
            prop_assert!(v4.starts_with(&ip.payload()[8..]));
        }
        if let Ok(Ok(answer)) = Ipv6::parse(&v6).map(|ip| TooBig::for_ipv6(&ip, [0x20; 16].into(), mtu.into())) {
            prop_assert!(answer.packet_len() <= too_big::MAX_LEN_V6);
            let answer = answer.emit(&mut buffer).expect("there is room");
            let ip = Ipv6::parse(answer).unwrap();
            prop_assert!(ip.trailing().is_empty());
            prop_assert!(Icmpv6Type::of(ip.payload()).is_some_and(Icmpv6Type::is_error));
            prop_assert!(v6.starts_with(&ip.payload()[8..]));
        }
    }

    #[test]
    fn any_bytes_read_as_udp_and_tcp_without_a_panic(mut bytes: Vec<u8>, limit: u16) {
        if let Ok(datagram) = Udp::parse(&bytes) {
            prop_assert_eq!(datagram.payload().len() + 8, usize::from(datagram.header().length));
            prop_assert!(bytes.starts_with(datagram.datagram()));
            WireguardMessage::recognise(datagram.payload());
        }
        if let Ok(segment) = Tcp::parse(&bytes) {
            prop_assert!(bytes.ends_with(segment.payload()));
            segment.max_segment_size();
        }
        tcp::clamp_max_segment_size(&mut bytes, limit);
    }

    #[test]
    fn a_udp_header_reads_back_as_it_was_written(source_port: u16, destination_port: u16, length: u16, checksum: u16) {
        let header = UdpHeader { source_port, destination_port, length, checksum };
        let mut bytes = [0xff; 8];
        header.emit(&mut bytes);
        prop_assert_eq!(UdpHeader::parse(&bytes), header);
    }

    #[test]
    fn an_lf_header_reads_back_as_it_was_written(
        src_as: u64, drkey_protocol: u16, next_protocol: u8, timestamp: u64, hash: [u8; 20], mac: [u8; 16],
    ) {
        let header = LfHeader {
            src_as: IsdAs::from_bits(src_as),
            drkey_protocol,
            next_protocol: IpProtocol(next_protocol),
            timestamp: EpochNanos(timestamp),
            hash,
            mac,
        };
        let mut bytes = [0xff; lf::HEADER_LEN];
        header.emit(&mut bytes);
        prop_assert_eq!(LfHeader::parse(&bytes), Ok(header));
    }

    #[test]
    fn any_bytes_with_a_zero_reserved_byte_are_written_as_they_were_read(mut bytes in any_lf_header()) {
        bytes[10] = 0;
        let mut written = [0xff; lf::HEADER_LEN];
        LfHeader::parse(&bytes).unwrap().emit(&mut written);
        prop_assert_eq!(written, bytes);
    }

    #[test]
    fn the_mac_input_depends_on_header_bytes_4_to_35_except_the_drkey_protocol(
        bytes in any_lf_header(), at in 0..lf::HEADER_LEN, length: u16,
    ) {
        let mut other = bytes;
        other[at] ^= 0x40;
        let covered = (4..36).contains(&at) && !(8..10).contains(&at);
        prop_assert_eq!(lf::mac_input(&bytes, length) != lf::mac_input(&other, length), covered);
        prop_assert_eq!(Lf::new(&bytes).as_bytes(), &bytes);
        prop_assert_ne!(lf::mac_input(&bytes, length), lf::mac_input(&bytes, length ^ 1));
    }

    #[test]
    fn an_lf2_header_reads_back_as_it_was_written(
        src_as: u64, drkey_protocol: u16, next_protocol: u8, timestamp: u64, tag: [u8; 16],
    ) {
        let header = Lf2Header {
            next_protocol: IpProtocol(next_protocol),
            drkey_protocol,
            src_as: IsdAs::from_bits(src_as),
            timestamp: EpochNanos(timestamp),
            tag,
        };
        let mut bytes = [0xff; lf2::HEADER_LEN];
        header.emit(&mut bytes);
        prop_assert_eq!(Lf2Header::parse(&bytes), Ok(header));
    }

    #[test]
    fn any_bytes_read_as_lf2_if_their_first_byte_says_so_and_are_written_as_they_were_read(
        mut bytes: Vec<u8>, right: bool,
    ) {
        if let (Some(first), true) = (bytes.first_mut(), right) {
            *first = lf2::VERSION;
        }
        let Ok((header, payload)) = Lf2::split(&bytes) else {
            prop_assert!(bytes.len() < lf2::HEADER_LEN || bytes[0] != lf2::VERSION);
            return Ok(());
        };
        let mut written = [0xff; lf2::HEADER_LEN];
        Lf2Header::parse(header.as_bytes()).unwrap().emit(&mut written);
        prop_assert_eq!([&written[..], payload].concat(), bytes);
    }

    #[test]
    fn two_lf2_headers_with_one_head_differ_in_nothing_but_the_tag(
        bytes: [u8; lf2::HEADER_LEN], at in 0..lf2::HEADER_LEN, length: u16, other_length: u16,
    ) {
        let mut other = bytes;
        other[at] ^= 0x40;
        prop_assert_eq!(lf2::tag_head(&bytes, length) != lf2::tag_head(&other, length), at < 20);
        prop_assert_eq!(lf2::tag_head(&bytes, length) == lf2::tag_head(&bytes, other_length), length == other_length);
    }
}

fn any_lf_header() -> impl Strategy<Value = [u8; lf::HEADER_LEN]> {
    prop::collection::vec(any::<u8>(), lf::HEADER_LEN).prop_map(|bytes| bytes.try_into().expect("56 bytes"))
}

/// Any bytes, or such that are VLAN tags from byte 12 on.
fn frame_like() -> impl Strategy<Value = Vec<u8>> {
    let tag = prop_oneof![Just(0x8100_u16), Just(0x88a8), Just(0x9100), Just(0x0800)];
    let tagged = (prop::collection::vec((tag, any::<u16>()), 0..4), 0..6_usize).prop_map(|(tags, cut)| {
        let tags = tags.iter().flat_map(|(tag, control)| [tag.to_be_bytes(), control.to_be_bytes()].concat());
        let mut frame: Vec<u8> = std::iter::repeat_n(0, 12).chain(tags).collect();
        frame.truncate(frame.len().saturating_sub(cut));
        frame
    });
    prop_oneof![any::<Vec<u8>>(), tagged]
}

/// Bytes that start like a packet of this version of IP, mostly with a length that fits, and with plausible contents.
fn ip_like(version: u8) -> impl Strategy<Value = Vec<u8>> {
    let chained = prop::sample::select(vec![0_u8, 1, 6, 17, 43, 44, 51, 58, 60]);
    (any::<u8>(), prop::collection::vec(any::<u8>(), 0..1500), chained.clone(), chained, -2..3_i32).prop_map(
        move |(first, mut bytes, protocol, next, off)| {
            let header_len = if version == 4 { ipv4::HEADER_LEN } else { ipv6::HEADER_LEN };
            let (length_at, protocol_at, counted) = if version == 4 { (2, 9, 0) } else { (4, 6, header_len) };
            if bytes.len() < header_len + 2 {
                return bytes;
            }
            bytes[0] = version << 4 | if version == 4 { 5 + first % 2 } else { first % 16 };
            let length = (bytes.len() - counted) as i32 - off;
            bytes[length_at..length_at + 2].copy_from_slice(&(length as u16).to_be_bytes());
            bytes[protocol_at] = protocol;
            bytes[header_len..header_len + 2].copy_from_slice(&[next, first % 4]);
            bytes
        },
    )
}
