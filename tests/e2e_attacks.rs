//! What an attacker between two filters can try, each with its own reason to be refused. Needs root, for namespaces.

#![cfg(feature = "dataplane")]

mod support;

use std::time::Duration;

use photongate_wire::{Ipv4Mut, lf};
use support::lab::{Direction, Flow, HOST_INTERFACE, Watch};
use support::{HOST_A, HOST_B, Network, Setup, frames, host};

#[test]
fn each_attack_is_refused_for_its_own_reason_and_every_packet_is_counted() {
    // Two workers: a replay with another UDP port must come to the one that has seen the packet.
    let setup = Setup { workers: 2, peer: r#"best_effort = "drop""#, sections: LIMITS, ..Setup::default() };
    let Some(network) = Network::start(setup) else { return };
    network.connect_hosts();
    let attacker = network.internet.attacker_socket().unwrap();
    let arrived = Watch::start(&network.sides[1].host, HOST_INTERFACE).unwrap();
    let arrived = |port| arrived.count(Direction::In, Flow::Udp(port));
    let _listening = host::listen_udp(&network.sides[1].host, &HOST_B, 7000).unwrap();

    let genuine = network.overhear(&attacker, 7000, 50);
    network.eventually("genuine packets to arrive", || Ok(arrived(7000) == 100));
    network.refused(&attacker, "duplicate", genuine.iter().map(|packet| packet.frame().to_vec()));
    let other_ports = genuine.iter().zip(1024..).map(|(packet, port)| packet.with_source_port(port));
    network.refused(&attacker, "duplicate", other_ports);

    let held_back = network.intercept(&attacker, 7001, 50);
    let flipped = held_back.iter().enumerate().map(|(index, packet)| packet.with_header_bit_flipped(index));
    network.refused(&attacker, "bad_mac", flipped);
    let flipped = held_back.iter().enumerate().map(|(index, packet)| packet.with_payload_bit_flipped(index));
    network.refused(&attacker, "bad_hash", flipped);
    let forged: Vec<_> = held_back.iter().zip(0..).map(|(packet, n)| packet.imitated(n, 7001).unwrap()).collect();
    network.refused(&attacker, "bad_mac", forged);
    let renamed = held_back.iter().map(|packet| with_header_byte(packet.frame(), 7, 0x55));
    network.refused(&attacker, "unknown_peer", renamed);
    let reserved = held_back.iter().map(|packet| with_header_byte(packet.frame(), 10, 1));
    network.refused(&attacker, "malformed_header", reserved);
    let later = held_back.iter().map(|packet| sent_a_minute_later(packet.frame()));
    network.refused(&attacker, "timestamp_in_future", later);
    assert_eq!(arrived(7001), 0, "an altered packet arrived");

    // None of the attempts has spoilt the packets themselves.
    let accepted = network.filters[1].counters().unwrap().forwarded("accepted");
    network.send(&attacker, held_back.iter().map(|packet| packet.frame().to_vec()));
    network.eventually("held-back packets to arrive", || Ok(arrived(7001) == 100));
    assert_eq!(network.filters[1].counters().unwrap().forwarded("accepted"), accepted + 100);

    let plain = (0..50).map(|_| frames::udp(HOST_A[0], HOST_B[0], 7002, b"trust me"));
    network.refused(&attacker, "best_effort_refused", plain);
    network.refused(&attacker, "malformed", (0..50).map(|_| damaged(16, 0xff)));
    network.refused(&attacker, "bad_ip_checksum", (0..50).map(|_| damaged(24, 0xff)));
    network.refused(&attacker, "fragment_inbound", (0..50).map(|_| fragment()));
    network.refused(&attacker, "unsupported_protocol", (0..50).map(|_| damaged(12, 0x70)));
    assert_eq!(arrived(7002), 0, "a packet without a proof of origin arrived");

    network.patience.sleep(Duration::from_secs(3)).unwrap();
    network.refused(&attacker, "timestamp_too_old", genuine.iter().map(|packet| packet.frame().to_vec()));
    network.stop();
}

#[test]
fn a_flood_passes_only_up_to_its_limit() {
    let setup = Setup { workers: 2, sections: LIMITS, peer: PEER_LIMIT, ..Setup::default() };
    let Some(network) = Network::start(setup) else { return };
    network.connect_hosts();
    let attacker = network.internet.attacker_socket().unwrap();
    let watch = Watch::start(&network.sides[1].host, HOST_INTERFACE).unwrap();
    let _listening = host::listen_udp(&network.sides[1].host, &HOST_B, 7000).unwrap();

    let before = network.filters[1].counters().unwrap();
    let start = std::time::Instant::now();
    let sent = network.send(&attacker, (0..2_000).map(|_| frames::udp(frames::NOWHERE, HOST_B[0], 7003, b"flood")));
    let most = 100.0 * (start.elapsed().as_secs_f64() + 1.0);
    let now = network.filters[1].counters().unwrap();
    let (passed, refused) = (
        now.forwarded("best_effort") - before.forwarded("best_effort"),
        now.dropped("rate_limit_best_effort") - before.dropped("rate_limit_best_effort"),
    );
    assert_eq!(passed + refused, sent);
    assert!(passed as f64 <= most * 1.01, "{passed} passed, of at most {most}");
    network.eventually("what passed to arrive", || Ok(watch.count(Direction::In, Flow::Udp(7003)) == passed));

    // A peer that proves its origin, and sends too much.
    let start = std::time::Instant::now();
    host::udp(&network.sides[0].host, &HOST_B[..1], 7000, 2_000).unwrap();
    let peer = |name: &str| {
        let now = network.filters[1].counters().unwrap();
        if name == "accepted" { now.forwarded(name) - before.forwarded(name) } else { now.dropped(name) }
    };
    network.eventually("2000 datagrams", || Ok(peer("accepted") + peer("rate_limit_peer") >= 2_000));
    let most = 200.0 * (start.elapsed().as_secs_f64() + 1.0);
    assert!(peer("accepted") as f64 <= most * 1.01, "{} accepted, of at most {most}", peer("accepted"));
    assert!(peer("rate_limit_peer") > 0);
    assert_eq!(watch.count(Direction::In, Flow::Udp(7000)), peer("accepted"));
    network.stop();
}

/// `frame`, over IPv4 or IPv6, with another byte in the LF header.
fn with_header_byte(frame: &[u8], at: usize, value: u8) -> Vec<u8> {
    let ip_header = if frame[12] == 0x08 { 20 } else { 40 };
    let header = 14 + ip_header + 8;
    assert!(frame.len() >= header + lf::HEADER_LEN);
    let mut frame = frame.to_vec();
    frame[header + at] = value;
    frame
}

/// The frame, with a later timestamp. An arbitrary one might lie nearer to the past, as one of the epoch before.
fn sent_a_minute_later(frame: &[u8]) -> Vec<u8> {
    let ip_header = if frame[12] == 0x08 { 20 } else { 40 };
    let at = 14 + ip_header + 8 + TIMESTAMP;
    let mut frame = frame.to_vec();
    let field = frame[at..].first_chunk_mut::<8>().unwrap();
    *field = (u64::from_be_bytes(*field) + 60_000_000_000).to_be_bytes();
    frame
}

/// A plain datagram to host B, with another byte in place of the one at `at`.
fn damaged(at: usize, value: u8) -> Vec<u8> {
    let mut frame = frames::udp(frames::NOWHERE, HOST_B[0], 7002, b"damaged");
    frame[at] = value;
    frame
}

/// The first fragment of a datagram to host B.
fn fragment() -> Vec<u8> {
    let mut frame = damaged(20, 0x20);
    Ipv4Mut::parse(&mut frame[14..]).unwrap().fill_checksum();
    frame
}

const LIMITS: &str = "[best_effort]\nlimit = { packets_per_second = 100, burst_packets = 100 }";
const PEER_LIMIT: &str = "limit = { packets_per_second = 200, burst_packets = 200 }";

/// Offset of the timestamp in the LF header (docs/protocol/lf.md).
const TIMESTAMP: usize = 12;
