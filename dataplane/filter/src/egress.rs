//! The way out: packets collect until a burst is together, and leave by a queue, or by way of the worker that has one.

use crate::counters::Counter;
use photongate_dpdk::{Burst, Mbuf, TxQueue, ring};
use photongate_pipeline::MAX_BURST;

/// How one worker sends by one port.
pub struct Egress {
    path: Path,
    pending: Burst<MAX_BURST>,
}

/// Where packets go.
pub enum Path {
    /// Out by a queue of this worker's.
    Queue(TxQueue),
    /// To the worker whose queue it is: the port has fewer queues than there are workers.
    Relay(ring::Sender),
    /// Nowhere: there is no such port.
    Nowhere,
}

impl Egress {
    /// Sends by `path`.
    pub fn new(path: Path) -> Self {
        Self { path, pending: Burst::new() }
    }

    /// Adds a packet. Sends what has collected if there is no room for it; what cannot be sent counts as `lost`.
    #[inline]
    pub(crate) fn push(&mut self, packet: Mbuf, lost: &Counter) {
        if let Err(packet) = self.pending.push(packet) {
            self.flush(lost);
            // There is room now: `flush` leaves nothing.
            let _ = self.pending.push(packet);
        }
    }

    /// Sends what has collected. A port that takes nothing is asked a few times more; what it leaves then is freed.
    #[inline]
    pub(crate) fn flush(&mut self, lost: &Counter) {
        if self.pending.is_empty() {
            return;
        }
        let refused_before = self.refused();
        for _ in 0..TRIES {
            match &mut self.path {
                Path::Queue(queue) => queue.send(&mut self.pending),
                Path::Relay(worker) => worker.send(&mut self.pending),
                Path::Nowhere => break,
            };
            if self.pending.is_empty() {
                break;
            }
            std::hint::spin_loop();
        }
        let left = self.pending.len() as u64;
        self.pending.clear();
        let refused = self.refused() - refused_before;
        if left + refused > 0 {
            lost.add(left + refused);
        }
    }

    /// Packets that the driver would not take at all.
    fn refused(&self) -> u64 {
        match &self.path {
            Path::Queue(queue) => queue.refused(),
            Path::Relay(_) | Path::Nowhere => 0,
        }
    }
}

/// A full transmit queue of a 10 Gbit/s port moves on within a microsecond. A port that is down never takes anything.
const TRIES: usize = 16;
