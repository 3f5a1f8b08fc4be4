use super::*;
use crate::testing::hex;

#[test]
fn a_packet_shows_its_fields() {
    let bytes = packet("11", "c350115c000a00006869");
    let ip = Ipv6::parse(&bytes).unwrap();
    assert_eq!((ip.traffic_class(), ip.flow_label()), (0xb8, 0xabcde));
    assert_eq!((ip.payload_length(), ip.next_header(), ip.hop_limit()), (10, IpProtocol::UDP, 64));
    assert_eq!(ip.source(), "2001:db8:1::a".parse::<Ipv6Addr>().unwrap());
    assert_eq!(ip.destination(), "2001:db8:2::b".parse::<Ipv6Addr>().unwrap());
    assert_eq!((&ip.header()[..], ip.payload()), bytes.split_at(HEADER_LEN));
    assert_eq!((ip.datagram(), ip.trailing()), (&bytes[..], &[][..]));
}

#[test]
fn what_stands_behind_the_packet_is_told_apart() {
    let mut bytes = packet("3b", "010203");
    bytes.extend([0xee; 5]);
    let ip = Ipv6::parse(&bytes).unwrap();
    assert_eq!((ip.payload(), ip.trailing()), (&[1, 2, 3][..], &[0xee; 5][..]));
    assert_eq!((ip.datagram(), ip.payload_and_trailing()), (&bytes[..43], &bytes[40..]));
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    let whole = packet("11", "c350115c00080000");
    assert_eq!(Ipv6::parse(&whole[..39]).unwrap_err(), Malformed::Truncated);
    assert_eq!(Ipv6::parse(&whole[..47]).unwrap_err(), Malformed::Length);
    assert_eq!(Ipv6::parse(&packet("11", "")).unwrap_err(), Malformed::Jumbogram);
    let mut version_4 = whole;
    version_4[0] = 0x45;
    assert_eq!(Ipv6::parse(&version_4).unwrap_err(), Malformed::Version);
    assert_eq!(Ipv6Mut::parse(&mut version_4).unwrap_err(), Malformed::Version);
}

#[test]
fn without_extension_headers_the_upper_layer_is_the_payload() {
    let bytes = packet("3a", "8000000000010001");
    let upper = Ipv6::parse(&bytes).unwrap().upper_layer().unwrap();
    assert_eq!((upper.protocol(), upper.payload(), upper.fragment()), (IpProtocol::ICMPV6, &bytes[40..], None));
}

#[test]
fn every_kind_of_extension_header_is_walked_over() {
    let chain = [
        "3c00010400000000",                                 // hop-by-hop options, destination options follow
        "2b01010c000000000000000000000000",                 // 16 bytes of destination options, a routing header follows
        "3300040000000000",                                 // routing header, an authentication header follows
        "2c04000000000001000000020000000a0b0c0d0e0f0a0b0c", // 24 bytes of authentication header
        "3c000001000000ff",                                 // first fragment
        "1100010400000000",                                 // destination options again
        "c350115c00080000",                                 // UDP
    ];
    let bytes = packet("00", &chain.concat());
    let upper = Ipv6::parse(&bytes).unwrap().upper_layer().unwrap();
    assert_eq!((upper.protocol(), upper.payload()), (IpProtocol::UDP, &hex(chain[6])[..]));
    let fragment = upper.fragment().unwrap();
    assert_eq!((fragment.offset(), fragment.more_fragments(), fragment.identification()), (0, true, 0xff));
}

#[test]
fn the_data_of_a_later_fragment_are_not_taken_for_headers() {
    // The fragment says that destination options come next, but in this one their middle does.
    let bytes = packet("2c", "3c0005a8000000ff ffffffffffffffff");
    let upper = Ipv6::parse(&bytes).unwrap().upper_layer().unwrap();
    assert_eq!((upper.protocol(), upper.payload()), (IpProtocol::DESTINATION_OPTIONS, &[0xff; 8][..]));
    let fragment = upper.fragment().unwrap();
    assert_eq!((fragment.offset(), fragment.more_fragments()), (1448, false));
}

#[test]
fn an_extension_header_that_does_not_fit_is_refused() {
    for (next_header, payload) in [
        ("00", "11000104000000"),            // seven bytes
        ("00", "1101010400000000"),          // says sixteen bytes
        ("2b", "11ff040000000000"),          // says 2048 bytes
        ("2c", "11000001000000"),            // a fragment header of seven bytes
        ("33", "1104000000000001"),          // says 24 bytes
        ("00", "2c00010400000000 11000001"), // the second one is cut short
    ] {
        let bytes = packet(next_header, payload);
        assert_eq!(Ipv6::parse(&bytes).unwrap().upper_layer().unwrap_err(), Malformed::Truncated, "{payload}");
    }
}

#[test]
fn the_walk_is_bounded() {
    let options = "3c00010400000000";
    let walk = |count: usize| {
        let bytes = packet("3c", &[&options.repeat(count - 1), "1100010400000000", "c350115c00080000"].concat());
        Ipv6::parse(&bytes).unwrap().upper_layer().map(|upper| upper.protocol())
    };
    assert_eq!(walk(MAX_EXTENSION_HEADERS), Ok(IpProtocol::UDP));
    assert_eq!(walk(MAX_EXTENSION_HEADERS + 1), Err(Malformed::TooManyExtensionHeaders));
}

#[test]
fn length_and_next_header_change_in_place_and_nothing_else_does() {
    let mut bytes = packet("3a", "8000000000010001");
    let mut ip = Ipv6Mut::parse(&mut bytes).unwrap();
    ip.set_payload_length(72);
    ip.set_next_header(IpProtocol::UDP);
    let expected = hex("6b8abcde 0048 11 40 20010db800010000000000000000000a 20010db800020000000000000000000b");
    assert_eq!(bytes, [expected, hex("8000000000010001")].concat());
}

#[test]
fn ipv4_mapped_addresses_are_recognised() {
    assert!(is_ipv4_mapped("::ffff:192.0.2.1".parse().unwrap()));
    for other in ["::", "::1", "::192.0.2.1", "64:ff9b::192.0.2.1", "2001:db8::ffff:c000:201"] {
        assert!(!is_ipv4_mapped(other.parse().unwrap()), "{other}");
    }
}

/// A packet from 2001:db8:1::a to 2001:db8:2::b, with its length set right.
fn packet(next_header: &str, payload: &str) -> Vec<u8> {
    let payload = hex(payload);
    let header = format!(
        "6b8abcde {:04x} {next_header} 40 20010db800010000000000000000000a 20010db800020000000000000000000b",
        payload.len()
    );
    [hex(&header), payload].concat()
}
