//! A process of the bench, which runs some of the nodes. It does what the lines on its standard input say, and ends with them: so it
//! outlives the bench in no case.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use photongate_dht::Id;
use photongate_dht::config::DhtConfig;
use photongate_dht::copies;
use photongate_dht::fetch::{self, Arrived, Effort};
use photongate_dht::handle::Handle;
use photongate_dht::manifest::{Manifest, Piece, piece_size};
use photongate_dht::node::Wanted;
use photongate_dht::server::Dht;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::network::name;
use super::task::{Phase, Report, Sent, Task};
use crate::logging::{self, LogFormat, LogLevel};

/// Does what is asked until there are no more lines.
///
/// # Errors
/// No thread can be started.
pub(super) fn serve(folder: &Path) -> Result<()> {
    logging::start(LogFormat::default(), LogLevel::Warn);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
    let (tasks_in, tasks) = mpsc::channel(1);
    thread::spawn(move || {
        for line in io::stdin().lines() {
            let Some(task) = line.ok().and_then(|line| serde_json::from_str::<Task>(&line).ok()) else { return };
            if tasks_in.blocking_send(task).is_err() {
                return;
            }
        }
    });
    runtime.block_on(work(folder, tasks));
    // What still waits for the disk writes into a folder that is about to go.
    runtime.shutdown_background();
    Ok(())
}

async fn work(folder: &Path, mut tasks: mpsc::Receiver<Task>) {
    let mut nodes = Vec::new();
    while let Some(task) = tasks.recv().await {
        let report = tokio::select! {
            report = carry_out(task, folder, &mut nodes) => report,
            // The bench waits for each report. If it does not, it is gone.
            _ = tasks.recv() => break,
        };
        if say(&report.unwrap_or_else(|error| Report::Failed(format!("{error:#}")))).is_err() {
            break;
        }
    }
    join_all(nodes.into_iter().map(Running::stop)).await;
}

async fn carry_out(task: Task, folder: &Path, nodes: &mut Vec<Running>) -> Result<Report> {
    Ok(match task {
        Task::Start { first, count, plain, replicas, bootstrap } => {
            for number in first..first + count {
                let others = nodes.first().map(|node: &Running| node.handle.me().address).into_iter().chain(bootstrap);
                let others: Vec<_> = others.map(|address| address.to_string()).collect();
                nodes.push(Running::start(folder, number, plain, replicas, &others).await?);
                say(&Report::Progress(1))?;
            }
            Report::Started(nodes.iter().map(|node| node.handle.me().address).collect())
        }
        Task::Settle { others } => Report::Settled(try_join_all(nodes.iter().map(|node| node.settle(others))).await?),
        Task::LookUp { count, at_once } => {
            let look_up = |number: usize| {
                let handle = nodes[number % nodes.len()].handle.clone();
                async move {
                    let target = Id::of(&random(16)?);
                    let begun = Instant::now();
                    let found = handle.find(Wanted::Nodes(target)).await?;
                    let is_found = !found.nearest.is_empty();
                    Ok(Done { took: is_found.then(|| begun.elapsed()), key: None, hops: found.hops })
                }
            };
            Report::Done(many(count, at_once, look_up).await?)
        }
        Task::Store { count, bytes, at_once } => {
            let store = |number: usize| {
                let handle = nodes[number % nodes.len()].handle.clone();
                async move {
                    let value = random(bytes)?;
                    let begun = Instant::now();
                    let put = handle.put(value.into()).await?;
                    Ok(Done { took: (put.kept > 0).then(|| begun.elapsed()), key: Some(put.key), hops: 0 })
                }
            };
            Report::Done(many(count, at_once, store).await?)
        }
        Task::Get { keys, at_once } => {
            let get = |number: usize| {
                let key = keys[number];
                let others = || nodes.iter().cycle().skip(number % nodes.len()).take(nodes.len());
                let without = others().find(|node| node.handle.store().keep_of(key).is_none());
                let node = without.unwrap_or(&nodes[number % nodes.len()]);
                let (handle, effort) = (node.handle.clone(), node.effort);
                async move {
                    let begun = Instant::now();
                    let got = fetch::value(&handle, key, effort).await;
                    Ok(Done { took: got.is_ok().then(|| begun.elapsed()), key: None, hops: 0 })
                }
            };
            Report::Done(many(keys.len(), at_once, get).await?)
        }
        Task::PutFile { bytes } => put_file(&nodes.first().context("no node runs")?.handle, bytes).await?,
        Task::GetFile { key, without } => {
            let gets = nodes.iter().skip(without).map(|node| get_file(&node.handle, key, node.effort));
            Report::Got(try_join_all(gets).await?.len())
        }
        Task::Count => Report::Counted(nodes.iter().map(Running::sent).collect()),
    })
}

/// A node that runs.
struct Running {
    handle: Handle,
    effort: Effort,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(folder: &Path, number: usize, plain: bool, replicas: usize, others: &[String]) -> Result<Self> {
        let name = name(number);
        let mode = if plain {
            "mode = \"plain\"\nplain = { ids = \"free\" }\n".to_owned()
        } else {
            format!("[tls]\ncertificate = \"pki/{name}.pem\"\nkey = \"pki/{name}-key.pem\"\nca = \"pki/ca.pem\"\n")
        };
        let text = format!(
            "listen = \"127.0.0.1:0\"\nbootstrap = {others:?}\n{mode}[state]\ndirectory = \"{number}\"\n[api]\nenabled = false\n\
             [limits]\nreplicas = {replicas}\n"
        );
        let config =
            DhtConfig::parse(&folder.join("bench.toml"), &text).map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let dht = Dht::start(config.config).await?;
        let (handle, effort) = (dht.handle().clone(), dht.effort());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(dht.run(async {
            // A bench that is gone wants it to stop as well.
            let _ = stopped.await;
        }));
        Ok(Self { handle, effort, stop, task })
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        // One that hangs ends with the process.
        let _ = timeout(STOPPING, self.task).await;
    }

    /// Waits until it knows so many others, and says how many it knows then.
    async fn settle(&self, others: usize) -> Result<usize> {
        let begun = Instant::now();
        loop {
            let known = self.handle.contacts().await?.len();
            if known >= others {
                return Ok(known);
            }
            if begun.elapsed() > SETTLING {
                bail!("a node knows {known} others only, after {} s", SETTLING.as_secs());
            }
            sleep(LOOK_AROUND).await;
        }
    }

    fn sent(&self) -> Sent {
        let traffic = &self.handle.board().traffic;
        Sent { value_bytes: traffic.value_bytes_sent.value(), datagram_bytes: traffic.datagram_bytes_sent.value() }
    }
}

/// One operation that has ended.
struct Done {
    /// `None`: it failed.
    took: Option<Duration>,
    key: Option<Id>,
    hops: u32,
}

/// Tries something `count` times, `at_once` of them at the same time.
async fn many<F>(count: usize, at_once: usize, operation: impl Fn(usize) -> F) -> Result<Phase>
where
    F: Future<Output = Result<Done>> + Send + 'static,
{
    let mut phase = Phase::default();
    let mut ended =
        stream::iter(0..count).map(|number| tokio::spawn(operation(number))).buffer_unordered(at_once.max(1));
    let mut untold = Untold::default();
    while let Some(done) = ended.next().await {
        let Done { took, key, hops } = done??;
        match took {
            Some(took) => {
                phase.micros.push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
                phase.keys.extend(key);
                phase.hops += u64::from(hops);
            }
            None => phase.failed += 1,
        }
        untold.one_more()?;
    }
    Ok(phase)
}

/// Puts a file of chance as `photongate dht put` does: some pieces at a time, and each counts once others have it.
async fn put_file(handle: &Handle, bytes: u64) -> Result<Report> {
    let size = piece_size(bytes).context("the file is too long")?;
    let sizes: Vec<_> =
        (0..bytes.div_ceil(size.into())).map(|at| (bytes - at * u64::from(size)).min(size.into())).collect();
    let puts = sizes.into_iter().map(|size| {
        let handle = handle.clone();
        async move {
            let bytes = random(usize::try_from(size)?)?;
            let piece = Piece::of(&bytes);
            put_and_confirm(&handle, bytes).await?;
            say(&Report::Progress(1))?;
            anyhow::Ok(piece)
        }
    });
    let pieces: Vec<_> = stream::iter(puts).buffered(PUTS).try_collect().await?;
    let count = pieces.len();
    let key = put_and_confirm(handle, Manifest::new(pieces)?.to_bytes()).await?;
    Ok(Report::Put { key, pieces: count })
}

async fn put_and_confirm(handle: &Handle, bytes: Vec<u8>) -> Result<Id> {
    let put = handle.put(bytes.into()).await?;
    // Nobody lies here, so nobody has to show it: that would be counted as traffic of the file.
    let have = copies::claimed(handle, put.key, put.kept.min(ENOUGH), CONFIRM_WITHIN).await?;
    if have == 0 {
        bail!(
            "a piece is on no other node, {} of which said they would fetch it, and {} refused",
            put.kept,
            put.failed
        );
    }
    Ok(put.key)
}

/// Gets a file, of which each piece is checked by the way.
async fn get_file(handle: &Handle, key: Id, effort: Effort) -> Result<()> {
    let file = fetch::file(handle, key, effort).await?;
    let pieces = file.manifest.pieces().len();
    let (arrived_in, mut arrived) = mpsc::channel::<Arrived>(effort.at_once);
    let counting = async {
        let mut bytes = 0;
        while let Some(piece) = arrived.recv().await {
            bytes += piece.bytes.len() as u64;
        }
        bytes
    };
    let (fetched, bytes) = tokio::join!(fetch::file_pieces(handle, &file, 0..pieces, effort, arrived_in), counting);
    fetched?;
    if bytes != file.manifest.size() {
        bail!("{bytes} bytes arrived of {}", file.manifest.size());
    }
    say(&Report::Progress(1))
}

/// What is done, and was not told yet: not each operation is worth a line.
#[derive(Default)]
struct Untold {
    count: usize,
    told: Option<Instant>,
}

impl Untold {
    fn one_more(&mut self) -> Result<()> {
        self.count += 1;
        if self.told.is_none_or(|told| told.elapsed() > TELL_EVERY) {
            say(&Report::Progress(std::mem::take(&mut self.count)))?;
            self.told = Some(Instant::now());
        }
        Ok(())
    }
}

fn say(report: &Report) -> Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    let mut output = io::stdout().lock();
    output.write_all(&line)?;
    Ok(output.flush()?)
}

fn random(bytes: usize) -> Result<Vec<u8>> {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random)
}

/// Pieces that are put at a time, and copies of each that are waited for: as `photongate dht put` does.
const PUTS: usize = 8;
const ENOUGH: usize = 3;
const CONFIRM_WITHIN: Duration = Duration::from_secs(20);

const LOOK_AROUND: Duration = Duration::from_millis(20);
const SETTLING: Duration = Duration::from_secs(120);
const STOPPING: Duration = Duration::from_secs(5);
const TELL_EVERY: Duration = Duration::from_millis(200);
