//! What the kernel says of the machine's processors and memory.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

/// What DPDK could use.
#[derive(Debug)]
pub(super) struct Machine {
    /// Processors that are online and that this thread may run on.
    pub(super) cpus: CpuSet,
    /// Size of a page and number of free pages, for each size of hugepages.
    pub(super) hugepages: Vec<(u64, u64)>,
    /// Size of a hugepage unless otherwise asked for.
    pub(super) default_hugepage_kib: u64,
    /// Memory that programs can still get, if the kernel tells.
    pub(super) available_mib: Option<u64>,
}

impl Machine {
    pub(super) fn read() -> Self {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            cpus: CpuSet::usable(),
            hugepages: hugepages(Path::new("/sys/kernel/mm/hugepages")),
            default_hugepage_kib: kib(&meminfo, "Hugepagesize:").unwrap_or(2048),
            available_mib: kib(&meminfo, "MemAvailable:").map(|kib| kib / 1024),
        }
    }

    pub(super) fn free_hugepages_mib(&self) -> u64 {
        self.hugepages.iter().map(|(page_kib, free)| page_kib * free / 1024).sum()
    }
}

/// Processors, by the kernel's numbers. Prints as the kernel does: `0-3,8`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(BTreeSet<usize>);

impl CpuSet {
    /// Those that are online and that this thread may run on. After [`crate::Eal::init`] these are the main lcore's.
    pub fn usable() -> Self {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
        let allowed = Self::parse(field(&status, "Cpus_allowed_list:").unwrap_or_default());
        let online = Self::parse(online.trim());
        allowed.iter().filter(|&cpu| online.contains(cpu)).collect()
    }

    /// Whether the processor is one of them.
    pub fn contains(&self, cpu: usize) -> bool {
        self.0.contains(&cpu)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    /// Reads the kernel's form. What is no number is left out.
    fn parse(list: &str) -> Self {
        let ranges = list.split(',').filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
        });
        ranges.flatten().collect()
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if_eq(&(last + 1)) {
                last = next;
            }
            if first == last {
                write!(f, "{separator}{first}")?;
            } else {
                write!(f, "{separator}{first}-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

fn hugepages(directory: &Path) -> Vec<(u64, u64)> {
    let Ok(sizes) = fs::read_dir(directory) else { return Vec::new() };
    let sizes = sizes.filter_map(|size| {
        let size = size.ok()?;
        let name = size.file_name().into_string().ok()?;
        let page_kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let free = fs::read_to_string(size.path().join("free_hugepages")).ok()?.trim().parse().ok()?;
        Some((page_kib, free))
    });
    sizes.collect()
}

fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn kib(meminfo: &str, name: &str) -> Option<u64> {
    field(meminfo, name)?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_processors_reads_and_prints_as_the_kernel_has_it() {
        for list in ["0", "0-3,8", "1,3,5-6", ""] {
            assert_eq!(CpuSet::parse(list).to_string(), list);
        }
    }

    #[test]
    fn this_machine_has_a_processor() {
        assert!(!Machine::read().cpus.is_empty());
    }
}
