//! The polling loop of one core: packets in, verdicts, packets out.

use crate::counters::WorkerCounters;
use crate::dictionary::DictionaryReader;
use crate::handoff::Handoff;
use crate::port_links::{self, PortLinks};
use crate::reassembly::Reassembly;
use crate::timebase::{Timebase, WorkerClock};
use crate::trace::Tap;
use arc_swap::ArcSwap;
use arc_swap::cache::Cache;
use arrayvec::ArrayVec;
use photongate_dpdk::{Burst, Mbuf, Mempool, TxChecksums};
use photongate_pipeline::{
    Action, ChecksumOffload, Frame, MAX_BURST, Outcome, Pipeline, PortIndex, Probe, Settings, Stage,
};
use std::ops::Range;
use std::sync::Arc;

/// One worker: its queues, its pipeline, and what it shares with the others.
pub struct Worker {
    ports: Vec<PortLinks>,
    pipeline: Pipeline,
    dictionary: DictionaryReader,
    settings: Cache<Arc<ArcSwap<Settings>>, Arc<Settings>>,
    handoff: Option<Handoff>,
    reassembly: Option<Reassembly>,
    tap: Option<Tap>,
    pool: Mempool,
    burst: usize,
    clock: WorkerClock,
    counters: Arc<WorkerCounters>,
    /// Filled anew for each burst.
    outcomes: Box<[Outcome; MAX_BURST]>,
    polls: u32,
}

/// What a worker is made of.
pub struct WorkerParts {
    /// Its links to each port, in the order of the settings.
    pub ports: Vec<PortLinks>,
    /// What judges packets.
    pub pipeline: Pipeline,
    /// The keys.
    pub dictionary: DictionaryReader,
    /// What the pipeline is told to do; looked at before each burst.
    pub settings: Arc<ArcSwap<Settings>>,
    /// What passes packets on that belong to others; `None` if there are no others.
    pub handoff: Option<Handoff>,
    /// What puts outbound fragments together, if they are to be.
    pub reassembly: Option<Reassembly>,
    /// Where packets are copied for those who trace; `None` if nobody can.
    pub tap: Option<Tap>,
    /// Buffers for packets that came in several.
    pub pool: Mempool,
    /// Packets taken from a port at a time, at most [`MAX_BURST`].
    pub burst: usize,
    /// The clock that rates are measured by, the same for all workers.
    pub timebase: Timebase,
}

impl Worker {
    /// A worker that has seen no packet.
    pub fn new(parts: WorkerParts) -> Self {
        let WorkerParts { ports, pipeline, dictionary, settings, handoff, reassembly, tap, pool, burst, timebase } =
            parts;
        Self {
            counters: Arc::new(WorkerCounters::new(ports.len(), Arc::clone(pipeline.skew()))),
            ports,
            pipeline,
            dictionary,
            settings: Cache::new(settings),
            handoff,
            reassembly,
            tap,
            pool,
            burst: burst.clamp(1, MAX_BURST),
            clock: WorkerClock::new(timebase),
            outcomes: Box::new([Outcome::UNDECIDED; MAX_BURST]),
            polls: 0,
        }
    }

    /// What judges this worker's packets, and counts the verdicts.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// What this worker counts besides verdicts; lives on beside it.
    pub fn counters(&self) -> &Arc<WorkerCounters> {
        &self.counters
    }

    /// Takes a burst from each of its queues, and does with the packets what is to be done. Returns how many there were.
    #[inline]
    pub fn poll<P: Probe>(&mut self, probe: &mut P) -> usize {
        self.poll_from(Sources::All, probe)
    }

    /// As [`Worker::poll`], from some of the sources.
    pub(crate) fn poll_from<P: Probe>(&mut self, sources: Sources, probe: &mut P) -> usize {
        let settings = self.settings.load();
        if !Arc::ptr_eq(settings, self.pipeline.settings()) {
            self.pipeline.replace_settings(Arc::clone(settings));
        }
        let mut packets = 0;
        if sources != Sources::Relays {
            for port in 0..self.ports.len() {
                packets += self.poll_port(port, sources, probe);
            }
        }
        packets += self.send(sources);
        if packets > 0 {
            probe.end_of(Stage::Transmit);
        }
        self.dictionary.quiesce();
        self.polls = self.polls.wrapping_add(1);
        if self.polls.is_multiple_of(POLLS_PER_CHORE) {
            self.counters.duplicate_load.set(self.pipeline.duplicate_load().to_bits());
            if let Some(reassembly) = &mut self.reassembly {
                reassembly.expire(&self.counters);
            }
        }
        packets
    }

    /// Holds no key while `rest` runs, so that keys can be replaced meanwhile.
    pub(crate) fn rest(&mut self, rest: impl FnOnce()) {
        self.dictionary.offline(rest);
    }

    /// Judges a burst from one port, and what others have handed over from there.
    fn poll_port<P: Probe>(&mut self, port: usize, sources: Sources, probe: &mut P) -> usize {
        let Some(links) = self.ports.get_mut(port) else { return 0 };
        let mut burst = Burst::new();
        let mut received = 0;
        if sources == Sources::All
            && let Some(queue) = &mut links.receive
        {
            // An inbox needs room too, or a port that never falls silent would keep it waiting for ever.
            let most = if links.inbox.is_some() { self.burst.min(MAX_BURST / 2) } else { self.burst };
            received = queue.receive_at_most(&mut burst, most);
        }
        if received > 0 {
            for packet in burst.iter() {
                packet.prefetch();
            }
            // Before the owner is looked for: a first buffer too short to show the addresses would leave copies of the
            // packet with whoever received them.
            if burst.iter().any(|packet| !packet.is_contiguous()) {
                make_contiguous(&mut burst, self.pool, &self.counters);
            }
            if let Some(handoff) = &mut self.handoff {
                let lost = handoff.keep_own(port, &mut burst);
                self.counters.handoff_lost.add(lost);
            }
        }
        if let Some(inbox) = &mut links.inbox {
            received += inbox.receive(&mut burst);
        }
        if !burst.is_empty() {
            probe.end_of(Stage::Receive);
            self.judge(port, &mut burst, probe);
        }
        received
    }

    /// Decides about the packets in `burst`, which arrived at `port`, and sends each on its way.
    fn judge<P: Probe>(&mut self, port: usize, burst: &mut Burst<MAX_BURST>, probe: &mut P) {
        let settings = self.pipeline.settings();
        let Some(port_settings) = settings.ports.get(port) else { return burst.clear() };
        let forward_to = usize::from(port_settings.forward_to.0);
        if settings.reassemble
            && let Some(reassembly) = &mut self.reassembly
        {
            reassembly.absorb(burst, port_settings, settings, &self.counters);
        }
        let count = burst.len();
        if count == 0 {
            return;
        }
        let now = self.clock.now();
        // A configuration has few ports.
        let index = PortIndex(port as u8);
        // Filled where they are: collected, they would be copied.
        let mut frames: ArrayVec<Frame<'_>, MAX_BURST> = ArrayVec::new();
        frames.extend(burst.iter_mut().map(|packet| frame(packet, index)));
        let outcomes = &mut self.outcomes[..count];
        let mut tap = self.tap.as_mut().filter(|tap| tap.is_active());
        if let Some(tap) = &mut tap {
            tap.before(&frames, now.unix);
        }
        self.pipeline.process(&self.dictionary, now, &mut frames, outcomes, probe);
        if let Some(tap) = tap {
            tap.after(outcomes);
        }
        let mut ranges: ArrayVec<Range<usize>, MAX_BURST> = ArrayVec::new();
        ranges.extend(frames.iter().map(Frame::range));
        drop(frames);

        // What is left in it at the end is freed in one go.
        let mut discarded: Burst<MAX_BURST> = Burst::new();
        let Self { ports, counters, outcomes, .. } = self;
        for ((mut packet, range), outcome) in burst.drain().zip(&ranges).zip(outcomes.iter()) {
            // It always fits: the frame made sure that the range is inside the buffer, and the packet is contiguous.
            let fits = packet.set_data_range(range.clone()).is_ok();
            packet.set_tx_checksums(outcome.udp_checksum.map(tx_checksums));
            let rejected = match outcome.action {
                Action::Forward if fits => port_links::transmit(ports, counters, forward_to, packet),
                Action::Reply if fits => {
                    counters.icmp_replies.add(1);
                    port_links::transmit(ports, counters, port, packet)
                }
                Action::Kernel if fits => port_links::to_kernel(ports, counters, port, packet),
                Action::Forward | Action::Reply | Action::Kernel | Action::Discard => Some(packet),
            };
            if let Some(packet) = rejected {
                // There is room for the whole burst.
                let _ = discarded.push(packet);
            }
        }
    }

    /// Moves the kernel's packets and those relayed for others, and sends everything that has collected.
    fn send(&mut self, sources: Sources) -> usize {
        let ports = self.ports.iter_mut().zip(&self.counters.ports);
        ports.map(|(links, counters)| links.send(counters, sources == Sources::All)).sum()
    }
}

/// Where a poll looks for packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sources {
    /// Ports and other workers.
    All,
    /// What other workers have handed over, and what they want sent.
    Workers,
    /// What other workers want sent.
    Relays,
}

#[inline]
fn frame(packet: &mut Mbuf, port: PortIndex) -> Frame<'_> {
    let (buffer, Range { start, end }) = packet.buffer_mut();
    Frame::new(buffer, start, end, port)
}

/// Copies packets that lie in several buffers into one each. Those that fit none are dropped.
#[cold]
fn make_contiguous(burst: &mut Burst<MAX_BURST>, pool: Mempool, counters: &WorkerCounters) {
    let mut arrived = std::mem::take(burst);
    for packet in arrived.drain() {
        match packet.into_contiguous(&pool) {
            // As many go in as came out.
            Ok(packet) => drop(burst.push(packet)),
            Err(_) => counters.unsuitable.add(1),
        }
    }
}

#[inline]
fn tx_checksums(offload: ChecksumOffload) -> TxChecksums {
    TxChecksums {
        ip: false,
        udp: true,
        is_ipv6: offload.is_ipv6,
        // The encapsulation knows at most two VLAN tags, and headers without options.
        ethernet_length: offload.l2_len as u8,
        ip_length: offload.l3_len as u16,
    }
}

/// Incomplete packets are looked through this rarely, since it takes a walk through the table, and other chores with them.
const POLLS_PER_CHORE: u32 = 1 << 12;
