//! Any bytes as an IPv4 datagram: its parts make up the bytes, and the answer "too big" is a datagram again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use photongate_wire::{IpProtocol, Ipv4, Ipv4Mut, TooBig, checksum, ipv4, too_big};

fuzz_target!(|bytes: &[u8]| {
    let Ok(ip) = Ipv4::parse(bytes) else { return };
    assert_eq!([ip.header(), ip.payload(), ip.trailing()].concat(), bytes);
    assert_eq!([ip.header(), ip.payload()].concat(), ip.datagram());
    assert_eq!(ip.is_checksum_valid(), checksum::internet(ip.header()) == 0);
    assert_eq!(ip.is_fragment(), ip.more_fragments() || ip.fragment_offset() != 0);

    let mut changed = bytes.to_vec();
    let mut header = Ipv4Mut::parse(&mut changed).expect("it was read above");
    header.set_protocol(IpProtocol::UDP);
    header.set_total_length(ip.total_length());
    header.fill_checksum();
    let changed = Ipv4::parse(&changed).expect("its lengths are as before");
    assert!(changed.is_checksum_valid());
    assert_eq!((changed.protocol(), changed.payload()), (IpProtocol::UDP, ip.payload()));

    if let Ok(answer) = TooBig::for_ipv4(&ip, [192, 0, 2, 1].into(), 1436) {
        let mut packet = [0; too_big::MAX_LEN_V4];
        let answer = Ipv4::parse(answer.emit(&mut packet).expect("there is room")).expect("we wrote it");
        assert!(answer.is_checksum_valid() && checksum::internet(answer.payload()) == 0);
        assert!(ip.datagram().starts_with(&answer.datagram()[ipv4::HEADER_LEN + 8..]));
    }
});
