//! What holds for every packet, whatever its bytes.

mod support;

use photongate_pipeline::{Action, Clock, Frame, Outcome, PortIndex, Verdict};
use photongate_wire::{Ethernet, IpProtocol, Ipv4, Ipv6};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};
use support::packets::{ethernet, in_vlan, ipv4, ipv6};
use support::{A, B, HEADROOM, INSIDE, NOW, OUTSIDE, TAILROOM, encapsulated, plain, plain_v6};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_get_one_verdict_and_nothing_is_written_outside_the_packet(packets in vec(any_packet(), 1..20), port in 0..4_u8) {
        let mut filter = B.filter(NOW, |settings| settings.clamp_mss = true);
        let mut buffers: Vec<Vec<u8>> =
            packets.iter().map(|packet| [&[0xa5; HEADROOM], &packet[..], &[0xa5; TAILROOM]].concat()).collect();
        let before = buffers.clone();
        let mut frames: Vec<Frame<'_>> = buffers
            .iter_mut()
            .zip(&packets)
            .map(|(buffer, packet)| Frame::new(buffer, HEADROOM, HEADROOM + packet.len(), PortIndex(port)))
            .collect();
        let mut outcomes = vec![Outcome::UNDECIDED; packets.len()];
        let clock = Clock { unix: NOW, monotonic: NOW };
        filter.pipeline.process(&filter.dictionary, clock, &mut frames, &mut outcomes, &mut ());
        let ranges: Vec<_> = frames.iter().map(Frame::range).collect();

        let tally = filter.pipeline.counters().snapshot();
        prop_assert_eq!(tally.received().packets, packets.len() as u64);
        prop_assert_eq!(tally.forwarded().packets + tally.dropped().packets, packets.len() as u64);
        for (lane, outcome) in outcomes.iter().enumerate() {
            let (old, range) = (HEADROOM..HEADROOM + packets[lane].len(), &ranges[lane]);
            let touched = old.start.min(range.start)..old.end.max(range.end);
            prop_assert_eq!(&buffers[lane][..touched.start], &before[lane][..touched.start]);
            prop_assert_eq!(&buffers[lane][touched.end..], &before[lane][touched.end..]);
            if outcome.action == Action::Discard || outcome.verdict == Verdict::Control {
                prop_assert_eq!(&buffers[lane], &before[lane], "what is not rewritten stays as it was");
            }
            prop_assert_eq!(outcome.verdict.is_forwarded(), matches!(outcome.action, Action::Forward | Action::Kernel));
        }
    }

    #[test]
    fn what_is_encapsulated_and_decapsulated_is_the_same_again(datagram in a_datagram(), tags in vec(any::<u16>(), 0..3)) {
        let packet = tags.iter().fold(datagram, |packet, tag| in_vlan(&packet, 0x8100, *tag));
        let (outcome, on_the_wire) = A.filter(NOW, |_| {}).judge(INSIDE, NOW, &packet);
        prop_assert_eq!(outcome.verdict, Verdict::Outbound);
        prop_assert_eq!(on_the_wire.len(), packet.len() + 64);
        let (outcome, received) = B.filter(NOW, |_| {}).judge(OUTSIDE, NOW, &on_the_wire);
        prop_assert_eq!(outcome.verdict, Verdict::Accepted);
        prop_assert_eq!(received, packet);
    }

    #[test]
    fn a_packet_changed_anywhere_under_the_mac_is_never_accepted(v6 in any::<bool>(), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let packet = encapsulated(&if v6 { plain_v6() } else { plain() }, NOW);
        let l3_len = if v6 { 40 } else { 20 };
        let addresses = if v6 { 14 + 8..14 + 40 } else { 14 + 12..14 + 20 };
        let protected: Vec<usize> = addresses.chain(14 + l3_len + 8..packet.len()).collect();
        let mut changed = packet;
        changed[protected[at.index(protected.len())]] ^= flip;
        if !v6 {
            photongate_wire::Ipv4Mut::parse(&mut changed[14..]).unwrap().fill_checksum();
        }
        let (outcome, _) = B.filter(NOW, |_| {}).judge(OUTSIDE, NOW, &changed);
        prop_assert_ne!(outcome.verdict, Verdict::Accepted);
    }
}

/// Noise, and packets that are nearly right.
fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let genuine = prop_oneof![
        Just(plain()),
        Just(plain_v6()),
        Just(encapsulated(&plain(), NOW)),
        Just(encapsulated(&plain_v6(), NOW)),
        a_datagram(),
    ];
    let damaged =
        (genuine.clone(), vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), any::<prop::sample::Index>());
    let damaged = damaged.prop_map(|(mut packet, changes, cut)| {
        for (at, byte) in changes {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        packet.truncate(cut.index(packet.len()) + 1);
        packet
    });
    let headed = (prop_oneof![Just(0x0800), Just(0x86dd), Just(0x0806), any::<u16>()], vec(any::<u8>(), 0..200))
        .prop_map(|(ethertype, payload)| ethernet(ethertype, &payload));
    prop_oneof![genuine, damaged, headed, vec(any::<u8>(), 0..300)]
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
    prop_oneof![v4, v6].prop_filter("extension headers must be whole", |frame| {
        let ethernet = Ethernet::parse(frame).unwrap();
        Ipv4::parse(ethernet.payload()).is_ok()
            || Ipv6::parse(ethernet.payload()).is_ok_and(|packet| packet.upper_layer().is_ok())
    })
}
