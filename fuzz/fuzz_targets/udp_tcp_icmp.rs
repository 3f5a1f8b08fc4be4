//! Any bytes as what IP carries. The first two are the limit that TCP's maximum segment size is lowered to.

#![no_main]

use libfuzzer_sys::fuzz_target;
use photongate_wire::{IcmpType, Icmpv6Type, Tcp, TcpFlags, Udp, WireguardMessage, checksum, tcp};

fuzz_target!(|bytes: &[u8]| {
    let Some((limit, bytes)) = bytes.split_first_chunk() else { return };
    read_udp(bytes);
    clamp_tcp(bytes, u16::from_be_bytes(*limit));
    assert_eq!(IcmpType::of(bytes).is_some(), !bytes.is_empty());
    assert_eq!(Icmpv6Type::of(bytes).is_some(), !bytes.is_empty());
});

fn read_udp(bytes: &[u8]) {
    let Ok(udp) = Udp::parse(bytes) else { return };
    assert!(bytes.starts_with(udp.datagram()));
    assert!(udp.datagram().ends_with(udp.payload()));
    let mut header = [0; 8];
    udp.header().emit(&mut header);
    assert!(bytes.starts_with(&header));
    if WireguardMessage::recognise(udp.payload()).is_some() {
        assert!(udp.payload().len() >= 32);
    }
}

fn clamp_tcp(bytes: &[u8], limit: u16) {
    let mut clamped = bytes.to_vec();
    let changed = tcp::clamp_max_segment_size(&mut clamped, limit);
    assert_eq!(changed, clamped != bytes);
    let Ok(before) = Tcp::parse(bytes) else {
        assert!(!changed);
        return;
    };
    let after = Tcp::parse(&clamped).expect("clamping moves nothing");
    assert_eq!(before.payload(), after.payload());
    if before.flags().contains(TcpFlags::SYN) {
        assert!(after.max_segment_size().is_none_or(|size| size <= limit));
    }
    // One's complement has two zeros; the header of a SYN is never all zero.
    assert_eq!(checksum::internet(&clamped), checksum::internet(bytes));
}
