//! Outbound fragments, put together before they are authenticated: the peer could not verify them one by one.

use crate::counters::WorkerCounters;
use photongate_dpdk::fragments::{NotAFragment, Reassembler, ReassemblerError};
use photongate_dpdk::{Burst, Eal, Mbuf, Mempool, clock};
use photongate_pipeline::{MAX_BURST, PortSettings, Role, Settings};
use photongate_wire::{EtherType, Ethernet, Ipv4, Ipv6};
use std::time::Duration;

/// One worker's reassembly. All fragments of a packet come to the same worker, for they bear the same addresses.
pub struct Reassembly {
    reassembler: Reassembler,
    /// Buffers that hold a whole packet.
    pool: Mempool,
    /// Fragments in packets put together.
    used: u64,
}

impl Reassembly {
    /// For a worker that may keep up to `packets` incomplete packets. Whole ones shall lie in buffers of `pool`.
    ///
    /// # Errors
    /// [`ReassemblerError`]; most often there is not enough memory.
    pub fn create(eal: Eal, packets: u32, pool: Mempool) -> Result<Self, ReassemblerError> {
        let reassembler = Reassembler::create(eal, packets, TIMEOUT, None)?;
        Ok(Self { reassembler, pool, used: 0 })
    }

    /// Takes fragments for peers out of `burst`, which arrived at `port`, and puts in packets that have become whole.
    pub(crate) fn absorb(
        &mut self,
        burst: &mut Burst<MAX_BURST>,
        port: &PortSettings,
        settings: &Settings,
        counters: &WorkerCounters,
    ) {
        if !burst.iter().any(|packet| is_fragment_for_peer(packet.data(), port, settings).is_some()) {
            return;
        }
        let mut arrived = std::mem::take(burst);
        for packet in arrived.drain() {
            let kept = match is_fragment_for_peer(packet.data(), port, settings) {
                Some(fragment) => self.push(packet, fragment, counters),
                None => Some(packet),
            };
            if let Some(packet) = kept {
                // At most one packet comes out for each that goes in.
                let _ = burst.push(packet);
            }
        }
        self.count(counters);
    }

    /// Gives up packets that have waited too long. For now and then.
    pub(crate) fn expire(&mut self, counters: &WorkerCounters) {
        self.reassembler.expire(clock::tsc());
        self.count(counters);
    }

    /// The packet to go on with, if there is one.
    fn push(&mut self, packet: Mbuf, fragment: Fragment, counters: &WorkerCounters) -> Option<Mbuf> {
        let now = clock::tsc();
        let result = if fragment.is_ipv6 {
            self.reassembler.push_ipv6(packet, fragment.offset, now)
        } else {
            self.reassembler.push_ipv4(packet, fragment.offset, now)
        };
        let whole = match result {
            Ok(whole) => {
                counters.fragments_received.add(1);
                whole?
            }
            // The pipeline refuses it, and knows why.
            Err((packet, NotAFragment::Whole | NotAFragment::Malformed | NotAFragment::TooLong)) => {
                return Some(packet);
            }
        };
        self.used += whole.segments().count() as u64;
        counters.fragments_reassembled.add(1);
        // What is longer than any link here would not be forwarded anyway.
        let whole = whole.into_contiguous(&self.pool).inspect_err(|_| counters.unsuitable.add(1));
        whole.ok()
    }

    fn count(&self, counters: &WorkerCounters) {
        let given_up = self.reassembler.given_up();
        counters.fragments_expired.set(given_up);
        counters.fragments_pending.set(counters.fragments_received.get().saturating_sub(self.used + given_up));
    }
}

/// Where a fragment's IP header is.
#[derive(Clone, Copy)]
struct Fragment {
    offset: usize,
    is_ipv6: bool,
}

/// A fragment that would be encapsulated if it were whole.
fn is_fragment_for_peer(frame: &[u8], port: &PortSettings, settings: &Settings) -> Option<Fragment> {
    if port.role == Role::Outside {
        return None;
    }
    let ethernet = Ethernet::parse(frame).ok()?;
    let (destination, is_ipv6) = match ethernet.ethertype() {
        EtherType::IPV4 => {
            let ip = Ipv4::parse(ethernet.payload()).ok().filter(Ipv4::is_fragment)?;
            (ip.destination().into(), false)
        }
        EtherType::IPV6 => {
            let ip = Ipv6::parse(ethernet.payload()).ok()?;
            ip.upper_layer().ok()?.fragment()?;
            (ip.destination().into(), true)
        }
        _ => return None,
    };
    let is_for_peer = !port.addresses.contains(&destination) && settings.routes.look_up(destination).is_some();
    is_for_peer.then_some(Fragment { offset: ethernet.header_len(), is_ipv6 })
}

/// RFC 791 asks for 15 s at least, RFC 8200 for 60 s. On links inside a site fragments follow each other at once, and a longer
/// wait only serves those who fill the table.
const TIMEOUT: Duration = Duration::from_secs(2);
