//! What became of all packets, when the filter has stopped.

use std::fmt::Write;

use photongate_filter::Observer;
use photongate_pipeline::Verdict;

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

fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted => "Inbound, origin proven, decapsulated.",
        Verdict::BestEffort => "Without a proof of origin.",
        Verdict::Control => "For the host, or between neighbours on the link.",
        Verdict::Outbound => "To a peer, encapsulated.",
        Verdict::Dropped(_) => "",
    }
}
