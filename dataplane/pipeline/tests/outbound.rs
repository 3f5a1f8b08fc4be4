//! What happens to packets that our own hosts send.

mod support;

use photongate_pipeline::{Action, DropReason, NextHop, Settings, SourcePort, UnknownDestination, Verdict};
use photongate_wire::{Ethernet, IcmpType, Icmpv6Type, Ipv4, Ipv6, Lf, MacAddress, Tcp, Udp, checksum};
use std::collections::HashSet;
use support::packets::{ethernet, in_vlan, ipv4, tcp_syn, udp};
use support::{A, AUTO, B, INSIDE, NOW, OUTSIDE, encapsulated, plain, plain_v6};

#[test]
fn a_packet_to_a_peer_is_encapsulated_with_right_lengths_and_checksums() {
    let bytes = encapsulated(&plain(), NOW);
    let ip = Ipv4::parse(&bytes[14..]).unwrap();
    assert_eq!((bytes.len(), usize::from(ip.total_length())), (plain().len() + 64, plain().len() - 14 + 64));
    assert!(ip.is_checksum_valid());
    let udp = Udp::parse(ip.payload()).unwrap();
    assert_eq!((udp.source_port(), udp.destination_port()), (49_149, 49_149));
    let pseudo = checksum::pseudo_header_v4(ip.source(), ip.destination(), ip.protocol(), udp.header().length);
    assert_eq!(checksum::layer4(pseudo, udp.datagram()), 0);
}

#[test]
fn the_same_holds_over_ipv6() {
    let bytes = encapsulated(&plain_v6(), NOW);
    let ip = Ipv6::parse(&bytes[14..]).unwrap();
    assert_eq!(usize::from(ip.payload_length()), plain_v6().len() - 14 - 40 + 64);
    let udp = Udp::parse(ip.payload()).unwrap();
    let length = udp.header().length.into();
    let pseudo = checksum::pseudo_header_v6(ip.source(), ip.destination(), ip.next_header(), length);
    assert_eq!(checksum::layer4(pseudo, udp.datagram()), 0);
}

#[test]
fn padding_behind_the_datagram_is_cut_off() {
    let short = udp("10.248.1.1", "10.248.2.1", (1, 2), b"x");
    let padded = [&short[..], &[0xee; 17]].concat();
    assert_eq!(encapsulated(&padded, NOW), encapsulated(&short, NOW));
}

#[test]
fn no_two_packets_have_the_same_timestamp() {
    let mut filter = A.filter(NOW, |_| {});
    let packet = plain();
    let packets = [&packet[..]; 64];
    let burst = filter.judge_burst(INSIDE, NOW, &packets);
    let times: HashSet<u64> = burst.iter().map(|(_, bytes)| Lf::split(&bytes[42..]).unwrap().0.timestamp().0).collect();
    assert_eq!(times.len(), 64);
}

#[test]
fn the_source_port_follows_the_inner_flow_when_asked_to() {
    let port_of = |packet: &[u8]| {
        let flow = |settings: &mut Settings| settings.lf.source_port = SourcePort::Flow;
        let (_, bytes) = A.filter(NOW, flow).judge(INSIDE, NOW, packet);
        Udp::parse(Ipv4::parse(&bytes[14..]).unwrap().payload()).unwrap().source_port()
    };
    let flow = |port| udp("10.248.1.1", "10.248.2.1", (port, 80), b"x");
    assert_eq!(port_of(&flow(1)), port_of(&udp("10.248.1.1", "10.248.2.1", (1, 80), b"another payload")));
    let ports: HashSet<u16> = (0..200).map(|port| port_of(&flow(port))).collect();
    assert!(ports.len() > 180, "200 flows share {} ports", ports.len());
    assert!(ports.iter().all(|port| *port >= 49_152));
}

#[test]
fn the_frame_goes_to_the_next_hop_from_the_ports_own_address() {
    let hop = MacAddress([2, 9, 9, 9, 9, 9]);
    let own = MacAddress([2, 0, 0, 0, 0, 2]);
    let sender = MacAddress([2, 0, 0, 0, 0, 0xaa]);
    for (next_hop, destination, source) in [
        (NextHop::Keep, MacAddress([2, 0, 0, 0, 0, 0xbb]), sender),
        (NextHop::Address(hop), hop, own),
        (NextHop::Swap, sender, own),
    ] {
        let (_, bytes) = A.filter(NOW, |s| s.ports[1].next_hop = next_hop).judge(INSIDE, NOW, &plain());
        let frame = Ethernet::parse(&bytes).unwrap();
        assert_eq!((frame.destination(), frame.source()), (destination, source), "{next_hop:?}");
    }
    let both = |settings: &mut Settings| {
        settings.ports[1].next_hop = NextHop::Keep;
        settings.outbound_next_hop = Some(NextHop::Address(hop));
    };
    let (_, bytes) = A.filter(NOW, both).judge(INSIDE, NOW, &plain());
    assert_eq!(Ethernet::parse(&bytes).unwrap().destination(), hop, "a direction's next hop goes before the port's");
}

#[test]
fn a_peer_without_a_key_gets_nothing() {
    let early = photongate_wire::UnixNanos(1_000_000_000_000_000_000);
    let outcome = A.filter(early, |_| {}).judge(INSIDE, early, &plain()).0;
    assert_eq!(outcome.verdict.reason(), Some(DropReason::OutboundNoKey));
}

#[test]
fn packets_to_no_peer_go_as_they_are_or_not_at_all() {
    let packet = udp("10.248.1.1", "192.0.2.1", (1, 2), b"x");
    let (outcome, bytes) = A.filter(NOW, |_| {}).judge(INSIDE, NOW, &packet);
    assert_eq!((outcome.verdict, bytes), (Verdict::BestEffort, packet.clone()));
    let refuse = |settings: &mut Settings| settings.outbound_unknown = UnknownDestination::Drop;
    let outcome = A.filter(NOW, refuse).judge(INSIDE, NOW, &packet).0;
    assert_eq!(outcome.verdict.reason(), Some(DropReason::UnknownDestination));
}

#[test]
fn a_plain_packet_from_outside_is_never_given_our_signature() {
    let outcome = A.filter(NOW, |_| {}).judge(OUTSIDE, NOW, &plain()).0;
    assert_eq!(outcome.verdict, Verdict::BestEffort);
}

#[test]
fn a_port_that_tells_packets_apart_itself_does_so_by_header_and_destination() {
    let outcome = A.filter(NOW, |_| {}).judge(AUTO, NOW, &plain()).0;
    assert_eq!(outcome.verdict, Verdict::Outbound);
    let outcome = B.filter(NOW, |_| {}).judge(AUTO, NOW, &encapsulated(&plain(), NOW)).0;
    assert_eq!(outcome.verdict, Verdict::Accepted);
    let outcome = B.filter(NOW, |_| {}).judge(AUTO, NOW, &plain()).0;
    assert_eq!(outcome.verdict, Verdict::BestEffort);
}

#[test]
fn outbound_fragments_are_refused() {
    let fragment = ipv4(
        "10.248.1.1".parse().unwrap(),
        "10.248.2.1".parse().unwrap(),
        photongate_wire::IpProtocol::UDP,
        100,
        &[0; 64],
    );
    let outcome = A.filter(NOW, |_| {}).judge(INSIDE, NOW, &ethernet(0x0800, &fragment)).0;
    assert_eq!(outcome.verdict.reason(), Some(DropReason::FragmentOutbound));
}

#[test]
fn the_largest_packet_that_fits_passes_and_one_byte_more_is_answered_by_icmp() {
    let of_size = |size: usize| udp("10.248.1.1", "10.248.2.1", (1, 2), &vec![7; size - 28]);
    let outcome = A.filter(NOW, |_| {}).judge(INSIDE, NOW, &of_size(1436)).0;
    assert_eq!(outcome.verdict, Verdict::Outbound);

    let tagged = in_vlan(&of_size(1437), 0x8100, 5);
    let (outcome, reply) = A.filter(NOW, |_| {}).judge(INSIDE, NOW, &tagged);
    assert_eq!((outcome.verdict.reason(), outcome.action), (Some(DropReason::TooBig), Action::Reply));
    let frame = Ethernet::parse(&reply).unwrap();
    assert_eq!(frame.destination(), Ethernet::parse(&tagged).unwrap().source());
    assert_eq!(frame.vlan_tags().count(), 1);
    let ip = Ipv4::parse(frame.payload()).unwrap();
    assert_eq!(ip.destination().to_string(), "10.248.1.1");
    assert_eq!(IcmpType::of(ip.payload()), Some(IcmpType::DESTINATION_UNREACHABLE));
    assert_eq!(ip.payload()[6..8], 1436_u16.to_be_bytes(), "the MTU to use");
}

#[test]
fn over_ipv6_the_answer_is_packet_too_big() {
    let packet = udp("fd00:248:1::1", "fd00:248:2::1", (1, 2), &[7; 1437 - 48]);
    let (outcome, reply) = A.filter(NOW, |_| {}).judge(INSIDE, NOW, &packet);
    assert_eq!((outcome.verdict.reason(), outcome.action), (Some(DropReason::TooBig), Action::Reply));
    let ip = Ipv6::parse(&reply[14..]).unwrap();
    assert_eq!(Icmpv6Type::of(ip.payload()), Some(Icmpv6Type::PACKET_TOO_BIG));
    assert_eq!(ip.payload()[4..8], 1436_u32.to_be_bytes());
}

#[test]
fn icmp_errors_are_limited() {
    let limit = photongate_pipeline::limits::LimitSettings {
        packets_per_second: Some(1),
        burst_packets: Some(1),
        ..Default::default()
    };
    let limit = photongate_pipeline::limits::Limit::from_settings(&limit, NOW);
    let mut filter = A.filter(NOW, |settings| settings.icmp_errors = limit.into());
    let packet = udp("10.248.1.1", "10.248.2.1", (1, 2), &[7; 1450]);
    let actions = [(); 2].map(|()| filter.judge(INSIDE, NOW, &packet).0.action);
    assert_eq!(actions, [Action::Reply, Action::Discard]);
}

#[test]
fn tcp_is_told_a_segment_size_that_fits_in_both_directions() {
    let clamp = |settings: &mut Settings| settings.clamp_mss = true;
    let mss = |bytes: &[u8], at: usize| Tcp::parse(&bytes[at..]).unwrap().max_segment_size();
    let (_, bytes) = A.filter(NOW, clamp).judge(INSIDE, NOW, &tcp_syn("10.248.1.1", "10.248.2.1", 1460));
    assert_eq!(mss(&bytes, 14 + 20 + 64), Some(1500 - 64 - 40));
    let (_, bytes) = A.filter(NOW, clamp).judge(INSIDE, NOW, &tcp_syn("fd00:248:1::1", "fd00:248:2::1", 1440));
    assert_eq!(mss(&bytes, 14 + 40 + 64), Some(1500 - 64 - 60));
    let (_, bytes) = A.filter(NOW, clamp).judge(INSIDE, NOW, &tcp_syn("10.248.1.1", "10.248.2.1", 500));
    assert_eq!(mss(&bytes, 14 + 20 + 64), Some(500), "what is small enough stays");

    let from_peer = encapsulated(&tcp_syn("10.248.1.1", "10.248.2.1", 1460), NOW);
    let (_, bytes) = B.filter(NOW, clamp).judge(OUTSIDE, NOW, &from_peer);
    assert_eq!(mss(&bytes, 14 + 20), Some(1500 - 64 - 40), "what we send back is encapsulated too");
}

#[test]
fn without_headroom_the_packet_is_refused_and_left_as_it_was() {
    let mut filter = A.filter(NOW, |_| {});
    let mut buffer = plain();
    let end = buffer.len();
    let mut frames = [photongate_pipeline::Frame::new(&mut buffer, 0, end, INSIDE)];
    let mut outcomes = [photongate_pipeline::Outcome::UNDECIDED];
    let clock = photongate_pipeline::Clock { unix: NOW, monotonic: NOW };
    filter.pipeline.process(&filter.dictionary, clock, &mut frames, &mut outcomes, &mut ());
    assert_eq!(outcomes[0].verdict.reason(), Some(DropReason::NoHeadroom));
    assert_eq!(frames[0].bytes(), plain());
}

#[test]
fn a_port_that_computes_checksums_gets_the_pseudo_headers_sum() {
    let offload = |settings: &mut Settings| settings.ports[1].udp_checksum_offload = true;
    let (outcome, bytes) = A.filter(NOW, offload).judge(INSIDE, NOW, &plain());
    let offload = outcome.udp_checksum.unwrap();
    assert_eq!((offload.l2_len, offload.l3_len, offload.is_ipv6), (14, 20, false));
    let ip = Ipv4::parse(&bytes[14..]).unwrap();
    let udp = Udp::parse(ip.payload()).unwrap().header();
    let pseudo = checksum::pseudo_header_v4(ip.source(), ip.destination(), ip.protocol(), udp.length);
    assert_eq!(udp.checksum, pseudo.folded());
}
