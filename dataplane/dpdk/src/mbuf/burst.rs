//! A handful of packets that are handled together.

use std::ops::{Deref, DerefMut};

use arrayvec::ArrayVec;
use photongate_dpdk_sys as sys;

use crate::Mbuf;

/// Up to `N` packets, without allocation. Dereferences to a slice. Dropping it frees them in bulk.
pub struct Burst<const N: usize>(ArrayVec<Mbuf, N>);

impl<const N: usize> Burst<N> {
    /// A burst of no packets.
    pub const fn new() -> Self {
        Self(ArrayVec::new_const())
    }

    /// How many more packets it can take.
    #[inline]
    pub fn remaining_capacity(&self) -> usize {
        self.0.remaining_capacity()
    }

    /// Adds a packet at the end.
    ///
    /// # Errors
    /// The packet, when the burst is full.
    #[inline]
    pub fn push(&mut self, packet: Mbuf) -> Result<(), Mbuf> {
        self.0.try_push(packet).map_err(arrayvec::CapacityError::element)
    }

    /// Takes the last packet.
    #[inline]
    pub fn pop(&mut self) -> Option<Mbuf> {
        self.0.pop()
    }

    /// Takes all packets, first to last. What the iterator was not asked for is freed with it.
    #[inline]
    pub fn drain(&mut self) -> impl Iterator<Item = Mbuf> + '_ {
        self.0.drain(..)
    }

    /// Frees all packets at once.
    #[inline]
    pub fn clear(&mut self) {
        let count = self.0.len();
        if count == 0 {
            return;
        }
        // SAFETY: zero elements of the array are initialised, trivially. The packets are no longer the array's.
        unsafe { self.0.set_len(0) };
        // SAFETY: the first `count` elements were packets that the burst owned (`Mbuf` is a pointer,
        // `repr(transparent)`) and gave up above.
        unsafe { sys::rte_pktmbuf_free_bulk(self.0.as_mut_ptr().cast(), count as u32) };
    }

    /// Has `fill` write up to so many packets behind the present ones; it returns how many it wrote.
    ///
    /// For this crate: what is written must be packets that nobody else owns.
    #[inline]
    pub(crate) fn extend_with(&mut self, fill: impl FnOnce(*mut *mut sys::rte_mbuf, u16) -> u16) -> usize {
        let (length, room) = (self.0.len(), self.0.remaining_capacity().min(usize::from(u16::MAX)));
        // SAFETY: `length` is at most the capacity, so this is inside the array or at its end.
        let free = unsafe { self.0.as_mut_ptr().add(length) };
        let added = usize::from(fill(free.cast(), room as u16)).min(room);
        // SAFETY: the callers in this crate have DPDK write `added` packets there, which it gives away for good, and
        // they fit.
        unsafe { self.0.set_len(length + added) };
        added
    }

    /// Has `take` take packets from the front; it returns how many it took, and owns those. The others move to the
    /// front.
    #[inline]
    pub(crate) fn give_front(&mut self, take: impl FnOnce(*mut *mut sys::rte_mbuf, u16) -> u16) -> usize {
        let length = self.0.len();
        let offered = length.min(usize::from(u16::MAX));
        // The array owns nothing while `take` runs, so that a packet cannot be freed twice.
        // SAFETY: zero elements are initialised, trivially.
        unsafe { self.0.set_len(0) };
        let start = self.0.as_mut_ptr();
        let taken = usize::from(take(start.cast(), offered as u16)).min(offered);
        // SAFETY: the elements from `taken` to `length` are packets still owned here; `copy` allows the overlap, and
        // after it the first `length - taken` elements are those packets.
        unsafe {
            start.copy_from(start.add(taken), length - taken);
            self.0.set_len(length - taken);
        }
        taken
    }
}

impl<const N: usize> Default for Burst<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Drop for Burst<N> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<const N: usize> Deref for Burst<N> {
    type Target = [Mbuf];

    #[inline]
    fn deref(&self) -> &[Mbuf] {
        &self.0
    }
}

impl<const N: usize> DerefMut for Burst<N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Mbuf] {
        &mut self.0
    }
}
