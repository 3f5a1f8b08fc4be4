//! Counters of packets, workers and ports.

use std::collections::BTreeMap;

use photongate_pipeline::Tally;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A number of packets, and the bytes in them, Ethernet headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl std::ops::Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { packets: self.packets + other.packets, bytes: self.bytes + other.bytes }
    }
}

/// Packets by verdict since the filter started: `received` is the sum of `verdicts` and `dropped`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    /// All packets.
    pub received: Count,
    /// What was forwarded: `accepted`, `best_effort`, `control`, `outbound`. All four are always there.
    pub verdicts: BTreeMap<String, Count>,
    /// What was dropped, by reason. Only reasons that occurred.
    pub dropped: BTreeMap<String, Count>,
}

/// One worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// Its number, from 0.
    pub index: usize,
    /// Whether it has polled its queues within the last second or two.
    pub polling: bool,
    /// The share of its time spent on packets lately, from 0 to 1.
    pub busy: f64,
    /// Cycles of polls that brought packets, since it started.
    pub busy_cycles: u64,
    /// All cycles since it started.
    pub all_cycles: u64,
    /// What it did with its packets.
    pub traffic: Traffic,
    /// Packets lost, before a verdict, because it was behind.
    pub handoff_lost: u64,
    /// Packets lost, before a verdict, because they came in several buffers and fit none.
    pub unsuitable: u64,
    /// ICMP errors it sent.
    pub icmp_replies: u64,
    /// How far the clocks of senders are from ours: packets by the age that their authenticated, or refused, timestamp gives them.
    pub clock_skew: Vec<SkewBucket>,
    /// The sum of the ages of the accepted packets in these buckets, in milliseconds.
    #[serde(default)]
    pub accepted_skew_sum_ms: f64,
    /// The sum of the ages of the refused packets in these buckets, in milliseconds.
    #[serde(default)]
    pub refused_skew_sum_ms: f64,
    /// How full its duplicate filter is: at 1, fresh packets are taken for replays more often than configured.
    #[serde(default)]
    pub duplicate_filter_load: f64,
}

/// Packets whose age lies at or below `up_to_ms`, and above the bucket before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SkewBucket {
    /// The largest age in the bucket, in milliseconds; below zero the packet is from the future. Nothing in the last bucket.
    pub up_to_ms: Option<f64>,
    /// Packets that were accepted.
    pub accepted: u64,
    /// Packets refused as too old or from the future.
    pub refused: u64,
}

/// One port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Port {
    /// The port, as the configuration calls it.
    pub name: String,
    /// What the device has received and sent; zero if it does not count.
    pub received: Count,
    /// What the device has sent.
    pub sent: Count,
    /// Packets that the device had no descriptor for.
    pub missed: u64,
    /// Packets that there was no buffer for.
    pub without_buffer: u64,
    /// Packets that were to leave by the port, and that it did not take.
    pub transmit_lost: u64,
    /// Packets handed to the kernel.
    pub to_kernel: u64,
    /// Packets for the kernel that it did not take.
    pub to_kernel_lost: u64,
    /// Packets of the kernel's that were sent by the port.
    pub from_kernel: u64,
}

impl From<&Tally> for Traffic {
    fn from(tally: &Tally) -> Self {
        let count = |count: photongate_pipeline::Count| Count { packets: count.packets, bytes: count.bytes };
        let mut traffic = Self { received: count(tally.received()), ..Self::default() };
        for (verdict, counted) in tally.iter() {
            match verdict.reason() {
                None => drop(traffic.verdicts.insert(verdict.name().to_owned(), count(counted))),
                Some(reason) if counted.packets > 0 => {
                    traffic.dropped.insert(reason.name().to_owned(), count(counted));
                }
                Some(_) => {}
            }
        }
        traffic
    }
}

impl Traffic {
    /// Everything that was dropped, for whatever reason.
    pub fn all_dropped(&self) -> Count {
        self.dropped.values().fold(Count::default(), |sum, count| sum + *count)
    }
}
