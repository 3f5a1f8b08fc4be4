//! Packets in our own encapsulation, beside and instead of LF.

mod support;

use photongate_pipeline::{Action, DropReason, Encapsulation, Encapsulations, PeerEncapsulation, Settings, Verdict};
use photongate_wire::{Ethernet, IpProtocol, Ipv4, Ipv4Mut, Lf2, Tcp, Udp, UnixNanos, checksum};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};
use support::packets::{ethernet, in_vlan, ipv4, ipv6, tcp_syn, udp};
use support::{A, B, Filter, INSIDE, LF2_PORT, NOW, OUTSIDE, Side, encapsulated, plain, plain_v6};

#[test]
fn the_encapsulation_is_the_one_computed_by_hand() {
    // `docs/protocol/lf2.md`, "Worked examples": computed with general-purpose AES and CMAC.
    for (before, after) in [
        (
            "0000000000bb 0000000000aa 0800
            45000024e1a840004011402f0af801010af80201 9dd413880010c0ef080f161d242b3239",
            "0000000000bb 0000000000aa 0800
            45000050e1a84000401140030af801010af80201 9c429c42003c1646
            f21112340001ff00000001110000a0fa4014690ac62cadfb1d39f2165d1c9957d0ce179f 9dd413880010c0ef080f161d242b3239",
        ),
        (
            "0000000000bb 0000000000aa 86dd
            6001234500183a40fd000248000100000000000000000001fd000248000200000000000000000001
            800036a112340001000102030405060708090a0b0c0d0e0f",
            "0000000000bb 0000000000aa 86dd
            6001234500441140fd000248000100000000000000000001fd000248000200000000000000000001 9c429c4200441f9a
            f23a12340001ff00000001110000a0fa4014690a497db521f32b70d90dd99054739ae491
            800036a112340001000102030405060708090a0b0c0d0e0f",
        ),
    ] {
        let (before, after) = (hex(before), hex(after));
        let at = UnixNanos(1_795_050_123_000_000_000 + 176_996_677_347_594);
        let filter = |side: Side| {
            let mut filter = Side { protocol: 4660, secrets: EXAMPLE_SECRET, ..side }
                .filter(at, |settings| settings.lf.lf2_port = 40_002);
            filter.use_encapsulation(at, ONLY_LF2);
            filter
        };
        let (outcome, ours) = filter(A).judge(INSIDE, at, &before);
        assert_eq!((outcome.verdict, ours), (Verdict::Outbound, after.clone()));
        let (outcome, theirs) = filter(B).judge(OUTSIDE, at, &after);
        assert_eq!((outcome.verdict, theirs), (Verdict::Accepted, before));
    }
}

#[test]
fn the_packet_has_right_lengths_and_checksums() {
    let bytes = in_lf2(&plain());
    let ip = Ipv4::parse(&bytes[14..]).unwrap();
    assert_eq!((bytes.len(), usize::from(ip.total_length())), (plain().len() + 44, plain().len() - 14 + 44));
    assert!(ip.is_checksum_valid());
    let udp = Udp::parse(ip.payload()).unwrap();
    assert_eq!((udp.source_port(), udp.destination_port()), (LF2_PORT, LF2_PORT));
    let pseudo = checksum::pseudo_header_v4(ip.source(), ip.destination(), ip.protocol(), udp.header().length);
    assert_eq!(checksum::layer4(pseudo, udp.datagram()), 0);
    let (header, payload) = Lf2::split(udp.payload()).unwrap();
    assert_eq!((header.src_as(), header.next_protocol()), (support::isd_as(A.local), IpProtocol::UDP));
    assert_eq!(payload, &plain()[34..]);
}

#[test]
fn a_packet_with_any_bit_changed_that_the_tag_is_to_protect_is_refused() {
    for (plain, addresses, l3_len) in [(plain(), 26..34, 20), (plain_v6(), 22..54, 40)] {
        let packet = in_lf2(&plain);
        let mut filter = receiver(ONLY_LF2);
        // The addresses, and everything from the header on. Not authenticated are Ethernet, UDP, and the rest of IP.
        for byte in addresses.chain(14 + l3_len + 8..packet.len()) {
            for bit in 0..8 {
                let mut forged = packet.clone();
                forged[byte] ^= 1 << bit;
                mend_ip_checksum(&mut forged);
                let verdict = filter.judge(OUTSIDE, NOW, &forged).0.verdict;
                assert!(!verdict.is_forwarded(), "byte {byte} bit {bit}: {verdict:?}");
            }
        }
        assert_eq!(reason(&mut filter, &packet), None, "the packet itself still passes");
    }
}

#[test]
fn each_refusal_has_its_reason() {
    let packet = in_lf2(&plain());
    let changed = |at: usize| {
        let mut packet = packet.clone();
        packet[at] ^= 1;
        packet
    };
    let header = 14 + 20 + 8;
    for (at, expected) in [
        (header, DropReason::MalformedHeader),
        (header + 1, DropReason::BadMac),
        (header + 3, DropReason::UnknownPeer),
        (header + 11, DropReason::UnknownPeer),
        (header + 12, DropReason::TimestampInFuture),
        (header + 19, DropReason::BadMac),
        (header + 20, DropReason::BadMac),
        (header + 36, DropReason::BadMac),
        (packet.len() - 1, DropReason::BadMac),
    ] {
        assert_eq!(reason(&mut receiver(ONLY_LF2), &changed(at)), Some(expected), "byte {at}");
    }
    let short = udp("10.248.1.1", "10.248.2.1", (1, LF2_PORT), &packet[header..header + 35]);
    assert_eq!(reason(&mut receiver(ONLY_LF2), &short), Some(DropReason::MalformedHeader));
}

#[test]
fn a_datagram_made_shorter_is_refused_and_padding_behind_one_is_cut_off() {
    for plain in [plain(), udp("10.248.1.1", "10.248.2.1", (1, 2), b"short")] {
        let packet = in_lf2(&plain);
        for cut in 1..=33 {
            let mut shorter = packet.clone();
            let length = u16::from_be_bytes([packet[16], packet[17]]) - cut;
            shorter[16..18].copy_from_slice(&length.to_be_bytes());
            mend_ip_checksum(&mut shorter);
            let refused = reason(&mut receiver(ONLY_LF2), &shorter);
            assert!(matches!(refused, Some(DropReason::BadMac | DropReason::MalformedHeader)), "{cut} bytes less");
        }
        let padded = [&packet[..], &[0xee; 17]].concat();
        let (outcome, received) = receiver(ONLY_LF2).judge(OUTSIDE, NOW, &padded);
        assert_eq!((outcome.verdict, received), (Verdict::Accepted, plain));
    }
}

#[test]
fn an_empty_payload_can_be_authenticated() {
    let datagram = ipv4(Ipv4Addr::new(10, 248, 1, 1), Ipv4Addr::new(10, 248, 2, 1), IpProtocol(253), 0, &[]);
    let packet = ethernet(0x0800, &datagram);
    let (outcome, received) = receiver(ONLY_LF2).judge(OUTSIDE, NOW, &in_lf2(&packet));
    assert_eq!((outcome.verdict, received), (Verdict::Accepted, packet));
}

#[test]
fn a_replay_is_refused_in_the_same_burst_later_and_with_other_ports() {
    let packet = in_lf2(&plain());
    let mut filter = receiver(BOTH);
    let burst = filter.judge_burst(OUTSIDE, NOW, &[&packet, &packet]);
    assert_eq!(burst[0].0.verdict, Verdict::Accepted);
    assert_eq!(burst[1].0.verdict.reason(), Some(DropReason::Duplicate));
    let mut other_port = packet.clone();
    other_port[34] ^= 0xff;
    for replay in [&packet, &other_port, &in_vlan(&packet, 0x8100, 9)] {
        assert_eq!(reason(&mut filter, replay), Some(DropReason::Duplicate));
    }
}

#[test]
fn neither_encapsulation_passes_for_the_other() {
    let mut filter = receiver(BOTH);
    let to_port = |mut packet: Vec<u8>, port: u16| {
        packet[36..38].copy_from_slice(&port.to_be_bytes());
        packet
    };
    let as_lf = to_port(in_lf2(&plain()), B.port);
    let refused = reason(&mut filter, &as_lf);
    assert!(matches!(refused, Some(DropReason::MalformedHeader | DropReason::UnknownPeer)), "{refused:?}");
    let as_lf2 = to_port(encapsulated(&plain(), NOW), LF2_PORT);
    assert_eq!(reason(&mut filter, &as_lf2), Some(DropReason::MalformedHeader));
}

#[test]
fn only_what_the_peer_may_send_is_heard() {
    let lf = encapsulated(&plain(), NOW);
    for (accept, lf_verdict, lf2_verdict) in [
        (ONLY_LF2, Some(DropReason::MalformedHeader), None),
        (BOTH, None, None),
        (PeerEncapsulation { accept: Encapsulations::only(Encapsulation::Lf), ..ONLY_LF2 }, None, None),
    ] {
        let mut filter = receiver(accept);
        assert_eq!(reason(&mut filter, &lf), lf_verdict);
        if accept.accept.contains(Encapsulation::Lf2) {
            assert_eq!(reason(&mut filter, &in_lf2(&plain())), lf2_verdict);
        }
        let refused = filter.peer.tally().of(Verdict::Dropped(DropReason::MalformedHeader)).packets;
        assert_eq!(refused, u64::from(lf_verdict.is_some()), "and is counted for the peer");
    }
}

#[test]
fn a_peer_that_may_not_send_it_is_refused_though_another_may() {
    let mut filter = B.filter(NOW, |settings| settings.accept_lf2 = true);
    assert_eq!(reason(&mut filter, &in_lf2(&plain())), Some(DropReason::MalformedHeader));
}

#[test]
fn where_no_peer_may_send_it_its_port_is_like_any_other() {
    let (outcome, bytes) = B.filter(NOW, |_| {}).judge(OUTSIDE, NOW, &in_lf2(&plain()));
    assert_eq!((outcome.verdict, bytes), (Verdict::BestEffort, in_lf2(&plain())));
}

#[test]
fn both_encapsulations_in_one_burst_do_not_disturb_one_another() {
    let (mut lf, mut lf2) = (A.filter(NOW, |_| {}), sender(ONLY_LF2, |_| {}));
    let mut packets = Vec::new();
    for number in 0..60_u8 {
        let plain = udp("10.248.1.1", "10.248.2.1", (1, 2), &vec![number; usize::from(number) * 7]);
        let filter = if number % 3 == 0 { &mut lf2 } else { &mut lf };
        let (outcome, mut packet) = filter.judge(INSIDE, NOW, &plain);
        assert_eq!(outcome.verdict, Verdict::Outbound);
        if number % 5 == 0 {
            *packet.last_mut().unwrap() ^= 1;
        }
        packets.push((plain, packet));
    }
    let frames: Vec<&[u8]> = packets.iter().map(|(_, packet)| &packet[..]).collect();
    let mut filter = receiver(BOTH);
    for (number, (outcome, bytes)) in filter.judge_burst(OUTSIDE, NOW, &frames).into_iter().enumerate() {
        let (plain, _) = &packets[number];
        match (number % 5, number % 3) {
            (0, 0) => assert_eq!(outcome.verdict.reason(), Some(DropReason::BadMac), "{number}"),
            (0, _) => assert_eq!(outcome.verdict.reason(), Some(DropReason::BadHash), "{number}"),
            _ => assert_eq!((outcome.verdict, &bytes), (Verdict::Accepted, plain), "{number}"),
        }
    }
    let tally = filter.pipeline.counters().snapshot();
    assert_eq!(tally.forwarded().packets + tally.dropped().packets, 60);
}

#[test]
fn what_a_peer_does_not_prove_changes_nothing() {
    let limit = photongate_pipeline::limits::LimitSettings {
        packets_per_second: Some(1),
        burst_packets: Some(1),
        ..Default::default()
    };
    let mut filter = receiver(ONLY_LF2);
    filter.limit_peer(NOW, &limit);
    filter.use_encapsulation(NOW, ONLY_LF2);
    let packet = in_lf2(&plain());
    let mut forged = packet.clone();
    *forged.last_mut().unwrap() ^= 1;
    for _ in 0..100 {
        assert_eq!(reason(&mut filter, &forged), Some(DropReason::BadMac));
    }
    assert_eq!(reason(&mut filter, &packet), None, "the genuine one is neither limited nor a duplicate");
    filter.use_encapsulation(NOW, BOTH);
    let (_, another) = sender(ONLY_LF2, |_| {}).judge(INSIDE, NOW, &udp("10.248.1.1", "10.248.2.1", (5, 6), b"more"));
    assert_eq!(reason(&mut filter, &another), Some(DropReason::RateLimitPeer), "another encapsulation fills no limit");
}

#[test]
fn a_packet_may_be_twenty_bytes_longer_than_with_lf() {
    let of_size = |size: usize| udp("10.248.1.1", "10.248.2.1", (1, 2), &vec![7; size - 28]);
    let mut filter = sender(ONLY_LF2, |_| {});
    let (outcome, bytes) = filter.judge(INSIDE, NOW, &of_size(1456));
    assert_eq!((outcome.verdict, bytes.len()), (Verdict::Outbound, 14 + 1500));
    let (outcome, reply) = filter.judge(INSIDE, NOW, &of_size(1457));
    assert_eq!((outcome.verdict.reason(), outcome.action), (Some(DropReason::TooBig), Action::Reply));
    assert_eq!(Ipv4::parse(&reply[14..]).unwrap().payload()[6..8], 1456_u16.to_be_bytes(), "the MTU to use");
}

#[test]
fn tcp_is_told_a_segment_size_by_what_the_peer_is_sent() {
    let clamp = |settings: &mut Settings| settings.clamp_mss = true;
    let mss = |bytes: &[u8], at: usize| Tcp::parse(&bytes[at..]).unwrap().max_segment_size();
    let syn = tcp_syn("10.248.1.1", "10.248.2.1", 1460);
    let (_, bytes) = sender(ONLY_LF2, clamp).judge(INSIDE, NOW, &syn);
    assert_eq!(mss(&bytes, 14 + 20 + 44), Some(1500 - 44 - 40));
    for (send, overhead) in [(Encapsulation::Lf, 64), (Encapsulation::Lf2, 44)] {
        let mut filter = B.filter(NOW, clamp);
        filter.use_encapsulation(NOW, PeerEncapsulation { send, ..BOTH });
        let (outcome, bytes) = filter.judge(OUTSIDE, NOW, &in_lf2(&syn));
        assert_eq!((outcome.verdict, mss(&bytes, 34)), (Verdict::Accepted, Some(1500 - overhead - 40)), "{send:?}");
    }
}

#[test]
fn both_ends_change_one_after_the_other_without_a_packet_lost() {
    let steps = [BOTH_FROM_LF, BOTH, ONLY_LF2, BOTH, BOTH_FROM_LF, PeerEncapsulation::default()];
    for a_first in [true, false] {
        let (mut a, mut b) = (A.filter(NOW, |_| {}), B.filter(NOW, |_| {}));
        let mut now = NOW;
        let mut sent_in = Vec::new();
        let mut exchange = |a: &mut Filter, b: &mut Filter, now: UnixNanos| {
            let there = plain();
            let back = udp("10.248.2.1", "10.248.1.1", (2000, 1000), b"an answer");
            let mut pass = |from: &mut Filter, to: &mut Filter, plain: Vec<u8>| {
                let (outcome, packet) = from.judge(INSIDE, now, &plain);
                assert_eq!(outcome.verdict, Verdict::Outbound);
                sent_in.push(packet.len() - plain.len());
                let (outcome, received) = to.judge(OUTSIDE, now, &packet);
                assert_eq!((outcome.verdict, received), (Verdict::Accepted, plain));
            };
            pass(a, b, there);
            pass(b, a, back);
        };
        exchange(&mut a, &mut b, now);
        for step in steps {
            for first in [a_first, !a_first] {
                now = UnixNanos(now.0 + 1_000_000);
                (if first { &mut a } else { &mut b }).use_encapsulation(now, step);
                exchange(&mut a, &mut b, now);
            }
        }
        assert!(sent_in.contains(&44) && sent_in.ends_with(&[64, 64]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encapsulated_and_decapsulated_is_the_same_again(datagram in a_datagram(), tags in vec(any::<u16>(), 0..3)) {
        let packet = tags.iter().fold(datagram, |packet, tag| in_vlan(&packet, 0x8100, *tag));
        let on_the_wire = in_lf2(&packet);
        prop_assert_eq!(on_the_wire.len(), packet.len() + 44);
        let (outcome, received) = receiver(ONLY_LF2).judge(OUTSIDE, NOW, &on_the_wire);
        prop_assert_eq!(outcome.verdict, Verdict::Accepted);
        prop_assert_eq!(received, packet);
    }

    #[test]
    fn a_packet_changed_anywhere_under_the_tag_is_never_accepted(
        datagram in a_datagram(), at in any::<prop::sample::Index>(), flip in 1..=255_u8,
    ) {
        let packet = in_lf2(&datagram);
        let is_v4 = Ethernet::parse(&packet).unwrap().ethertype() == photongate_wire::EtherType::IPV4;
        let (addresses, header_at) = if is_v4 { (26..34, 42) } else { (22..54, 62) };
        let protected: Vec<usize> = addresses.chain(header_at..packet.len()).collect();
        let mut changed = packet;
        changed[protected[at.index(protected.len())]] ^= flip;
        mend_ip_checksum(&mut changed);
        prop_assert!(!receiver(ONLY_LF2).judge(OUTSIDE, NOW, &changed).0.verdict.is_forwarded());
    }

    #[test]
    fn any_bytes_at_its_port_get_one_verdict_and_none_is_accepted(noise: Vec<u8>, right: bool) {
        let mut header = noise;
        if let (Some(first), true) = (header.first_mut(), right) {
            *first = photongate_wire::lf2::VERSION;
        }
        let packet = udp("10.248.1.1", "10.248.2.1", (1, LF2_PORT), &header);
        let mut filter = receiver(ONLY_LF2);
        prop_assert!(reason(&mut filter, &packet).is_some());
        prop_assert_eq!(filter.pipeline.counters().snapshot().dropped().packets, 1);
    }
}

/// Of the worked examples.
const EXAMPLE_SECRET: &[([u8; 16], u64)] =
    &[(0xfedc_ba98_7654_3210_0f1e_2d3c_4b5a_6978_u128.to_be_bytes(), 1_793_494_923_000_000_000)];

const ONLY_LF2: PeerEncapsulation = PeerEncapsulation::only(Encapsulation::Lf2);

/// Sends `lf2` and accepts either, as after the second step of a change.
const BOTH: PeerEncapsulation = PeerEncapsulation { send: Encapsulation::Lf2, accept: Encapsulations::ALL };

/// Sends LF and accepts either, as after the first step.
const BOTH_FROM_LF: PeerEncapsulation = PeerEncapsulation { send: Encapsulation::Lf, accept: Encapsulations::ALL };

fn sender(encapsulation: PeerEncapsulation, change: impl FnOnce(&mut Settings)) -> Filter {
    let mut filter = A.filter(NOW, change);
    filter.use_encapsulation(NOW, encapsulation);
    filter
}

fn receiver(encapsulation: PeerEncapsulation) -> Filter {
    let mut filter = B.filter(NOW, |_| {});
    filter.use_encapsulation(NOW, encapsulation);
    filter
}

/// `packet` as filter A sends it to a peer that it uses `lf2` with.
fn in_lf2(packet: &[u8]) -> Vec<u8> {
    let (outcome, bytes) = sender(ONLY_LF2, |_| {}).judge(INSIDE, NOW, packet);
    assert_eq!(outcome.verdict, Verdict::Outbound);
    bytes
}

fn reason(filter: &mut Filter, packet: &[u8]) -> Option<DropReason> {
    filter.judge(OUTSIDE, NOW, packet).0.verdict.reason()
}

/// A well-formed packet from host A's network to host B's.
fn a_datagram() -> impl Strategy<Value = Vec<u8>> {
    let v4 =
        (any::<u8>(), any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..1400)).prop_map(|(from, to, protocol, payload)| {
            let (from, to) = (Ipv4Addr::new(10, 248, 1, from), Ipv4Addr::new(10, 248, 2, to));
            ethernet(0x0800, &ipv4(from, to, IpProtocol(protocol), 0x4000, &payload))
        });
    let v6 = (any::<u64>(), any::<u64>(), vec(any::<u8>(), 1..1300)).prop_map(|(from, to, payload)| {
        let address = |prefix: u128, host: u64| Ipv6Addr::from_bits(prefix << 64 | u128::from(host));
        let (from, to) = (address(0xfd00_0248_0001_0000, from), address(0xfd00_0248_0002_0000, to));
        ethernet(0x86dd, &ipv6(from, to, IpProtocol::TCP, &payload))
    });
    prop_oneof![v4, v6]
}

fn mend_ip_checksum(frame: &mut [u8]) {
    if frame[12..14] == [0x08, 0x00]
        && let Ok(mut ip) = Ipv4Mut::parse(&mut frame[14..])
    {
        ip.fill_checksum();
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
