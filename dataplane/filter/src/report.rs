//! What has been counted so far, gathered from workers, peers and ports.

mod json;

use crate::counters::WorkerCounters;
use crate::poll_times::PollTimes;
use photongate_dpdk::Port;
use photongate_dpdk::port::PortStats;
use photongate_pipeline::{PeerKey, PeerState, Skew, Tally, VerdictCounters};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

/// Where the numbers are. Reading them disturbs nobody.
pub struct Observer {
    pub(crate) workers: Vec<(Arc<VerdictCounters>, Arc<WorkerCounters>)>,
    pub(crate) ports: Vec<(String, Port)>,
    pub(crate) peers: Arc<Peers>,
}

/// The peers there are, in the order of what they are found by. Workers never look here.
#[derive(Default)]
pub(crate) struct Peers(RwLock<BTreeSet<ByKey>>);

impl Observer {
    /// All counters but those of peers.
    pub fn report(&self) -> Report {
        let workers = self.workers.iter().map(|(verdicts, counters)| WorkerReport::read(verdicts, counters)).collect();
        let ports = self.ports.iter().enumerate();
        let ports = ports.map(|(index, (name, port))| self.port(index, name, port)).collect();
        Report { workers, ports }
    }

    /// How long the polls of each worker take, in their order.
    pub fn poll_times(&self) -> impl Iterator<Item = &PollTimes> {
        self.workers.iter().map(|(_, counters)| &counters.poll_times)
    }

    /// The counters of each peer, in the order of their keys.
    pub fn peers(&self) -> Vec<PeerReport> {
        let peers = self.peers.0.read().unwrap_or_else(PoisonError::into_inner);
        peers.iter().map(|ByKey(peer)| PeerReport { key: peer.key, tally: peer.tally() }).collect()
    }

    fn port(&self, index: usize, name: &str, port: &Port) -> PortReport {
        let counted = self.workers.iter().filter_map(|(_, counters)| counters.ports.get(index));
        let mut report = PortReport {
            name: name.to_owned(),
            // A driver that does not count is no reason to say nothing of the rest.
            stats: port.stats().ok(),
            transmit_lost: 0,
            to_kernel: 0,
            to_kernel_lost: 0,
            from_kernel: 0,
        };
        for counters in counted {
            report.transmit_lost += counters.transmit_lost.get();
            report.to_kernel += counters.to_kernel.get();
            report.to_kernel_lost += counters.to_kernel_lost.get();
            report.from_kernel += counters.from_kernel.get();
        }
        report
    }
}

/// A peer that is found by its key, which it holds itself.
struct ByKey(Arc<PeerState>);

impl Borrow<PeerKey> for ByKey {
    fn borrow(&self) -> &PeerKey {
        &self.0.key
    }
}

impl Ord for ByKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key.cmp(&other.0.key)
    }
}

impl PartialOrd for ByKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for ByKey {}

impl Peers {
    pub(crate) fn insert(&self, peer: Arc<PeerState>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).replace(ByKey(peer));
    }

    pub(crate) fn remove(&self, peer: PeerKey) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&peer);
    }
}

/// Counters at one time, since the filter started.
#[derive(Clone, Debug)]
pub struct Report {
    /// In the order of the workers.
    pub workers: Vec<WorkerReport>,
    /// In the order of the settings.
    pub ports: Vec<PortReport>,
}

/// One worker's counters.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    /// Packets by verdict.
    pub tally: Tally,
    /// Cycles of polls that brought packets.
    pub busy_cycles: u64,
    /// All cycles.
    pub all_cycles: u64,
    /// ICMP errors sent in answer to packets that were dropped.
    pub icmp_replies: u64,
    /// Packets lost, before a verdict, because the worker that owns them was behind.
    pub handoff_lost: u64,
    /// Packets lost, before a verdict, because they came in several buffers and fit none.
    pub unsuitable: u64,
    /// Outbound fragments that are put together.
    pub fragments: FragmentReport,
    /// How full the duplicate filter is: above 1, fresh packets are taken for replays more often than configured.
    pub duplicate_load: f64,
    /// How old packets are when they arrive.
    pub skew: Skew,
}

/// What became of fragments that were to be put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentReport {
    /// Fragments received.
    pub received: u64,
    /// Packets put together, each judged like one received.
    pub reassembled: u64,
    /// Fragments given up: too late, too many, overlapping.
    pub expired: u64,
    /// Fragments that wait for others.
    pub pending: u64,
}

/// One port's counters.
#[derive(Clone, Debug)]
pub struct PortReport {
    /// The port, as the operator calls it.
    pub name: String,
    /// What the device counts, if it does.
    pub stats: Option<PortStats>,
    /// Packets that were to leave by the port, and that it did not take.
    pub transmit_lost: u64,
    /// Packets handed to the kernel.
    pub to_kernel: u64,
    /// Packets for the kernel that it did not take.
    pub to_kernel_lost: u64,
    /// Packets of the kernel's that were sent by the port.
    pub from_kernel: u64,
}

/// One peer's counters.
#[derive(Clone, Debug)]
pub struct PeerReport {
    /// The peer.
    pub key: PeerKey,
    /// Packets by verdict.
    pub tally: Tally,
}

impl Report {
    /// Packets by verdict, all workers together.
    pub fn tally(&self) -> Tally {
        self.workers.iter().fold(Tally::default(), |sum, worker| sum + worker.tally)
    }

    /// Fragments, all workers together.
    pub fn fragments(&self) -> FragmentReport {
        self.workers.iter().fold(FragmentReport::default(), |sum, worker| FragmentReport {
            received: sum.received + worker.fragments.received,
            reassembled: sum.reassembled + worker.fragments.reassembled,
            expired: sum.expired + worker.fragments.expired,
            pending: sum.pending + worker.fragments.pending,
        })
    }

    /// ICMP errors sent, all workers together.
    pub fn icmp_replies(&self) -> u64 {
        self.workers.iter().map(|worker| worker.icmp_replies).sum()
    }

    /// Packets lost before they got a verdict, in the filter and in the devices.
    pub fn lost_before(&self) -> u64 {
        let workers = self.workers.iter().map(|worker| worker.handoff_lost + worker.unsuitable);
        let stats = self.ports.iter().filter_map(|port| port.stats);
        workers.sum::<u64>() + stats.map(|stats| stats.missed + stats.without_buffer).sum::<u64>()
    }

    /// Packets lost after their verdict, because a port or the kernel did not take them.
    pub fn lost_after(&self) -> u64 {
        self.ports.iter().map(|port| port.transmit_lost + port.to_kernel_lost).sum()
    }

    /// The share of its time that each worker was busy since `earlier`, from 0 to 1.
    pub fn busy_since(&self, earlier: &Self) -> impl Iterator<Item = f64> {
        self.workers.iter().zip(&earlier.workers).map(|(now, then)| {
            let busy = now.busy_cycles.saturating_sub(then.busy_cycles);
            let all = now.all_cycles.saturating_sub(then.all_cycles);
            if all == 0 { 0.0 } else { busy as f64 / all as f64 }
        })
    }
}

impl WorkerReport {
    fn read(verdicts: &VerdictCounters, counters: &WorkerCounters) -> Self {
        Self {
            tally: verdicts.snapshot(),
            busy_cycles: counters.busy_cycles.get(),
            all_cycles: counters.all_cycles.get(),
            icmp_replies: counters.icmp_replies.get(),
            handoff_lost: counters.handoff_lost.get(),
            unsuitable: counters.unsuitable.get(),
            fragments: FragmentReport {
                received: counters.fragments_received.get(),
                reassembled: counters.fragments_reassembled.get(),
                expired: counters.fragments_expired.get(),
                pending: counters.fragments_pending.get(),
            },
            duplicate_load: f64::from_bits(counters.duplicate_load.get()),
            skew: counters.skew.snapshot(),
        }
    }
}
