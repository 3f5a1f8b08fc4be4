//! Why the environment cannot be set up, each with what to do about it.

use nix::libc;

use super::config::Memory;
use super::machine::CpuSet;
use crate::Errno;

/// Why there is no environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EalError {
    /// It was tried before in this process. DPDK allows one try.
    #[error("DPDK was initialised before in this process, and can be only once")]
    AlreadyInitialised,
    /// A processor that is not there, or that this process may not use.
    #[error("there is no processor {cpu} for this process; usable are {usable}")]
    UnknownCpu {
        /// The one asked for.
        cpu: usize,
        /// Those that could be.
        usable: CpuSet,
    },
    /// More workers than DPDK has lcores.
    #[error("{wanted} workers are too many, DPDK can run {most}")]
    TooManyWorkers {
        /// How many were asked for.
        wanted: usize,
        /// How many are possible.
        most: usize,
    },
    /// Too few free hugepages.
    #[error(
        "{wanted_mib} MiB of hugepages are needed, {free_mib} MiB are free; set some aside with: \
         echo {} | sudo tee /sys/kernel/mm/hugepages/hugepages-{page_kib}kB/nr_hugepages",
        (u64::from(*wanted_mib) * 1024).div_ceil(*page_kib)
    )]
    NotEnoughHugepages {
        /// MiB asked for.
        wanted_mib: u32,
        /// MiB free, of all page sizes.
        free_mib: u64,
        /// Size of a page to set aside.
        page_kib: u64,
    },
    /// The memory asked for is not there.
    #[error("{wanted_mib} MiB of memory are needed, {}", available(*available_mib))]
    NotEnoughMemory {
        /// MiB asked for.
        wanted_mib: u32,
        /// MiB available, if the kernel tells.
        available_mib: Option<u64>,
    },
    /// The kernel denied something.
    #[error(
        "DPDK lacks a permission; run as root, or with CAP_NET_ADMIN, CAP_IPC_LOCK and access to /dev/vfio{}",
        lines(log)
    )]
    PermissionDenied {
        /// What DPDK logged.
        log: Vec<String>,
    },
    /// DPDK was built for another processor.
    #[error("DPDK was built for another kind of processor{}", lines(log))]
    UnsupportedProcessor {
        /// What DPDK logged.
        log: Vec<String>,
    },
    /// DPDK does not understand its arguments.
    #[error("DPDK refuses its arguments; check the extra ones{}", lines(log))]
    InvalidArguments {
        /// What DPDK logged.
        log: Vec<String>,
    },
    /// An argument that no C program can be given.
    #[error("the argument {argument:?} has a zero byte")]
    ZeroByte {
        /// The argument.
        argument: String,
    },
    /// DPDK's other reasons.
    #[error("DPDK cannot start: {errno}{}", lines(log))]
    Other {
        /// DPDK's reason.
        errno: Errno,
        /// What it logged.
        log: Vec<String>,
    },
}

impl EalError {
    /// Sorts a failure of `rte_eal_init`.
    pub(super) fn from_dpdk(errno: Errno, memory: Memory, log: Vec<String>) -> Self {
        let logged = |text: &str| log.iter().any(|line| line.contains(text));
        match errno.number() {
            libc::EACCES | libc::EPERM => Self::PermissionDenied { log },
            _ if logged("Permission denied") || logged("Operation not permitted") => Self::PermissionDenied { log },
            libc::ENOMEM => match memory {
                Memory::Ordinary { mib } => Self::NotEnoughMemory { wanted_mib: mib, available_mib: None },
                Memory::Hugepages { .. } => Self::Other { errno, log },
            },
            libc::EINVAL if logged("command line") => Self::InvalidArguments { log },
            libc::ENOTSUP if logged("unsupported cpu") => Self::UnsupportedProcessor { log },
            _ => Self::Other { errno, log },
        }
    }

    pub(super) fn log(errno: Errno) -> Self {
        Self::Other { errno, log: Vec::new() }
    }
}

fn available(mib: Option<u64>) -> String {
    mib.map_or_else(|| "more than the system gives".to_owned(), |mib| format!("{mib} MiB are available"))
}

fn lines(log: &[String]) -> String {
    log.iter().map(|line| format!("\n  {line}")).collect()
}
