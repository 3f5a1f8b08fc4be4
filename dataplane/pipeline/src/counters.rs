//! How many packets met which verdict. One writer (the worker), any number of readers, no lock.

use crate::verdict::Verdict;
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What one worker has counted since it started: a packet and a byte counter for each verdict.
///
/// Only one thread may count; any thread may read. Readers see each counter whole, but not all at one instant.
#[derive(Debug)]
pub struct VerdictCounters(CachePadded<[Pair; Verdict::COUNT]>);

/// A packet and a byte counter.
#[derive(Debug, Default)]
pub(crate) struct Pair {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Default for VerdictCounters {
    fn default() -> Self {
        Self(CachePadded::new(std::array::from_fn(|_| Pair::default())))
    }
}

impl VerdictCounters {
    /// Counts one packet of `bytes` bytes, Ethernet header included, as it arrived.
    #[inline]
    pub fn count(&self, verdict: Verdict, bytes: usize) {
        if let Some(pair) = self.0.get(verdict.index()) {
            pair.count(bytes);
        }
    }

    /// Counts packets as [`count`](Self::count) does. Verdicts that are the same several times in a row, as they mostly are,
    /// are added up first, so that one addition to a counter does not wait for the one before.
    #[inline(always)]
    pub(crate) fn count_all(&self, packets: impl Iterator<Item = (Verdict, usize)>) {
        let mut run = (0, 0, 0);
        for (verdict, bytes) in packets {
            let index = verdict.index();
            if index != run.0 {
                self.add(run);
                run = (index, 0, 0);
            }
            run.1 += 1;
            run.2 += bytes as u64;
        }
        self.add(run);
    }

    #[inline]
    fn add(&self, (index, packets, bytes): (usize, u64, u64)) {
        if let Some(pair) = self.0.get(index) {
            pair.add(packets, bytes);
        }
    }

    /// The counts as they stand now.
    pub fn snapshot(&self) -> Tally {
        Tally(std::array::from_fn(|index| self.0[index].read()))
    }
}

impl Pair {
    /// Counts one packet of `bytes` bytes.
    #[inline]
    pub(crate) fn count(&self, bytes: usize) {
        self.add(1, bytes as u64);
    }

    #[inline]
    fn add(&self, packets: u64, bytes: u64) {
        // There is one writer, so a load and a store suffice and the bus need not be locked.
        self.packets.store(self.packets.load(Relaxed).wrapping_add(packets), Relaxed);
        self.bytes.store(self.bytes.load(Relaxed).wrapping_add(bytes), Relaxed);
    }

    /// Begins anew. Nobody counts.
    pub(crate) fn clear(&self) {
        self.packets.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
    }

    pub(crate) fn read(&self) -> Count {
        Count { packets: self.packets.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }
}

/// Packets and bytes by verdict at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally(pub(crate) [Count; Verdict::COUNT]);

/// A number of packets and the bytes in them, Ethernet headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self([Count::default(); Verdict::COUNT])
    }
}

impl Tally {
    /// What was counted for `verdict`.
    pub fn of(&self, verdict: Verdict) -> Count {
        self.0[verdict.index()]
    }

    /// Everything that was received: the sum over all verdicts.
    pub fn received(&self) -> Count {
        self.sum(|_| true)
    }

    /// Everything that was forwarded, as whatever.
    pub fn forwarded(&self) -> Count {
        self.sum(Verdict::is_forwarded)
    }

    /// Everything that was dropped, for whatever reason.
    pub fn dropped(&self) -> Count {
        self.sum(|verdict| !verdict.is_forwarded())
    }

    /// Verdict by verdict, those without a packet too.
    pub fn iter(&self) -> impl Iterator<Item = (Verdict, Count)> + '_ {
        Verdict::all().map(|verdict| (verdict, self.of(verdict)))
    }

    fn sum(&self, wanted: impl Fn(Verdict) -> bool) -> Count {
        let mut total = Count::default();
        for (_, count) in self.iter().filter(|(verdict, _)| wanted(*verdict)) {
            total.packets += count.packets;
            total.bytes += count.bytes;
        }
        total
    }
}

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|index| Count {
            packets: self.0[index].packets + other.0[index].packets,
            bytes: self.0[index].bytes + other.0[index].bytes,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::DropReason;

    #[test]
    fn what_is_received_is_forwarded_or_dropped() {
        let counters = VerdictCounters::default();
        counters.count(Verdict::Accepted, 100);
        counters.count(Verdict::Dropped(DropReason::BadMac), 60);
        counters.count(Verdict::Dropped(DropReason::BadMac), 60);
        let tally = counters.snapshot() + Tally::default();
        assert_eq!(tally.of(Verdict::Dropped(DropReason::BadMac)), Count { packets: 2, bytes: 120 });
        assert_eq!(tally.received().packets, tally.forwarded().packets + tally.dropped().packets);
        assert_eq!(tally.received(), Count { packets: 3, bytes: 220 });
    }
}
