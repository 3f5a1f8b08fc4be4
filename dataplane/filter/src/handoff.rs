//! Packets to the worker that owns them, whichever queue brought them.
//!
//! All copies of a packet must reach one duplicate filter, so each address pair has one owner among the workers
//! ([`photongate_pipeline::steering`]). A network card programmed alike brings most packets to their owner; this makes sure, and does
//! all of it where a card cannot, or has fewer queues than there are workers.

use photongate_dpdk::ring::{self, Receiver, RingError, Sender};
use photongate_dpdk::{Burst, Eal};
use photongate_pipeline::MAX_BURST;
use photongate_pipeline::steering::Steering;
use photongate_wire::{EtherType, Ethernet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// What a worker receives from the others, by port.
pub(crate) type Inboxes = Vec<Option<Receiver>>;

/// One worker's part: it passes on what is not its own.
pub struct Handoff {
    steering: Arc<Steering>,
    worker: usize,
    /// By port, then by worker. A port without senders is not steered here; a worker does not send to itself.
    senders: Vec<Vec<Option<Sender>>>,
    /// By worker.
    leaving: Vec<Burst<MAX_BURST>>,
}

impl Handoff {
    /// The parts of all workers, and what each receives by port; `steered` says of each port whether its packets may come to
    /// the wrong worker.
    ///
    /// # Errors
    /// [`RingError`]; most often there is not enough memory.
    pub(crate) fn between(
        eal: Eal,
        workers: usize,
        steering: &Arc<Steering>,
        steered: &[bool],
    ) -> Result<Vec<(Self, Inboxes)>, RingError> {
        let mut parts: Vec<_> = (0..workers)
            .map(|worker| {
                let leaving = (0..workers).map(|_| Burst::new()).collect();
                (Self { steering: Arc::clone(steering), worker, senders: Vec::new(), leaving }, Vec::new())
            })
            .collect();
        for &steered in steered {
            let rings = (0..workers).map(|_| steered.then(|| ring::create(eal, CAPACITY, None)).transpose());
            let rings: Vec<_> = rings.collect::<Result<_, _>>()?;
            for (worker, (part, _)) in parts.iter_mut().enumerate() {
                let others = rings.iter().enumerate().filter(|_| steered);
                let sender = |(to, ring): (usize, &Option<(Sender, Receiver)>)| {
                    ring.as_ref().filter(|_| to != worker).map(|(sender, _)| sender.clone())
                };
                part.senders.push(others.map(sender).collect());
            }
            for ((_, receivers), ring) in parts.iter_mut().zip(rings) {
                receivers.push(ring.map(|(_, receiver)| receiver));
            }
        }
        Ok(parts)
    }

    /// Leaves in `burst`, which arrived at `port`, what this worker owns, and passes on the rest. Returns how many packets were
    /// lost because their owner is behind.
    #[inline]
    pub(crate) fn keep_own(&mut self, port: usize, burst: &mut Burst<MAX_BURST>) -> u64 {
        let Some(senders) = self.senders.get(port).filter(|senders| !senders.is_empty()) else { return 0 };
        let mut arrived = std::mem::take(burst);
        for packet in arrived.drain() {
            let owner = owner(&self.steering, packet.data()).unwrap_or(self.worker);
            let place = if owner == self.worker { &mut *burst } else { &mut self.leaving[owner] };
            // Neither takes more than arrived: what leaves is empty between two calls.
            let _ = place.push(packet);
        }
        let mut lost = 0;
        for (sender, leaving) in senders.iter().zip(&mut self.leaving) {
            if let Some(sender) = sender {
                sender.send(leaving);
                lost += leaving.len() as u64;
                leaving.clear();
            }
        }
        lost
    }
}

/// The worker that owns a frame; `None` if the frame has no addresses, so that anyone may judge it.
#[inline]
pub(crate) fn owner(steering: &Steering, frame: &[u8]) -> Option<usize> {
    let ethernet = Ethernet::parse(frame).ok()?;
    let packet = ethernet.payload();
    let (source, destination): (IpAddr, IpAddr) = match ethernet.ethertype() {
        EtherType::IPV4 => {
            let addresses: &[u8; 8] = packet.get(12..)?.first_chunk()?;
            let [a, b, c, d, e, f, g, h] = *addresses;
            (Ipv4Addr::new(a, b, c, d).into(), Ipv4Addr::new(e, f, g, h).into())
        }
        EtherType::IPV6 => {
            let (source, rest) = packet.get(8..)?.split_first_chunk::<16>()?;
            (Ipv6Addr::from(*source).into(), Ipv6Addr::from(*rest.first_chunk::<16>()?).into())
        }
        _ => return None,
    };
    Some(steering.owner(source, destination))
}

/// Packets that wait for their owner: what arrives at a busy port while another worker sleeps its longest.
const CAPACITY: u32 = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use photongate_pipeline::steering::Over;

    #[test]
    fn the_owner_follows_from_the_addresses_whatever_stands_around_them() {
        let steering = Steering::new(64, Over::Both);
        let (source, destination) = ([10, 1, 0, 1], [10, 2, 0, 1]);
        let expected = steering.owner(source.into(), destination.into());
        let datagram = [&[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0], &source[..], &destination[..]].concat();
        let untagged = [&[0; 12][..], &[8, 0], &datagram[..]].concat();
        let tagged = [&[0; 12][..], &[0x81, 0, 0, 7, 8, 0], &datagram[..], b"and a payload"].concat();
        assert_eq!(owner(&steering, &untagged), Some(expected));
        assert_eq!(owner(&steering, &tagged), Some(expected));
    }

    #[test]
    fn ipv6_has_owners_too() {
        let steering = Steering::new(64, Over::Both);
        let (source, destination) = ([0xfd; 16], [0xfc; 16]);
        let datagram = [&[0x60, 0, 0, 0, 0, 0, 59, 64], &source[..], &destination[..]].concat();
        let frame = [&[0; 12][..], &[0x86, 0xdd], &datagram[..]].concat();
        assert_eq!(owner(&steering, &frame), Some(steering.owner(source.into(), destination.into())));
    }

    #[test]
    fn what_has_no_whole_addresses_is_anyones() {
        let steering = Steering::new(64, Over::Both);
        let arp = [&[0; 12][..], &[8, 6], &[0; 28][..]].concat();
        let cut = [&[0; 12][..], &[8, 0], &[0x45; 19][..]].concat();
        for frame in [&arp[..], &cut, &cut[..13], &[]] {
            assert_eq!(owner(&steering, frame), None);
        }
    }
}
