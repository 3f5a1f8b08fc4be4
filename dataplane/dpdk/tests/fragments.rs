//! Reassembly of IP fragments.

mod support;

use std::time::Duration;

use photongate_dpdk::fragments::{NotAFragment, Reassembler};
use photongate_dpdk::{Mbuf, clock};
use support::{eal, packet, pool};

#[test]
fn ipv4_fragments_in_any_order_become_the_packet() {
    let pool = pool(2048);
    let mut reassembler = reassembler();
    let now = clock::tsc();
    assert!(reassembler.push_ipv4(packet(&pool, &ipv4(1, 16, false, b"end")), 14, now).unwrap().is_none());
    assert!(reassembler.push_ipv4(packet(&pool, &ipv4(1, 8, true, b"8-bytes.")), 14, now).unwrap().is_none());
    let whole = reassembler.push_ipv4(packet(&pool, &ipv4(1, 0, true, b"Starting")), 14, now).unwrap().unwrap();

    let bytes = bytes(whole, &pool);
    assert_eq!(&bytes[34..], b"Starting8-bytes.end");
    assert_eq!(u16::from_be_bytes([bytes[16], bytes[17]]), 20 + 19, "the total length");
    assert_eq!(&bytes[20..22], [0, 0], "neither offset nor more fragments");
    assert_eq!(internet_checksum(&bytes[14..34]), 0, "the header's checksum is right");
    assert_eq!(pool.available(), 255);
}

#[test]
fn ipv6_fragments_become_the_packet_without_the_fragment_header() {
    let pool = pool(2048);
    let mut reassembler = reassembler();
    let now = clock::tsc();
    assert!(reassembler.push_ipv6(packet(&pool, &ipv6(7, 0, true, b"Starting")), 14, now).unwrap().is_none());
    let whole = reassembler.push_ipv6(packet(&pool, &ipv6(7, 8, false, b"end")), 14, now).unwrap().unwrap();

    let bytes = bytes(whole, &pool);
    assert_eq!(&bytes[54..], b"Startingend");
    assert_eq!((bytes[20], u16::from_be_bytes([bytes[18], bytes[19]])), (17, 11), "next header and payload length");
}

#[test]
fn padding_behind_the_ip_packet_is_cut_off() {
    let pool = pool(2048);
    let mut reassembler = reassembler();
    let now = clock::tsc();
    reassembler.push_ipv4(packet(&pool, &ipv4(1, 0, true, b"Starting")), 14, now).unwrap();
    let mut last = ipv4(1, 8, false, b"end");
    last.resize(60, 0xaa);
    let whole = reassembler.push_ipv4(packet(&pool, &last), 14, now).unwrap().unwrap();
    assert_eq!(&bytes(whole, &pool)[34..], b"Startingend");
}

#[test]
fn a_packet_that_stays_incomplete_is_given_up_and_counted() {
    let pool = pool(2048);
    let mut reassembler = reassembler();
    let now = clock::tsc();
    reassembler.push_ipv4(packet(&pool, &ipv4(1, 0, true, b"Starting")), 14, now).unwrap();
    reassembler.expire(now);
    assert_eq!((reassembler.given_up(), pool.available()), (0, 254));
    reassembler.expire(now + 2 * clock::tsc_hz(eal()));
    assert_eq!((reassembler.given_up(), pool.available()), (1, 255));
}

#[test]
fn overlapping_fragments_never_become_a_packet() {
    let pool = pool(2048);
    let mut reassembler = reassembler();
    let now = clock::tsc();
    for (offset, has_more, payload) in
        [(0, true, &b"0123456789abcdef"[..]), (8, true, b"overlaps"), (16, false, b"end")]
    {
        let result = reassembler.push_ipv4(packet(&pool, &ipv4(1, offset, has_more, payload)), 14, now);
        assert!(result.unwrap().is_none());
    }
    assert_eq!(reassembler.given_up(), 3);
}

#[test]
fn fragments_in_a_dropped_reassembler_are_freed() {
    let pool = pool(2048);
    let mut reassembler = reassembler();
    reassembler.push_ipv4(packet(&pool, &ipv4(1, 0, true, b"Starting")), 14, clock::tsc()).unwrap();
    drop(reassembler);
    assert_eq!(pool.available(), 255);
}

#[test]
fn a_packet_that_is_no_good_fragment_comes_back_with_the_reason() {
    let cases: [(&str, Vec<u8>, NotAFragment); 8] = [
        ("whole", ipv4(1, 0, false, b"whole"), NotAFragment::Whole),
        ("another version", ipv6(1, 0, true, b"Starting"), NotAFragment::Whole),
        ("cut off", ipv4(1, 0, true, b"Starting")[..40].to_vec(), NotAFragment::Malformed),
        ("shorter than a header", vec![0x45; 20], NotAFragment::Malformed),
        ("an uneven middle", ipv4(1, 8, true, b"uneven"), NotAFragment::Malformed),
        ("empty", ipv4(1, 8, false, b""), NotAFragment::Malformed),
        ("a header length below five", with(ipv4(1, 8, false, b"x"), 14, 0x44), NotAFragment::Malformed),
        ("beyond the longest packet", ipv4(1, 65528, false, b"too long"), NotAFragment::TooLong),
    ];
    let pool = pool(2048);
    let mut reassembler = reassembler();
    for (name, bytes, expected) in cases {
        let (packet, reason) = reassembler.push_ipv4(packet(&pool, &bytes), 14, clock::tsc()).unwrap_err();
        assert_eq!((reason, packet.data()), (expected, &bytes[..]), "{name}");
    }
}

#[test]
fn an_ipv6_packet_that_is_no_good_fragment_comes_back_with_the_reason() {
    let cases: [(&str, Vec<u8>, NotAFragment); 5] = [
        ("an atomic fragment", ipv6(1, 0, false, b"whole"), NotAFragment::Whole),
        ("no fragment header", with(ipv6(1, 0, true, b"Starting"), 20, 17), NotAFragment::Whole),
        ("cut off", ipv6(1, 0, true, b"Starting")[..64].to_vec(), NotAFragment::Malformed),
        ("a payload shorter than its header", with(ipv6(1, 0, true, b"Starting"), 19, 7), NotAFragment::Malformed),
        ("beyond the longest packet", ipv6(1, 65528, false, b"too long"), NotAFragment::TooLong),
    ];
    let pool = pool(2048);
    let mut reassembler = reassembler();
    for (name, bytes, expected) in cases {
        let (packet, reason) = reassembler.push_ipv6(packet(&pool, &bytes), 14, clock::tsc()).unwrap_err();
        assert_eq!((reason, packet.data()), (expected, &bytes[..]), "{name}");
    }
}

fn reassembler() -> Reassembler {
    Reassembler::create(eal(), 16, Duration::from_secs(1), None).unwrap()
}

/// A fragment in an Ethernet frame.
fn ipv4(id: u16, offset: u16, has_more: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 34];
    bytes[12..14].copy_from_slice(&[0x08, 0x00]);
    bytes[14] = 0x45;
    bytes[16..18].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    bytes[18..20].copy_from_slice(&id.to_be_bytes());
    bytes[20..22].copy_from_slice(&((offset / 8) | (u16::from(has_more) << 13)).to_be_bytes());
    bytes[22..24].copy_from_slice(&[64, 17]);
    bytes[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend_from_slice(payload);
    bytes
}

/// A fragment in an Ethernet frame.
fn ipv6(id: u32, offset: u16, has_more: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 62];
    bytes[12..14].copy_from_slice(&[0x86, 0xdd]);
    bytes[14] = 0x60;
    bytes[18..20].copy_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    bytes[20..22].copy_from_slice(&[44, 64]);
    bytes[54] = 17;
    bytes[56..58].copy_from_slice(&(offset | u16::from(has_more)).to_be_bytes());
    bytes[58..62].copy_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn with(mut bytes: Vec<u8>, position: usize, value: u8) -> Vec<u8> {
    bytes[position] = value;
    bytes
}

fn bytes(packet: Mbuf, pool: &photongate_dpdk::Mempool) -> Vec<u8> {
    packet.into_contiguous(pool).unwrap().data().to_vec()
}

fn internet_checksum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    !((sum & 0xffff) as u16 + (sum >> 16) as u16)
}
