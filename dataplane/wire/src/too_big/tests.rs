use super::*;
use crate::testing::hex;

#[test]
fn an_ipv4_sender_is_told_the_mtu_and_which_datagram_it_was() {
    let offending = ipv4_datagram("4000", IpProtocol::UDP, &[0xab; 1480]);
    let answer = answer_v4(&offending).unwrap();

    let ip = Ipv4::parse(&answer).unwrap();
    assert_eq!((ip.source(), ip.destination()), (OUR_V4, Ipv4Addr::new(10, 248, 1, 1)));
    assert_eq!((ip.protocol(), ip.datagram().len(), ip.trailing().len()), (IpProtocol::ICMP, MAX_LEN_V4, 0));
    assert!(ip.is_checksum_valid() && ip.dont_fragment());
    assert_eq!(checksum::internet(ip.payload()), 0);
    assert_eq!((&ip.payload()[..2], &ip.payload()[4..8]), (&[3, 4][..], &hex("0000059c")[..]));
    assert_eq!(ip.payload()[8..], offending[..548]);
}

#[test]
fn an_ipv6_sender_is_told_the_mtu_and_which_packet_it_was() {
    let offending = ipv6_packet("11", &[0xab; 1460]);
    let answer = answer_v6(&offending).unwrap();

    let ip = Ipv6::parse(&answer).unwrap();
    assert_eq!((ip.source(), ip.destination()), (OUR_V6, "2001:db8:1::a".parse().unwrap()));
    assert_eq!((ip.next_header(), ip.datagram().len(), ip.trailing().len()), (IpProtocol::ICMPV6, MAX_LEN_V6, 0));
    let pseudo_header = checksum::pseudo_header_v6(ip.source(), ip.destination(), IpProtocol::ICMPV6, 1240);
    assert_eq!(checksum::layer4(pseudo_header, ip.payload()), 0);
    assert_eq!((&ip.payload()[..2], &ip.payload()[4..8]), (&[2, 0][..], &hex("0000059c")[..]));
    assert_eq!(ip.payload()[8..], offending[..1232]);
}

#[test]
fn a_short_packet_is_quoted_whole_and_without_padding() {
    let mut offending = ipv4_datagram("4000", IpProtocol::UDP, &[1; 5]);
    offending.extend([0xee; 21]);
    assert_eq!(answer_v4(&offending).unwrap()[28..], offending[..25]);

    let mut offending = ipv6_packet("11", &[1; 5]);
    offending.extend([0xee; 3]);
    assert_eq!(answer_v6(&offending).unwrap()[48..], offending[..45]);
}

#[test]
fn too_little_room_leaves_the_buffer_alone() {
    let offending = ipv4_datagram("4000", IpProtocol::UDP, &[1; 100]);
    let too_big = TooBig::for_ipv4(&Ipv4::parse(&offending).unwrap(), OUR_V4, MTU).unwrap();
    let mut buffer = vec![0xcc; too_big.packet_len() - 1];
    assert_eq!(too_big.emit(&mut buffer), None);
    assert!(buffer.iter().all(|byte| *byte == 0xcc));
}

#[test]
fn room_behind_the_answer_is_left_alone() {
    let offending = ipv6_packet("11", &[1; 100]);
    let too_big = TooBig::for_ipv6(&Ipv6::parse(&offending).unwrap(), OUR_V6, MTU.into()).unwrap();
    let mut buffer = vec![0xcc; too_big.packet_len() + 3];
    assert_eq!(too_big.emit(&mut buffer).unwrap().len(), too_big.packet_len());
    assert_eq!(buffer[too_big.packet_len()..], [0xcc; 3]);
}

#[test]
fn icmp_errors_are_not_answered() {
    for kind in [3, 4, 5, 11, 12] {
        let offending = ipv4_datagram("4000", IpProtocol::ICMP, &[kind, 0, 0, 0]);
        assert_eq!(answer_v4(&offending), Err(NoAnswer::IcmpError), "type {kind}");
    }
    for kind in [1, 2, 3, 4, 100, 127, 137] {
        assert_eq!(answer_v6(&ipv6_packet("3a", &[kind, 0, 0, 0])), Err(NoAnswer::IcmpError), "type {kind}");
        let behind_options = [&hex("3a00010400000000")[..], &[kind, 0, 0, 0]].concat();
        assert_eq!(answer_v6(&ipv6_packet("3c", &behind_options)), Err(NoAnswer::IcmpError), "type {kind}");
    }
}

#[test]
fn an_icmp_message_without_a_type_is_not_answered() {
    assert_eq!(answer_v4(&ipv4_datagram("4000", IpProtocol::ICMP, &[])), Err(NoAnswer::IcmpError));
    assert_eq!(answer_v6(&ipv6_packet("3c", &hex("3a00010400000000"))), Err(NoAnswer::IcmpError));
}

#[test]
fn pings_are_answered() {
    assert!(answer_v4(&ipv4_datagram("4000", IpProtocol::ICMP, &[8, 0, 0, 0])).is_ok());
    assert!(answer_v6(&ipv6_packet("3a", &[128, 0, 0, 0])).is_ok());
}

#[test]
fn only_first_fragments_are_answered() {
    assert!(answer_v4(&ipv4_datagram("2000", IpProtocol::UDP, &[1; 8])).is_ok());
    assert_eq!(answer_v4(&ipv4_datagram("2001", IpProtocol::UDP, &[1; 8])), Err(NoAnswer::LaterFragment));
    assert_eq!(answer_v4(&ipv4_datagram("0001", IpProtocol::UDP, &[1; 8])), Err(NoAnswer::LaterFragment));

    let fragment = |offset_and_flag: &str| ipv6_packet("2c", &hex(&format!("1100{offset_and_flag}00000001 c350")));
    assert!(answer_v6(&fragment("0001")).is_ok());
    assert_eq!(answer_v6(&fragment("0008")), Err(NoAnswer::LaterFragment));
}

#[test]
fn packets_to_many_hosts_are_not_answered() {
    for destination in [[224, 0, 0, 1], [239, 1, 2, 3], [255, 255, 255, 255]] {
        let mut offending = ipv4_datagram("4000", IpProtocol::UDP, &[1; 8]);
        offending[16..20].copy_from_slice(&destination);
        assert_eq!(answer_v4(&offending), Err(NoAnswer::Destination), "{destination:?}");
    }
    let mut offending = ipv6_packet("11", &[1; 8]);
    offending[24] = 0xff;
    assert_eq!(answer_v6(&offending), Err(NoAnswer::Destination));
}

#[test]
fn packets_from_no_single_host_are_not_answered() {
    for source in [[0, 0, 0, 0], [0, 1, 2, 3], [127, 0, 0, 1], [224, 0, 0, 1], [240, 0, 0, 1], [255, 255, 255, 255]] {
        let mut offending = ipv4_datagram("4000", IpProtocol::UDP, &[1; 8]);
        offending[12..16].copy_from_slice(&source);
        assert_eq!(answer_v4(&offending), Err(NoAnswer::Source), "{source:?}");
    }
    for source in ["::", "::1", "ff02::1"] {
        let mut offending = ipv6_packet("11", &[1; 8]);
        offending[8..24].copy_from_slice(&source.parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(answer_v6(&offending), Err(NoAnswer::Source), "{source}");
    }
}

#[test]
fn extension_headers_that_lead_nowhere_are_not_answered() {
    let offending = ipv6_packet("00", &hex("3aff010400000000"));
    assert_eq!(answer_v6(&offending), Err(NoAnswer::Unreadable(Malformed::Truncated)));
}

fn answer_v4(offending: &[u8]) -> Result<Vec<u8>, NoAnswer> {
    TooBig::for_ipv4(&Ipv4::parse(offending).unwrap(), OUR_V4, MTU).map(written)
}

fn answer_v6(offending: &[u8]) -> Result<Vec<u8>, NoAnswer> {
    TooBig::for_ipv6(&Ipv6::parse(offending).unwrap(), OUR_V6, MTU.into()).map(written)
}

fn written(too_big: TooBig<'_>) -> Vec<u8> {
    let mut packet = vec![0xcc; too_big.packet_len()];
    too_big.emit(&mut packet).expect("there is room").to_vec()
}

/// From 10.248.1.1 to 10.248.2.1.
fn ipv4_datagram(flags_and_offset: &str, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let header = format!(
        "4500 {:04x} f5db {flags_and_offset} 40 {:02x} 0000 0af80101 0af80201",
        ipv4::HEADER_LEN + payload.len(),
        protocol.0
    );
    [&hex(&header)[..], payload].concat()
}

/// From 2001:db8:1::a to 2001:db8:2::b.
fn ipv6_packet(next_header: &str, payload: &[u8]) -> Vec<u8> {
    let header = format!(
        "60000000 {:04x} {next_header} 40 20010db800010000000000000000000a 20010db800020000000000000000000b",
        payload.len()
    );
    [&hex(&header)[..], payload].concat()
}

const OUR_V4: Ipv4Addr = Ipv4Addr::new(10, 248, 1, 254);
const OUR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0xfe);
const MTU: u16 = 1436;
