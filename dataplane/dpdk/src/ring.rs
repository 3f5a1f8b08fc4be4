//! Rings that carry packets from several threads to one, for packets that a port brought to the wrong worker.

use std::ffi::{CString, c_int};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use photongate_dpdk_sys as sys;

use crate::{Burst, Eal, Errno, Mbuf};

/// Makes a ring that holds up to `capacity` packets, in memory of the NUMA node `socket` (`None`: any).
///
/// # Errors
/// [`RingError`]; most often there is not enough memory.
pub fn create(_eal: Eal, capacity: u32, socket: Option<u32>) -> Result<(Sender, Receiver), RingError> {
    let number = CREATED.fetch_add(1, Ordering::Relaxed);
    let name = CString::new(format!("photongate_{number}")).expect("no zero byte in the format");
    let socket = socket.map_or(-1, |socket| socket as c_int);
    // SAFETY: the environment is up, as `_eal` shows, and DPDK copies the name.
    let raw = unsafe { sys::pg_ring_create(name.as_ptr(), capacity, socket) };
    let raw = NonNull::new(raw).ok_or_else(|| RingError { capacity, errno: Errno::last() })?;
    let ring = Arc::new(Ring(raw));
    Ok((Sender(Arc::clone(&ring)), Receiver(ring)))
}

/// The end where packets go in. Each thread that sends has a clone.
#[derive(Clone)]
pub struct Sender(Arc<Ring>);

impl Sender {
    /// Puts packets from the front of the burst into the ring, as many as there is room for. The others stay in the
    /// burst.
    ///
    /// Returns how many went in.
    #[inline]
    pub fn send<const N: usize>(&self, burst: &mut Burst<N>) -> usize {
        burst.give_front(|packets, count| {
            // SAFETY: the ring lives as long as `self`, takes many producers, and copies `count` pointers. Packets
            // that it took belong to it.
            unsafe { sys::pg_ring_enqueue(self.0.0.as_ptr(), packets.cast(), u32::from(count)) as u16 }
        })
    }
}

/// The end where packets come out.
pub struct Receiver(Arc<Ring>);

impl Receiver {
    /// Adds what is in the ring to the burst, up to its capacity. Returns how many packets that were.
    #[inline]
    pub fn receive<const N: usize>(&mut self, burst: &mut Burst<N>) -> usize {
        burst.extend_with(|slots, count| {
            // SAFETY: the ring lives as long as `self`, which is its only consumer, borrowed mutably. `slots` has
            // room for `count` pointers, and what comes out are packets that a sender gave away.
            unsafe { sys::pg_ring_dequeue(self.0.0.as_ptr(), slots.cast(), u32::from(count)) as u16 }
        })
    }
}

/// There is no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DPDK cannot make a ring for {capacity} packets: {errno}")]
pub struct RingError {
    /// Packets it was to hold.
    pub capacity: u32,
    /// DPDK's reason.
    pub errno: Errno,
}

struct Ring(NonNull<sys::rte_ring>);

// SAFETY: the ring is a multi-producer, single-consumer queue; `Receiver` is its only consumer and asks for `&mut`.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

impl Drop for Ring {
    fn drop(&mut self) {
        let mut left: *mut sys::rte_mbuf = std::ptr::null_mut();
        // SAFETY: both ends are gone, so this is the only consumer.
        while unsafe { sys::pg_ring_dequeue(self.0.as_ptr(), (&raw mut left).cast(), 1) } == 1 {
            // SAFETY: a sender gave the packet away, and no receiver took it.
            drop(NonNull::new(left).map(|packet| unsafe { Mbuf::from_raw(packet) }));
        }
        // SAFETY: both ends are gone and nothing is left in it.
        unsafe { sys::rte_ring_free(self.0.as_ptr()) }
    }
}

/// Rings need names that differ; nobody reads them.
static CREATED: AtomicU32 = AtomicU32::new(0);
