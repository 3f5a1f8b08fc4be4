//! What became of all packets, when the filter has stopped.

use std::fmt::Write;

use photongate_filter::Observer;
use photongate_pipeline::{Tally, Verdict};
use serde_json::{Map, Value, json};

/// The summary for people: a table in which the numbers add up.
pub(super) fn text(observer: &Observer) -> String {
    let report = observer.report();
    let tally = report.tally();
    let mut text = String::new();
    let mut row = |name: &str, packets: u64, explanation: &str| {
        let line = format!("{name:<36}{packets:>14}  {explanation}");
        text.push_str(line.trim_end());
        text.push('\n');
    };
    row("received", tally.received().packets, "");
    for verdict in Verdict::all().filter(|verdict| verdict.is_forwarded()) {
        row(&format!("  {}", verdict.name()), tally.of(verdict).packets, meaning(verdict));
    }
    row("  dropped", tally.dropped().packets, "");
    for (verdict, count) in tally.iter().filter(|(_, count)| count.packets > 0) {
        if let Some(reason) = verdict.reason() {
            row(&format!("    {}", reason.name()), count.packets, reason.explanation());
        }
    }
    let fragments = report.fragments();
    let others = [
        ("icmp errors sent", report.icmp_replies(), "In answer to packets that were too big."),
        ("fragments received", fragments.received, "Outbound, to be put together."),
        ("fragments reassembled", fragments.reassembled, "Packets put together, each received like any other."),
        ("fragments expired", fragments.expired, "Given up: late, missing others, or overlapping."),
        ("fragments pending", fragments.pending, "Waiting for others when the filter stopped."),
        ("lost before a verdict", report.lost_before(), "The workers, or the packet buffers, were too few."),
        ("lost after a verdict", report.lost_after(), "A port or the kernel took them too slowly, or is down."),
    ];
    for (name, packets, explanation) in others.into_iter().filter(|(_, packets, _)| *packets > 0) {
        row(name, packets, explanation);
    }
    for port in &report.ports {
        let stats = port.stats.unwrap_or_default();
        let _ = writeln!(
            text,
            "port {}: {} received, {} sent, {} to the kernel, {} from it, {} lost",
            port.name,
            stats.received_packets,
            stats.sent_packets,
            port.to_kernel,
            port.from_kernel,
            stats.missed + stats.without_buffer + port.transmit_lost + port.to_kernel_lost,
        );
    }
    text
}

/// The same for programs, with peers and workers.
pub(super) fn json(observer: &Observer) -> String {
    let report = observer.report();
    let tally = report.tally();
    let fragments = report.fragments();
    let peers = observer.peers().map(|peer| {
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
    let mut text = Value::Object(summary).to_string();
    text.push('\n');
    text
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

fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted => "Inbound, origin proven, decapsulated.",
        Verdict::BestEffort => "Without a proof of origin.",
        Verdict::Control => "For the host, or between neighbours on the link.",
        Verdict::Outbound => "To a peer, encapsulated.",
        Verdict::Dropped(_) => "",
    }
}
