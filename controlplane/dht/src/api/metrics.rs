//! `/metrics`: everything that is counted, in the form that Prometheus reads. `docs/operations/dht.md` lists the families.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use photongate_net::http::{HEALTH, Read, ReadRefusals};
use photongate_net::metrics::{Families, MEDIA_TYPE, text};
use prometheus_client::registry::Registry;

use crate::handle::Handle;
use crate::server::Board;

/// Everything that is counted, for Prometheus.
///
/// Text format 0.0.4.
#[utoipa::path(
    get, path = "/metrics", tag = HEALTH, operation_id = "get_metrics",
    responses(
        (status = 200, description = "The numbers of this moment.", body = String, content_type = "text/plain",
         example = "photongate_dht_contacts 17"),
        ReadRefusals,
    ),
)]
pub(super) async fn metrics(State(handle): State<Handle>, _: Read) -> Response {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(families(handle.board())));
    ([(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], text(&registry)).into_response()
}

fn families(board: &Board) -> Families {
    let mut families = Families::default();
    let status = board.status();
    let build = [("version", env!("CARGO_PKG_VERSION").to_owned()), ("node", status.id)];
    families.gauge("photongate_dht_build_info", "Version of the program and id of the node; always 1", &build, 1.0);
    families.flag("photongate_dht_ready", "Whether the node is in the network", &[], status.ready);
    families.gauge("photongate_dht_contacts", "Nodes in the table", &[], status.contacts as f64);
    let usage = board.usage();
    for (keep, values, bytes) in [("held", usage.held, usage.held_bytes), ("cached", usage.cached, usage.cached_bytes)]
    {
        let labels = [("keep", keep.to_owned())];
        families.gauge("photongate_dht_values", "Values on disk", &labels, values as f64);
        families.gauge("photongate_dht_value_bytes", "Bytes of the values on disk", &labels, bytes as f64);
    }
    let help = "Bytes that all values may have";
    families.gauge("photongate_dht_value_bytes_limit", help, &[], usage.limit_bytes as f64);
    let traffic = &board.traffic;
    let counters = [
        ("photongate_dht_values_evicted", "Cached values that had to give way", usage.evicted),
        ("photongate_dht_values_displaced", "Held values that gave way to nearer ones", usage.displaced),
        ("photongate_dht_values_corrupt", "Values that were damaged on disk, and dropped", usage.corrupt),
        ("photongate_dht_values_expired", "Values dropped because nobody asked for them", board.expired.value()),
        ("photongate_dht_datagrams_sent", "Datagrams sent", traffic.datagrams_sent.value()),
        ("photongate_dht_datagram_bytes_sent", "Bytes of datagrams sent", traffic.datagram_bytes_sent.value()),
        ("photongate_dht_datagrams_received", "Datagrams received", traffic.datagrams_received.value()),
        (
            "photongate_dht_datagram_bytes_received",
            "Bytes of datagrams received",
            traffic.datagram_bytes_received.value(),
        ),
        (
            "photongate_dht_datagrams_dropped",
            "Datagrams dropped because there were too many",
            traffic.datagrams_dropped.value(),
        ),
        ("photongate_dht_datagrams_malformed", "Datagrams that were no messages", board.malformed.value()),
        ("photongate_dht_values_sent", "Values sent to other nodes", traffic.values_sent.value()),
        ("photongate_dht_value_bytes_sent", "Bytes of values sent", traffic.value_bytes_sent.value()),
        ("photongate_dht_values_received", "Values received from other nodes", traffic.values_received.value()),
        ("photongate_dht_value_bytes_received", "Bytes of values received", traffic.value_bytes_received.value()),
        ("photongate_dht_misses", "Values that the node was asked for and has not", traffic.misses.value()),
        ("photongate_dht_transfers_failed", "Transfers from other nodes that failed", traffic.transfers_failed.value()),
        (
            "photongate_dht_connections_refused",
            "Connections refused because there were too many",
            traffic.connections_refused.value(),
        ),
        ("photongate_dht_announcements", "Values announced to others", board.announcements.value()),
        ("photongate_dht_values_pulled", "Announced values that were fetched", board.pulled.value()),
        ("photongate_dht_values_not_pulled", "Announced values that could not be", board.not_pulled.value()),
        ("photongate_dht_look_up_hops", "Queries, one after the other, of look-ups", board.hops.value()),
        ("photongate_dht_bans", "Nodes banned for a while", board.bans.value()),
    ];
    for (name, help, value) in counters {
        families.counter(name, help, &[], value);
    }
    let help = "How long look-ups took";
    families.histogram("photongate_dht_look_up_seconds", help, &[], board.look_up.buckets(), board.look_up.sum_s());
    families
}
