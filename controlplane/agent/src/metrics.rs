//! Everything that is counted, in the form that Prometheus reads.
//!
//! Numbers are read when they are asked for. Every family is described in `docs/operations/metrics.md`, which a test
//! compares with this. Peers are many: those with most traffic and those in trouble have numbers of their own, the
//! others one together.

mod peers;

use photongate_net::metrics::{self, Families};
use photongate_pipeline::Verdict;
use photongate_wire::UnixNanos;
use prometheus_client::registry::Registry;

use crate::Agent;
use crate::api::{AsListOrigin, Port, Traffic, Worker};

pub(crate) use peers::PeerNumbers;

/// Everything, with the instant at which the server's certificate expires, if it has one, in seconds since 1970.
/// Takes a while if there are many peers.
pub(crate) fn text(agent: &Agent, certificate_expires: Option<u64>) -> String {
    let mut registry = Registry::default();
    agent.statistics().register(&mut registry);
    registry.register_collector(Box::new(families(agent, certificate_expires)));
    metrics::text(&registry)
}

fn families(agent: &Agent, certificate_expires: Option<u64>) -> Families {
    let mut families = Families::default();
    of_the_filter(&mut families, agent, certificate_expires);
    for worker in agent.workers() {
        of_a_worker(&mut families, &worker);
    }
    for port in agent.ports() {
        of_a_port(&mut families, &port);
    }
    peers::add(&mut families, agent.peer_numbers());
    families
}

fn of_the_filter(families: &mut Families, agent: &Agent, certificate_expires: Option<u64>) {
    let status = agent.status();
    let build = [("version", status.version), ("isd_as", status.isd_as)];
    families.gauge("photongate_build_info", "Version of the program and AS of the filter; always 1", &build, 1.0);
    let started = seconds(agent.started_at());
    families.gauge("process_start_time_seconds", "When the filter started, in seconds since 1970", &[], started);
    let help = "Whether every worker polls and every peer has a key";
    families.flag("photongate_ready", help, &[], status.ready);
    let generation = status.as_list.generation as f64;
    families.gauge("photongate_as_list_generation", "Generation of the AS list in force", &[], generation);
    let is_refused = status.as_list.last_refusal.is_some() || status.as_list.origin == AsListOrigin::LastGood;
    let help = "Whether the newest AS list was refused, so that an older one is in force";
    families.flag("photongate_as_list_refused", help, &[], is_refused);
    let peers = status.peers;
    for (state, count) in
        [("listed", peers.total), ("with_keys", peers.with_keys), ("degraded", peers.degraded), ("dark", peers.dark)]
    {
        let labels = [("state", state.to_owned())];
        families.gauge("photongate_peers", "Peers by the state of their keys", &labels, count as f64);
    }
    if let Some(expires) = certificate_expires {
        let help = "When the certificate of the HTTP server expires, in seconds since 1970";
        families.gauge("photongate_certificate_expiry_timestamp_seconds", help, &[], expires as f64);
    }
}

fn of_a_worker(families: &mut Families, worker: &Worker) {
    let labels = [("worker", worker.index.to_string())];
    let [index] = &labels;
    verdicts(families, &worker.traffic, &index.1);
    let mut counter = |name, help, value: u64| families.counter(name, help, &labels, value);
    counter("photongate_worker_cycles", "Cycles of a worker's processor", worker.all_cycles);
    counter("photongate_worker_busy_cycles", "Cycles of polls that brought packets", worker.busy_cycles);
    let help = "Packets lost without a verdict, because the worker that owns them was behind";
    counter("photongate_worker_handoff_lost_packets", help, worker.handoff_lost);
    let help = "Packets lost without a verdict, because they came in several buffers and fit none";
    counter("photongate_worker_unsuitable_packets", help, worker.unsuitable);
    let help = "ICMP errors sent in answer to dropped packets";
    counter("photongate_worker_icmp_replies", help, worker.icmp_replies);
    let help = "Whether a worker has polled its queues within the last second or two";
    families.flag("photongate_worker_polling", help, &labels, worker.polling);
    let help = "Share of a worker's time that was spent on packets in the last second";
    families.gauge("photongate_worker_busy_ratio", help, &labels, worker.busy);
    let help = "How full a worker's duplicate filter is, measured by what it was made for";
    families.gauge("photongate_worker_duplicate_filter_load_ratio", help, &labels, worker.duplicate_filter_load);
    let accepted = worker.clock_skew.iter().map(|bucket| (bucket.up_to_ms, bucket.accepted));
    skew(families, &index.1, "accepted", accepted, worker.accepted_skew_sum_ms);
    let refused = worker.clock_skew.iter().map(|bucket| (bucket.up_to_ms, bucket.refused));
    skew(families, &index.1, "refused", refused, worker.refused_skew_sum_ms);
}

/// Every verdict and every reason, those that never occurred too, so that the first one is seen as a change.
fn verdicts(families: &mut Families, traffic: &Traffic, worker: &str) {
    for verdict in Verdict::all() {
        let (reason, count) = match verdict.reason() {
            Some(reason) => (reason.name(), traffic.dropped.get(reason.name())),
            None => ("", traffic.verdicts.get(verdict.name())),
        };
        let count = count.copied().unwrap_or_default();
        let labels =
            [("worker", worker.to_owned()), ("verdict", verdict.name().to_owned()), ("reason", reason.to_owned())];
        let help = "Packets by verdict and, if dropped, by reason";
        families.counter("photongate_packets", help, &labels, count.packets);
        let help = "Bytes of packets by verdict and reason, Ethernet headers included";
        families.counter("photongate_packet_bytes", help, &labels, count.bytes);
    }
}

fn skew(
    families: &mut Families,
    worker: &str,
    verdict: &str,
    buckets: impl Iterator<Item = (Option<f64>, u64)>,
    sum_ms: f64,
) {
    let buckets: Vec<_> = buckets.map(|(up_to_ms, count)| (up_to_ms.map_or(f64::INFINITY, ms), count)).collect();
    if buckets.is_empty() {
        return;
    }
    families.histogram(
        "photongate_clock_skew_seconds",
        "Age of packets by their timestamp when they arrived; below zero they come from the future",
        &[("worker", worker.to_owned()), ("verdict", verdict.to_owned())],
        buckets,
        ms(sum_ms),
    );
}

fn of_a_port(families: &mut Families, port: &Port) {
    let labels = [("port", port.name.clone())];
    let mut counter = |name, help, value: u64| families.counter(name, help, &labels, value);
    counter("photongate_port_received_packets", "Packets that a device has received", port.received.packets);
    counter("photongate_port_received_bytes", "Bytes that a device has received", port.received.bytes);
    counter("photongate_port_sent_packets", "Packets that a device has sent", port.sent.packets);
    counter("photongate_port_sent_bytes", "Bytes that a device has sent", port.sent.bytes);
    counter("photongate_port_missed_packets", "Packets that a device had no descriptor for", port.missed);
    counter("photongate_port_without_buffer_packets", "Packets that there was no buffer for", port.without_buffer);
    let help = "Packets that were to leave by a device, and that it did not take";
    counter("photongate_port_transmit_lost_packets", help, port.transmit_lost);
    counter("photongate_port_to_kernel_packets", "Packets handed to the kernel", port.to_kernel);
    let help = "Packets for the kernel that it did not take";
    counter("photongate_port_to_kernel_lost_packets", help, port.to_kernel_lost);
    counter("photongate_port_from_kernel_packets", "Packets of the kernel's that were sent", port.from_kernel);
}

/// Milliseconds in seconds, to the nanosecond: bounds must not get digits that they do not have.
fn ms(milliseconds: f64) -> f64 {
    (milliseconds * 1e6).round() / 1e9
}

/// An instant as Prometheus writes it: in seconds since 1970.
fn seconds(instant: UnixNanos) -> f64 {
    instant.0 as f64 / 1e9
}
