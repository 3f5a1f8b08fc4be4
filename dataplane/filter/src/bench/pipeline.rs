//! The worker loop, measured.

use super::environment::{BenchError, Host, environment};
use super::traffic::{Direction, LF_PORT, PLAIN_HEADERS, PROTOCOL, Traffic, host, peer_key};
use crate::dictionary::Dictionary;
use crate::egress::{Egress, Path};
use crate::port_links::{Outlet, PortLinks};
use crate::worker::{Timebase, Worker, WorkerParts};
use arc_swap::ArcSwap;
use ipnet::{IpNet, Ipv4Net};
use photongate_crypto::backend;
use photongate_dpdk::{Burst, Eal, Mempool, MempoolConfig, Port, PortConfig, RxQueue, TxQueue, clock};
use photongate_drkey::KeyTimes;
use photongate_pipeline::duplicates::{DuplicateFilter, Sizing};
use photongate_pipeline::limits::Limit;
use photongate_pipeline::routes::RouteTable;
use photongate_pipeline::timestamps::TimestampIssuer;
use photongate_pipeline::{
    ControlPolicy, Entry, LfSettings, MAX_BURST, NextHop, Parts, PeerState, Pipeline, PortIndex, PortSettings, Probe,
    Role, Route, Settings, SourcePort, Stage, Tally, UnknownDestination,
};
use photongate_wire::lf::ENCAPSULATION_LEN;
use photongate_wire::{IsdAs, MacAddress};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct PipelineParams {
    /// Bytes under hash and MAC: what stands behind the inner IP header.
    pub payload_len: usize,
    /// Which packets.
    pub direction: Direction,
    /// How many peers they come from or go to, at random.
    pub peers: u32,
    /// How long to go on, filling the ring included.
    pub duration: Duration,
    /// Packets taken at a time, 1 to [`MAX_BURST`].
    pub burst: usize,
    /// Whether memory comes from hugepages.
    pub hugepages: bool,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct PipelineResults {
    /// Where.
    pub host: Host,
    /// Median over the rounds.
    pub packets_per_second: f64,
    /// Median over the rounds, in cycles of the time-stamp counter.
    pub cycles_per_packet: f64,
    /// The least of any round.
    pub cycles_per_packet_min: f64,
    /// Cycles per packet in each stage, mean over rounds of their own: reading the clock at each stage costs something too.
    pub stages: Vec<(Stage, f64)>,
    /// What became of the packets.
    pub tally: Tally,
    /// Packets measured.
    pub packets: u64,
}

/// Measures, on one lcore.
///
/// # Errors
/// [`BenchError`] if the machine does not offer what is needed, or a parameter makes no sense.
pub fn run_pipeline(params: &PipelineParams) -> Result<PipelineResults, BenchError> {
    check(params)?;
    let (eal, lcore) = environment(params.peers, params.hugepages)?;
    let bench = Bench::build(eal, params)?;
    let (duration, burst) = (params.duration, params.burst);
    let measured = eal.launch(lcore, move || bench.measure(duration, burst))?.join()?;
    Ok(measured.results(Host::here(eal)))
}

fn check(params: &PipelineParams) -> Result<(), BenchError> {
    let wrong = |name, value, reason| Err(BenchError::Parameter { name, value, reason });
    if params.payload_len > LONGEST_PAYLOAD {
        return wrong("payload", params.payload_len as u64, "at most 8,900 bytes fit a jumbo frame");
    }
    if !(1..=MAX_PEERS).contains(&params.peers) {
        return wrong("peers", params.peers.into(), "there are 1 to 1,000,000 peers");
    }
    if !(1..=MAX_BURST).contains(&params.burst) {
        return wrong("burst", params.burst as u64, "a burst is 1 to 64 packets");
    }
    Ok(())
}

/// A worker between a ring and nowhere, and what fills the ring.
struct Bench {
    traffic: Traffic,
    feed: TxQueue,
    pool: Mempool,
    path: Measured,
}

/// What is measured.
enum Measured {
    Worker(Box<Worker>),
    Ports(RxQueue, TxQueue),
}

impl Bench {
    fn build(eal: Eal, params: &PipelineParams) -> Result<Self, BenchError> {
        let data_room = (params.payload_len + PLAIN_HEADERS + ENCAPSULATION_LEN).max(2048) as u16;
        let pool = Mempool::create(eal, &MempoolConfig { buffers: BUFFERS, data_room, ..MempoolConfig::default() })?;
        let (receive, feed) = open(eal, "net_ring0", &pool)?;
        let (_, transmit) = open(eal, "net_null0", &pool)?;
        let traffic = Traffic::new(params.direction, params.payload_len, params.peers);
        let path = match params.direction {
            Direction::Forward => Measured::Ports(receive, transmit),
            Direction::In | Direction::Out | Direction::InBadMac => {
                Measured::Worker(Box::new(worker(eal, params, &traffic, receive, transmit, pool)?))
            }
        };
        Ok(Self { traffic, feed, pool, path })
    }

    fn measure(mut self, duration: Duration, burst: usize) -> Rounds {
        let mut rounds = Rounds::default();
        let end = Instant::now() + duration;
        for round in 0_u64.. {
            let packets = self.refill();
            let probed = round % 2 == 1;
            let mut probe = StageCycles { last: clock::tsc(), cycles: [0; Stage::ALL.len()] };
            let begin = clock::tsc();
            let seen = if probed { self.drain(burst, &mut probe) } else { self.drain(burst, &mut ()) };
            let cycles = clock::tsc() - begin;
            debug_assert_eq!(packets, seen);
            if round >= WARM_UP {
                rounds.add(seen as u64, cycles, probed.then_some(&probe));
            }
            if Instant::now() >= end && round >= WARM_UP + 2 {
                break;
            }
        }
        if let Measured::Worker(worker) = &self.path {
            rounds.tally = worker.pipeline().counters().snapshot();
        }
        rounds
    }

    /// Fills the ring with new packets.
    fn refill(&mut self) -> usize {
        let mut packets = 0;
        loop {
            let mut burst: Burst<MAX_BURST> = Burst::new();
            if self.pool.allocate_burst(&mut burst) == 0 {
                return packets;
            }
            for packet in burst.iter_mut() {
                self.traffic.fill(packet);
            }
            let sent = self.feed.send(&mut burst);
            packets += sent;
            if !burst.is_empty() {
                return packets;
            }
        }
    }

    /// Polls until the ring is empty.
    fn drain<P: Probe>(&mut self, burst: usize, probe: &mut P) -> usize {
        let mut packets = 0;
        loop {
            let seen = match &mut self.path {
                Measured::Worker(worker) => worker.poll(probe),
                Measured::Ports(receive, transmit) => forward(receive, transmit, burst),
            };
            if seen == 0 {
                return packets;
            }
            packets += seen;
        }
    }
}

fn forward(receive: &mut RxQueue, transmit: &mut TxQueue, most: usize) -> usize {
    let mut burst: Burst<MAX_BURST> = Burst::new();
    let seen = receive.receive_at_most(&mut burst, most);
    if seen > 0 {
        transmit.send(&mut burst);
    }
    seen
}

fn open(eal: Eal, device: &str, pool: &Mempool) -> Result<(RxQueue, TxQueue), BenchError> {
    let mut port = Port::attach(eal, device)?;
    port.configure(&PortConfig::default(), pool)?;
    let (mut receive, mut transmit) = port.start()?;
    match (receive.pop(), transmit.pop()) {
        (Some(receive), Some(transmit)) => Ok((receive, transmit)),
        _ => Err(BenchError::Parameter { name: "queues", value: 0, reason: "the port has none" }),
    }
}

fn worker(
    eal: Eal,
    params: &PipelineParams,
    traffic: &Traffic,
    receive: RxQueue,
    transmit: TxQueue,
    pool: Mempool,
) -> Result<Worker, BenchError> {
    let settings = Arc::new(settings(params));
    let threshold = settings.times.time_threshold;
    let (dictionary, mut writer) = Dictionary::create(eal, params.peers, 1)?;
    for peer in 0..params.peers {
        let state = Arc::new(PeerState::new(peer_key(peer), Limit::UNLIMITED, 1));
        writer.publish(Entry { peer: state, keys: traffic.keys(peer) })?;
    }
    let sizing = Sizing::new(PACKETS_PER_SECOND, 1e-6, threshold, 1 << 30, 1)?;
    let pipeline = Pipeline::new(Parts {
        settings: Arc::clone(&settings),
        backend: backend::detect(),
        duplicates: Some(DuplicateFilter::new(&sizing, [0x5eed, 0x0dd5])),
        issuer: TimestampIssuer::new(0, 1, threshold),
        worker: 0,
    });
    let links =
        |receive, path| PortLinks { receive, inbox: None, transmit: Outlet::new(Egress::new(path)), exception: None };
    Ok(Worker::new(WorkerParts {
        ports: vec![links(Some(receive), Path::Nowhere), links(None, Path::Queue(transmit))],
        pipeline,
        dictionary: dictionary.reader()?,
        settings: Arc::new(ArcSwap::new(settings)),
        handoff: None,
        reassembly: None,
        tap: None,
        pool,
        burst: params.burst,
        timebase: Timebase::start(),
    }))
}

/// Packets come in by port 0 and leave by port 1.
fn settings(params: &PipelineParams) -> Settings {
    let role = if params.direction == Direction::Out { Role::Inside } else { Role::Outside };
    let port = |name: &str, role, forward_to| PortSettings {
        name: name.to_owned(),
        role,
        forward_to: PortIndex(forward_to),
        mtu: 9216,
        mac: MacAddress([2, 0, 0, 0, 0, 1]),
        next_hop: NextHop::Address(MacAddress([2, 0, 0, 0, 0, 9])),
        control: ControlPolicy::Drop,
        control_limit: Arc::new(Limit::UNLIMITED),
        addresses: Vec::new(),
        udp_checksum_offload: false,
    };
    let route = |peer| {
        let prefix = IpNet::V4(Ipv4Net::new_assert(host(peer), 32));
        (prefix, Route { peer: peer_key(peer), refuse_best_effort: false })
    };
    Settings {
        local: IsdAs::from_bits(1 << 48 | 0xff00_ffff_ffff),
        lf: LfSettings {
            port: LF_PORT,
            lf2_port: LF_PORT - 1,
            protocol: PROTOCOL,
            source_port: SourcePort::Fixed,
            public_v4: None,
            public_v6: None,
        },
        times: KeyTimes::default(),
        ports: vec![port("in", role, 1), port("out", Role::Auto, 0)],
        routes: RouteTable::new((0..params.peers).map(route)).expect("every peer has a prefix of its own"),
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
    }
}

/// Adds up the cycles between one stage and the next.
struct StageCycles {
    last: u64,
    cycles: [u64; Stage::ALL.len()],
}

impl Probe for StageCycles {
    #[inline]
    fn end_of(&mut self, stage: Stage) {
        let now = clock::tsc();
        self.cycles[stage as usize] += now - self.last;
        self.last = now;
    }
}

/// What the rounds came to.
#[derive(Default)]
struct Rounds {
    cycles_per_packet: Vec<f64>,
    packets: u64,
    stage_cycles: [u64; Stage::ALL.len()],
    probed_packets: u64,
    tally: Tally,
}

impl Rounds {
    fn add(&mut self, packets: u64, cycles: u64, probe: Option<&StageCycles>) {
        let Some(probe) = probe else {
            self.packets += packets;
            return self.cycles_per_packet.push(cycles as f64 / packets.max(1) as f64);
        };
        self.probed_packets += packets;
        for (sum, cycles) in self.stage_cycles.iter_mut().zip(probe.cycles) {
            *sum += cycles;
        }
    }

    fn results(mut self, host: Host) -> PipelineResults {
        self.cycles_per_packet.sort_by(f64::total_cmp);
        let median = self.cycles_per_packet.get(self.cycles_per_packet.len() / 2).copied().unwrap_or(f64::NAN);
        let probed = self.probed_packets.max(1) as f64;
        let stages = Stage::ALL.into_iter().zip(self.stage_cycles).filter(|(_, cycles)| *cycles > 0);
        PipelineResults {
            packets_per_second: host.tsc_hz as f64 / median,
            cycles_per_packet: median,
            cycles_per_packet_min: self.cycles_per_packet.first().copied().unwrap_or(f64::NAN),
            stages: stages.map(|(stage, cycles)| (stage, cycles as f64 / probed)).collect(),
            tally: self.tally,
            packets: self.packets,
            host,
        }
    }
}

/// More than the ring holds (1,023), so that it can be filled while the worker still has some.
const BUFFERS: u32 = 4095;

/// Rounds that only fill caches and branch predictors.
const WARM_UP: u64 = 4;

/// What the duplicate filter is made for: more than a worker is expected to take, so that it never is the bottleneck.
const PACKETS_PER_SECOND: u64 = 5_000_000;

const LONGEST_PAYLOAD: usize = 8_900;
const MAX_PEERS: u32 = 1_000_000;
