//! Everything that is counted, in the form that Prometheus reads.
//!
//! Numbers are read when they are asked for. Each family is named once, in `docs/operations/metrics.md` too, which a test compares.
//! Peers are many: those with most traffic and those in trouble have numbers of their own, the others one together.

mod collector;
mod peers;

use photongate_pipeline::Verdict;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::Agent;
use crate::api::{AsListOrigin, Port, Traffic, Worker};

use collector::{Families, Kind};

pub(crate) use peers::PeerNumbers;

/// The text, with the instant at which the server's certificate expires, if it has one, in seconds since 1970.
pub(crate) fn text(agent: &Agent, certificate_expires: Option<u64>) -> String {
    let mut registry = Registry::default();
    agent.statistics().register(&mut registry);
    registry.register_collector(Box::new(families(agent, certificate_expires)));
    let mut text = String::new();
    encode(&mut text, &registry).expect("a string takes any text");
    text
}

fn families(agent: &Agent, certificate_expires: Option<u64>) -> Families {
    let mut families = Families::default();
    of_the_filter(&mut families, agent, certificate_expires);
    let workers = agent.workers();
    for worker in &workers {
        of_a_worker(&mut families, worker);
    }
    for port in agent.ports() {
        of_a_port(&mut families, &port);
    }
    peers::add(&mut families, agent);
    families
}

fn of_the_filter(families: &mut Families, agent: &Agent, certificate_expires: Option<u64>) {
    let status = agent.status();
    let mut gauge = |name, help, value: f64| families.add(name, help, Kind::Gauge, &[], value);
    gauge(
        "photongate_ready",
        "Whether every worker polls and every peer has a key.",
        f64::from(u8::from(status.ready)),
    );
    gauge("photongate_uptime_seconds", "Time since the filter started.", status.uptime_s as f64);
    gauge("photongate_as_list_generation", "Generation of the AS list in force.", status.as_list.generation as f64);
    let refused = status.as_list.last_refusal.is_some() || matches!(status.as_list.origin, AsListOrigin::LastGood);
    gauge(
        "photongate_as_list_refused",
        "Whether the newest AS list was refused, so that an older one is in force.",
        f64::from(u8::from(refused)),
    );
    let peers = status.peers;
    for (state, count) in
        [("listed", peers.total), ("with_keys", peers.with_keys), ("degraded", peers.degraded), ("dark", peers.dark)]
    {
        let labels = [("state", state.to_owned())];
        families.add("photongate_peers", "Peers by the state of their keys.", Kind::Gauge, &labels, count as f64);
    }
    let build = [("version", status.version), ("isd_as", status.isd_as)];
    families.add("photongate_build_info", "Version and AS; always 1.", Kind::Gauge, &build, 1.0);
    if let Some(expires) = certificate_expires {
        let help = "When the certificate of the HTTP server expires, in seconds since 1970.";
        families.add("photongate_certificate_expiry_seconds", help, Kind::Gauge, &[], expires as f64);
    }
}

fn of_a_worker(families: &mut Families, worker: &Worker) {
    let index = worker.index.to_string();
    let mut counter =
        |name, help, value: u64| families.add(name, help, Kind::Counter, &[("worker", index.clone())], value as f64);
    counter("photongate_worker_busy_cycles", "Cycles of polls that brought packets.", worker.busy_cycles);
    counter("photongate_worker_cycles", "All cycles of a worker.", worker.all_cycles);
    counter(
        "photongate_handoff_lost_packets",
        "Packets lost because the worker that owns them was behind.",
        worker.handoff_lost,
    );
    counter(
        "photongate_unsuitable_packets",
        "Packets lost because they came in several buffers and fit none.",
        worker.unsuitable,
    );
    counter("photongate_icmp_replies", "ICMP errors sent in answer to packets that were dropped.", worker.icmp_replies);
    let mut gauge = |name, help, value: f64| families.add(name, help, Kind::Gauge, &[("worker", index.clone())], value);
    gauge("photongate_worker_busy_ratio", "Share of a worker's time spent on packets lately.", worker.busy);
    gauge(
        "photongate_worker_polling",
        "Whether a worker has polled within the last second.",
        f64::from(u8::from(worker.polling)),
    );
    gauge(
        "photongate_duplicate_filter_load_ratio",
        "How full a worker's duplicate filter is; at 1 it takes fresh packets for replays more often than configured.",
        worker.duplicate_filter_load,
    );
    verdicts(families, &worker.traffic, &index);
    for (verdict, of) in [("accepted", Side::Accepted), ("refused", Side::Refused)] {
        let labels = [("worker", index.clone()), ("verdict", verdict.to_owned())];
        families.add_histogram(
            "photongate_clock_skew_seconds",
            "Age of packets by their timestamp, when they were accepted, or refused as too old or from the future.",
            &labels,
            worker.clock_skew.iter().map(|bucket| {
                let count = match of {
                    Side::Accepted => bucket.accepted,
                    Side::Refused => bucket.refused,
                };
                (bucket.up_to_ms.map_or(f64::MAX, |bound| bound / 1e3), count)
            }),
            match of {
                Side::Accepted => worker.accepted_skew_sum_ms / 1e3,
                Side::Refused => worker.refused_skew_sum_ms / 1e3,
            },
        );
    }
}

#[derive(Clone, Copy)]
enum Side {
    Accepted,
    Refused,
}

/// Every verdict and every reason, those that never occurred too, so that rates can be taken from the beginning.
fn verdicts(families: &mut Families, traffic: &Traffic, worker: &str) {
    for verdict in Verdict::all() {
        let (reason, count) = match verdict.reason() {
            Some(reason) => (reason.name(), traffic.dropped.get(reason.name())),
            None => ("", traffic.verdicts.get(verdict.name())),
        };
        let count = count.copied().unwrap_or_default();
        let labels =
            [("worker", worker.to_owned()), ("verdict", verdict.name().to_owned()), ("reason", reason.to_owned())];
        families.add("photongate_packets", "Packets by verdict.", Kind::Counter, &labels, count.packets as f64);
        let help = "Bytes of packets by verdict, Ethernet headers included.";
        families.add("photongate_packet_bytes", help, Kind::Counter, &labels, count.bytes as f64);
    }
}

fn of_a_port(families: &mut Families, port: &Port) {
    let mut counter =
        |name, help, value: u64| families.add(name, help, Kind::Counter, &[("port", port.name.clone())], value as f64);
    counter("photongate_port_received_packets", "Packets that the device has received.", port.received.packets);
    counter("photongate_port_received_bytes", "Bytes that the device has received.", port.received.bytes);
    counter("photongate_port_sent_packets", "Packets that the device has sent.", port.sent.packets);
    counter("photongate_port_sent_bytes", "Bytes that the device has sent.", port.sent.bytes);
    counter("photongate_port_missed_packets", "Packets that the device had no descriptor for.", port.missed);
    counter("photongate_port_without_buffer_packets", "Packets that there was no buffer for.", port.without_buffer);
    counter(
        "photongate_port_transmit_lost_packets",
        "Packets that were to leave, and that the device did not take.",
        port.transmit_lost,
    );
    counter("photongate_port_to_kernel_packets", "Packets handed to the kernel.", port.to_kernel);
    counter(
        "photongate_port_to_kernel_lost_packets",
        "Packets for the kernel that it did not take.",
        port.to_kernel_lost,
    );
    counter("photongate_port_from_kernel_packets", "Packets of the kernel's that were sent.", port.from_kernel);
}
