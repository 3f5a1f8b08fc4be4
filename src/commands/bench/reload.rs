//! `photongate bench reload`: what it costs to put another AS list in force, and what workers notice of it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use pcap_file::pcap::{PcapPacket, PcapWriter};
use photongate_agent::api::AsListOrigin;
use photongate_agent::as_list::{AsList, Context, Format};
use photongate_agent::{
    Agent, AgentOptions, ApplyRequest, Configuration, DictionaryFull, Grace, InitialList, ListFile, Publisher,
    ReloadRefused, Reread,
};
use photongate_filter::bench::Host;
use photongate_filter::{
    ControlSocketOptions, Device, DpdkOptions, Filter, FilterOptions, MemoryOptions, Observer, PollTimes, PortOptions,
    Running, WorkerOptions,
};
use photongate_net::config::Problem;
use photongate_pipeline::{Clock, Entry, PeerKey, Settings};
use serde_json::{Value, json};

use super::{print_json, rounded};
use crate::commands::filter::plane::{Gauges, Plane};
use crate::config::FilterConfig;
use crate::demo::frames;
use crate::failure::Failure;
use crate::output;
use crate::settings::pipeline_settings;

/// A change of the AS list under traffic: the real filter and control plane, in this process
///
/// A worker encapsulates packets to random peers without pause, from a capture file that never ends, while a list in which
/// some peers differ is put in force: a third of them with another limit, a third with another secret, a third exchanged for new
/// ones. What else runs on the machine interrupts the worker too: pauses (polls as long as four long bursts or longer) are counted for
/// as long a time without a change, first. The worker itself never waits for anything.
#[derive(Args)]
#[command(after_long_help = "Example:\n\n    photongate bench reload --peers 100000 --changed 1000 --json")]
pub(super) struct Arguments {
    /// Peers on the list: 1 to 1,000,000.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    peers: u32,
    /// Peers that differ in the list that takes its place.
    #[arg(long, default_value_t = 1_000)]
    changed: u32,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
}

/// Runs the benchmark.
///
/// # Errors
/// A parameter that makes no sense, or a machine that does not offer what is needed.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.changed > arguments.peers {
        return Err(Failure::bad_input("photongate bench: no more peers can change than there are"));
    }
    let failed = |error: anyhow::Error| Failure::at_run_time(format!("photongate bench: {error:#}"));
    let (host, results) = measure(arguments).map_err(failed)?;
    if !arguments.json {
        let text = results.as_object().into_iter().flatten().fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "{value:>14}  {name}");
            text
        });
        return output::print(&text);
    }
    print_json("reload", &json!({ "peers": arguments.peers, "changed": arguments.changed }), &host, &results)
}

fn measure(arguments: &Arguments) -> Result<(Host, Value)> {
    let Arguments { peers, changed, .. } = *arguments;
    let folder = tempfile::tempdir()?;
    let capture = folder.path().join("packets.pcap");
    write_packets(&capture, peers)?;
    let config = FilterConfig::parse(Path::new("bench.toml"), &configuration(&capture, peers))?;
    let mut running = start(&config)?;
    let host = Host::of(&running);

    let before = resident_bytes()?;
    let context = config.list_context();
    let list = read(&list_text(peers, 0, ""), &context)?;
    let initial =
        InitialList { list, generation: 1, origin: AsListOrigin::LastGood, refusal: None, source: Vec::new() };
    let times = Arc::new(Mutex::new(Publishing::default()));
    let control = running.take_control().expect("nobody has taken it before");
    let publisher = Timed { plane: Plane::new(control), times: Arc::clone(&times) };
    let gauges = Arc::new(Gauges::new(Arc::clone(running.observer()), Arc::clone(running.traces())));
    let options = AgentOptions {
        version: String::new(),
        local: config.isd_as,
        default_protocol: config.lf.protocol,
        times: config.keys.times,
        max_peers: config.keys.max_peers,
        default_limit: config.limits.peer,
        list: initial,
        // Lists can be replaced where they stand in a file and there is a state to keep them in.
        list_file: Some(ListFile { path: folder.path().join("as-list.toml"), watch: false }),
        store: Some(Arc::new(store(folder.path())?)),
        configuration: Box::new(Fixed),
        key_server: None,
        seed: 1,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let routes = options.list.list.routes();
    let (agent, task) = runtime.block_on(async {
        let mut publisher = publisher;
        let mut settings = Settings::clone(&publisher.settings());
        settings.routes = routes;
        publisher.replace_settings(settings);
        Agent::start(options, Box::new(publisher), gauges).await
    });
    std::thread::sleep(SETTLE);
    let bytes_per_peer = (resident_bytes()?.saturating_sub(before)) as f64 / f64::from(peers);
    let summary = agent.status().peers;

    let text = list_text(peers, changed, "limit = { packets_per_second = 1_000 }\n");
    let begun = Instant::now();
    let new = read(&text, &context)?;
    let validate = begun.elapsed();
    let begun = Instant::now();
    let difference = agent.as_list().0.difference(&new);
    let diff = begun.elapsed();
    drop(new);

    // As long a time without a change as the change takes, first, but long enough to see something.
    let polls_of = |observer: &Observer| observer.poll_times().next().map(PollTimes::take).unwrap_or_default();
    let document = || text.clone().into();
    polls_of(running.observer());
    runtime.block_on(agent.check_list(document(), Format::Toml))?;
    std::thread::sleep(SETTLE);
    let calm = polls_of(running.observer());
    let switches_before = Switches::of_the_worker()?;
    times.lock().unwrap_or_else(PoisonError::into_inner).begin();
    let begun = Instant::now();
    let request =
        ApplyRequest { document: document(), format: Format::Toml, by: "bench".to_owned(), if_generation: None };
    let changes = runtime.block_on(agent.apply_list(request))?;
    let applied = begun.elapsed();
    let publish = times.lock().unwrap_or_else(PoisonError::into_inner).took();
    std::thread::sleep(SETTLE.saturating_sub(applied));
    let during = polls_of(running.observer());
    let switches = Switches::of_the_worker()?.since(&switches_before);
    let outbound = agent.status().traffic.verdicts.get("outbound").map_or(0, |count| count.packets);
    runtime.block_on(task.stop());
    drop(agent);
    runtime.shutdown_timeout(Duration::from_secs(1));
    running.stop()?;
    let millis = |time: Duration| rounded(time.as_secs_f64() * 1e3);
    let results = json!({
        "validate_ms": millis(validate),
        "diff_ms": millis(diff),
        "publish_ms": millis(publish),
        "apply_ms": millis(applied),
        "worker_pause_cycles_max": during.longest(),
        "baseline_pause_cycles_max": calm.longest(),
        "burst_cycles_p99": calm.most_but(0.01),
        "burst_cycles_p99_during": during.most_but(0.01),
        "worker_pauses": during.longer_than(PAUSE_BURSTS * calm.most_but(0.01)),
        "baseline_pauses": calm.longer_than(PAUSE_BURSTS * calm.most_but(0.01)),
        "worker_interruptions": switches.interruptions,
        "worker_waits": switches.waits,
        "bytes_per_peer": rounded(bytes_per_peer),
        "peers_with_keys": summary.with_keys,
        "added": changes.added.len(),
        "removed": changes.removed.len(),
        "changed": changes.changed.len(),
        "differences": difference.added.len() + difference.removed.len() + difference.changed.len(),
        "packets_encapsulated": outbound,
    });
    Ok((host, results))
}

/// A filter with one worker between a capture file that never ends and nowhere.
fn start(config: &FilterConfig) -> Result<Running> {
    let now = photongate_wire::UnixNanos(0);
    let port = |port: &crate::config::PortConfig| PortOptions {
        device: Device::Virtual(port.device.arguments().to_owned()),
        exception: None,
        checksum_offload: false,
    };
    let options = FilterOptions {
        settings: pipeline_settings(config, now),
        ports: config.ports.iter().map(port).collect(),
        peers: Vec::new(),
        // A list and its successor meet in it.
        max_peers: config.keys.max_peers * 2,
        duplicates: None,
        workers: WorkerOptions {
            count: 1,
            cores: None,
            burst: 32,
            adaptive_polling: false,
            backend: config.workers.crypto,
        },
        memory: MemoryOptions { hugepages: false, mib: config.memory.mib, buffers: 8192 },
        dpdk: DpdkOptions { name: "photongate-bench".to_owned(), arguments: Vec::new(), telemetry: false },
        control: ControlSocketOptions { path: None, is_required: false },
    };
    Ok(Filter::start(options)?)
}

fn configuration(capture: &Path, peers: u32) -> String {
    format!(
        r#"
isd_as = "1-ff00:0:111"
[keys]
max_peers = {max_peers}
[[ports]]
name = "inside"
device = "net_pcap0,rx_pcap={capture},infinite_rx=1,tx_pcap=/dev/null"
role = "inside"
forward_to = "outside"
[[ports]]
name = "outside"
device = "net_null0"
role = "outside"
forward_to = "inside"
[memory]
mib = {mib}
[duplicates]
enabled = false
[[peers]]
isd_as = "2-1"
shared_secrets = [{{ secret = "0123456789abcdef0123456789abcdef", not_before = "2026-01-01T00:00:00Z" }}]
"#,
        capture = capture.display(),
        max_peers = peers,
        mib = 160 + peers / 2_000,
    )
}

/// A list of so many peers, each with a prefix and a secret. Of the first `changed`, a third have `limit` beside, a third other secrets,
/// and a third are other ASes.
fn list_text(peers: u32, changed: u32, limit: &str) -> String {
    let mut text = String::new();
    for peer in 0..peers {
        let kind = if peer < changed { peer % 3 } else { 3 };
        let number = if kind == 2 { peer + peers } else { peer };
        let [_, a, b, c] = peer.to_be_bytes();
        let (limit, version) = (if kind == 0 { limit } else { "" }, u32::from(kind == 1));
        let _ = write!(
            text,
            "[[peers]]\nisd_as = \"3-ff00:{:x}:{:x}\"\nprefixes = [\"10.{a}.{b}.{c}/32\"]\n{limit}shared_secrets = \
             [{{ secret = \"{version:08x}{number:024x}\", not_before = \"2026-01-01T00:00:00Z\" }}]\n",
            number >> 16,
            number & 0xffff,
        );
    }
    // The first peer's secret must not be zeroes only.
    text.replace(&"0".repeat(32), &format!("{:032x}", u128::MAX))
}

fn read(text: &str, context: &Context<'_>) -> Result<AsList> {
    Ok(AsList::read(Path::new("as-list"), text, Format::Toml, context)?.list)
}

/// Packets to a few hundred of the peers' hosts.
fn write_packets(path: &Path, peers: u32) -> Result<()> {
    let mut writer = PcapWriter::new(File::create(path)?)?;
    for number in 0..PACKETS {
        let [_, a, b, c] = (number * 7_919 % peers).to_be_bytes();
        let frame = frames::udp("198.18.0.1".parse()?, std::net::Ipv4Addr::new(10, a, b, c).into(), 7, &[0; 18]);
        let length = u32::try_from(frame.len())?;
        writer.write_packet(&PcapPacket::new_owned(Duration::ZERO, length, frame))?;
    }
    Ok(())
}

fn store(folder: &Path) -> Result<photongate_agent::sealed::SealedStore> {
    let key = photongate_agent::sealed::StateKey::find(None, None, folder)?;
    Ok(photongate_agent::sealed::SealedStore::open(&folder.join("sealed"), &key)?)
}

/// What this process has in memory, in bytes, but for its program and libraries, which are there for no peer (proc(5), `status`).
fn resident_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib = |field: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"));
        value.with_context(|| format!("/proc/self/status has no {field}"))?.parse::<u64>().context("/proc/self/status")
    };
    Ok((kib("RssAnon:")? + kib("RssShmem:")?) * 1024)
}

/// How often a thread was off its core (proc(5), `status`).
struct Switches {
    /// It waited for something: a lock, say.
    waits: u64,
    /// The scheduler gave its core to another thread.
    interruptions: u64,
}

impl Switches {
    fn of_the_worker() -> Result<Self> {
        for task in fs::read_dir("/proc/self/task")? {
            let task = task?.path();
            if fs::read_to_string(task.join("comm"))?.starts_with(WORKER) {
                let status = fs::read_to_string(task.join("status"))?;
                let count = |field: &str| {
                    let value = status.lines().find_map(|line| line.strip_prefix(field));
                    value.and_then(|value| value.trim().parse().ok()).with_context(|| format!("no {field}"))
                };
                let (waits, interruptions) = ("voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:");
                return Ok(Self { waits: count(waits)?, interruptions: count(interruptions)? });
            }
        }
        bail!("there is no thread called {WORKER}")
    }

    fn since(&self, before: &Self) -> Self {
        Self { waits: self.waits - before.waits, interruptions: self.interruptions - before.interruptions }
    }
}

/// From the first thing that is published to the end of the last grace period.
#[derive(Default)]
struct Publishing {
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Publishing {
    fn begin(&mut self) {
        *self = Self::default();
    }

    fn touch(&mut self) {
        self.first.get_or_insert_with(Instant::now);
        self.last = Some(Instant::now());
    }

    fn took(&self) -> Duration {
        self.first.zip(self.last).map_or(Duration::ZERO, |(first, last)| last.duration_since(first))
    }
}

/// A publisher, and when it did something.
struct Timed {
    plane: Plane,
    times: Arc<Mutex<Publishing>>,
}

impl Timed {
    fn timed<T>(&mut self, act: impl FnOnce(&mut Plane) -> T) -> T {
        let touch = |times: &Mutex<Publishing>| times.lock().unwrap_or_else(PoisonError::into_inner).touch();
        touch(&self.times);
        let done = act(&mut self.plane);
        touch(&self.times);
        done
    }
}

impl Publisher for Timed {
    fn workers(&self) -> usize {
        self.plane.workers()
    }

    fn clock(&self) -> Clock {
        self.plane.clock()
    }

    fn publish(&mut self, entries: Vec<Entry>) -> Result<(), DictionaryFull> {
        self.timed(|plane| plane.publish(entries))
    }

    fn remove(&mut self, peers: &[PeerKey]) {
        self.timed(|plane| plane.remove(peers));
    }

    fn settings(&self) -> Arc<Settings> {
        self.plane.settings()
    }

    fn replace_settings(&mut self, settings: Settings) {
        self.timed(|plane| plane.replace_settings(settings));
    }

    fn begin_grace(&mut self) -> Grace {
        self.timed(Plane::begin_grace)
    }

    fn is_over(&mut self, grace: Grace) -> bool {
        self.plane.is_over(grace)
    }
}

/// There is no file to read anew.
struct Fixed;

impl Configuration for Fixed {
    fn reread(&mut self, _: &Settings, _: Clock) -> Result<Reread, ReloadRefused> {
        Err(ReloadRefused::Invalid(Problem::of_file(Path::new("bench.toml"), "is not read again").into()))
    }

    fn origin(&self) -> AsListOrigin {
        AsListOrigin::LastGood
    }

    fn accept(&mut self) {}
}

const PACKETS: u32 = 256;

/// What DPDK calls a worker's thread begins with it.
const WORKER: &str = "rte-worker";

/// A poll that takes as long as so many long bursts was not spent on packets alone.
const PAUSE_BURSTS: u64 = 4;

/// How long to look at the worker, and to let what was read be freed.
const SETTLE: Duration = Duration::from_secs(3);
