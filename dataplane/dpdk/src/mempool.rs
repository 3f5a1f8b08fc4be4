//! Pools of packet buffers.

use std::ffi::{CString, c_int};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use photongate_dpdk_sys as sys;

use crate::{Burst, Eal, Errno, Mbuf};

/// A pool of packet buffers of one size, on one NUMA node. A cheap handle: copies mean the same pool.
///
/// Its buffers are found in the rings of network cards and in the hands of other threads, so the pool's memory stays
/// until the process ends.
#[derive(Clone, Copy, Debug)]
pub struct Mempool {
    raw: NonNull<sys::rte_mempool>,
    data_room: u16,
}

// SAFETY: a pool is made of a multi-producer, multi-consumer ring and a cache per lcore, which only that lcore's
// thread uses; threads that are no lcores bypass the caches. So any thread may allocate and free, and the memory is
// never unmapped.
unsafe impl Send for Mempool {}
// SAFETY: as above; a shared `Mempool` offers nothing that a moved one does not.
unsafe impl Sync for Mempool {}

impl Mempool {
    /// Makes a pool.
    ///
    /// # Errors
    /// [`MempoolError`]; most often there is not enough memory.
    pub fn create(_eal: Eal, config: &MempoolConfig) -> Result<Self, MempoolError> {
        let buffer = u32::from(config.data_room) + HEADROOM as u32;
        let buffer = u16::try_from(buffer)
            .map_err(|_| MempoolError::DataRoom { data_room: config.data_room, limit: LARGEST_DATA_ROOM })?;
        // DPDK wants the cache to fit into the pool one and a half times.
        let cache = config.cache.min(sys::RTE_MEMPOOL_CACHE_MAX_SIZE).min(config.buffers * 2 / 3);
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = CString::new(format!("photongate_{number}")).expect("no zero byte in the format");
        let socket = config.socket.map_or(ANY_SOCKET, |socket| socket as c_int);
        // SAFETY: the environment is up, as `_eal` shows, and DPDK copies the name.
        let raw = unsafe { sys::rte_pktmbuf_pool_create(name.as_ptr(), config.buffers, cache, 0, buffer, socket) };
        match NonNull::new(raw) {
            Some(raw) => Ok(Self { raw, data_room: config.data_room }),
            None => Err(MempoolError::create(config, Errno::last())),
        }
    }

    /// A buffer with no data in it, or `None` when the pool is empty.
    #[inline]
    pub fn allocate(&self) -> Option<Mbuf> {
        // SAFETY: the pool is never freed.
        let raw = unsafe { sys::pg_mbuf_alloc(self.raw.as_ptr()) };
        // SAFETY: DPDK gave the buffer out, with one reference, to nobody else.
        NonNull::new(raw).map(|raw| unsafe { Mbuf::from_raw(raw) })
    }

    /// Fills the burst with empty buffers. When the pool holds too few, the burst stays as it was.
    ///
    /// Returns how many were added.
    #[inline]
    pub fn allocate_burst<const N: usize>(&self, burst: &mut Burst<N>) -> usize {
        burst.extend_with(|slots, count| {
            // SAFETY: the pool is never freed, and `slots` has room for `count` pointers.
            let status = unsafe { sys::pg_mbuf_alloc_bulk(self.raw.as_ptr(), slots, u32::from(count)) };
            // All or nothing.
            if status == 0 { count } else { 0 }
        })
    }

    /// Bytes that a buffer holds after its headroom.
    pub fn data_room(&self) -> u16 {
        self.data_room
    }

    /// How many buffers nobody uses now. Walks all caches: not for the packet path.
    pub fn available(&self) -> u32 {
        // SAFETY: the pool is never freed.
        unsafe { sys::rte_mempool_avail_count(self.raw.as_ptr()) }
    }

    pub(crate) fn as_ptr(self) -> *mut sys::rte_mempool {
        self.raw.as_ptr()
    }
}

/// What a pool should be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MempoolConfig {
    /// How many buffers. One less than a power of two uses memory best.
    pub buffers: u32,
    /// How many free buffers each lcore keeps at hand; at most 512, and two thirds of `buffers`.
    pub cache: u32,
    /// Bytes of data that a buffer holds, after a headroom of [`HEADROOM`] bytes. At most [`LARGEST_DATA_ROOM`].
    pub data_room: u16,
    /// The NUMA node; `None` for any.
    pub socket: Option<u32>,
}

impl Default for MempoolConfig {
    fn default() -> Self {
        Self { buffers: 8191, cache: 256, data_room: 2048, socket: None }
    }
}

/// Why there is no pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MempoolError {
    /// The buffers do not fit into the memory given to DPDK.
    #[error(
        "{buffers} packet buffers of {data_room} bytes need about {needed_mib} MiB, more than DPDK has left; \
         give it more memory or ask for fewer buffers"
    )]
    NoMemory {
        /// Buffers asked for.
        buffers: u32,
        /// Bytes of data in each.
        data_room: u16,
        /// Memory they take together.
        needed_mib: u64,
    },
    /// The data room is too large.
    #[error("packet buffers of {data_room} bytes are not possible, at most {limit} are")]
    DataRoom {
        /// Bytes asked for.
        data_room: u16,
        /// The largest possible.
        limit: u16,
    },
    /// DPDK's other reasons.
    #[error("DPDK cannot make a pool of {buffers} packet buffers: {errno}")]
    Other {
        /// Buffers asked for.
        buffers: u32,
        /// DPDK's reason.
        errno: Errno,
    },
}

impl MempoolError {
    fn create(config: &MempoolConfig, errno: Errno) -> Self {
        let MempoolConfig { buffers, data_room, .. } = *config;
        if errno.number() == nix::libc::ENOMEM {
            Self::NoMemory { buffers, data_room, needed_mib: config.memory().div_ceil(1 << 20) }
        } else {
            Self::Other { buffers, errno }
        }
    }
}

impl MempoolConfig {
    /// About how much memory the pool will take, in bytes.
    pub fn memory(&self) -> u64 {
        u64::from(self.buffers) * (u64::from(self.data_room) + HEADROOM as u64 + OVERHEAD)
    }
}

/// Free bytes before the data of a fresh buffer, where headers can be put in front.
pub const HEADROOM: usize = sys::PG_MBUF_HEADROOM as usize;

/// The largest [`MempoolConfig::data_room`]: a buffer, headroom included, is described by 16 bits.
pub const LARGEST_DATA_ROOM: u16 = u16::MAX - HEADROOM as u16;

/// Two cache lines of `struct rte_mbuf`, and one of mempool header, trailer and padding.
const OVERHEAD: u64 = 192;

/// `SOCKET_ID_ANY`
const ANY_SOCKET: c_int = -1;

/// Pools need names that differ; nobody reads them.
static CREATED: AtomicU32 = AtomicU32::new(0);
