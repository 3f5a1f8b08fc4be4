//! The nodes: processes of this program with several each, and certificates made for them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::future::{join_all, try_join_all};
use photongate_net::now;
use photongate_net::pki::{Host, Pki, Role, Site, Wanted};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::progress::Progress;
use super::task::{Report, Sent, Task};

/// Some processes. [`stop`](Self::stop) ends them in order; dropping kills them.
pub(super) struct Network {
    folder: PathBuf,
    workers: Vec<Worker>,
}

/// How the network is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) nodes: usize,
    pub(super) per_process: usize,
    pub(super) plain: bool,
    /// On how many nodes each value is kept.
    pub(super) replicas: usize,
}

struct Worker {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Network {
    /// Starts the processes, without nodes yet.
    pub(super) fn new(folder: &Path, plan: Plan) -> Result<Self> {
        if !plan.plain {
            let wanted = |number| {
                let name = name(number);
                Wanted { hosts: vec![Host::Name(name.clone())], name, role: Role::Dht, days: 1 }
            };
            let certificates = (0..plan.nodes).map(wanted).collect();
            let site = Site { authority: "photongate bench".to_owned(), years: 1, certificates };
            Pki::new(site, &folder.join("pki")).init(now())?;
        }
        let mut network = Self { folder: folder.to_owned(), workers: Vec::new() };
        for number in 0..plan.nodes.div_ceil(plan.per_process) {
            network.workers.push(Worker::start(folder, number)?);
        }
        Ok(network)
    }

    /// Starts the nodes, each of which knows the first one.
    pub(super) async fn start(&mut self, plan: Plan, progress: &Progress) -> Result<()> {
        let start = |worker: usize, bootstrap: Option<SocketAddr>| {
            let first = worker * plan.per_process;
            let count = plan.per_process.min(plan.nodes - first);
            Task::Start { first, count, plain: plan.plain, replicas: plan.replicas, bootstrap }
        };
        let first = self.ask(0, &start(0, None), progress).await?;
        let Report::Started(addresses) = first else { bail!("the first nodes do not start") };
        let bootstrap = addresses.first().copied();
        let rest = self.workers.iter_mut().enumerate().skip(1);
        try_join_all(rest.map(async |(number, worker)| worker.ask(&start(number, bootstrap), progress).await)).await?;
        Ok(())
    }

    /// How many processes there are.
    pub(super) fn len(&self) -> usize {
        self.workers.len()
    }

    /// Their ids.
    pub(super) fn processes(&self) -> Vec<u32> {
        self.workers.iter().filter_map(|worker| worker.process.id()).collect()
    }

    /// Has one process do something.
    pub(super) async fn ask(&mut self, worker: usize, task: &Task, progress: &Progress) -> Result<Report> {
        let asked = self.workers[worker].ask(task, progress).await;
        asked.with_context(|| format!("process {worker}: {}", self.log(worker)))
    }

    /// Has all processes do something, at the same time.
    pub(super) async fn ask_all(&mut self, task: impl Fn(usize) -> Task, progress: &Progress) -> Result<Vec<Report>> {
        let asked = self.workers.iter_mut().enumerate();
        let asked = join_all(asked.map(async |(number, worker)| worker.ask(&task(number), progress).await)).await;
        let named = asked.into_iter().enumerate();
        named
            .map(|(number, report)| report.with_context(|| format!("process {number}: {}", self.log(number))))
            .collect()
    }

    /// What each node sent so far.
    pub(super) async fn sent(&mut self) -> Result<Vec<Sent>> {
        let reports = self.ask_all(|_| Task::Count, &Progress::none()).await?;
        let sent = reports.into_iter().map(|report| match report {
            Report::Counted(sent) => Ok(sent),
            other => bail!("{other:?} is no count"),
        });
        Ok(sent.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Ends all processes, and waits until they have ended.
    pub(super) async fn stop(&mut self) {
        join_all(self.workers.iter_mut().map(Worker::stop)).await;
    }

    fn log(&self, worker: usize) -> String {
        fs::read_to_string(log(&self.folder, worker)).unwrap_or_default()
    }
}

impl Worker {
    fn start(folder: &Path, number: usize) -> Result<Self> {
        let log = fs::File::create(log(folder, number))?;
        let mut process = Command::new(std::env::current_exe()?)
            .args(["bench", "dht", "--serve"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // What is typed at the terminal is for the bench, which ends this one in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().context("a process has no output")?);
        Ok(Self { process, input, output })
    }

    async fn ask(&mut self, task: &Task, progress: &Progress) -> Result<Report> {
        let mut line = serde_json::to_vec(task)?;
        line.push(b'\n');
        self.input.as_mut().context("it was stopped")?.write_all(&line).await.context("it has ended")?;
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).await? == 0 {
                bail!("it has ended");
            }
            match serde_json::from_str(&line)? {
                Report::Progress(more) => progress.add(more),
                Report::Failed(why) => bail!(why),
                report => return Ok(report),
            }
        }
    }

    async fn stop(&mut self) {
        self.input = None;
        if timeout(STOPPING, self.process.wait()).await.is_err() {
            // That it has ended meanwhile is all that can go wrong.
            let _ = self.process.kill().await;
        }
    }
}

/// The name of a node, in its certificate.
pub(super) fn name(number: usize) -> String {
    format!("dht-{number}.example")
}

fn log(folder: &Path, worker: usize) -> PathBuf {
    folder.join(format!("process-{worker}.log"))
}

const STOPPING: Duration = Duration::from_secs(10);
