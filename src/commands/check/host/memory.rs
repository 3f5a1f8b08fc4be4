//! Hugepages, and memory that may be locked.

use super::{Finding, Machine};
use crate::config::FilterConfig;

pub(super) fn check(machine: &Machine, config: Option<&FilterConfig>, findings: &mut Vec<Finding>) {
    findings.push(hugepages(machine, config));
    findings.push(locked_memory(machine, config));
}

fn hugepages(machine: &Machine, config: Option<&FilterConfig>) -> Finding {
    let subject = "hugepages";
    let sizes = machine.list(HUGEPAGES);
    let sizes: Vec<_> = sizes.iter().filter_map(|name| Pages::read(machine, HUGEPAGES, name)).collect();
    let state = describe(machine, &sizes);
    let free_mib: u64 = sizes.iter().map(Pages::free_mib).max().unwrap_or(0);
    match config.map(|config| &config.memory) {
        Some(memory) if !memory.hugepages => {
            Finding::ok(subject, format!("{state}; not needed (memory.hugepages = false)"))
        }
        Some(memory) if free_mib < memory.mib.into() => Finding::fail(
            subject,
            format!("{state}; {} MiB must be free (memory.mib)", memory.mib),
            reserve(memory.mib.into()),
        ),
        Some(memory) => Finding::ok(subject, format!("{state}; {} MiB needed", memory.mib)),
        None if free_mib == 0 => {
            Finding::warn(subject, format!("{state}; network cards need some"), reserve(EXAMPLE_MIB))
        }
        None => Finding::ok(subject, state),
    }
}

/// How much memory a process may lock: a network card behind vfio reads and writes only locked memory.
fn locked_memory(machine: &Machine, config: Option<&FilterConfig>) -> Finding {
    let subject = "memlock";
    let needs_locked = config.is_none_or(|config| config.ports.iter().any(|port| port.device.pci().is_some()));
    let needed_mib = config.map_or(EXAMPLE_MIB, |config| config.memory.mib.into());
    if machine.capable(CAP_IPC_LOCK) {
        return Finding::ok(subject, "unlimited: this user has CAP_IPC_LOCK");
    }
    let limits = machine.read("proc/self/limits").unwrap_or_default();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max locked memory")?.split_whitespace().next());
    match limit.map(str::parse::<u64>) {
        Some(Err(_)) => Finding::ok(subject, "unlimited"),
        Some(Ok(bytes)) if bytes >> 20 >= needed_mib => Finding::ok(subject, format!("{} MiB", bytes >> 20)),
        Some(Ok(bytes)) if needs_locked => Finding::fail(
            subject,
            format!("only {} MiB may be locked, and a network card needs {needed_mib} MiB", bytes >> 20),
            "sudo prlimit --pid $$ --memlock=unlimited     # for this shell; LimitMEMLOCK=infinity in a systemd unit",
        ),
        Some(Ok(bytes)) => Finding::ok(subject, format!("{} MiB; no network card needs more", bytes >> 20)),
        None => Finding::warn(subject, "unknown: /proc/self/limits cannot be read", "mount -t proc proc /proc"),
    }
}

/// The pages of one size.
struct Pages {
    size_kib: u64,
    total: u64,
    free: u64,
}

impl Pages {
    /// Reads a folder called like `hugepages-2048kB`.
    fn read(machine: &Machine, folder: &str, name: &str) -> Option<Self> {
        let size_kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let total = machine.number(format!("{folder}/{name}/nr_hugepages"))?;
        let free = machine.number(format!("{folder}/{name}/free_hugepages"))?;
        Some(Self { size_kib, total, free })
    }

    fn free_mib(&self) -> u64 {
        self.free * self.size_kib / 1024
    }
}

fn describe(machine: &Machine, sizes: &[Pages]) -> String {
    let size = |pages: &Pages| {
        let name = format!("hugepages-{}kB", pages.size_kib);
        let nodes = machine.list(NODES).into_iter().filter_map(|node| {
            let pages = Pages::read(machine, &format!("{NODES}/{node}/hugepages"), &name)?;
            Some(format!("{node}: {}", pages.free))
        });
        let nodes: Vec<_> = nodes.collect();
        // On a machine with one node its number says nothing new.
        let by_node = if nodes.len() > 1 { format!(" ({})", nodes.join(", ")) } else { String::new() };
        format!("{} of {} pages of {} MiB free{by_node}", pages.free, pages.total, pages.size_kib / 1024)
    };
    let reserved: Vec<_> = sizes.iter().filter(|pages| pages.total > 0).map(size).collect();
    if reserved.is_empty() { "none reserved".to_owned() } else { reserved.join(", ") }
}

fn reserve(mib: u64) -> String {
    let pages = mib.div_ceil(2);
    format!(
        "echo {pages} | sudo tee /{HUGEPAGES}/hugepages-2048kB/nr_hugepages     # until the next boot; vm.nr_hugepages in sysctl.d for ever"
    )
}

const HUGEPAGES: &str = "sys/kernel/mm/hugepages";
const NODES: &str = "sys/devices/system/node";

/// `CAP_IPC_LOCK` in `linux/capability.h`.
const CAP_IPC_LOCK: u32 = 14;

/// What is proposed when no configuration says how much is needed.
const EXAMPLE_MIB: u64 = 1024;
