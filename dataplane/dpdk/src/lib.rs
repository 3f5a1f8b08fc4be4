//! DPDK, made safe: the environment, ports, packet buffers, and a hash table with lock-free readers.
//!
//! With `dpdk-sys` below it, this is the only crate that handles DPDK's pointers. Everything public here can be used
//! from safe code, and the rules DPDK states in prose are types:
//!
//! - [`Eal`] exists only after the environment was initialised, and everything else is made from it.
//! - An [`Mbuf`] has one owner. Sending it gives it away, dropping it returns it to its [`Mempool`].
//! - A receive or transmit queue has one owner, who alone may poll it. A [`Port`] closes when it and its queues are
//!   gone.
//! - An entry found by a [`hash::Reader`] is borrowed from the reader, so it is gone before the reader may say that it
//!   holds nothing (its quiescent state), which is what lets the writer free what it replaced.
//!
//! DPDK cannot be initialised twice in a process, and memory pools serve other threads and network cards for as long
//! as these run. So the environment and the pools live until the process ends.

#![deny(clippy::undocumented_unsafe_blocks)]

mod cache;
pub mod clock;
pub mod eal;
mod errno;
pub mod fragments;
pub mod hash;
pub mod hugepages;
pub mod lcore;
mod mbuf;
mod mempool;
pub mod port;
pub mod qsbr;
mod queue;
pub mod ring;
pub mod telemetry;

pub use eal::{Eal, EalConfig, EalError};
pub use errno::Errno;
pub use hash::HashTable;
pub use lcore::Lcore;
pub use mbuf::{Burst, Checksum, Mbuf, MbufError, Segments, TxChecksums};
pub use mempool::{HEADROOM, LARGEST_DATA_ROOM, Mempool, MempoolConfig, MempoolError};
pub use port::{Port, PortConfig, PortError};
pub use qsbr::Qsbr;
pub use queue::{RxQueue, TxQueue};

/// The DPDK that is loaded, as it calls itself, such as `DPDK 22.11.11`.
pub fn version() -> &'static str {
    // SAFETY: rte_version() returns a static, terminated string and needs no environment.
    let version = unsafe { std::ffi::CStr::from_ptr(photongate_dpdk_sys::rte_version()) };
    version.to_str().unwrap_or("DPDK")
}

/// The DPDK version that this crate was compiled against, such as `22.11.11`.
pub const COMPILED_VERSION: &str = photongate_dpdk_sys::COMPILED_VERSION;
