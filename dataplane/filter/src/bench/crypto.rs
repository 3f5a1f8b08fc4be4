//! The cryptography of the packet path, kernel by kernel, in each backend that this machine can run.

use super::environment::{BenchError, Host, environment};
use photongate_crypto::{Backend, CmacJob, Digest, HashJob, Input, Key, MacJob, Tag};
use photongate_dpdk::clock;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// What to measure.
#[derive(Clone, Debug)]
pub struct CryptoParams {
    /// Which backends.
    pub backends: Vec<&'static dyn Backend>,
    /// How long, all together.
    pub duration: Duration,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct CryptoResults {
    /// Where.
    pub host: Host,
    /// Each backend, in the order asked for.
    pub backends: Vec<BackendCycles>,
}

/// The cycles of one backend. Medians.
#[derive(Clone, Debug)]
pub struct BackendCycles {
    /// Which.
    pub name: &'static str,
    /// Cycles of each kernel, for each size of burst and each length.
    pub cells: Vec<Cell>,
}

/// What one kernel costs for one size of burst and one length.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Which kernel.
    pub kernel: Kernel,
    /// Packets.
    pub burst: usize,
    /// Bytes of each packet that are hashed or authenticated, besides the 32 of a header.
    pub length: usize,
    /// Cycles for one packet.
    pub cycles_per_packet: f64,
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Two derivations and the MAC of the LF header. No data.
    DeriveMac,
    /// SHA-1 of the payload.
    Sha1,
    /// Two derivations and AES-CMAC over header and payload.
    Cmac,
}

impl BackendCycles {
    /// What was measured for this kernel, burst and length.
    pub fn cell(&self, kernel: Kernel, burst: usize, length: usize) -> Option<&Cell> {
        self.cells.iter().find(|cell| (cell.kernel, cell.burst, cell.length) == (kernel, burst, length))
    }
}

/// Measures each kernel on one lcore, over packets that are in its cache, each under a key of its own.
///
/// # Errors
/// [`BenchError`] if the machine does not offer what is needed.
pub fn run_crypto(params: &CryptoParams) -> Result<CryptoResults, BenchError> {
    let (eal, lcores) = environment(1, false)?;
    let lcore = lcores.into_iter().next().ok_or(BenchError::NoLcore)?;
    let CryptoParams { backends, duration } = params.clone();
    let cells = 3 * BURSTS.len() * LENGTHS.len() * backends.len().max(1);
    let each = duration / u32::try_from(cells).unwrap_or(u32::MAX);
    let worker = eal.launch(lcore, move || backends.into_iter().map(|backend| measure(backend, each)).collect())?;
    let backends = worker.join()?;
    Ok(CryptoResults { host: Host::here(eal), backends })
}

fn measure(backend: &dyn Backend, each: Duration) -> BackendCycles {
    let keys: Vec<Key> = (0..=u8::MAX).map(|n| Key::from_bytes([n; 16])).collect();
    // As of IPv4 hosts: one block each.
    let (host_as, host_host) = (Input::new(&[2, 0, 3, 0, 10, 248, 2, 1]), Input::new(&[3, 0, 10, 248, 1, 1]));
    let mut cells = Vec::new();
    for burst in BURSTS {
        let keys = &keys[..burst];
        let macs: Vec<_> =
            keys.iter().map(|as_as| MacJob { as_as, host_as, host_host, message: [[0x5a; 16]; 2] }).collect();
        let mut tags = vec![Tag::default(); burst];
        let mut cell = |kernel, length, run: &mut dyn FnMut()| {
            cells.push(Cell { kernel, burst, length, cycles_per_packet: median(each, run) / burst as f64 });
        };
        cell(Kernel::DeriveMac, 0, &mut || backend.macs(black_box(&macs), black_box(&mut tags)));
        for length in LENGTHS {
            let payloads: Vec<_> = (0..burst).map(|n| vec![n as u8; length]).collect();
            let hashes: Vec<_> = payloads.iter().map(|data| HashJob { data }).collect();
            let cmacs: Vec<_> = keys
                .iter()
                .zip(&payloads)
                .map(|(as_as, data)| CmacJob { as_as, host_as, host_host, head: [[0x5a; 16]; 2], data })
                .collect();
            let mut digests = vec![Digest::default(); burst];
            cell(Kernel::Sha1, length, &mut || backend.sha1(black_box(&hashes), black_box(&mut digests)));
            cell(Kernel::Cmac, length, &mut || backend.cmacs(black_box(&cmacs), black_box(&mut tags)));
        }
    }
    BackendCycles { name: backend.name(), cells }
}

/// The median of the cycles that `run` takes, less what reading the counter takes.
fn median(duration: Duration, run: &mut dyn FnMut()) -> f64 {
    let mut cycles = Vec::with_capacity(SAMPLES);
    let end = Instant::now() + duration;
    run();
    while cycles.len() < FEWEST_SAMPLES || (cycles.len() < SAMPLES && Instant::now() < end) {
        let begin = clock::tsc();
        run();
        cycles.push(clock::tsc() - begin);
    }
    cycles.sort_unstable();
    cycles[cycles.len() / 2].saturating_sub(COUNTER_CYCLES) as f64
}

/// Packets in a burst.
pub const BURSTS: [usize; 5] = [1, 4, 16, 32, 64];
/// Bytes of a payload.
pub const LENGTHS: [usize; 3] = [64, 512, 1400];

const SAMPLES: usize = 100_000;
const FEWEST_SAMPLES: usize = 100;
/// See [`clock::tsc`].
const COUNTER_CYCLES: u64 = 20;
