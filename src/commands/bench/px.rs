//! `photongate bench px`: how many documents a cluster writes, beside an etcd cluster on the same machine, and how it does in trouble.

mod cluster;
mod connection;
mod etcd;
mod grpc;
mod load;
pub(super) mod process;
mod trouble;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use photongate_filter::bench::Host;
use photongate_net::Shutdown;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::print_json;
use crate::failure::Failure;
use crate::output;

use cluster::Cluster;
use etcd::Etcd;
use load::{Phase, Work};

/// A px cluster on this machine, and clients that write to it; where etcd is installed, the same for etcd, in the same run
///
/// Everything is as in operation: processes of their own, mutual TLS between the nodes, and nothing acknowledged before a majority has it
/// on disk. Clients keep their connections, which are spread over the nodes beginning with the leader: to px by its Unix socket, to etcd by
/// gRPC. etcd has no TLS; its members run with their defaults. The two are measured turn about.
///
/// Writing waits for the disk. Name a folder on the disk that you want to know about: in memory (tmpfs) waiting costs nothing.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate bench px --clients 1                 one client that waits for each write
    photongate bench px --clients 64 --json
    photongate bench px --failover 20               how long until writes succeed after the leader was killed
    photongate bench px --elections 600             leaders that are replaced for no good reason, with all processors busy
    photongate bench px --idle 30                   what a cluster costs that has nothing to do

etcd is compared with if a program of this name is found: `apt-get install etcd-server`. SIGINT and SIGTERM end the bench with exit \
status 130, and all processes that it started.")]
pub(super) struct Arguments {
    /// Nodes of each cluster.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=9))]
    nodes: u16,
    /// Writes that are under way at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    clients: u16,
    /// Connections that the clients share. There are never more than clients.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=100))]
    connections: u16,
    /// Bytes that are written.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=60_000))]
    value: u16,
    /// How long each cluster is written to.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Leave etcd out.
    #[arg(long)]
    without_etcd: bool,
    /// Kill the leader so many times, 20 if nothing else is said, and see how long it takes until a write succeeds.
    #[arg(long, group = "trouble", value_name = "TRIALS", num_args = 0..=1, default_missing_value = "20",
        value_parser = clap::value_parser!(u16).range(1..=1_000))]
    failover: Option<u16>,
    /// Keep all processors busy for so many seconds, 600 if nothing else is said, and count the elections, none of which is called for.
    #[arg(long, group = "trouble", value_name = "SECONDS", num_args = 0..=1, default_missing_value = "600",
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    elections: Option<u64>,
    /// Do nothing for so many seconds, 30 if nothing else is said, and see what that costs.
    #[arg(long, group = "trouble", value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30",
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    idle: Option<u64>,
    /// Where the nodes keep what they write; a folder of the bench's own is made there, and goes with it.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
}

/// Runs the benchmark.
///
/// # Errors
/// A folder that cannot be written to, or nodes that do not do their work.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let failed = |error: anyhow::Error| Failure::at_run_time(format!("photongate bench: {error:#}"));
    let shutdown = Shutdown::install().context("signals cannot be handled").map_err(failed)?;
    // One thread: what the clients cost, the nodes lack.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("no thread").map_err(failed)?;
    let results = runtime.block_on(async {
        tokio::select! {
            results = measure(arguments) => results.map_err(failed),
            // What is measured is dropped: its processes first, then their folder.
            () = shutdown.wait() => Err(Failure::with_status(INTERRUPTED, "photongate bench: interrupted")),
        }
    })?;
    if !arguments.json {
        return output::print(&text("", &results));
    }
    let Arguments { nodes, clients, connections, value, seconds, .. } = arguments;
    let params = json!({
        "nodes": nodes, "clients": clients, "connections": connections, "value": value, "seconds": seconds,
    });
    print_json("px", &params, &Host::without_cycles(), &results)
}

async fn measure(arguments: &Arguments) -> Result<Value> {
    let folder = new_folder(arguments)?;
    let nodes = usize::from(arguments.nodes);
    if let Some(trials) = arguments.failover {
        return trouble::failover(&mut Cluster::start(folder.path(), nodes).await?, trials).await;
    }
    if let Some(seconds) = arguments.elections {
        let cluster = Cluster::start(folder.path(), nodes).await?;
        return trouble::elections(&cluster, Duration::from_secs(seconds)).await;
    }
    if let Some(seconds) = arguments.idle {
        return trouble::idle(&Cluster::start(folder.path(), nodes).await?, Duration::from_secs(seconds)).await;
    }
    let cluster = Cluster::start(folder.path(), nodes).await?;
    let etcd = if arguments.without_etcd { None } else { Etcd::start(folder.path(), nodes).await? };
    compare(arguments, &cluster, etcd.as_ref()).await
}

/// Writes to both, turn about.
async fn compare(arguments: &Arguments, cluster: &Cluster, etcd: Option<&Etcd>) -> Result<Value> {
    let connections = usize::from(arguments.connections.min(arguments.clients));
    let to_px = cluster.connections(connections).await?;
    let to_etcd = match etcd {
        Some(etcd) => etcd.connections(connections).await?,
        None => Vec::new(),
    };
    let work = |time| Work { clients: arguments.clients.into(), value: arguments.value.into(), time };
    let round = work(Duration::from_secs(arguments.seconds) / ROUNDS);
    let (mut px, mut other) = (Phase::default(), Phase::default());
    // The first round only warms up.
    load::run(&to_px, &cluster.processes(), &work(WARM_UP)).await?;
    if let Some(etcd) = etcd {
        load::run(&to_etcd, &etcd.processes(), &work(WARM_UP)).await?;
    }
    for _ in 0..ROUNDS {
        px.add(load::run(&to_px, &cluster.processes(), &round).await?);
        if let Some(etcd) = etcd {
            other.add(load::run(&to_etcd, &etcd.processes(), &round).await?);
        }
    }
    let mut results = json!({ "px": px.to_json() });
    if etcd.is_some() {
        results["etcd"] = other.to_json();
        results["px_of_etcd"] = px.ratios_to(&other);
    }
    Ok(results)
}

fn new_folder(arguments: &Arguments) -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("photongate-bench-");
    match &arguments.folder {
        Some(folder) => {
            builder.tempdir_in(folder).with_context(|| format!("{} cannot be written to", folder.display()))
        }
        None => Ok(builder.tempdir()?),
    }
}

fn text(prefix: &str, results: &Value) -> String {
    results.as_object().into_iter().flatten().fold(String::new(), |mut text, (name, value)| {
        match value {
            Value::Object(_) => text.push_str(&self::text(&format!("{prefix}{name} "), value)),
            _ => {
                let _ = writeln!(text, "{:>28}  {value}", format!("{prefix}{name}"));
            }
        }
        text
    })
}

/// What a shell reports for a command that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// What else the machine does is spread over both: each is measured in so many pieces, in turn.
const ROUNDS: u32 = 4;
const WARM_UP: Duration = Duration::from_secs(1);
