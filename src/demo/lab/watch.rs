//! Counting the packets that come and go on an interface, by the flow they belong to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::Result;
use photongate_wire::{EtherType, Ethernet, IpProtocol, Ipv4, Ipv6, Udp};

use super::{Direction, Namespace, RawSocket};

/// A thread that counts packets until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    counts: Arc<Mutex<Counts>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What a packet belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flow {
    /// Echo requests and replies, of both versions of IP.
    Echo,
    /// TCP segments.
    Tcp,
    /// UDP datagrams to this port.
    Udp(u16),
    /// All else: neighbour discovery, errors, …
    Other,
}

impl Watch {
    /// Counts what comes and goes on `interface` of `namespace`.
    ///
    /// # Errors
    /// There is no such interface, or no permission.
    pub(crate) fn start(namespace: &Namespace, interface: &str) -> Result<Self> {
        let socket = namespace.enter(|| RawSocket::open(interface))?;
        let (counts, stop) = (Arc::<Mutex<Counts>>::default(), Arc::<AtomicBool>::default());
        let thread = thread::spawn({
            let (counts, stop) = (Arc::clone(&counts), Arc::clone(&stop));
            move || {
                // An interface that goes away while the network is taken down ends the count.
                while let Ok(frame) = socket.receive()
                    && !stop.load(Ordering::Relaxed)
                {
                    let Some((direction, frame)) = frame else { continue };
                    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                    *counts.entry((direction, Flow::of(&frame))).or_default() += 1;
                }
            }
        });
        Ok(Self { counts, stop, thread: Some(thread) })
    }

    /// Packets of `flow` so far.
    pub(crate) fn count(&self, direction: Direction, flow: Flow) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&(direction, flow)).copied().unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only counts: there is nothing to learn from how it ended.
            let _ = thread.join();
        }
    }
}

impl Flow {
    /// What the packet in `frame` belongs to.
    pub(crate) fn of(frame: &[u8]) -> Self {
        Self::recognise(frame).unwrap_or(Self::Other)
    }

    fn recognise(frame: &[u8]) -> Option<Self> {
        let ethernet = Ethernet::parse(frame).ok()?;
        let (protocol, payload) = match ethernet.ethertype() {
            EtherType::IPV4 => {
                let ip = Ipv4::parse(ethernet.payload()).ok()?;
                (ip.protocol(), ip.payload())
            }
            EtherType::IPV6 => {
                let ip = Ipv6::parse(ethernet.payload()).ok()?;
                (ip.next_header(), ip.payload())
            }
            _ => return None,
        };
        match (protocol, payload.first()) {
            (IpProtocol::ICMP, Some(0 | 8)) | (IpProtocol::ICMPV6, Some(128 | 129)) => Some(Self::Echo),
            (IpProtocol::TCP, _) => Some(Self::Tcp),
            (IpProtocol::UDP, _) => Udp::parse(payload).ok().map(|udp| Self::Udp(udp.destination_port())),
            _ => None,
        }
    }
}

type Counts = BTreeMap<(Direction, Flow), u64>;
