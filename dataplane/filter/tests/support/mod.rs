//! What the tests share: one environment, two ASes that share a key, packets between them, and capture files as ports.

#![allow(dead_code, reason = "each test file uses its own part")]

use photongate_crypto::{Key, backend};
use photongate_dpdk::Eal;
use photongate_dpdk::eal::{EalConfig, Memory};
use photongate_drkey::{KeyTimes, Protocol, Rotation, SharedSecret, SharedSecrets};
use photongate_filter::{
    ControlSocketOptions, Device, DpdkOptions, FilterOptions, MemoryOptions, PeerOptions, PortOptions, WorkerOptions,
};
use photongate_pipeline::duplicates::Sizing;
use photongate_pipeline::limits::{Limit, LimitSettings};
use photongate_pipeline::routes::RouteTable;
use photongate_pipeline::timestamps::TimestampIssuer;
use photongate_pipeline::{
    Clock, ControlPolicy, Entry, Frame, LfSettings, MemoryDictionary, NextHop, Outcome, Parts, PeerKey, PeerState,
    Pipeline, PortIndex, PortSettings, Role, Route, Settings, SourcePort, UnknownDestination, Verdict,
};
use photongate_wire::{IsdAs, MacAddress, Nanos, UnixNanos};
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The one environment of a test process, with two worker lcores, and the right to be the only test that uses it.
pub(crate) fn eal() -> (Eal, MutexGuard<'static, ()>) {
    static EAL: OnceLock<Eal> = OnceLock::new();
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let eal = EAL.get_or_init(|| {
        let config = EalConfig {
            // They take turns if there is only one processor.
            worker_cpus: vec![first_cpu(), last_cpu()],
            memory: Memory::Ordinary { mib: 256 },
            file_prefix: format!("photongate-test-{}", std::process::id()),
            ..EalConfig::default()
        };
        Eal::init(config).expect("an environment without hugepages and devices comes up anywhere")
    });
    (*eal, turn)
}

/// Options for a filter between 10.1.0.0/16 inside and its peer, 10.2.0.0/16, outside, with as many workers as given.
///
/// It has few buffers, because DPDK keeps them until the process ends.
pub(crate) fn options(inside: &str, outside: &str, workers: usize) -> FilterOptions {
    let times = TIMES;
    let port = |device: &str| PortOptions {
        device: Device::Virtual(device.to_owned()),
        exception: None,
        checksum_offload: true,
    };
    FilterOptions {
        settings: settings(LOCAL, PEER, "10.2.0.0/16", times),
        ports: vec![port(inside), port(outside)],
        peers: vec![PeerOptions {
            key: peer_key(PEER),
            limit: LimitSettings::default(),
            keys: rotation(LOCAL, PEER, times).key_set(now()),
        }],
        max_peers: 16,
        duplicates: Some(Sizing::new(1_000_000, 1e-9, times.time_threshold, 1 << 30, workers).unwrap()),
        workers: WorkerOptions {
            count: workers,
            cores: None,
            burst: 32,
            adaptive_polling: true,
            backend: backend::detect(),
        },
        memory: MemoryOptions { hugepages: false, mib: 256, buffers: 2047 },
        dpdk: DpdkOptions { name: "photongate-test".to_owned(), arguments: Vec::new(), telemetry: false },
        control: ControlSocketOptions { path: None, is_required: false },
    }
}

pub(crate) fn settings(local: &str, peer: &str, prefix: &str, times: KeyTimes) -> Settings {
    let route = Route::new(peer_key(peer), false);
    let port = |name: &str, role, forward_to| PortSettings {
        name: name.to_owned(),
        role,
        forward_to: PortIndex(forward_to),
        mtu: 1500,
        mac: MacAddress([2, 0, 0, 0, 0, forward_to]),
        next_hop: NextHop::Keep,
        control: ControlPolicy::Forward,
        control_limit: Arc::new(Limit::UNLIMITED),
        addresses: Vec::new(),
        udp_checksum_offload: false,
    };
    Settings {
        local: local.parse().unwrap(),
        lf: LfSettings {
            port: LF_PORT,
            lf2_port: LF_PORT - 1,
            protocol: Protocol(3),
            source_port: SourcePort::Fixed,
            public_v4: None,
            public_v6: None,
        },
        times,
        ports: vec![port("inside", Role::Inside, 1), port("outside", Role::Outside, 0)],
        routes: RouteTable::new([(prefix.parse().unwrap(), route)]).unwrap(),
        best_effort_refusals: false,
        accept_lf2: false,
        overall: Arc::new(Limit::UNLIMITED),
        authenticated: Arc::new(Limit::UNLIMITED),
        best_effort: Some(Arc::new(Limit::UNLIMITED)),
        destinations: None,
        wireguard: None,
        outbound_unknown: UnknownDestination::Forward,
        reassemble: false,
        clamp_mss: false,
        inbound_next_hop: None,
        outbound_next_hop: None,
        icmp_errors: Arc::new(Limit::UNLIMITED),
    }
}

pub(crate) fn rotation(local: &str, peer: &str, times: KeyTimes) -> Rotation {
    let day = Nanos::from_secs(24 * 60 * 60);
    let not_before = UnixNanos(now().0 / day.0 * day.0).saturating_sub(day);
    let secret = SharedSecret::new(Key::from_bytes(*b"0123456789abcdef"), not_before).unwrap();
    Rotation::new(parse(local), parse(peer), SharedSecrets::new(vec![secret]), times).unwrap()
}

pub(crate) fn peer_key(isd_as: &str) -> PeerKey {
    PeerKey { isd_as: parse(isd_as), protocol: Protocol(3) }
}

/// `packets`, which the peer's hosts send, as the peer's filter encapsulates them at `sent`.
pub(crate) fn from_peer(packets: &[Vec<u8>], sent: UnixNanos) -> Vec<Vec<u8>> {
    let settings = Arc::new(settings(PEER, LOCAL, "10.1.0.0/16", TIMES));
    let peer = Arc::new(PeerState::new(peer_key(LOCAL), Limit::UNLIMITED, 1));
    let mut dictionary = MemoryDictionary::default();
    dictionary.insert(Entry::new(peer, rotation(PEER, LOCAL, TIMES).key_set(sent)));
    let mut pipeline = Pipeline::new(Parts {
        settings,
        backend: backend::detect(),
        duplicates: None,
        issuer: TimestampIssuer::new(0, 1, TIMES.time_threshold),
        worker: 0,
    });
    let encapsulate = |packet: &Vec<u8>| {
        let mut buffer = [&[0; 128], packet.as_slice()].concat();
        let end = buffer.len();
        let mut frames = [Frame::new(&mut buffer, 128, end, PortIndex(0))];
        let mut outcomes = [Outcome::UNDECIDED];
        let clock = Clock { unix: sent, monotonic: sent };
        pipeline.process(&dictionary, clock, &mut frames, &mut outcomes, &mut ());
        assert_eq!(outcomes[0].verdict, Verdict::Outbound);
        frames[0].bytes().to_vec()
    };
    packets.iter().map(encapsulate).collect()
}

/// A frame with a UDP packet of `payload` bytes, the first of which are `number`.
pub(crate) fn udp(source: [u8; 4], destination: [u8; 4], number: u32, payload: usize) -> Vec<u8> {
    let udp_len = 8 + payload;
    let mut datagram = ipv4(source, destination, 17, 20 + udp_len, 0);
    datagram.extend([0x30, 0x39, 0xd4, 0x31]);
    datagram.extend((udp_len as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(number.to_be_bytes().into_iter().chain(std::iter::repeat(7)).take(payload));
    ethernet(&datagram)
}

/// The fragments of a UDP packet whose IP payload is `payload` bytes, each with at most `most` of them, a multiple of 8.
pub(crate) fn fragments(source: [u8; 4], destination: [u8; 4], payload: usize, most: usize) -> Vec<Vec<u8>> {
    let whole = udp(source, destination, 1, payload - 8);
    let body = &whole[34..];
    let piece = |(index, piece): (usize, &[u8])| {
        let is_last = index * most + piece.len() == body.len();
        let flags = (index * most / 8) as u16 | if is_last { 0 } else { 0x2000 };
        let mut datagram = ipv4(source, destination, 17, 20 + piece.len(), flags);
        datagram.extend(piece);
        ethernet(&datagram)
    };
    body.chunks(most).enumerate().map(piece).collect()
}

fn ipv4(source: [u8; 4], destination: [u8; 4], protocol: u8, total: usize, fragment: u16) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend((total as u16).to_be_bytes());
    header.extend([0x12, 0x34]);
    header.extend(fragment.to_be_bytes());
    header.extend([64, protocol, 0, 0]);
    header.extend(source.into_iter().chain(destination));
    let sum: u32 = header.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    header[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    header
}

fn ethernet(datagram: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0], datagram].concat()
}

/// `frame`, an encapsulated packet, with another UDP source port.
pub(crate) fn with_source_port(frame: &[u8], port: u16) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[34..36].copy_from_slice(&port.to_be_bytes());
    // No checksum, as IPv4 allows: the MAC does not cover it.
    frame[40..42].fill(0);
    frame
}

/// Writes a capture file of `frames`.
pub(crate) fn capture(directory: &Path, name: &str, frames: &[Vec<u8>]) -> PathBuf {
    let path = directory.join(name);
    let mut file = pcap_file::pcap::PcapWriter::new(File::create(&path).unwrap()).unwrap();
    for frame in frames {
        let packet = pcap_file::pcap::PcapPacket::new(Duration::ZERO, frame.len() as u32, frame);
        file.write_packet(&packet).unwrap();
    }
    path
}

/// Reads a capture file.
pub(crate) fn captured(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = pcap_file::pcap::PcapReader::new(File::open(path).unwrap()).unwrap();
    std::iter::from_fn(|| Some(reader.next_packet()?.unwrap().data.into_owned())).collect()
}

/// Waits until `is_so`, at most ten seconds.
pub(crate) fn wait_until(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it did not happen in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn now() -> UnixNanos {
    UnixNanos(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64)
}

pub(crate) fn address(text: &str) -> [u8; 4] {
    text.parse::<Ipv4Addr>().unwrap().octets()
}

fn parse(isd_as: &str) -> IsdAs {
    isd_as.parse().unwrap()
}

fn first_cpu() -> usize {
    photongate_dpdk::eal::CpuSet::usable().iter().next().unwrap()
}

fn last_cpu() -> usize {
    photongate_dpdk::eal::CpuSet::usable().iter().last().unwrap()
}

pub(crate) const LOCAL: &str = "1-ff00:0:111";
pub(crate) const PEER: &str = "1-ff00:0:112";
pub(crate) const LF_PORT: u16 = 49149;

pub(crate) const TIMES: KeyTimes = KeyTimes {
    epoch: Nanos::from_secs(3 * 24 * 60 * 60),
    prefetch: Nanos::from_secs(30),
    grace: Nanos::from_secs(2),
    time_threshold: Nanos::from_secs(2),
};
