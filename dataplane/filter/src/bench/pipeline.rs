//! The worker loop, measured.

use super::environment::{BenchError, Host, environment};
use super::rounds::{Pace, Rounds, StageCycles, results};
use super::traffic::{
    Attack, Direction, Kind, LF_PORT, LF2_PORT, LOCAL_AS, PLAIN_HEADERS, PROTOCOL, Size, Traffic, host, peer_key,
};
use crate::dictionary::{Dictionary, DictionaryReader};
use crate::egress::{Egress, Path as Way};
use crate::port_links::{Outlet, PortLinks};
use crate::timebase::Timebase;
use crate::worker::{Worker, WorkerParts};
use arc_swap::ArcSwap;
use ipnet::{IpNet, Ipv4Net};
use pcap_file::PcapError;
use pcap_file::pcap::{PcapPacket, PcapWriter};
use photongate_crypto::backend;
use photongate_dpdk::{
    Burst, Eal, Lcore, Mempool, MempoolConfig, Port, PortConfig, RxQueue, TxQueue, clock, hugepages,
};
use photongate_drkey::KeyTimes;
use photongate_pipeline::duplicates::{DuplicateFilter, Sizing};
use photongate_pipeline::limits::Limit;
use photongate_pipeline::routes::RouteTable;
use photongate_pipeline::timestamps::TimestampIssuer;
use photongate_pipeline::{
    ControlPolicy, Encapsulation, Entry, LfSettings, MAX_BURST, NextHop, Parts, PeerEncapsulation, PeerLedger,
    PeerState, Pipeline, PortIndex, PortSettings, Probe, Role, Route, Settings, SourcePort, Stage, Tally,
    UnknownDestination,
};
use photongate_wire::lf::ENCAPSULATION_LEN;
use photongate_wire::{MacAddress, Nanos};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What to measure.
#[derive(Clone, Debug)]
pub struct PipelineParams {
    /// Bytes under hash and MAC: what stands behind the inner IP header.
    pub size: Size,
    /// Which packets.
    pub direction: Direction,
    /// What they are put into, and are to be put into.
    pub encapsulation: Encapsulation,
    /// What is wrong with some of them; of inbound ones.
    pub attack: Attack,
    /// How many peers they come from or go to, at random.
    pub peers: u32,
    /// Workers, each on a processor of its own with packets of its own, all at the same time.
    pub workers: usize,
    /// Where packets come from.
    pub source: Source,
    /// How long to go on, making packets included.
    pub duration: Duration,
    /// Packets taken at a time, 1 to [`MAX_BURST`].
    pub burst: usize,
}

/// Where packets come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A ring in memory (`net_ring`), filled with new packets before each round.
    Fresh,
    /// A capture file, again and again (`net_pcap` with `infinite_rx`). As packets repeat there is no duplicate filter, and they may
    /// be a day old.
    Pcap(PathBuf),
}

/// DPDK and processors to measure on. It is made once in a process.
pub struct Session {
    eal: Eal,
    lcores: Vec<Lcore>,
    pool: Mempool,
    devices: u32,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct PipelineResults {
    /// Where.
    pub host: Host,
    /// Median over the rounds, of all workers together.
    pub packets_per_second: f64,
    /// Median over the rounds, in cycles of the time-stamp counter.
    pub cycles_per_packet: f64,
    /// The least of any round.
    pub cycles_per_packet_min: f64,
    /// Cycles per packet in each stage, median over rounds of their own: reading the clock at each stage costs something too.
    pub stages: Vec<(Stage, f64)>,
    /// What became of the packets.
    pub tally: Tally,
    /// Packets measured.
    pub packets: u64,
}

impl Session {
    /// Sets up what measurements with at most so many `workers`, and payloads of at most `longest` bytes, need.
    ///
    /// # Errors
    /// [`BenchError`] if the machine does not offer it.
    pub fn new(workers: usize, longest: usize, hugepages: bool) -> Result<Self, BenchError> {
        if !(1..=MAX_WORKERS).contains(&workers) {
            let reason = "there are 1 to 16 workers";
            return Err(BenchError::Parameter { name: "workers", value: workers as u64, reason });
        }
        let (eal, lcores) = environment(workers, hugepages)?;
        let data_room = (longest.min(LONGEST_PAYLOAD) + PLAIN_HEADERS + ENCAPSULATION_LEN).max(2048) as u16;
        let buffers = BUFFERS * workers as u32;
        let pool = Mempool::create(eal, &MempoolConfig { buffers, data_room, ..MempoolConfig::default() })?;
        Ok(Self { eal, lcores, pool, devices: 0 })
    }

    /// Measures, on as many lcores as there are workers.
    ///
    /// # Errors
    /// [`BenchError`] if the machine does not offer what is needed, or a parameter makes no sense.
    pub fn run(&mut self, params: &PipelineParams) -> Result<PipelineResults, BenchError> {
        check(params)?;
        let workers = params.workers;
        let (dictionary, mut writer) = Dictionary::create(params.peers, workers as u32)?;
        let traffic = Traffic::new(kind(params), 0);
        let encapsulation = PeerEncapsulation::only(params.encapsulation);
        let ledger = PeerLedger::new(workers);
        for peer in 0..params.peers {
            let state = PeerState::in_ledger(peer_key(peer), Limit::UNLIMITED, &ledger);
            let state = Arc::new(state.with_encapsulation(encapsulation));
            writer.publish(Entry::new(state, traffic.keys(peer)))?;
        }
        let settings = Arc::new(settings(params));
        let pace = Arc::new(Pace::new(workers));
        let mut running = Vec::new();
        for (worker, lcore) in self.lcores.clone().into_iter().take(workers).enumerate() {
            let feed = self.feed(params)?;
            let transmit = self.open("net_null", "")?.1;
            let Feed { receive, refill } = feed;
            let (params, settings, dictionary) = (params.clone(), Arc::clone(&settings), dictionary.reader()?);
            let (pool, pace, traffic) = (self.pool, Arc::clone(&pace), Traffic::new(kind(&params), worker as u64));
            let work = move || {
                let _leave = pace.leave_at_end();
                // On the worker's own core, so that what it needs is in that core's memory.
                let path = match params.direction {
                    Direction::Forward => Measured::Ports(receive, transmit),
                    Direction::In | Direction::Out | Direction::InBadMac => {
                        let parts = (&params, settings, dictionary, worker, pool);
                        Measured::Worker(Box::new(make_worker(parts, receive, transmit)?))
                    }
                };
                let bench = Bench { traffic, refill, pool, path };
                Ok::<_, BenchError>(bench.measure(&params, &pace))
            };
            running.push(self.eal.launch(lcore, work)?);
        }
        let mut rounds = Vec::new();
        for worker in running {
            rounds.push(worker.join()??);
        }
        Ok(results(rounds, Host::here(self.eal)))
    }

    /// Writes so many packets, as they would be measured, into a capture file.
    ///
    /// # Errors
    /// [`BenchError`] if a parameter makes no sense or the file cannot be written.
    pub fn write_pcap(&self, params: &PipelineParams, packets: usize, path: &Path) -> Result<(), BenchError> {
        check(params)?;
        let cannot = |error: PcapError| BenchError::File { path: path.to_owned(), reason: error.to_string() };
        let file = File::create(path).map_err(|error| cannot(PcapError::IoError(error)))?;
        let mut writer = PcapWriter::new(BufWriter::new(file)).map_err(cannot)?;
        let mut traffic = Traffic::new(kind(params), 0);
        for _ in 0..packets {
            let mut burst: Burst<MAX_BURST> = Burst::new();
            if self.pool.allocate_burst(&mut burst) == 0 {
                break;
            }
            let Some(packet) = burst.first_mut() else { break };
            traffic.fill(packet);
            let bytes = packet.data();
            let time = Duration::from_nanos(photongate_net::now().0);
            writer.write_packet(&PcapPacket::new(time, bytes.len() as u32, bytes)).map_err(cannot)?;
        }
        Ok(())
    }

    /// Where a worker's packets come from, and what fills that.
    fn feed(&mut self, params: &PipelineParams) -> Result<Feed, BenchError> {
        match &params.source {
            Source::Fresh => {
                let (receive, feed) = self.open("net_ring", "")?;
                Ok(Feed { receive, refill: Some(feed) })
            }
            Source::Pcap(file) => {
                let options = format!(",rx_pcap={},infinite_rx=1", file.display());
                Ok(Feed { receive: self.open("net_pcap", &options)?.0, refill: None })
            }
        }
    }

    /// A device of that driver, with one queue each way.
    fn open(&mut self, driver: &str, options: &str) -> Result<(RxQueue, TxQueue), BenchError> {
        let number = self.devices;
        self.devices += 1;
        let mut port = Port::attach(self.eal, &format!("{driver}{number}{options}"))?;
        port.configure(&PortConfig::default(), &self.pool)?;
        let (mut receive, mut transmit) = port.start()?;
        match (receive.pop(), transmit.pop()) {
            (Some(receive), Some(transmit)) => Ok((receive, transmit)),
            _ => Err(BenchError::Parameter { name: "queues", value: 0, reason: "the port has none" }),
        }
    }
}

struct Feed {
    receive: RxQueue,
    refill: Option<TxQueue>,
}

fn kind(params: &PipelineParams) -> Kind {
    let PipelineParams { direction, size, peers, attack, encapsulation, .. } = *params;
    Kind { direction, size, peers, attack, encapsulation }
}

fn check(params: &PipelineParams) -> Result<(), BenchError> {
    let wrong = |name, value, reason| Err(BenchError::Parameter { name, value, reason });
    if params.size.longest() > LONGEST_PAYLOAD {
        return wrong("payload", params.size.longest() as u64, "at most 8,900 bytes fit a jumbo frame");
    }
    if !(1..=MAX_PEERS).contains(&params.peers) {
        return wrong("peers", params.peers.into(), "there are 1 to 1,000,000 peers");
    }
    if !(1..=MAX_BURST).contains(&params.burst) {
        return wrong("burst", params.burst as u64, "a burst is 1 to 64 packets");
    }
    let Attack { bad_mac, replays, malformed } = params.attack;
    let attacks = u64::from(bad_mac) + u64::from(replays) + u64::from(malformed);
    if attacks > 100 {
        return wrong("attack", attacks, "all shares together are at most 100 per cent");
    }
    if attacks > 0 && params.direction != Direction::In {
        return wrong("attack", attacks, "only packets that come in can be attacks");
    }
    Ok(())
}

/// A worker between a source and nowhere, and what fills the source.
struct Bench {
    traffic: Traffic,
    refill: Option<TxQueue>,
    pool: Mempool,
    path: Measured,
}

/// What is measured.
enum Measured {
    Worker(Box<Worker>),
    Ports(RxQueue, TxQueue),
}

impl Bench {
    fn measure(mut self, params: &PipelineParams, pace: &Pace) -> Rounds {
        let mut rounds = Rounds::default();
        let end = Instant::now() + params.duration;
        for round in 0_u64.. {
            let most = if self.refill.is_some() { self.fill() } else { PACKETS_PER_ROUND };
            let probed = round % 2 == 1;
            // All workers are measured while all others work.
            let done = Instant::now() >= end && round >= WARM_UP + 2;
            if pace.meet(done) {
                if self.refill.is_some() {
                    // A ring that goes does not free what is in it.
                    self.drain(most, params.burst, &mut ());
                }
                break;
            }
            let mut probe = StageCycles::begin();
            let begin = clock::tsc();
            let seen = if probed {
                self.drain(most, params.burst, &mut probe)
            } else {
                self.drain(most, params.burst, &mut ())
            };
            let cycles = clock::tsc() - begin;
            if round >= WARM_UP {
                rounds.add(seen as u64, cycles, probed.then_some(&probe));
            }
        }
        if let Measured::Worker(worker) = &self.path {
            rounds.tally = worker.pipeline().counters().snapshot();
        }
        rounds
    }

    /// Fills the ring with new packets.
    fn fill(&mut self) -> usize {
        let Some(feed) = &mut self.refill else { return 0 };
        let mut packets = 0;
        loop {
            let mut burst: Burst<MAX_BURST> = Burst::new();
            if self.pool.allocate_burst(&mut burst) == 0 {
                return packets;
            }
            for packet in burst.iter_mut() {
                self.traffic.fill(packet);
            }
            let sent = feed.send(&mut burst);
            packets += sent;
            if !burst.is_empty() {
                return packets;
            }
        }
    }

    /// Polls until that many packets are through, or there are no more.
    fn drain<P: Probe>(&mut self, most: usize, burst: usize, probe: &mut P) -> usize {
        let mut packets = 0;
        loop {
            if packets >= most {
                return packets;
            }
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

/// What a worker is made of besides its queues.
type WorkerInputs<'p> = (&'p PipelineParams, Arc<Settings>, DictionaryReader, usize, Mempool);

fn make_worker(parts: WorkerInputs<'_>, receive: RxQueue, transmit: TxQueue) -> Result<Worker, BenchError> {
    let (params, settings, dictionary, worker, pool) = parts;
    let threshold = settings.times.time_threshold;
    let duplicates = match params.source {
        Source::Fresh => {
            let sizing = Sizing::new(PACKETS_PER_SECOND, 1e-6, threshold, 1 << 30, 1)?;
            let filter = DuplicateFilter::new(&sizing, [0x5eed, 0x0dd5]);
            hugepages::gather(filter.memory());
            Some(filter)
        }
        Source::Pcap(_) => None,
    };
    let pipeline = Pipeline::new(Parts {
        settings: Arc::clone(&settings),
        backend: backend::detect(),
        duplicates,
        issuer: TimestampIssuer::new(worker, params.workers, threshold),
        worker,
    });
    let links =
        |receive, path| PortLinks { receive, inbox: None, transmit: Outlet::new(Egress::new(path)), exception: None };
    Ok(Worker::new(WorkerParts {
        ports: vec![links(Some(receive), Way::Nowhere), links(None, Way::Queue(transmit))],
        pipeline,
        dictionary,
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
        (prefix, Route::new(peer_key(peer), false))
    };
    Settings {
        local: LOCAL_AS,
        lf: LfSettings {
            port: LF_PORT,
            lf2_port: LF2_PORT,
            protocol: PROTOCOL,
            source_port: SourcePort::Fixed,
            public_v4: None,
            public_v6: None,
        },
        times: times(params),
        ports: vec![port("in", role, 1), port("out", Role::Auto, 0)],
        routes: RouteTable::new((0..params.peers).map(route)).expect("every peer has a prefix of its own"),
        best_effort_refusals: false,
        accept_lf2: params.encapsulation == Encapsulation::Lf2,
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

/// Packets in a file are as old as the file, which is no more than two days, or their epoch would be over.
fn times(params: &PipelineParams) -> KeyTimes {
    let usual = KeyTimes::default();
    match params.source {
        Source::Fresh => usual,
        Source::Pcap(_) => KeyTimes { time_threshold: Nanos::from_secs(2 * 24 * 3600), ..usual },
    }
}

/// More than the ring holds (1,023), so that it can be filled while the worker still has some.
const BUFFERS: u32 = 4095;

/// Rounds that only fill caches and branch predictors.
const WARM_UP: u64 = 4;

/// What the duplicate filter is made for: more than a worker is expected to take, so that it never is the bottleneck.
const PACKETS_PER_SECOND: u64 = 5_000_000;

/// From a source that never ends; about what the ring holds.
const PACKETS_PER_ROUND: usize = 1024;

const MAX_WORKERS: usize = 16;
const LONGEST_PAYLOAD: usize = 8_900;
const MAX_PEERS: u32 = 1_000_000;
