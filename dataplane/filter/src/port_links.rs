//! What connects one worker to one port, and to the kernel's end of it.

use crate::counters::{Counter, PortCounters, WorkerCounters};
use crate::egress::Egress;
use photongate_dpdk::ring::Receiver;
use photongate_dpdk::{Burst, Mbuf, RxQueue};
use photongate_pipeline::MAX_BURST;

/// One worker's links to one port.
pub struct PortLinks {
    /// Where packets arrive; `None` if the port has fewer queues than there are workers.
    pub receive: Option<RxQueue>,
    /// Where packets arrive that another worker received and this one owns.
    pub inbox: Option<Receiver>,
    /// The way out.
    pub transmit: Outlet,
    /// The kernel's interface that stands for the port.
    pub exception: Option<ExceptionLinks>,
}

/// One worker's links to the kernel interface that stands for a port.
pub struct ExceptionLinks {
    /// Where the kernel's packets arrive; one worker has it.
    pub receive: Option<RxQueue>,
    /// The way to the kernel.
    pub transmit: Outlet,
}

/// A way out, for this worker's packets and for those of workers that have none.
pub struct Outlet {
    /// This worker's.
    pub egress: Egress,
    /// Packets of others' that shall leave this way.
    pub relay: Option<Receiver>,
}

impl PortLinks {
    /// Sends everything that has collected, with what other workers want sent, and, if `from_kernel`, what the kernel sends. Returns
    /// how many packets the latter two were.
    pub(crate) fn send(&mut self, counters: &PortCounters, from_kernel: bool) -> usize {
        let mut packets = 0;
        if let Some(exception) = &mut self.exception {
            if from_kernel && let Some(queue) = &mut exception.receive {
                let mut burst: Burst<MAX_BURST> = Burst::new();
                let received = queue.receive(&mut burst);
                packets += received;
                counters.from_kernel.add(received as u64);
                for mut packet in burst.drain() {
                    // As it is: the kernel has filled in its checksums.
                    packet.set_tx_checksums(None);
                    self.transmit.egress.push(packet, &counters.transmit_lost);
                }
            }
            packets += exception.transmit.send(&counters.to_kernel_lost);
        }
        packets + self.transmit.send(&counters.transmit_lost)
    }
}

/// Has a packet leave by port number `port`. Returns it if there is no such port.
#[inline]
pub(crate) fn transmit(ports: &mut [PortLinks], counters: &WorkerCounters, port: usize, packet: Mbuf) -> Option<Mbuf> {
    match (ports.get_mut(port), counters.ports.get(port)) {
        (Some(links), Some(counters)) => links.transmit.egress.push(packet, &counters.transmit_lost),
        _ => return Some(packet),
    }
    None
}

/// Hands a packet to the kernel's end of port number `port`. Returns it if there is none.
#[inline]
pub(crate) fn to_kernel(ports: &mut [PortLinks], counters: &WorkerCounters, port: usize, packet: Mbuf) -> Option<Mbuf> {
    let (Some(links), Some(counters)) = (ports.get_mut(port), counters.ports.get(port)) else { return Some(packet) };
    let Some(exception) = &mut links.exception else {
        counters.to_kernel_lost.add(1);
        return Some(packet);
    };
    counters.to_kernel.add(1);
    exception.transmit.egress.push(packet, &counters.to_kernel_lost);
    None
}

impl Outlet {
    /// A way out for this worker alone.
    pub fn new(egress: Egress) -> Self {
        Self { egress, relay: None }
    }

    /// Sends what has collected, and what others want sent; returns how many packets that was.
    fn send(&mut self, lost: &Counter) -> usize {
        let mut relayed = 0;
        if let Some(relay) = &mut self.relay {
            let mut burst: Burst<MAX_BURST> = Burst::new();
            relayed = relay.receive(&mut burst);
            for packet in burst.drain() {
                self.egress.push(packet, lost);
            }
        }
        self.egress.flush(lost);
        relayed
    }
}
