//! What happens to packets that arrive from outside: each refusal with its own reason, and nothing taken by those refused.

mod support;

use photongate_pipeline::limits::{DestinationLimits, Limit, LimitSettings};
use photongate_pipeline::{Action, ControlPolicy, DropReason, Settings, Verdict, WireGuardSettings};
use photongate_wire::{IpProtocol, Nanos, UnixNanos};
use std::sync::Arc;
use support::packets::{ethernet, in_vlan, ip, ipv4, udp};
use support::{A, AUTO, B, Filter, INSIDE, NOW, OUTSIDE, encapsulated, plain, plain_v6, seconds};

#[test]
fn a_packet_that_its_as_sent_comes_out_as_the_host_sent_it() {
    for packet in [plain(), plain_v6()] {
        let (outcome, bytes) = filter(|_| {}).judge(OUTSIDE, NOW, &encapsulated(&packet, NOW));
        assert_eq!((outcome.verdict, outcome.action), (Verdict::Accepted, Action::Forward));
        assert_eq!(outcome.peer, Some(B.peer_key()));
        assert_eq!(bytes, packet);
    }
}

#[test]
fn vlan_tags_stay_on_the_packet() {
    let tagged = in_vlan(&in_vlan(&plain(), 0x8100, 7), 0x88a8, 100);
    let (outcome, bytes) = filter(|_| {}).judge(OUTSIDE, NOW, &encapsulated(&tagged, NOW));
    assert_eq!((outcome.verdict, bytes), (Verdict::Accepted, tagged));
}

#[test]
fn a_packet_under_another_key_is_forged() {
    let mut sender = support::Side { secrets: &[([0x5b; 16], 1_767_225_600_000_000_000)], ..A }.filter(NOW, |_| {});
    let (_, forged) = sender.judge(INSIDE, NOW, &plain());
    assert_eq!(reason(&mut filter(|_| {}), &forged), Some(DropReason::BadMac));
}

#[test]
fn an_as_that_is_no_peer_is_refused() {
    let mut stranger = support::Side { local: "1-ff00:0:999", ..A }.filter(NOW, |_| {});
    let (_, packet) = stranger.judge(INSIDE, NOW, &plain());
    assert_eq!(reason(&mut filter(|_| {}), &packet), Some(DropReason::UnknownPeer));
}

#[test]
fn a_peer_without_a_key_at_this_time_is_refused() {
    let early = UnixNanos(1_767_225_600_000_000_000 - seconds(100).0);
    let mut filter = B.filter(early, |_| {});
    let outcome = filter.judge(OUTSIDE, early, &encapsulated(&plain(), NOW)).0;
    assert_eq!(outcome.verdict.reason(), Some(DropReason::NoKey));
}

#[test]
fn a_changed_payload_is_refused_although_the_mac_matches() {
    let mut packet = encapsulated(&plain(), NOW);
    *packet.last_mut().unwrap() ^= 1;
    assert_eq!(reason(&mut filter(|_| {}), &packet), Some(DropReason::BadHash));
}

#[test]
fn a_packet_cut_short_by_its_unauthenticated_ip_length_is_refused() {
    for cut in 1..=46 {
        let mut packet = encapsulated(&plain(), NOW);
        let length = u16::from_be_bytes([packet[16], packet[17]]) - cut;
        packet[16..18].copy_from_slice(&length.to_be_bytes());
        photongate_wire::Ipv4Mut::parse(&mut packet[14..]).unwrap().fill_checksum();
        assert_eq!(reason(&mut filter(|_| {}), &packet), Some(DropReason::BadMac), "{cut} bytes less");
    }
}

#[test]
fn the_same_packet_twice_is_a_replay_in_one_burst_and_in_the_next() {
    let packet = encapsulated(&plain(), NOW);
    let mut filter = filter(|_| {});
    let burst = filter.judge_burst(OUTSIDE, NOW, &[&packet, &packet]);
    assert_eq!(burst[0].0.verdict, Verdict::Accepted);
    assert_eq!(burst[1].0.verdict.reason(), Some(DropReason::Duplicate));
    assert_eq!(reason(&mut filter, &packet), Some(DropReason::Duplicate));
}

#[test]
fn a_replay_with_other_unauthenticated_fields_is_still_a_replay() {
    let packet = encapsulated(&plain(), NOW);
    let mut filter = filter(|_| {});
    assert_eq!(reason(&mut filter, &packet), None);
    let mut other_port = packet.clone();
    other_port[34] ^= 0xff;
    for replay in [other_port, in_vlan(&packet, 0x8100, 9)] {
        assert_eq!(reason(&mut filter, &replay), Some(DropReason::Duplicate));
    }
}

#[test]
fn the_time_threshold_bounds_the_age_of_a_packet_on_both_sides() {
    let packet = encapsulated(&plain(), NOW);
    for (arrival, expected) in [
        (UnixNanos(NOW.0 + seconds(1).0), None),
        (UnixNanos(NOW.0 + seconds(1).0 + 1), Some(DropReason::TimestampTooOld)),
        (UnixNanos(NOW.0 + seconds(3600).0), Some(DropReason::TimestampTooOld)),
        (UnixNanos(NOW.0 - seconds(1).0), None),
        (UnixNanos(NOW.0 - seconds(1).0 - 1), Some(DropReason::TimestampInFuture)),
        (UnixNanos(NOW.0 - seconds(3600).0), Some(DropReason::TimestampInFuture)),
    ] {
        let outcome = B.filter(arrival, |_| {}).judge(OUTSIDE, arrival, &packet).0;
        assert_eq!(
            outcome.verdict.reason(),
            expected,
            "arrival {} ns from sending",
            i128::from(arrival.0) - i128::from(NOW.0)
        );
    }
}

#[test]
fn a_peer_cannot_vouch_for_the_hosts_of_another() {
    let home = |isd_as: &str, prefix: &str| {
        let peer = photongate_pipeline::PeerKey { isd_as: support::isd_as(isd_as), ..B.peer_key() };
        (prefix.parse().unwrap(), photongate_pipeline::Route::new(peer, false))
    };
    let verdict = |routes: Vec<_>| {
        let routes = photongate_pipeline::routes::RouteTable::new(routes).unwrap();
        reason(&mut filter(|settings| settings.routes = routes), &encapsulated(&plain(), NOW))
    };
    assert_eq!(verdict(vec![home(B.peer, "10.248.1.0/24")]), None);
    assert_eq!(verdict(vec![home("1-ff00:0:999", "10.248.1.0/24")]), Some(DropReason::SourceMismatch));
    assert_eq!(verdict(vec![home("1-ff00:0:999", "10.0.0.0/8"), home(B.peer, "10.248.1.1/32")]), None);
    assert_eq!(verdict(vec![]), None, "who has no prefix may have any address");
}

#[test]
fn a_reserved_byte_that_is_set_and_a_header_cut_short_are_malformed() {
    let mut reserved = encapsulated(&plain(), NOW);
    reserved[14 + 20 + 8 + 10] = 1;
    assert_eq!(reason(&mut filter(|_| {}), &reserved), Some(DropReason::MalformedHeader));
    let short = udp("10.248.1.1", "10.248.2.1", (1, 49_149), &[0; 55]);
    assert_eq!(reason(&mut filter(|_| {}), &short), Some(DropReason::MalformedHeader));
}

#[test]
fn what_cannot_be_parsed_has_a_reason_too() {
    let mut bad_checksum = plain();
    bad_checksum[24] ^= 1;
    let cut = &plain()[..40];
    let mapped = {
        let source = "::ffff:10.248.1.1".parse().unwrap();
        let packet = support::packets::ipv6(source, "fd00:248:2::1".parse().unwrap(), IpProtocol::UDP, &[0; 8]);
        ethernet(0x86dd, &packet)
    };
    for (packet, expected) in [
        (&bad_checksum[..], DropReason::BadIpChecksum),
        (cut, DropReason::Malformed),
        (&[][..], DropReason::Malformed),
        (&ethernet(0x1234, &[0; 50]), DropReason::UnsupportedProtocol),
        (&mapped, DropReason::MappedAddress),
    ] {
        assert_eq!(reason(&mut filter(|_| {}), packet), Some(expected));
    }
}

#[test]
fn fragments_from_outside_are_refused() {
    let fragment =
        ipv4("10.248.1.1".parse().unwrap(), "10.248.2.1".parse().unwrap(), IpProtocol::UDP, 0x2000, &[0; 64]);
    for port in [OUTSIDE, AUTO] {
        let outcome = filter(|_| {}).judge(port, NOW, &ethernet(0x0800, &fragment)).0;
        assert_eq!(outcome.verdict.reason(), Some(DropReason::FragmentInbound));
    }
}

#[test]
fn a_forged_packet_takes_nothing_from_its_victims_limit() {
    let mut filter = filter(|_| {});
    filter.limit_peer(NOW, &packets_per_second(1));
    let packet = encapsulated(&plain(), NOW);
    let mut bad_mac = packet.clone();
    bad_mac[90] ^= 1;
    let mut bad_hash = packet.clone();
    *bad_hash.last_mut().unwrap() ^= 1;
    for _ in 0..100 {
        assert_eq!(reason(&mut filter, &bad_mac), Some(DropReason::BadMac));
        assert_eq!(reason(&mut filter, &bad_hash), Some(DropReason::BadHash));
    }
    assert_eq!(reason(&mut filter, &packet), None, "and the genuine one is neither limited nor a duplicate");
}

#[test]
fn each_limit_has_its_own_reason() {
    let limit = || Arc::new(Limit::from_settings(&packets_per_second(1), NOW));
    let wireguard = || WireGuardSettings { port: 51_820, handshake: limit(), data: limit() };
    type Change<'a> = Box<dyn Fn(&mut Settings) + 'a>;
    let to = |port, payload: &[u8]| udp("10.248.1.1", "10.248.2.1", (1, port), payload);
    let handshake = [&[1, 0, 0, 0][..], &[0; 144]].concat();
    let data = [&[4, 0, 0, 0][..], &[0; 60]].concat();
    let cases: Vec<(Change<'_>, Vec<u8>, DropReason)> = vec![
        (Box::new(|s| s.authenticated = limit()), plain(), DropReason::RateLimitAuthenticated),
        (Box::new(|s| s.overall = limit()), plain(), DropReason::RateLimitOverall),
        (
            Box::new(|s| {
                let prefix = "10.248.2.0/28".parse().unwrap();
                s.destinations = Some(Arc::new(DestinationLimits::new([(prefix, limit())]).unwrap()));
            }),
            plain(),
            DropReason::RateLimitDestination,
        ),
        (
            Box::new(|s| s.wireguard = Some(wireguard())),
            to(51_820, &handshake),
            DropReason::RateLimitWireGuardHandshake,
        ),
        (Box::new(|s| s.wireguard = Some(wireguard())), to(51_820, &data), DropReason::RateLimitWireGuardData),
    ];
    for (change, packet, expected) in cases {
        let mut filter = filter(change);
        let mut sender = A.filter(NOW, |_| {});
        let mut send = || sender.judge(INSIDE, NOW, &packet).1;
        let first_second = [send(), send()].map(|packet| reason(&mut filter, &packet));
        assert_eq!(first_second, [None, Some(expected)]);
    }
    let mut filter = filter(|_| {});
    filter.limit_peer(NOW, &packets_per_second(1));
    let mut sender = A.filter(NOW, |_| {});
    let mut send = || sender.judge(INSIDE, NOW, &plain()).1;
    let verdicts = [send(), send()].map(|packet| reason(&mut filter, &packet));
    assert_eq!(verdicts, [None, Some(DropReason::RateLimitPeer)]);
}

#[test]
fn a_packet_refused_by_one_limit_takes_nothing_from_the_others() {
    let overall = Arc::new(Limit::from_settings(&packets_per_second(2), NOW));
    let mut filter = filter(|settings| settings.overall = Arc::clone(&overall));
    filter.limit_peer(NOW, &packets_per_second(1));
    let mut sender = A.filter(NOW, |_| {});
    let mut send = || sender.judge(INSIDE, NOW, &plain()).1;
    let burst = [send(), send(), send(), send()];
    let burst: Vec<&[u8]> = burst.iter().map(Vec::as_slice).collect();
    let accepted = filter.judge_burst(OUTSIDE, NOW, &burst).iter().filter(|(o, _)| o.verdict.is_forwarded()).count();
    assert_eq!(accepted, 1);
    assert!(overall.check(100, NOW), "the three that the peer's limit refused are not charged to the overall one");
}

#[test]
fn packets_without_proof_pass_within_the_best_effort_limit_only() {
    let limit = Arc::new(Limit::from_settings(&packets_per_second(1), NOW));
    let mut filter = filter(|settings| settings.best_effort = Some(limit));
    let (outcome, bytes) = filter.judge(OUTSIDE, NOW, &plain());
    assert_eq!((outcome.verdict, bytes), (Verdict::BestEffort, plain()));
    assert_eq!(reason(&mut filter, &plain()), Some(DropReason::RateLimitBestEffort));
}

#[test]
fn packets_without_proof_are_refused_when_best_effort_is_off() {
    let mut filter = filter(|settings| settings.best_effort = None);
    assert_eq!(reason(&mut filter, &plain()), Some(DropReason::BestEffortDisabled));
}

#[test]
fn packets_without_proof_are_refused_from_peers_that_must_authenticate() {
    let mut filter = filter(|settings| {
        let route = photongate_pipeline::Route::new(B.peer_key(), true);
        let prefix = "10.248.1.0/24".parse().unwrap();
        settings.routes = photongate_pipeline::routes::RouteTable::new([(prefix, route)]).unwrap();
        settings.best_effort_refusals = true;
    });
    assert_eq!(reason(&mut filter, &plain()), Some(DropReason::BestEffortRefused));
    let other = udp("192.0.2.1", "10.248.2.1", (1, 2), b"x");
    assert_eq!(reason(&mut filter, &other), None);
}

#[test]
fn link_control_goes_where_the_port_says() {
    let arp = ethernet(0x0806, &[0; 46]);
    let neighbour = {
        let solicitation = [135, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut frame = ip("fd00:248:1::1", "fd00:248:1::fe", IpProtocol::ICMPV6, &solicitation);
        frame[14 + 7] = 255;
        frame
    };
    for packet in [arp, neighbour, udp("10.0.0.1", "255.255.255.255", (68, 67), b""), ethernet(0x88cc, &[0; 46])] {
        for (policy, verdict, action) in [
            (ControlPolicy::Kernel, Verdict::Control, Action::Kernel),
            (ControlPolicy::Forward, Verdict::Control, Action::Forward),
            (ControlPolicy::Drop, Verdict::Dropped(DropReason::ControlRefused), Action::Discard),
        ] {
            let outcome = filter(|settings| settings.ports[1].control = policy).judge(OUTSIDE, NOW, &packet).0;
            assert_eq!((outcome.verdict, outcome.action), (verdict, action));
        }
    }
}

#[test]
fn only_what_stays_on_the_link_passes_for_link_control() {
    let spoofed = udp("fe80::1", "fd00:248:2::1", (1, 2), b"from a link-local address, to a host behind the filter");
    let streams = [udp("192.0.2.1", "239.1.2.3", (1, 2), b"x"), udp("2001:db8::1", "ff0e::1", (1, 2), b"x")];
    for policy in [ControlPolicy::Kernel, ControlPolicy::Forward] {
        let closed = |settings: &mut Settings| {
            settings.ports[1].control = policy;
            settings.best_effort = None;
        };
        assert_eq!(reason(&mut filter(closed), &spoofed), Some(DropReason::Malformed));
        for stream in &streams {
            assert_eq!(reason(&mut filter(closed), stream), Some(DropReason::BestEffortDisabled));
        }
    }
}

#[test]
fn link_control_and_what_is_for_the_host_have_a_limit_on_each_port() {
    let mut filter = filter(|settings| {
        for port in &mut settings.ports {
            port.control_limit = Arc::new(Limit::from_settings(&packets_per_second(2), NOW));
            port.addresses = vec!["10.248.2.1".parse().unwrap()];
        }
    });
    let arp = ethernet(0x0806, &[0; 46]);
    let verdicts = [&arp, &plain(), &arp, &plain()].map(|packet| reason(&mut filter, packet));
    assert_eq!(verdicts, [None, None, Some(DropReason::RateLimitControl), Some(DropReason::RateLimitControl)]);
    assert_eq!(filter.judge(INSIDE, NOW, &arp).0.verdict, Verdict::Control, "the flood outside is no matter inside");
    let authenticated = filter.judge(OUTSIDE, NOW, &encapsulated(&plain(), NOW)).0;
    assert_eq!((authenticated.verdict, authenticated.action), (Verdict::Accepted, Action::Kernel));
}

#[test]
fn what_is_for_the_host_itself_goes_to_its_kernel() {
    let own = |settings: &mut Settings| settings.ports[1].addresses = vec!["10.248.2.1".parse().unwrap()];
    let outcome = filter(own).judge(OUTSIDE, NOW, &plain()).0;
    assert_eq!((outcome.verdict, outcome.action), (Verdict::Control, Action::Kernel));
    let (outcome, bytes) = filter(own).judge(OUTSIDE, NOW, &encapsulated(&plain(), NOW));
    assert_eq!((outcome.verdict, outcome.action), (Verdict::Accepted, Action::Kernel));
    assert_eq!(bytes, plain(), "authenticated all the same");
}

#[test]
fn behind_a_nat_the_public_address_enters_the_key() {
    // The peer sends to 203.0.113.7; a NAT turns that into 10.248.2.1, which is what arrives here.
    let mut sender = A.filter(NOW, |settings| {
        let route = photongate_pipeline::Route::new(A.peer_key(), false);
        let prefix = "203.0.113.7/32".parse().unwrap();
        settings.routes = photongate_pipeline::routes::RouteTable::new([(prefix, route)]).unwrap();
    });
    let packet = udp("10.248.1.1", "203.0.113.7", (1, 2), b"hello");
    let (_, mut packet) = sender.judge(INSIDE, NOW, &packet);
    packet[30..34].copy_from_slice(&[10, 248, 2, 1]);
    photongate_wire::Ipv4Mut::parse(&mut packet[14..]).unwrap().fill_checksum();
    assert_eq!(reason(&mut filter(|_| {}), &packet), Some(DropReason::BadMac));
    let public = "203.0.113.7".parse().unwrap();
    assert_eq!(reason(&mut filter(|settings| settings.lf.public_v4 = Some(public)), &packet), None);
}

#[test]
fn keys_change_at_the_end_of_an_epoch_without_a_packet_lost() {
    let change = |settings: &mut Settings| {
        settings.times.epoch = seconds(60);
        settings.times.prefetch = seconds(10);
    };
    let (mut a, mut b) = (A.filter(NOW, change), B.filter(NOW, change));
    for step in 0..400 {
        let sent = UnixNanos(NOW.0 + Nanos::from_millis(500).0 * step);
        let arrival = UnixNanos(sent.0 + Nanos::from_millis(step % 7 * 100).0);
        a.rekey(sent);
        b.rekey(arrival);
        let (outcome, packet) = a.judge(INSIDE, sent, &plain());
        assert_eq!(outcome.verdict, Verdict::Outbound);
        let outcome = b.judge(OUTSIDE, arrival, &packet).0;
        assert_eq!(outcome.verdict, Verdict::Accepted, "packet {step}");
    }
}

#[test]
fn every_packet_is_counted_once_in_total_and_once_for_its_peer() {
    let mut filter = filter(|_| {});
    let packet = encapsulated(&plain(), NOW);
    let mut forged = packet.clone();
    forged[95] ^= 1;
    filter.judge_burst(OUTSIDE, NOW, &[&packet, &forged, &packet, &plain()]);
    let total = filter.pipeline.counters().snapshot();
    assert_eq!(total.received().packets, 4);
    assert_eq!(total.forwarded().packets + total.dropped().packets, 4);
    let peer = filter.peer.tally();
    for (verdict, packets) in [
        (Verdict::Accepted, 1),
        (Verdict::Dropped(DropReason::BadMac), 1),
        (Verdict::Dropped(DropReason::Duplicate), 1),
        (Verdict::BestEffort, 0),
    ] {
        assert_eq!(peer.of(verdict).packets, packets, "{verdict:?}");
    }
    assert_eq!(peer.of(Verdict::Accepted).bytes, packet.len() as u64);
}

fn filter(change: impl FnOnce(&mut Settings)) -> Filter {
    B.filter(NOW, change)
}

fn reason(filter: &mut Filter, packet: &[u8]) -> Option<DropReason> {
    filter.judge(OUTSIDE, NOW, packet).0.verdict.reason()
}

fn packets_per_second(packets: u64) -> LimitSettings {
    LimitSettings { packets_per_second: Some(packets), burst_packets: Some(packets), ..LimitSettings::default() }
}
