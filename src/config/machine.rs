//! `[workers]`, `[memory]`, `[dpdk]`: what of the machine is used.

use photongate_crypto::{Backend, backend};
use photongate_net::config::{Reported, Section, Value};
use photongate_pipeline::MAX_BURST;

/// `[workers]`.
#[derive(Clone, Debug)]
pub(crate) struct WorkersConfig {
    /// Polling threads, one core each.
    pub count: usize,
    /// The core of each worker; `None` leaves the choice to the filter.
    pub cores: Option<Vec<usize>>,
    /// Packets taken from a port at a time.
    pub burst: usize,
    /// Whether a worker sleeps a little when nothing arrives.
    pub adaptive_polling: bool,
    /// What computes MACs and hashes.
    pub crypto: &'static dyn Backend,
}

/// `[memory]`.
#[derive(Clone, Debug)]
pub(crate) struct MemoryConfig {
    /// Whether DPDK's memory comes from hugepages.
    pub hugepages: bool,
    /// Memory for packet buffers and what else DPDK keeps, in MiB.
    pub mib: u32,
    /// Packet buffers.
    pub buffers: u32,
}

/// `[dpdk]`.
#[derive(Clone, Debug)]
pub(crate) struct DpdkConfig {
    /// Tells the files and sockets of this filter from those of others on the machine (DPDK's `--file-prefix`).
    pub name: String,
    /// Further arguments for the environment abstraction layer.
    pub arguments: Vec<String>,
}

/// Reads `[workers]`.
pub(super) fn workers(workers: &mut Section<'_>) -> Result<WorkersConfig, Reported> {
    let cores = workers.optional_with("cores", cores);
    let count = workers.optional_with("count", |count| count.number(1..=MOST_WORKERS, "workers"));
    let burst = workers.or_with("burst", DEFAULT_BURST, |burst| burst.number(1..=MAX_BURST as u8, "packets"));
    let adaptive_polling = workers.or("adaptive_polling", true);
    let crypto = workers.optional_with("crypto", |name| {
        let refuse = |error| name.refuse(format!("cannot be used: {error}"));
        backend::by_name(name.text()?).map_err(refuse)
    });
    let (cores, count) = (cores?, count?.map(usize::from));
    if let (Some(count), Some(cores)) = (count, &cores)
        && count != cores.len()
    {
        let message = format!("{count} workers and a list of {} cores: give each worker one core", cores.len());
        return Err(workers.refuse("cores", message));
    }
    Ok(WorkersConfig {
        count: count.or(cores.as_ref().map(Vec::len)).unwrap_or(1),
        cores,
        burst: burst?.into(),
        adaptive_polling: adaptive_polling?,
        crypto: crypto?.unwrap_or_else(backend::detect),
    })
}

fn cores(value: &Value<'_>) -> Result<Vec<usize>, Reported> {
    let mut seen = Vec::new();
    let cores = value.items(|item| {
        let core = item.number(0..=u16::MAX, "")?.into();
        if seen.contains(&core) {
            return Err(item.refuse("is listed twice: each worker needs a core of its own"));
        }
        seen.push(core);
        Ok(core)
    })?;
    if cores.is_empty() {
        return Err(value.refuse("is an empty list: name one core for each worker, or leave the field out"));
    }
    Ok(cores)
}

/// Reads `[memory]`.
pub(super) fn memory(memory: &mut Section<'_>) -> Result<MemoryConfig, Reported> {
    let hugepages = memory.or("hugepages", false);
    let mib = memory.or_with("mib", DEFAULT_MIB, |mib| mib.number(LEAST_MIB..=MOST_MIB, "MiB"));
    let buffers =
        memory.or_with("buffers", DEFAULT_BUFFERS, |buffers| buffers.number(LEAST_BUFFERS..=MOST_BUFFERS, "buffers"));
    let (mib, buffers) = (mib?, buffers?);
    let needed_mib = (u64::from(buffers) * BUFFER_BYTES).div_ceil(1 << 20);
    if needed_mib > u64::from(mib) {
        let message = format!(
            "{buffers} buffers take {needed_mib} MiB, and memory.mib is {mib}: raise it, or have fewer buffers"
        );
        return Err(memory.refuse("buffers", message));
    }
    Ok(MemoryConfig { hugepages: hugepages?, mib, buffers })
}

/// Reads `[dpdk]`.
pub(super) fn dpdk(dpdk: &mut Section<'_>) -> Result<DpdkConfig, Reported> {
    let name = dpdk.or_with("name", DEFAULT_NAME.to_owned(), file_name);
    let arguments = dpdk.list("arguments");
    Ok(DpdkConfig { name: name?, arguments: arguments? })
}

fn file_name(value: &Value<'_>) -> Result<String, Reported> {
    let name = value.text()?;
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
        return Err(value.refuse(format!("cannot name files: use up to {LONGEST_NAME} letters, digits, `-` and `_`")));
    }
    Ok(name.to_owned())
}

const MOST_WORKERS: u8 = 128;
const DEFAULT_BURST: u8 = 64;

const DEFAULT_MIB: u32 = 256;
const LEAST_MIB: u32 = 64;
const MOST_MIB: u32 = 1 << 20;

const DEFAULT_BUFFERS: u32 = 8192;
const LEAST_BUFFERS: u32 = 1024;
const MOST_BUFFERS: u32 = 1 << 24;

/// What a buffer takes of DPDK's memory: 2 KiB of data, 128 bytes each of headroom and of description, and the
/// pool's own header.
const BUFFER_BYTES: u64 = 2048 + 128 + 128 + 64;

const DEFAULT_NAME: &str = "photongate";
const LONGEST_NAME: usize = 32;
