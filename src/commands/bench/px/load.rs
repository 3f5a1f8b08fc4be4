//! Clients that write without pause, each as soon as its last write was acknowledged.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::process;

/// A connection by which documents are written.
pub(super) trait Writer {
    /// Writes a document, and returns when that was acknowledged.
    async fn put(&self, name: &str, value: &str) -> Result<()>;
}

/// How much is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) clients: usize,
    /// Bytes of each document.
    pub(super) value: usize,
    pub(super) time: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Phase {
    elapsed: Duration,
    /// Processor time of all nodes.
    cpu: Duration,
    /// Of each write.
    times: Vec<Duration>,
}

/// Lets the clients write until the time is over. They share the connections evenly.
pub(super) async fn run<W: Writer>(connections: &[W], processes: &[u32], work: &Work) -> Result<Phase> {
    let value = "v".repeat(work.value);
    let number = Cell::new(0_u64);
    let cpu = process::cpu_time(processes)?;
    let begun = Instant::now();
    let clients = connections.iter().cycle().take(work.clients).map(|connection| {
        let (value, number) = (&value, &number);
        async move {
            let mut times = Vec::new();
            while begun.elapsed() < work.time {
                number.set(number.get() + 1);
                let name = format!("bench/{:011}", number.get() % DOCUMENTS);
                let begun = Instant::now();
                timeout(PATIENCE, connection.put(&name, value)).await.context("a write takes too long")??;
                times.push(begun.elapsed());
            }
            anyhow::Ok(times)
        }
    });
    let times = try_join_all(clients).await?.concat();
    let elapsed = begun.elapsed();
    Ok(Phase { elapsed, cpu: process::cpu_time(processes)? - cpu, times })
}

impl Phase {
    /// Counts another piece of the same work.
    pub(super) fn add(&mut self, other: Self) {
        self.elapsed += other.elapsed;
        self.cpu += other.cpu;
        self.times.extend(other.times);
    }

    fn puts_per_second(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }

    fn cpu_micros_per_put(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.times.len() as f64
    }

    fn percentile_ms(&self, share: f64) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        let place = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "puts_per_second": self.puts_per_second().round(),
            "p50_ms": hundredths(self.percentile_ms(0.5)),
            "p99_ms": hundredths(self.percentile_ms(0.99)),
            "cpu_us_per_put": self.cpu_micros_per_put().round(),
            "puts": self.times.len(),
        })
    }

    /// The figures divided by those of another one.
    pub(super) fn ratios_to(&self, other: &Self) -> Value {
        json!({
            "puts_per_second": hundredths(self.puts_per_second() / other.puts_per_second()),
            "p50": hundredths(self.percentile_ms(0.5) / other.percentile_ms(0.5)),
            "p99": hundredths(self.percentile_ms(0.99) / other.percentile_ms(0.99)),
            "cpu_per_put": hundredths(self.cpu_micros_per_put() / other.cpu_micros_per_put()),
        })
    }
}

/// More would feign a precision that there is not.
pub(super) fn hundredths(value: f64) -> Value {
    json!((value * 100.0).round() / 100.0)
}

/// Names go round.
const DOCUMENTS: u64 = 10_000;

/// Far more than a write takes.
const PATIENCE: Duration = Duration::from_secs(20);
