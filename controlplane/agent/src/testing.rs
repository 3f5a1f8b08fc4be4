//! A control plane over a packet path in memory, for tests: pipeline, dictionary and keys are the real ones. Its only
//! worker is whoever hands it packets.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use photongate_crypto::backend;
use photongate_drkey::KeyTimes;
use photongate_net::config::Problems;
use photongate_pipeline::duplicates::{DuplicateFilter, Sizing};
use photongate_pipeline::limits::{Limit, LimitSettings};
use photongate_pipeline::timestamps::TimestampIssuer;
use photongate_pipeline::{
    Clock, ControlPolicy, Entry, Frame, LfSettings, MemoryDictionary, NextHop, Outcome, Parts, PeerKey, Pipeline,
    PortIndex, PortSettings, Role, Settings, SourcePort, Tally, UnknownDestination,
};
use photongate_wire::{IpProtocol, IsdAs, MacAddress, Nanos, UdpHeader, UnixNanos, checksum};
use tempfile::TempDir;

use crate::agent::{Agent, AgentOptions, AgentTask, Configuration, InitialList, ListFile, ReloadRefused, Reread};
use crate::api::{AsListOrigin, Count, Port, SkewBucket, TraceRequest, Traffic, Worker};
use crate::as_list::{AsList, Context, DEFAULT_PROTOCOL, Format};
use crate::sealed::{SealedStore, StateKey};
use crate::{DictionaryFull, Grace, Observer, Publisher, TraceEnd, TraceError};

/// A running control plane. Its list lies in `as-list.toml` in its folder; the number in the file `workers` there
/// stands for what only a restart can change.
pub(crate) struct Lab {
    pub(crate) agent: Agent,
    pub(crate) path: Arc<MemoryPath>,
    pub(crate) folder: TempDir,
    _task: AgentTask,
}

impl Lab {
    /// The filter of `local`, with this list in TOML.
    pub(crate) async fn start(local: &str, list: &str) -> Self {
        let local: IsdAs = local.parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (file, workers) = (folder.path().join("as-list.toml"), folder.path().join("workers"));
        fs::write(&file, list).unwrap();
        fs::write(&workers, "1").unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        let store = SealedStore::open(&state, &StateKey::find(None, None, &state).unwrap()).unwrap();
        let configuration = Files { local, list: file.clone(), workers };
        let list = configuration.read_list().unwrap();
        let path = Arc::new(MemoryPath::of(local, &list));
        let options = AgentOptions {
            version: "1.2.3".to_owned(),
            local,
            default_protocol: DEFAULT_PROTOCOL,
            times: KeyTimes::default(),
            max_peers: 1_000,
            default_limit: LimitSettings::default(),
            list: InitialList {
                list,
                generation: 1,
                origin: AsListOrigin::File { path: file.display().to_string() },
                refusal: None,
                source: Vec::new(),
            },
            list_file: Some(ListFile { path: file, watch: false }),
            store: Some(Arc::new(store)),
            configuration: Box::new(configuration),
            key_server: None,
            seed: 7,
        };
        let publisher = Box::new(MemoryPublisher { path: Arc::clone(&path), graces: 0 });
        let (agent, task) = Agent::start(options, publisher, Arc::clone(&path) as Arc<dyn Observer>).await;
        Self { agent, path, folder, _task: task }
    }

    /// Writes a file into the lab's folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }
}

/// A packet path: port 0 is inside, port 1 outside.
pub(crate) struct MemoryPath(Mutex<Inner>);

struct Inner {
    dictionary: MemoryDictionary,
    pipeline: Pipeline,
    polls: u64,
}

pub(crate) const INSIDE: PortIndex = PortIndex(0);
pub(crate) const OUTSIDE: PortIndex = PortIndex(1);

impl Default for MemoryPath {
    fn default() -> Self {
        Self::of(IsdAs::from_bits((1 << 48) | 1), &AsList::default())
    }
}

impl MemoryPath {
    fn of(local: IsdAs, list: &AsList) -> Self {
        let settings = settings(local, list);
        let threshold = settings.times.time_threshold;
        let sizing = Sizing::new(1_000, 1e-9, threshold, 1 << 20, 1).unwrap();
        let pipeline = Pipeline::new(Parts {
            settings: Arc::new(settings),
            backend: backend::detect(),
            duplicates: Some(DuplicateFilter::new(&sizing, [1, 2])),
            issuer: TimestampIssuer::new(0, 1, threshold),
            worker: 0,
        });
        Self(Mutex::new(Inner { dictionary: MemoryDictionary::default(), pipeline, polls: 0 }))
    }

    /// Judges one packet, and returns what became of it with the frame as it then is.
    pub(crate) fn judge(&self, port: PortIndex, packet: &[u8]) -> (Outcome, Vec<u8>) {
        let mut buffer = [&[0; ROOM], packet, &[0; ROOM]].concat();
        let mut frames = [Frame::new(&mut buffer, ROOM, ROOM + packet.len(), port)];
        let mut outcomes = [Outcome::UNDECIDED];
        let Inner { dictionary, pipeline, .. } = &mut *self.inner();
        pipeline.process(dictionary, clock(), &mut frames, &mut outcomes, &mut ());
        let [outcome] = outcomes;
        (outcome, frames[0].bytes().to_vec())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl Observer for MemoryPath {
    fn workers(&self) -> Vec<Worker> {
        let Inner { pipeline, polls, .. } = &mut *self.inner();
        // Whenever somebody looks, it has polled once more.
        *polls += 1;
        let skew = pipeline.skew().snapshot();
        let counts = skew.accepted.counts.iter().zip(&skew.refused.counts);
        let buckets = skew.bounds_ns.iter().zip(counts).map(|(bound, (accepted, refused))| SkewBucket {
            up_to_ms: bound.map(|bound| bound as f64 / 1e6),
            accepted: *accepted,
            refused: *refused,
        });
        vec![Worker {
            busy_cycles: 50 * *polls,
            all_cycles: 100 * *polls,
            traffic: Traffic::from(&pipeline.counters().snapshot()),
            clock_skew: buckets.collect(),
            accepted_skew_sum_ms: skew.accepted.sum_ns as f64 / 1e6,
            refused_skew_sum_ms: skew.refused.sum_ns as f64 / 1e6,
            duplicate_filter_load: pipeline.duplicate_load(),
            ..Worker::default()
        }]
    }

    fn ports(&self) -> Vec<Port> {
        let received = self.tally().received();
        let received = Count { packets: received.packets, bytes: received.bytes };
        let port = |name: &str| Port { name: name.to_owned(), ..Port::default() };
        vec![Port { received, ..port("inside") }, port("outside")]
    }

    fn tally(&self) -> Tally {
        self.inner().pipeline.counters().snapshot()
    }

    /// A section header, and then an empty block each millisecond in the place of a packet.
    fn trace(&self, request: &TraceRequest, output: &mut dyn Write, stop: &AtomicBool) -> Result<TraceEnd, TraceError> {
        let end = Instant::now() + Duration::from_millis(request.duration_ms.unwrap());
        output.write_all(&[0x0a, 0x0d, 0x0d, 0x0a])?;
        let mut packets = 0;
        while !stop.load(Ordering::Relaxed) && Instant::now() < end && request.packets.is_none_or(|most| packets < most)
        {
            output.write_all(&[0; 32])?;
            packets += 1;
            sleep(Duration::from_millis(1));
        }
        Ok(TraceEnd { packets, left_out: 0 })
    }
}

/// The one who changes a [`MemoryPath`]. Grace periods are over at once: nobody is in the middle of a burst.
struct MemoryPublisher {
    path: Arc<MemoryPath>,
    graces: u64,
}

impl Publisher for MemoryPublisher {
    fn workers(&self) -> usize {
        1
    }

    fn clock(&self) -> Clock {
        clock()
    }

    fn publish(&mut self, entries: Vec<Entry>) -> Result<(), DictionaryFull> {
        let mut inner = self.path.inner();
        entries.into_iter().for_each(|entry| inner.dictionary.insert(entry));
        Ok(())
    }

    fn remove(&mut self, peers: &[PeerKey]) {
        let mut inner = self.path.inner();
        for peer in peers {
            inner.dictionary.remove(*peer);
        }
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(self.path.inner().pipeline.settings())
    }

    fn replace_settings(&mut self, settings: Settings) {
        self.path.inner().pipeline.replace_settings(Arc::new(settings));
    }

    fn begin_grace(&mut self) -> Grace {
        self.graces += 1;
        Grace(self.graces)
    }

    fn is_over(&mut self, _: Grace) -> bool {
        true
    }
}

/// A configuration of two files.
struct Files {
    local: IsdAs,
    list: PathBuf,
    workers: PathBuf,
}

impl Files {
    fn read_list(&self) -> Result<AsList, Problems> {
        let context = Context { local: Some(self.local), times: Some(KeyTimes::default()), ..Context::default() };
        let text = fs::read_to_string(&self.list).unwrap();
        AsList::read(&self.list, &text, Format::Toml, &context).map(|read| read.list)
    }
}

impl Configuration for Files {
    fn reread(&mut self, running: &Settings, _: Clock) -> Result<Reread, ReloadRefused> {
        if fs::read_to_string(&self.workers).unwrap() != "1" {
            return Err(ReloadRefused::NeedsRestart(vec!["workers.count".to_owned()]));
        }
        Ok(Reread {
            settings: running.clone(),
            default_limit: LimitSettings::default(),
            fields: Vec::new(),
            list: self.read_list().map_err(ReloadRefused::Invalid)?,
            list_source: Vec::new(),
            warnings: Vec::new(),
        })
    }

    fn origin(&self) -> AsListOrigin {
        AsListOrigin::File { path: self.list.display().to_string() }
    }

    fn accept(&mut self) {}
}

/// A UDP datagram over IPv4 in an Ethernet frame.
pub(crate) fn udp(source: [u8; 4], destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).unwrap();
    let mut header = [0; 8];
    // Over IPv4 a datagram may do without a checksum (RFC 768).
    UdpHeader { source_port: 1000, destination_port: 2000, length, checksum: 0 }.emit(&mut header);
    let [l0, l1] = (length + 20).to_be_bytes();
    let mut ip = [0x45, 0, l0, l1, 0x12, 0x34, 0, 0, 64, IpProtocol::UDP.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    ip[12..16].copy_from_slice(&source);
    ip[16..].copy_from_slice(&destination);
    let sum = checksum::internet(&ip).to_be_bytes();
    ip[10..12].copy_from_slice(&sum);
    let ethernet = [0x02, 0, 0, 0, 0, 0xbb, 0x02, 0, 0, 0, 0, 0xaa, 0x08, 0x00];
    [&ethernet[..], &ip, &header, payload].concat()
}

fn clock() -> Clock {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = UnixNanos(u64::try_from(since.as_nanos()).unwrap());
    Clock { unix: now, monotonic: now }
}

fn settings(local: IsdAs, list: &AsList) -> Settings {
    let unlimited = || Arc::new(Limit::UNLIMITED);
    let port = |name: &str, role, forward_to| PortSettings {
        name: name.to_owned(),
        role,
        forward_to,
        mtu: 1500,
        mac: MacAddress([2, 0, 0, 0, 0, 1]),
        next_hop: NextHop::Keep,
        control: ControlPolicy::Kernel,
        control_limit: unlimited(),
        addresses: Vec::new(),
        udp_checksum_offload: false,
    };
    Settings {
        local,
        lf: LfSettings {
            port: 49_149,
            lf2_port: 49_148,
            protocol: DEFAULT_PROTOCOL,
            source_port: SourcePort::Fixed,
            public_v4: None,
            public_v6: None,
        },
        times: KeyTimes { time_threshold: Nanos::from_secs(1), ..KeyTimes::default() },
        ports: vec![port("inside", Role::Inside, OUTSIDE), port("outside", Role::Outside, INSIDE)],
        routes: list.routes(),
        best_effort_refusals: false,
        accept_lf2: false,
        overall: unlimited(),
        authenticated: unlimited(),
        best_effort: None,
        destinations: None,
        wireguard: None,
        outbound_unknown: UnknownDestination::Drop,
        reassemble: false,
        clamp_mss: false,
        inbound_next_hop: None,
        outbound_next_hop: None,
        icmp_errors: unlimited(),
    }
}

/// Room in front of and behind each packet, as in an mbuf.
const ROOM: usize = 128;
