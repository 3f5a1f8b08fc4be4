//! What happens to a cluster whose leader dies, whose machine is busy, or that has nothing to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::cluster::Cluster;
use super::load::{Writer, hundredths};
use super::process;

/// Kills the leader so many times; says how long it took each time until a write succeeded that was begun after that.
pub(super) async fn failover(cluster: &mut Cluster, trials: u16) -> Result<Value> {
    let mut times = Vec::new();
    for _ in 0..trials {
        let leader = cluster.wait_until_whole().await?;
        // Not always at the same point between two heartbeats.
        sleep(SETTLED + HEARTBEAT_PART * (times.len() as u32 % 16)).await;
        let mut survivors = Vec::new();
        for node in (0..cluster.len()).filter(|node| *node != leader) {
            survivors.push(cluster.connect(node).await?);
        }
        cluster.kill(leader);
        times.push(first_write(&survivors).await?);
        cluster.run(leader)?;
    }
    cluster.wait_until_whole().await?;
    times.sort_unstable();
    let ms = |time: Duration| hundredths(time.as_secs_f64() * 1e3);
    Ok(json!({
        "trials": times.len(),
        "median_ms": ms(times[times.len() / 2]),
        "min_ms": ms(times[0]),
        "max_ms": ms(times[times.len() - 1]),
    }))
}

/// Begins a write every now and then, at one node after the other, until one of them succeeds.
async fn first_write(survivors: &[impl Writer]) -> Result<Duration> {
    let begun = Instant::now();
    let mut next = interval(BETWEEN_WRITES);
    next.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut nodes = survivors.iter().cycle();
    let mut writes = FuturesUnordered::new();
    let writing = async {
        loop {
            tokio::select! {
                _ = next.tick() => {
                    let node = nodes.next().expect("a cluster has two nodes at least");
                    writes.push(node.put("bench/failover", "written"));
                }
                Some(Ok(())) = writes.next() => return begun.elapsed(),
            }
        }
    };
    timeout(PATIENCE, writing).await.context("no write succeeds any more")
}

/// Keeps all processors busy, and writes a little; counts the elections.
pub(super) async fn elections(cluster: &Cluster, time: Duration) -> Result<Value> {
    let leader = cluster.wait_until_whole().await?;
    let client = cluster.connect(leader).await?;
    let before = highest_ballot(cluster).await?;
    let busy = Busy::start();
    let begun = Instant::now();
    let (mut writes, mut longest) = (0_u64, Duration::ZERO);
    while begun.elapsed() < time {
        let begun = Instant::now();
        timeout(PATIENCE, client.put("bench/elections", "written")).await.context("a write takes too long")??;
        longest = longest.max(begun.elapsed());
        writes += 1;
        sleep(BETWEEN_WRITES).await;
    }
    let spinning = busy.stop();
    let elections = highest_ballot(cluster).await? - before;
    Ok(json!({
        "seconds": begun.elapsed().as_secs(),
        "busy_threads": spinning,
        "elections": elections,
        "writes": writes,
        "longest_write_ms": hundredths(longest.as_secs_f64() * 1e3),
    }))
}

/// What the nodes cost while nothing happens.
pub(super) async fn idle(cluster: &Cluster, time: Duration) -> Result<Value> {
    cluster.wait_until_whole().await?;
    sleep(SETTLED).await;
    let processes = cluster.processes();
    let begun = Instant::now();
    let before = process::cpu_time(&processes)?;
    sleep(time).await;
    let used = process::cpu_time(&processes)? - before;
    let share = used.as_secs_f64() / begun.elapsed().as_secs_f64() / processes.len() as f64;
    let resident = processes.iter().map(|process| process::resident_mib(*process)).collect::<Result<Vec<_>>>()?;
    Ok(json!({ "cpu_percent_of_a_core_per_node": hundredths(share * 100.0), "resident_mib": resident }))
}

/// Each election has a ballot of its own.
async fn highest_ballot(cluster: &Cluster) -> Result<u32> {
    Ok(cluster.statuses().await?.iter().map(|status| status.ballot).max().unwrap_or(0))
}

/// Threads that do nothing but keep processors busy, two for each.
struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Busy {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let spin = || {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..2 * processors).map(|_| spin()).collect();
        Self { stop, threads }
    }

    /// Ends them; says how many there were.
    fn stop(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let threads = std::mem::take(&mut self.threads);
        threads.into_iter().filter_map(|thread| thread.join().ok()).count()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// After a cluster has become whole, until something is done to it.
const SETTLED: Duration = Duration::from_millis(500);
const HEARTBEAT_PART: Duration = Duration::from_millis(7);
const BETWEEN_WRITES: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);
