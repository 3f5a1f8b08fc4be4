//! Any bytes as an IPv6 packet: its parts make up the bytes, and the walk over extension headers ends within it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use photongate_wire::{IpProtocol, Ipv6, Ipv6Mut, TooBig, checksum, ipv6, too_big};

fuzz_target!(|bytes: &[u8]| {
    let Ok(ip) = Ipv6::parse(bytes) else { return };
    assert_eq!([ip.header(), ip.payload(), ip.trailing()].concat(), bytes);
    assert_eq!([ip.header(), ip.payload()].concat(), ip.datagram());

    if let Ok(upper) = ip.upper_layer() {
        assert!(ip.payload().ends_with(upper.payload()));
        assert!((ip.payload().len() - upper.payload().len()).is_multiple_of(4));
    }

    let mut changed = bytes.to_vec();
    let mut header = Ipv6Mut::parse(&mut changed).expect("it was read above");
    header.set_next_header(IpProtocol::UDP);
    header.set_payload_length(ip.payload_length());
    let changed = Ipv6::parse(&changed).expect("its length is as before");
    assert_eq!((changed.next_header(), changed.payload()), (IpProtocol::UDP, ip.payload()));

    if let Ok(answer) = TooBig::for_ipv6(&ip, "2001:db8::1".parse().expect("an address"), 1436) {
        let mut packet = [0; too_big::MAX_LEN_V6];
        let answer = Ipv6::parse(answer.emit(&mut packet).expect("there is room")).expect("we wrote it");
        let (source, destination) = (answer.source(), answer.destination());
        let pseudo_header =
            checksum::pseudo_header_v6(source, destination, answer.next_header(), answer.payload_length().into());
        assert_eq!(checksum::layer4(pseudo_header, answer.payload()), 0);
        assert!(ip.datagram().starts_with(&answer.datagram()[ipv6::HEADER_LEN + 8..]));
    }
});
