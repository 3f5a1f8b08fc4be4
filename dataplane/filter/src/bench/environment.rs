//! The machine that is measured, and DPDK's environment for it.

use crate::filter::Running;
use photongate_dpdk::eal::{CpuSet, Memory};
use photongate_dpdk::hash::{InsertError, TableError};
use photongate_dpdk::lcore::{LaunchError, WorkerPanic};
use photongate_dpdk::qsbr::TooManyParticipants;
use photongate_dpdk::{Eal, EalConfig, EalError, Lcore, MempoolError, PortError, clock};
use std::fs;
use std::path::PathBuf;

/// What was measured on.
#[derive(Clone, Debug)]
pub struct Host {
    /// The processor's name.
    pub cpu: String,
    /// Processors of the machine.
    pub cores: usize,
    /// Cycles of the time-stamp counter in a second; 0 where they are not counted.
    pub tsc_hz: u64,
    /// Processes that were running or wanted to, on average over the last minute.
    pub load: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// DPDK does not come up.
    #[error(transparent)]
    Eal(#[from] EalError),
    /// There are not as many lcores as workers to measure.
    #[error("there are not as many processors as workers to be measured")]
    NoLcore,
    /// A port in memory cannot be made.
    #[error(transparent)]
    Port(#[from] PortError),
    /// There are no packet buffers.
    #[error(transparent)]
    Mempool(#[from] MempoolError),
    /// There is no key dictionary.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The dictionary does not take all peers.
    #[error(transparent)]
    Insert(#[from] InsertError),
    /// The dictionary takes no more readers.
    #[error(transparent)]
    Reader(#[from] TooManyParticipants),
    /// The worker does not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The worker failed.
    #[error(transparent)]
    Panic(#[from] WorkerPanic),
    /// The duplicate filter does not fit.
    #[error(transparent)]
    Sizing(#[from] photongate_pipeline::duplicates::SizingError),
    /// A capture file cannot be written.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A value that makes no sense.
    #[error("{name} = {value}: {reason}")]
    Parameter {
        /// Which.
        name: &'static str,
        /// Its value.
        value: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Host {
    /// The machine that a filter runs on.
    pub fn of(running: &Running) -> Self {
        Self::here(running.eal())
    }

    /// This machine, for what does not count cycles.
    pub fn without_cycles() -> Self {
        Self::new(0)
    }

    pub(super) fn here(eal: Eal) -> Self {
        Self::new(clock::tsc_hz(eal))
    }

    fn new(tsc_hz: u64) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            cpu: name.map_or("unknown", |(_, name)| name).to_owned(),
            // Not those this thread may use: it has been pinned by now.
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            tsc_hz,
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        }
    }
}

/// DPDK with so many worker lcores, on the last processors.
pub(super) fn environment(workers: usize, hugepages: bool) -> Result<(Eal, Vec<Lcore>), BenchError> {
    let mib = PACKET_MEMORY_MIB;
    let usable: Vec<usize> = CpuSet::usable().iter().collect();
    let config = EalConfig {
        worker_cpus: usable[usable.len().saturating_sub(workers)..].to_vec(),
        memory: if hugepages { Memory::Hugepages { mib } } else { Memory::Ordinary { mib } },
        // Without telemetry nothing listens in its run-time directory, which all runs may share.
        file_prefix: "photongate-bench".to_owned(),
        ..EalConfig::default()
    };
    let eal = Eal::init(config)?;
    let lcores: Vec<Lcore> = eal.workers().take(workers).collect();
    if lcores.len() < workers { Err(BenchError::NoLcore) } else { Ok((eal, lcores)) }
}

const PACKET_MEMORY_MIB: u32 = 128;
