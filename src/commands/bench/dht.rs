//! `photongate bench dht`: a network of real nodes on this machine: how fast it finds, stores and gives values, and how fast a file
//! reaches all of it.

mod figures;
mod network;
mod progress;
mod task;
mod worker;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use photongate_dht::Id;
use photongate_filter::bench::Host;
use photongate_net::Shutdown;
use serde_json::json;
use tempfile::TempDir;

use super::print_json;
use super::px::process::{cpu_time, resident_mib};
use crate::failure::Failure;
use crate::output;

use figures::{Figures, FileFigures, Measured};
use network::{Network, Plan};
use progress::Progress;
use task::{Phase, Report, Task};

/// A network of real nodes on this machine: how fast it finds and keeps values, and how fast a file reaches all nodes
///
/// Everything is as in operation: each node has its own sockets, its own folder on disk and, unless it is told to speak in the clear, its
/// own certificate, made for this run; nodes speak within QUIC with mutual TLS. Several share a process. All are on loopback, so this
/// shows what the program costs, and not the network.
///
/// Nodes join one after the other, and look for things that nobody counts until they are connected. Then they look for nodes, store values
/// that are as long as --value, and get them at nodes that do not have them: one operation after the other in the whole network first, which
/// shows how long each takes, then many at once, which shows how many there can be. Last, one node puts a file into the network, and all
/// others get it at the same time. For each goal of docs/performance.md the report says whether it is reached.
///
/// Ctrl-C or SIGTERM ends it early. No process and no file stays behind.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate bench dht --nodes 100
    photongate bench dht --nodes 100 --plain                       in the clear, over UDP and TCP
    photongate bench dht --nodes 20 --file-mib 100 --operations 50
    photongate bench dht --nodes 100 --json > dht.json

How to read it: `p50` is what half of the operations take at most, `p99` what all but one in a hundred take. A file reaches all nodes fast if
those that have a piece give it on: then all of them together get many times what the first node sends.

A node needs some 20 files and connections at a time: for many nodes in a process, see `ulimit -n`.

Exit status: 0 if it was measured, whatever came of it; 1 if that failed; 2 if the arguments cannot be used; 130 if it was interrupted.")]
pub(super) struct Arguments {
    /// Nodes in all.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(2..=2_000))]
    nodes: u16,
    /// Nodes that share a process.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=500))]
    per_process: u16,
    /// Let nodes speak in the clear, over UDP and TCP, and not within QUIC.
    #[arg(long)]
    plain: bool,
    /// Operations of each kind, one after the other and then once more many at once.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    operations: u32,
    /// Operations that are under way when there are many.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    at_once: u16,
    /// Bytes of a value.
    #[arg(long, default_value_t = 800, value_parser = clap::value_parser!(u32).range(16..=1_048_576))]
    value: u32,
    /// Size of the file, in MiB.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    file_mib: u16,
    /// Where the nodes keep what they have; a folder of the bench's own is made there, and goes with it.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
    /// Be one of the processes, in this folder.
    #[arg(long, hide = true, value_name = "FOLDER")]
    serve: Option<PathBuf>,
}

/// Runs the benchmark.
///
/// # Errors
/// A folder that cannot be written to, nodes that do not do their work, or an interruption.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let failed = |error: anyhow::Error| Failure::at_run_time(format!("photongate bench: {error:#}"));
    if let Some(folder) = &arguments.serve {
        return worker::serve(folder).map_err(failed);
    }
    let shutdown = Shutdown::install().context("signals cannot be handled").map_err(failed)?;
    // One thread: what the bench costs, the nodes lack.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("no thread").map_err(failed)?;
    let measured = runtime.block_on(measure_unless(arguments, &shutdown)).map_err(failed)?;
    let Some(measured) = measured else {
        return Err(Failure::with_status(INTERRUPTED, "photongate bench: interrupted"));
    };
    if !arguments.json {
        return output::print(&measured.text());
    }
    let Arguments { nodes, per_process, plain, operations, at_once, value, file_mib, .. } = arguments;
    let params = json!({
        "nodes": nodes, "per_process": per_process, "plain": plain, "operations": operations, "at_once": at_once, "value": value,
        "file_mib": file_mib, "replicas": arguments.plan().replicas,
    });
    print_json("dht", &params, &Host::without_cycles(), &measured.to_json())
}

/// Measures; `None` if somebody asks to stop before.
async fn measure_unless(arguments: &Arguments, shutdown: &Shutdown) -> Result<Option<Measured>> {
    let folder = new_folder(arguments)?;
    let mut network = Network::new(folder.path(), arguments.plan())?;
    let stopped = async {
        while !shutdown.requested() {
            tokio::time::sleep(LOOK_AROUND).await;
        }
    };
    let measured = tokio::select! {
        biased;
        () = stopped => Ok(None),
        measured = measure(arguments, &mut network) => measured.map(Some),
    };
    network.stop().await;
    folder.close().context("the folder of the bench cannot be removed")?;
    measured
}

async fn measure(arguments: &Arguments, network: &mut Network) -> Result<Measured> {
    let plan = arguments.plan();
    let begun = Instant::now();
    network.start(plan, &arguments.progress("starting nodes", plan.nodes)).await?;
    let others = KNOWN.min(plan.nodes / 2);
    let known =
        network.ask_all(|_| Task::Settle { others }, &arguments.progress("nodes in the network", plan.nodes)).await?;
    let joined = begun.elapsed();
    let known =
        known.into_iter().flat_map(|report| if let Report::Settled(known) = report { known } else { Vec::new() });
    let contacts = known.sum::<usize>() as f64 / plan.nodes as f64;

    let work = Work { arguments, count: arguments.operations as usize };
    let look_up = |count, at_once| Task::LookUp { count, at_once };
    // Connections are made, and everybody gets to know more of the others, until that makes look-ups no faster.
    let warm_up = Work { arguments, count: plan.nodes * WARM_UP };
    let mut before: Option<Duration> = None;
    for _ in 0..WARM_UPS {
        let (_, took) = warm_up.together(network, "getting to know each other", look_up).await?;
        if before.is_some_and(|before| took > before.mul_f64(NO_FASTER)) {
            break;
        }
        before = Some(took);
    }

    let store = |count, at_once| Task::Store { count, at_once, bytes: arguments.value as usize };
    let look_up = Figures {
        alone: work.alone(network, "looking up", look_up).await?,
        together: work.together(network, "looking up, many at once", look_up).await?,
    };
    let mut store = Figures {
        alone: work.alone(network, "storing", store).await?,
        together: work.together(network, "storing, many at once", store).await?,
    };
    let (alone, together) = (std::mem::take(&mut store.alone.0.keys), std::mem::take(&mut store.together.0.keys));
    let get = Figures {
        alone: work.get(network, "getting", &alone, true).await?,
        together: work.get(network, "getting, many at once", &together, false).await?,
    };
    let file = spread(arguments, network).await?;
    let processes = network.processes();
    let resident_mib = processes.iter().map(|&process| resident_mib(process)).sum::<Result<u64>>()?;
    Ok(Measured {
        plan,
        processes: processes.len(),
        joined,
        contacts,
        at_once: arguments.at_once.into(),
        look_up,
        store,
        get,
        file,
        cpu: cpu_time(&processes)?,
        resident_mib,
    })
}

/// One node puts a file into the network, and all others get it.
async fn spread(arguments: &Arguments, network: &mut Network) -> Result<FileFigures> {
    let bytes = u64::from(arguments.file_mib) << 20;
    let before = network.sent().await?;
    let begun = Instant::now();
    let pieces = photongate_dht::manifest::piece_size(bytes).map_or(0, |size| bytes.div_ceil(size.into()));
    let progress = arguments.progress("putting a file, in pieces", usize::try_from(pieces)?);
    let put = network.ask(0, &Task::PutFile { bytes }, &progress).await?;
    let Report::Put { key, pieces } = put else { bail!("the file is not put") };
    let put = begun.elapsed();
    drop(progress);
    let others = arguments.plan().nodes - 1;
    let progress = arguments.progress("nodes that have the file", others);
    let get = |worker| Task::GetFile { key, without: usize::from(worker == 0) };
    let got = network.ask_all(get, &progress).await?;
    let took = begun.elapsed();
    let got = got.into_iter().map(|report| if let Report::Got(nodes) = report { nodes } else { 0 }).sum();
    let after = network.sent().await?;
    let sent: Vec<_> = after.iter().zip(&before).map(|(after, before)| after.since(before)).collect();
    Ok(FileFigures { bytes, pieces, put, took, got, sent })
}

/// Operations of one kind after the other.
#[derive(Clone, Copy)]
struct Work<'a> {
    arguments: &'a Arguments,
    /// How many, in all processes.
    count: usize,
}

impl Work<'_> {
    /// One at a time in the whole network: the processes take turns.
    async fn alone(
        &self,
        network: &mut Network,
        what: &'static str,
        task: impl Fn(usize, usize) -> Task,
    ) -> Result<(Phase, Duration)> {
        let progress = self.arguments.progress(what, self.count);
        let mut phase = Phase::default();
        let begun = Instant::now();
        for worker in 0..network.len() {
            let count = share(self.count, worker, network.len());
            phase.add(network.ask(worker, &task(count, 1), &progress).await?)?;
        }
        Ok((phase, begun.elapsed()))
    }

    /// Many at once, in all processes.
    async fn together(
        &self,
        network: &mut Network,
        what: &'static str,
        task: impl Fn(usize, usize) -> Task,
    ) -> Result<(Phase, Duration)> {
        let processes = network.len();
        let at_once = usize::from(self.arguments.at_once).div_ceil(processes);
        let progress = self.arguments.progress(what, self.count);
        let begun = Instant::now();
        let reports = network.ask_all(|worker| task(share(self.count, worker, processes), at_once), &progress).await?;
        let took = begun.elapsed();
        let mut phase = Phase::default();
        reports.into_iter().try_for_each(|report| phase.add(report))?;
        Ok((phase, took))
    }

    /// Gets values, one at a time or many at once.
    async fn get(
        &self,
        network: &mut Network,
        what: &'static str,
        keys: &[Id],
        alone: bool,
    ) -> Result<(Phase, Duration)> {
        let processes = network.len();
        let progress = self.arguments.progress(what, keys.len());
        let at_once = if alone { 1 } else { usize::from(self.arguments.at_once).div_ceil(processes) };
        let task = |worker| Task::Get { keys: keys.iter().skip(worker).step_by(processes).copied().collect(), at_once };
        let begun = Instant::now();
        let mut phase = Phase::default();
        if alone {
            for worker in 0..processes {
                phase.add(network.ask(worker, &task(worker), &progress).await?)?;
            }
        } else {
            let reports = network.ask_all(task, &progress).await?;
            reports.into_iter().try_for_each(|report| phase.add(report))?;
        }
        Ok((phase, begun.elapsed()))
    }
}

impl Arguments {
    fn plan(&self) -> Plan {
        let nodes = usize::from(self.nodes);
        // In a small network everybody would have everything.
        let replicas = (nodes / 2).clamp(1, REPLICAS);
        Plan { nodes, per_process: self.per_process.into(), plain: self.plain, replicas }
    }

    fn progress(&self, what: &'static str, total: usize) -> Progress {
        Progress::new(what, total, !self.json)
    }
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

/// What falls to one of so many, of a number of things.
const fn share(count: usize, one: usize, of: usize) -> usize {
    count / of + if one < count % of { 1 } else { 0 }
}

/// A value is kept on so many nodes by default.
const REPLICAS: usize = 8;

/// A node that knows so many others is in the network.
const KNOWN: usize = 20;

/// Look-ups of each node that do not count, and how often all do as many.
const WARM_UP: usize = 5;
const WARM_UPS: u32 = 10;
const NO_FASTER: f64 = 0.8;
const LOOK_AROUND: Duration = Duration::from_millis(50);

/// What a shell reports for a command that SIGINT ended: 128 + 2.
const INTERRUPTED: u8 = 130;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_as_equal_as_can_be_and_make_up_the_whole() {
        assert_eq!((0..4).map(|one| share(10, one, 4)).collect::<Vec<_>>(), [3, 3, 2, 2]);
        assert_eq!((0..3).map(|one| share(2, one, 3)).sum::<usize>(), 2);
    }
}
