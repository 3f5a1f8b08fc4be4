//! A filter as a pipeline without ports, and packets for it: the same in each run.

#![forbid(unsafe_code)]

use photongate_crypto::{Backend, Key};
use photongate_drkey::{AsAsKey, Epoch, KeySet, KeyTimes, Protocol};
use photongate_pipeline::duplicates::{DuplicateFilter, Sizing};
use photongate_pipeline::limits::Limit;
use photongate_pipeline::routes::RouteTable;
use photongate_pipeline::timestamps::TimestampIssuer;
use photongate_pipeline::{
    Clock, ControlPolicy, DropReason, Entry, Frame, KeyDictionary, LfSettings, NextHop, Outcome, Parts, PeerKey,
    PeerState, Pipeline, PortIndex, PortSettings, Role, Route, Settings, SourcePort, UnknownDestination, Verdict,
};
use photongate_wire::{IpProtocol, IsdAs, MacAddress, Nanos, UnixNanos, checksum, lf, udp};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// An authenticated packet of a peer.
    In,
    /// A packet to a peer.
    Out,
    /// As `In`, with a wrong MAC.
    InBadMac,
}

/// A filter, the peers it knows, and what makes packets for it.
pub struct Site {
    /// What judges the packets.
    pub pipeline: Pipeline,
    /// The peers it knows.
    pub peers: Peers,
    /// When all packets arrive.
    pub now: Clock,
    /// The filters of the peers, which encapsulate what comes in.
    senders: Vec<(Pipeline, Peers)>,
    direction: Direction,
    made: usize,
}

/// The key dictionary: a peer's number is found in its AS number. So what a look-up costs does not depend on a hash.
pub struct Peers {
    entries: Vec<Entry>,
}

/// A packet in a buffer with room to grow.
pub struct Packet {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Direction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::In, Self::Out, Self::InBadMac];

    /// As `photongate bench pipeline` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::InBadMac => "in-bad-mac",
        }
    }

    /// What becomes of these packets.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::In => Verdict::Accepted,
            Self::Out => Verdict::Outbound,
            Self::InBadMac => Verdict::Dropped(DropReason::BadMac),
        }
    }

    const fn port(self) -> PortIndex {
        match self {
            Self::Out => INSIDE,
            Self::In | Self::InBadMac => OUTSIDE,
        }
    }
}

impl Site {
    /// A filter that has seen no packet.
    pub fn new(backend: &'static dyn Backend, direction: Direction) -> Self {
        let sender = |peer| {
            let pipeline = pipeline(backend, peer_key(peer).isd_as, &[(LOCAL_HOST, LOCAL)], None);
            (pipeline, Peers::new(&[LOCAL]))
        };
        let sizing = Sizing::new(10_000, 1e-6, KeyTimes::default().time_threshold, 1 << 26, 1).expect("it is small");
        let duplicates = DuplicateFilter::new(&sizing, [0x5eed, 0x0dd5]);
        let all: Vec<PeerKey> = (0..PEERS).map(peer_key).collect();
        let prefixes: Vec<_> = (0..PEERS).map(|peer| (host(peer), peer_key(peer))).collect();
        Self {
            pipeline: pipeline(backend, LOCAL.isd_as, &prefixes, Some(duplicates)),
            peers: Peers::new(&all),
            now: Clock { unix: NOW, monotonic: NOW },
            senders: (0..PEERS).map(sender).collect(),
            direction,
            made: 0,
        }
    }

    /// A packet that was never made before, from or to each peer in turn.
    ///
    /// # Panics
    /// If no IP packet has room for `payload_len` bytes.
    pub fn packet(&mut self, payload_len: usize) -> Packet {
        let peer = self.made as u16 % PEERS;
        self.made += 1;
        let mut payload = vec![0x5a; payload_len];
        payload.iter_mut().zip(self.made.to_le_bytes()).for_each(|(byte, number)| *byte = number);
        if self.direction == Direction::Out {
            return Packet::new(LOCAL_HOST, host(peer), &payload);
        }
        let mut packet = Packet::new(host(peer), LOCAL_HOST, &payload);
        let (sender, peers) = &mut self.senders[usize::from(peer)];
        let mut frame = packet.frame(Direction::Out);
        let mut outcome = [Outcome::UNDECIDED];
        sender.process(peers, self.now, std::slice::from_mut(&mut frame), &mut outcome, &mut ());
        assert_eq!(outcome[0].verdict, Verdict::Outbound, "{payload_len} bytes");
        if self.direction == Direction::InBadMac {
            frame.bytes_mut()[HEADERS + udp::HEADER_LEN + lf::HEADER_LEN - 1] ^= 1;
        }
        (packet.start, packet.end) = (frame.range().start, frame.range().end);
        packet
    }
}

impl Peers {
    fn new(keys: &[PeerKey]) -> Self {
        let entry = |key: &PeerKey| {
            let epoch = Epoch { start: NOW.saturating_sub(Nanos::from_secs(3600)), end: NOW.saturating_add(DAY) };
            let shared = || Some(AsAsKey::new(&Key::from_bytes([0x5a; Key::LEN]), epoch));
            let keys = KeySet { inbound: shared(), outbound: shared(), ..KeySet::default() };
            Entry::new(Arc::new(PeerState::new(*key, Limit::UNLIMITED, 1)), keys)
        };
        Self { entries: keys.iter().map(entry).collect() }
    }
}

impl KeyDictionary for Peers {
    fn look_up<'d>(&'d self, keys: &[PeerKey], entries: &mut [Option<&'d Entry>]) {
        for (key, found) in keys.iter().zip(entries) {
            let [.., high, low] = key.isd_as.to_be_bytes();
            *found = self.entries.get(usize::from(u16::from_be_bytes([high, low])));
        }
    }
}

impl Packet {
    fn new(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Self {
        let length = u16::try_from(HEADERS - ETHERNET + payload.len()).expect("it fits an IP packet");
        let [l0, l1] = length.to_be_bytes();
        let mut ip = [0x45, 0, l0, l1, 0, 0, 0x40, 0, 64, IpProtocol::UDP.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        ip[12..16].copy_from_slice(&source.octets());
        ip[16..].copy_from_slice(&destination.octets());
        let sum = checksum::internet(&ip).to_be_bytes();
        ip[10..12].copy_from_slice(&sum);
        let ethernet = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00];
        let buffer = [&[0; HEADROOM], &ethernet[..], &ip, payload].concat();
        Self { start: HEADROOM, end: buffer.len(), buffer }
    }

    /// The packet as it arrives.
    pub fn frame(&mut self, direction: Direction) -> Frame<'_> {
        Frame::new(&mut self.buffer, self.start, self.end, direction.port())
    }
}

fn pipeline(
    backend: &'static dyn Backend,
    local: IsdAs,
    peers: &[(Ipv4Addr, PeerKey)],
    duplicates: Option<DuplicateFilter>,
) -> Pipeline {
    let port = |role, forward_to| PortSettings {
        name: String::new(),
        role,
        forward_to,
        mtu: 9216,
        mac: MacAddress([2, 0, 0, 0, 0, 1]),
        next_hop: NextHop::Address(MacAddress([2, 0, 0, 0, 0, 9])),
        control: ControlPolicy::Drop,
        control_limit: Arc::new(Limit::UNLIMITED),
        addresses: Vec::new(),
        udp_checksum_offload: false,
    };
    let route = |&(host, peer): &(Ipv4Addr, PeerKey)| (IpAddr::from(host).into(), Route::new(peer, false));
    let settings = Settings {
        local,
        lf: LfSettings {
            port: 49_149,
            lf2_port: 49_148,
            protocol: PROTOCOL,
            source_port: SourcePort::Fixed,
            public_v4: None,
            public_v6: None,
        },
        times: KeyTimes::default(),
        ports: vec![port(Role::Inside, OUTSIDE), port(Role::Outside, INSIDE)],
        routes: RouteTable::new(peers.iter().map(route)).expect("every peer has a prefix of its own"),
        best_effort_refusals: false,
        accept_lf2: false,
        overall: Arc::new(Limit::UNLIMITED),
        authenticated: Arc::new(Limit::UNLIMITED),
        best_effort: None,
        destinations: None,
        wireguard: None,
        outbound_unknown: UnknownDestination::Drop,
        reassemble: false,
        clamp_mss: false,
        inbound_next_hop: None,
        outbound_next_hop: None,
        icmp_errors: Arc::new(Limit::UNLIMITED),
    };
    let threshold = settings.times.time_threshold;
    Pipeline::new(Parts {
        settings: Arc::new(settings),
        backend,
        duplicates,
        issuer: TimestampIssuer::new(0, 1, threshold),
        worker: 0,
    })
}

fn peer_key(peer: u16) -> PeerKey {
    PeerKey { isd_as: IsdAs::from_bits(1 << 48 | 0xff00_0000_0000 | u64::from(peer)), protocol: PROTOCOL }
}

fn host(peer: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(10 << 24 | u32::from(peer))
}

/// Packets in a burst, as the filter's default is.
pub const BURST: usize = 32;

const PEERS: u16 = 16;

/// Ends in 0 like the only entry of the dictionary in which it is.
const LOCAL: PeerKey = PeerKey { isd_as: IsdAs::from_bits(2 << 48 | 0xff00_0000_0000), protocol: PROTOCOL };

/// An address set aside for benchmarks (RFC 2544).
const LOCAL_HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

const PROTOCOL: Protocol = Protocol(3);
const INSIDE: PortIndex = PortIndex(0);
const OUTSIDE: PortIndex = PortIndex(1);
const ETHERNET: usize = 14;

/// Ethernet and IPv4.
const HEADERS: usize = ETHERNET + 20;

/// As DPDK leaves it.
const HEADROOM: usize = 128;

/// 2026-11-21T03:00:00Z
const NOW: UnixNanos = UnixNanos(1_795_230_000_000_000_000);
const DAY: Nanos = Nanos::from_secs(24 * 3600);
