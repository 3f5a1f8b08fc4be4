//! Two filters that use `lf2` with one another, and that change to it while packets flow. Needs root, for namespaces.

#![cfg(feature = "dataplane")]

mod support;

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use photongate_agent::api::PeerName;
use photongate_agent::client::{Client, ClientOptions, Server};
use photongate_wire::{Ethernet, IpProtocol, Ipv4, Udp, UdpMut, lf2};
use support::lab::{Direction, Flow, HOST_INTERFACE, RawSocket, Watch};
use support::{HOST_A, HOST_B, LF_PORT, Network, RaisesOnDrop, Setup, TIMEOUT, host};
use tokio::runtime::Runtime;

#[test]
fn ordinary_traffic_passes_and_each_attack_is_refused_for_its_reason() {
    // Two workers: a replay with another UDP port must come to the one that has seen the packet.
    let setup = Setup { workers: 2, peer: r#"encapsulation = "lf2""#, ..Setup::default() };
    let Some(network) = Network::start(setup) else { return };
    network.connect_hosts();
    let [a, b] = &network.sides;
    for address in HOST_B {
        host::ping(&a.host, address, 20).unwrap();
        host::tcp(&a.host, &b.host, address, 1_000_000).unwrap();
    }
    for filter in &network.filters {
        let counters = filter.counters().unwrap();
        assert!(counters.forwarded("accepted") > 40 && counters.dropped.is_empty(), "{counters:?}");
        assert!(!counters.forwarded.contains_key("best_effort"), "{counters:?}");
    }
    // 44 bytes less than Ethernet's 1500; less IPv4's and ICMP's headers that is 1428.
    let ping = |size: &str| {
        let output =
            a.host.command("ping").args(["-n", "-c", "2", "-W", "3", "-M", "do", "-s", size, "10.248.2.1"]).output();
        let output = output.unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).replace(' ', ""))
    };
    assert!(ping("1428").0);
    let (passed, output) = ping("1429");
    assert!(!passed && output.contains("mtu=1456"), "{output}");

    let attacker = network.internet.attacker_socket().unwrap();
    let arrived = Watch::start(&b.host, HOST_INTERFACE).unwrap();
    let arrived = |port| arrived.count(Direction::In, Flow::Udp(port));
    let _listening = host::listen_udp(&b.host, &HOST_B, 7000).unwrap();

    let genuine = overhear(&network, &attacker, 7000, 20);
    network.eventually("genuine packets to arrive", || Ok(arrived(7000) == 20));
    network.refused(&attacker, "duplicate", genuine.clone());
    network.refused(
        &attacker,
        "duplicate",
        genuine.iter().zip(1024..).map(|(packet, port)| {
            let mut packet = packet.clone();
            packet[UDP_AT..UDP_AT + 2].copy_from_slice(&u16::to_be_bytes(port));
            packet
        }),
    );

    network.internet.set_connected(b, false).unwrap();
    let held_back = overhear(&network, &attacker, 7001, 20);
    network.internet.set_connected(b, true).unwrap();
    let changed = |at: usize, bit: u8| {
        held_back.iter().map(move |packet| {
            let mut packet = packet.clone();
            packet[HEADER_AT + at] ^= bit;
            UdpMut::parse(&mut packet[UDP_AT..]).unwrap().set_checksum(0);
            packet
        })
    };
    network.refused(&attacker, "malformed_header", changed(0, 1));
    network.refused(&attacker, "bad_mac", changed(1, 1));
    network.refused(&attacker, "unknown_peer", changed(11, 0x55));
    network.refused(&attacker, "bad_mac", changed(19, 1));
    network.refused(&attacker, "bad_mac", changed(35, 0x80));
    network.refused(&attacker, "bad_mac", changed(lf2::HEADER_LEN, 1));
    network.refused(&attacker, "bad_mac", changed(lf2::HEADER_LEN + 10, 1));
    assert_eq!(arrived(7001), 0, "an altered packet arrived");

    // None of the attempts has spoilt the packets themselves.
    network.send(&attacker, held_back.iter().cloned());
    network.eventually("held-back packets to arrive", || Ok(arrived(7001) == 20));
    network.stop();
}

#[test]
fn both_ends_change_from_lf_to_lf2_and_back_without_a_packet_lost() {
    let Some(network) = Network::start(Setup { own_list: true, ..Setup::default() }) else { return };
    network.connect_hosts();
    let attacker = network.internet.attacker_socket().unwrap();
    let operators = ['a', 'b'].map(|letter| Operator::at(&network, letter));
    let before = network.filters.each_ref().map(|filter| filter.counters().unwrap());
    let [a, b] = &network.sides;
    let flows = [(a, HOST_A[0], b, HOST_B[0]), (b, HOST_B[1], a, HOST_A[1])].map(|(from, source, to, destination)| {
        let bind = |side: &support::lab::Side, address| side.host.enter(|| Ok(UdpSocket::bind((address, 0))?)).unwrap();
        let (sender, receiver) = (bind(from, source), bind(to, destination));
        receiver.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        (sender, receiver)
    });
    let counts = flows.each_ref().map(|_| [AtomicU64::new(0), AtomicU64::new(0)]);
    let (stop, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        for ((sender, receiver), [sent, received]) in flows.iter().zip(&counts) {
            let (stop, done) = (&stop, &done);
            scope.spawn(move || {
                let to = receiver.local_addr().unwrap();
                while !stop.load(Ordering::Relaxed) {
                    sender.send_to(b"a datagram of a flow", to).unwrap();
                    sent.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(3));
                }
            });
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    received.fetch_add(receiver.recv(&mut [0; 64]).is_ok().into(), Ordering::Relaxed);
                }
            });
        }
        let (_stops, _ends) = (RaisesOnDrop(&stop), RaisesOnDrop(&done));
        let steps = [
            r#"accept = ["lf", "lf2"]"#,
            "encapsulation = \"lf2\"\naccept = [\"lf\", \"lf2\"]",
            r#"encapsulation = "lf2""#,
            "encapsulation = \"lf2\"\naccept = [\"lf\", \"lf2\"]",
            r#"accept = ["lf", "lf2"]"#,
            "",
        ];
        for (index, step) in steps.into_iter().enumerate() {
            for operator in &operators {
                operator.change(step);
                // Some packets of both flows under each pair of settings.
                let so_far = counts.each_ref().map(|[_, received]| received.load(Ordering::Relaxed));
                network.eventually("packets to arrive", || {
                    Ok(counts
                        .iter()
                        .zip(so_far)
                        .all(|([_, received], before)| received.load(Ordering::Relaxed) > before + 20))
                });
            }
            let (encapsulation, port) = if (1..4).contains(&index) { ("lf2", LF2_PORT) } else { ("lf", LF_PORT) };
            assert_eq!(operators[0].sends(), encapsulation);
            attacker.drain().unwrap();
            let passing = network.patience.until("a packet to pass by", TIMEOUT, || {
                while let Some((_, frame)) = attacker.receive()? {
                    if let Some(port) = port_of(&frame) {
                        return Ok(Some(port));
                    }
                }
                Ok(None)
            });
            assert_eq!(passing.unwrap(), port, "after step {index}");
        }
        stop.store(true, Ordering::Relaxed);
        network.eventually("all packets to arrive", || {
            Ok(counts.iter().all(|[sent, received]| sent.load(Ordering::Relaxed) == received.load(Ordering::Relaxed)))
        });
    });
    for (filter, before) in network.filters.iter().zip(before) {
        assert_eq!(filter.counters().unwrap().dropped_since(&before), [].into());
    }

    // A peer that is to send nothing but lf2 is not heard in LF.
    operators[1].change(r#"encapsulation = "lf2""#);
    let refused = || network.filters[1].counters().unwrap().dropped("malformed_header");
    assert!(host::ping(&a.host, HOST_B[0], 2).is_err());
    assert!(refused() >= 2, "{} packets were refused", refused());
    network.stop();
}

/// Whoever changes the list of one of the filters.
struct Operator {
    list: PathBuf,
    letter: char,
    client: Client,
    runtime: Runtime,
}

impl Operator {
    fn at(network: &Network, letter: char) -> Self {
        let (name, directory) = (support::filter_name(letter), network.directory.path());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = Server::socket(&directory.join(format!("{name}-api.sock")));
        let client = runtime.block_on(async { Client::new(server, &ClientOptions::default()) }).unwrap();
        Self { list: directory.join(format!("{name}-peers.toml")), letter, client, runtime }
    }

    /// Gives the peer these fields, and returns when they are in force.
    fn change(&self, fields: &str) {
        let new = self.list.with_extension("new");
        fs::write(&new, format!("{}{fields}\n", support::peer_list(self.letter, 0))).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, &self.list).unwrap();
        self.runtime.block_on(self.client.reload()).unwrap();
    }

    fn sends(&self) -> String {
        let isd_as = if self.letter == 'a' { "20-ff00:0:112" } else { "1-ff00:0:111" };
        let peer = PeerName { isd_as: isd_as.to_owned(), drkey_protocol: 3 };
        self.runtime.block_on(self.client.peer(&peer)).unwrap().encapsulation
    }
}

/// What passes the attacker by of `count` datagrams to host B's IPv4 address, UDP port `port`.
fn overhear(network: &Network, attacker: &RawSocket, port: u16, count: usize) -> Vec<Vec<u8>> {
    attacker.drain().unwrap();
    host::udp(&network.sides[0].host, &HOST_B[..1], port, count).unwrap();
    let mut overheard = Vec::new();
    let heard = network.patience.until("the attacker to overhear host A", TIMEOUT, || {
        while let Some((direction, mut frame)) = attacker.receive()? {
            let inner = frame.get(HEADER_AT + lf2::HEADER_LEN + 2..).and_then(<[u8]>::first_chunk);
            let is_wanted = inner.is_some_and(|inner| u16::from_be_bytes(*inner) == port);
            if direction == Direction::In && port_of(&frame) == Some(LF2_PORT) && is_wanted {
                frame.truncate(14 + Ipv4::parse(&frame[14..]).unwrap().datagram().len());
                overheard.push(frame);
            }
            if overheard.len() == count {
                return Ok(Some(()));
            }
        }
        Ok(None)
    });
    heard.unwrap();
    overheard
}

/// The UDP destination port of a packet over IPv4.
fn port_of(frame: &[u8]) -> Option<u16> {
    let ip = Ipv4::parse(Ethernet::parse(frame).ok()?.payload()).ok().filter(|ip| ip.protocol() == IpProtocol::UDP)?;
    Some(Udp::parse(ip.payload()).ok()?.destination_port())
}

const LF2_PORT: u16 = 49148;

/// Where UDP's header begins in a frame over IPv4, and where ours does.
const UDP_AT: usize = 14 + 20;
const HEADER_AT: usize = UDP_AT + 8;
