//! Packets captured between two running LightningFilter instances, taken in and given out byte for byte.
//!
//! Where the captures come from: `tests/fixtures/lf/README.md`.

mod support;

use pcap_file::pcap::PcapReader;
use photongate_pipeline::{NextHop, Verdict};
use photongate_wire::{Ethernet, Ipv4, Lf, UnixNanos};
use std::collections::HashMap;
use support::{INSIDE, OUTSIDE, Side};

#[test]
fn every_captured_packet_is_accepted_and_comes_out_as_the_host_sent_it() {
    let mut accepted = 0;
    for set in ["B", "C"] {
        let mut plain = plain_packets(&[&format!("{set}-host-a.pcap"), &format!("{set}-host-b.pcap")]);
        for (at, frame) in read(&format!("{set}-between.pcap")) {
            let receiver = receiver_of(&frame);
            let (outcome, out) = receiver.filter(at, |_| {}).judge(OUTSIDE, at, &frame);
            assert_eq!(outcome.verdict, Verdict::Accepted, "{set} at {at:?}");
            let count = plain.entry(datagram(&out)).or_default();
            assert!(*count > 0, "{set}: what came out at {at:?} was never sent");
            *count -= 1;
            accepted += 1;
        }
    }
    assert_eq!(accepted, 202 + 13);
}

#[test]
fn our_encapsulation_of_the_same_packet_at_the_same_time_is_theirs() {
    let (mut same, mut padded) = (0, 0);
    for set in ["B", "C"] {
        for (at, frame) in read(&format!("{set}-between.pcap")) {
            let theirs = Ethernet::parse(&frame).unwrap();
            let receiver = receiver_of(&frame);
            let sender = receiver.other();
            // What LightningFilter was given: the receiver's plain packet, in a frame of our own.
            let (_, received) = receiver.filter(at, |_| {}).judge(OUTSIDE, at, &frame);
            let sent_at = sending_time(&frame, &receiver, at);
            let mut filter = sender.filter(sent_at, |settings| {
                settings.ports[1].next_hop = NextHop::Address(theirs.destination());
                settings.ports[1].mac = theirs.source();
            });
            let (outcome, ours) = filter.judge(INSIDE, sent_at, &received);
            assert_eq!(outcome.verdict, Verdict::Outbound);
            if Ipv4::parse(theirs.payload()).unwrap().trailing().is_empty() {
                assert_eq!(ours, frame, "{set} at {at:?}");
                same += 1;
            } else {
                // We leave out Ethernet's padding, and so have another hash, MAC and checksum: not another anything else.
                assert_eq!(ours.len(), datagram(&frame).len() + 14);
                assert_eq!(ours[..14 + 20 + 6], frame[..14 + 20 + 6]);
                assert_eq!(lf_of(&ours).timestamp(), lf_of(&frame).timestamp());
                let (outcome, _) = receiver.filter(at, |_| {}).judge(OUTSIDE, at, &ours);
                assert_eq!(outcome.verdict, Verdict::Accepted);
                padded += 1;
            }
        }
    }
    assert_eq!((same + padded, padded > 0), (202 + 13, true), "{same} the same, {padded} padded");
}

#[test]
fn over_ipv6_our_encapsulation_is_the_one_computed_by_hand() {
    // `docs/protocol/lf.md`, "Worked examples": computed with general-purpose AES and SHA-1.
    let before = hex("0000000000bb 0000000000aa 86dd
        6001234500183a40fd000248000100000000000000000001fd000248000200000000000000000001
        800036a112340001000102030405060708090a0b0c0d0e0f");
    let after = hex("0000000000bb 0000000000aa 86dd
        6001234500581140fd000248000100000000000000000001fd000248000200000000000000000001 9c419c410058f03f
        0001ff00000001111234003a0000a0fa4014690a8fa7979b002f81c4e1fe4809d848da0bac378df4f3f2f39875c21a706973244e915a2399
        800036a112340001000102030405060708090a0b0c0d0e0f");
    let at = UnixNanos(1_795_050_123_000_000_000 + 176_996_677_347_594);
    let prefixes = |side: Side, prefix| Side { peer_prefixes: prefix, ..side };
    let (outcome, ours) = prefixes(A, &["fd00:248:2::/64"]).filter(at, |_| {}).judge(INSIDE, at, &before);
    assert_eq!((outcome.verdict, ours), (Verdict::Outbound, after.clone()));
    let (outcome, theirs) = prefixes(B, &["fd00:248:1::/64"]).filter(at, |_| {}).judge(OUTSIDE, at, &after);
    assert_eq!((outcome.verdict, theirs), (Verdict::Accepted, before));
}

#[test]
fn a_captured_packet_with_any_authenticated_bit_flipped_is_refused() {
    let (at, frame) = read("B-between.pcap").swap_remove(0);
    let mut filter = receiver_of(&frame).filter(at, |_| {});
    // The addresses, and everything from the LF header on. What is not authenticated: Ethernet, the rest of IP and UDP.
    for byte in (26..34).chain(42..frame.len()) {
        for bit in 0..8 {
            let mut forged = frame.clone();
            forged[byte] ^= 1 << bit;
            mend_ip_checksum(&mut forged);
            let (outcome, _) = filter.judge(OUTSIDE, at, &forged);
            assert!(!outcome.verdict.is_forwarded(), "byte {byte} bit {bit}: {:?}", outcome.verdict);
        }
    }
    let (outcome, _) = filter.judge(OUTSIDE, at, &frame);
    assert_eq!(outcome.verdict, Verdict::Accepted, "the packet itself still passes");
}

const A: Side = Side {
    local: "1-ff00:0:111",
    peer: "20-ff00:0:112",
    peer_prefixes: &["10.248.2.1/32"],
    protocol: 4660,
    port: 40_001,
    secrets: SECRETS,
};

const B: Side = Side {
    local: "20-ff00:0:112",
    peer: "1-ff00:0:111",
    peer_prefixes: &["10.248.1.1/32"],
    protocol: 4660,
    port: 40_001,
    secrets: SECRETS,
};

/// As in `filter-a.lf.json`.
const SECRETS: &[([u8; 16], u64)] = &[
    (0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes(), 1_709_210_096_000_000_000),
    (0xfedc_ba98_7654_3210_0f1e_2d3c_4b5a_6978_u128.to_be_bytes(), 1_793_494_923_000_000_000),
    ([0xaa; 16], 4_070_908_800_000_000_000),
];

impl Side {
    fn other(&self) -> Self {
        if self.local == A.local { B } else { A }
    }
}

fn receiver_of(frame: &[u8]) -> Side {
    if lf_of(frame).src_as() == support::isd_as(A.local) { B } else { A }
}

fn lf_of(frame: &[u8]) -> Lf<'_> {
    let ip = Ipv4::parse(Ethernet::parse(frame).unwrap().payload()).unwrap();
    Lf::split(&ip.payload()[8..]).unwrap().0
}

/// The sender's absolute time: the start of the epoch that the receiver finds, and the packet's own timestamp.
fn sending_time(frame: &[u8], receiver: &Side, at: UnixNanos) -> UnixNanos {
    let filter = receiver.filter(at, |_| {});
    let entry = filter.dictionary.get(receiver.peer_key()).unwrap();
    let (_, sent) = entry.keys.inbound_for(lf_of(frame).timestamp(), at, &filter.settings.times).unwrap();
    sent
}

fn datagram(frame: &[u8]) -> Vec<u8> {
    Ipv4::parse(Ethernet::parse(frame).unwrap().payload()).unwrap().datagram().to_vec()
}

/// How often each plain IPv4 packet was seen at its sender. A receiver's capture has what LightningFilter let through as
/// well, so each packet is in both, and counts once for each.
fn plain_packets(files: &[&str]) -> HashMap<Vec<u8>, usize> {
    let mut packets = HashMap::new();
    for (_, frame) in files.iter().flat_map(|file| read(file)) {
        if Ethernet::parse(&frame).unwrap().ethertype() == photongate_wire::EtherType::IPV4 {
            *packets.entry(datagram(&frame)).or_default() += 1;
        }
    }
    packets
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn mend_ip_checksum(frame: &mut [u8]) {
    if let Ok(mut ip) = photongate_wire::Ipv4Mut::parse(&mut frame[14..]) {
        ip.fill_checksum();
    }
}

fn read(file: &str) -> Vec<(UnixNanos, Vec<u8>)> {
    let path = format!("{}/../../tests/fixtures/lf/{file}", env!("CARGO_MANIFEST_DIR"));
    let capture = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut reader = PcapReader::new(capture).unwrap();
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        packets.push((UnixNanos(packet.timestamp.as_nanos() as u64), packet.data.into_owned()));
    }
    assert!(!packets.is_empty());
    packets
}
