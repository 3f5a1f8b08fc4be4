//! The counters as JSON, for the summary in a file and for who asks at the control socket.

use super::Observer;
use photongate_pipeline::Tally;
use serde_json::{Map, Value, json};

impl Observer {
    /// All counters, for programs: `received` is the sum of `verdicts` and `dropped`, in total and for each peer.
    pub fn to_json(&self) -> Value {
        let report = self.report();
        let tally = report.tally();
        let fragments = report.fragments();
        let peers = self.peers().into_iter().map(|peer| {
            let key = format!("{} protocol {}", peer.key.isd_as, peer.key.protocol.0);
            (key, Value::Object(counts(&peer.tally)))
        });
        let ports = report.ports.iter().map(|port| {
            let stats = port.stats.unwrap_or_default();
            let values = json!({
                "received": stats.received_packets,
                "received_bytes": stats.received_bytes,
                "sent": stats.sent_packets,
                "sent_bytes": stats.sent_bytes,
                "missed": stats.missed,
                "without_buffer": stats.without_buffer,
                "transmit_lost": port.transmit_lost,
                "to_kernel": port.to_kernel,
                "to_kernel_lost": port.to_kernel_lost,
                "from_kernel": port.from_kernel,
            });
            (port.name.clone(), values)
        });
        let workers = report.workers.iter().map(|worker| {
            let busy = worker.busy_cycles as f64 / worker.all_cycles.max(1) as f64;
            json!({
                "received": worker.tally.received().packets,
                "busy": busy,
                "handoff_lost": worker.handoff_lost,
                "unsuitable": worker.unsuitable,
            })
        });
        let mut summary = counts(&tally);
        summary.insert("icmp_replies".to_owned(), report.icmp_replies().into());
        summary.insert("lost_before_verdict".to_owned(), report.lost_before().into());
        summary.insert("lost_after_verdict".to_owned(), report.lost_after().into());
        let fragments = json!({
            "received": fragments.received,
            "reassembled": fragments.reassembled,
            "expired": fragments.expired,
            "pending": fragments.pending,
        });
        summary.insert("fragments".to_owned(), fragments);
        summary.insert("peers".to_owned(), Value::Object(peers.collect()));
        summary.insert("ports".to_owned(), Value::Object(ports.collect()));
        summary.insert("workers".to_owned(), Value::Array(workers.collect()));
        Value::Object(summary)
    }
}

/// What was received, and what became of it: `verdicts` and `dropped` together add up to `received`.
fn counts(tally: &Tally) -> Map<String, Value> {
    let (mut verdicts, mut dropped) = (Map::new(), Map::new());
    for (verdict, count) in tally.iter() {
        match verdict.reason() {
            Some(reason) if count.packets > 0 => drop(dropped.insert(reason.name().to_owned(), count.packets.into())),
            Some(_) => {}
            None => drop(verdicts.insert(verdict.name().to_owned(), count.packets.into())),
        }
    }
    let mut counts = Map::new();
    counts.insert("received".to_owned(), tally.received().packets.into());
    counts.insert("verdicts".to_owned(), Value::Object(verdicts));
    counts.insert("dropped".to_owned(), Value::Object(dropped));
    counts
}
