//! The counters under DPDK's telemetry socket, for `dpdk-telemetry.py` and what else reads it.

use crate::report::{Observer, PeerReport};
use photongate_dpdk::Eal;
use photongate_dpdk::telemetry::{self, Answer, TelemetryError, Value};
use photongate_pipeline::{Tally, Verdict};
use std::sync::{Arc, Weak};

/// Adds the commands below `/photongate`. They answer as long as the filter runs; DPDK cannot take them back.
pub(crate) fn register(eal: Eal, observer: &Arc<Observer>) -> Result<(), TelemetryError> {
    let commands: [(&str, &str, Answerer); 4] = [
        ("/photongate/counters", "Returns packets by verdict and reason. No parameters.", counters),
        ("/photongate/workers", "Returns the counters of each worker. No parameters.", workers),
        ("/photongate/peers", "Returns packets by peer. Parameter: an ISD-AS, for one peer by reason.", peers),
        ("/photongate/ports", "Returns the counters of each port. No parameters.", ports),
    ];
    for (name, help, answer) in commands {
        let observer: Weak<Observer> = Arc::downgrade(observer);
        telemetry::register(eal, name, help, move |parameters| match observer.upgrade() {
            Some(observer) => answer(&observer, parameters),
            None => Answer::Dict(Vec::new()),
        })?;
    }
    Ok(())
}

/// Answers a command that came with these parameters.
type Answerer = fn(&Observer, &str) -> Answer;

fn counters(observer: &Observer, _: &str) -> Answer {
    let report = observer.report();
    let mut values = numbers(tally_values(&report.tally()));
    let fragments = report.fragments();
    values.extend(numbers([
        ("icmp_replies".to_owned(), report.icmp_replies()),
        ("lost_before_verdict".to_owned(), report.lost_before()),
        ("lost_after_verdict".to_owned(), report.lost_after()),
        ("fragments_received".to_owned(), fragments.received),
        ("fragments_reassembled".to_owned(), fragments.reassembled),
        ("fragments_expired".to_owned(), fragments.expired),
        ("fragments_pending".to_owned(), fragments.pending),
    ]));
    Answer::Dict(values)
}

fn workers(observer: &Observer, _: &str) -> Answer {
    let workers = observer.report().workers.into_iter().enumerate().take(MOST_VALUES);
    let values = workers.map(|(index, worker)| {
        let mut values = summary_values(&worker.tally);
        values.extend([
            ("busy_cycles".to_owned(), worker.busy_cycles),
            ("all_cycles".to_owned(), worker.all_cycles),
            ("handoff_lost".to_owned(), worker.handoff_lost),
            ("unsuitable".to_owned(), worker.unsuitable),
        ]);
        (index.to_string(), Value::Dict(values))
    });
    Answer::Dict(values.collect())
}

fn peers(observer: &Observer, parameters: &str) -> Answer {
    if parameters.is_empty() {
        let peers = observer.peers().into_iter().take(MOST_VALUES);
        return Answer::Dict(peers.map(|peer| (peer_name(&peer), Value::Dict(summary_values(&peer.tally)))).collect());
    }
    let wanted = observer.peers().into_iter().filter(|peer| peer.key.isd_as.to_string() == parameters);
    Answer::Dict(wanted.map(|peer| (peer_name(&peer), Value::Dict(tally_values(&peer.tally).collect()))).collect())
}

fn ports(observer: &Observer, _: &str) -> Answer {
    let values = observer.report().ports.into_iter().map(|port| {
        let stats = port.stats.unwrap_or_default();
        let values = [
            ("received_packets", stats.received_packets),
            ("received_bytes", stats.received_bytes),
            ("sent_packets", stats.sent_packets),
            ("sent_bytes", stats.sent_bytes),
            ("missed", stats.missed),
            ("without_buffer", stats.without_buffer),
            ("receive_errors", stats.receive_errors),
            ("send_errors", stats.send_errors),
            ("transmit_lost", port.transmit_lost),
            ("to_kernel", port.to_kernel),
            ("to_kernel_lost", port.to_kernel_lost),
            ("from_kernel", port.from_kernel),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value));
        (plain(&port.name), Value::Dict(values.into()))
    });
    Answer::Dict(values.collect())
}

/// Every verdict, and every reason.
fn tally_values(tally: &Tally) -> impl Iterator<Item = (String, u64)> + use<> {
    let each: Vec<_> = tally.iter().map(|(verdict, count)| (counter_name(verdict), count.packets)).collect();
    summary_values(tally).into_iter().take(1).chain(each)
}

/// What was received, and what became of it in a few words.
fn summary_values(tally: &Tally) -> Vec<(String, u64)> {
    let forwarded = Verdict::all().filter(|verdict| verdict.is_forwarded());
    let forwarded = forwarded.map(|verdict| (verdict.name().to_owned(), tally.of(verdict).packets));
    let mut values = vec![("received".to_owned(), tally.received().packets)];
    values.extend(forwarded);
    values.push(("dropped".to_owned(), tally.dropped().packets));
    values
}

fn counter_name(verdict: Verdict) -> String {
    match verdict.reason() {
        Some(reason) => format!("dropped_{}", reason.name()),
        None => verdict.name().to_owned(),
    }
}

fn peer_name(peer: &PeerReport) -> String {
    plain(&format!("{}_{}", peer.key.isd_as, peer.key.protocol.0))
}

/// DPDK takes letters, digits and underscores.
fn plain(name: &str) -> String {
    name.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '_' }).collect()
}

fn numbers(values: impl IntoIterator<Item = (String, u64)>) -> Vec<(String, Value)> {
    values.into_iter().map(|(name, value)| (name, Value::Number(value))).collect()
}

/// DPDK's limit for an answer.
const MOST_VALUES: usize = 256;
