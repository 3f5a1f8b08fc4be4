//! Receive and transmit queues of a started port. Each has one owner.

use std::sync::Arc;

use photongate_dpdk_sys as sys;

use crate::Burst;
use crate::port::Device;

/// A receive queue. Move it to the thread that polls it.
pub struct RxQueue {
    device: Arc<Device>,
    index: u16,
}

impl RxQueue {
    pub(crate) fn new(device: Arc<Device>, index: u16) -> Self {
        Self { device, index }
    }

    /// Adds what has arrived to the burst, up to its capacity. Returns how many packets that were.
    #[inline]
    pub fn receive<const N: usize>(&mut self, burst: &mut Burst<N>) -> usize {
        burst.extend_with(|slots, count| {
            // SAFETY: the port is started and has this queue, for `Port::start` made `self`, and cannot stop while
            // `self` holds the device. `&mut self` is the queue's only handle, so no other thread polls it. `slots`
            // has room for `count` pointers.
            unsafe { sys::pg_rx_burst(self.device.id(), self.index, slots, count) }
        })
    }

    /// As [`RxQueue::receive`], but at most `most` packets, for bursts that are to stay shorter than their capacity.
    #[inline]
    pub fn receive_at_most<const N: usize>(&mut self, burst: &mut Burst<N>, most: usize) -> usize {
        burst.extend_with(|slots, count| {
            let count = count.min(u16::try_from(most).unwrap_or(u16::MAX));
            // SAFETY: as in `receive`, for a smaller count.
            unsafe { sys::pg_rx_burst(self.device.id(), self.index, slots, count) }
        })
    }

    /// The port it belongs to, as [`crate::Port::id`] has it.
    pub fn port(&self) -> u16 {
        self.device.id()
    }

    /// Its number among the port's receive queues.
    pub fn index(&self) -> u16 {
        self.index
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }
}

/// A transmit queue. Move it to the thread that sends by it.
pub struct TxQueue {
    device: Arc<Device>,
    index: u16,
    /// Whether packets may ask for checksums, which drivers want prepared.
    fills_checksums: bool,
    refused: u64,
}

impl TxQueue {
    pub(crate) fn new(device: Arc<Device>, index: u16, fills_checksums: bool) -> Self {
        Self { device, index, fills_checksums, refused: 0 }
    }

    /// Sends packets from the front of the burst, as many as there is room for. What did not fit stays in the burst.
    ///
    /// Returns how many packets left. A packet whose checksum request the driver refuses is freed and counted in
    /// [`TxQueue::refused`].
    #[inline]
    pub fn send<const N: usize>(&mut self, burst: &mut Burst<N>) -> usize {
        if burst.is_empty() {
            return 0;
        }
        if self.fills_checksums {
            return self.prepare_and_send(burst);
        }
        burst.give_front(|packets, count| {
            // SAFETY: as in `prepare_and_send`.
            unsafe { sys::pg_tx_burst(self.device.id(), self.index, packets, count) }
        })
    }

    /// Packets freed because the driver could not do what they asked for.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The port it belongs to, as [`crate::Port::id`] has it.
    pub fn port(&self) -> u16 {
        self.device.id()
    }

    /// Its number among the port's transmit queues.
    pub fn index(&self) -> u16 {
        self.index
    }

    fn prepare_and_send<const N: usize>(&mut self, burst: &mut Burst<N>) -> usize {
        let mut sent = 0;
        while !burst.is_empty() {
            let (mut prepared, mut offered) = (0, 0);
            let left = burst.give_front(|packets, count| {
                offered = count;
                // SAFETY: the port is started and has this queue, for `Port::start` made `self`, and cannot stop
                // while `self` holds the device. `&mut self` is the queue's only handle. The `count` packets are
                // owned; the burst counts those that the driver takes as gone.
                unsafe {
                    prepared = sys::pg_tx_prepare(self.device.id(), self.index, packets, count);
                    sys::pg_tx_burst(self.device.id(), self.index, packets, prepared)
                }
            });
            sent += left;
            if left < usize::from(prepared) || prepared == offered {
                break;
            }
            // The driver took all that it could prepare, and the next one it cannot.
            burst.give_front(|packets, _| {
                // SAFETY: the first packet is owned, and counted as gone.
                unsafe { sys::rte_pktmbuf_free_bulk(packets, 1) };
                1
            });
            self.refused += 1;
        }
        sent
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }
}
