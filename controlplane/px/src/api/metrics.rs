//! `/metrics`: everything that is counted, in the form that Prometheus reads. `docs/operations/px.md` lists the families.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use photongate_net::http::{HEALTH, Read, ReadRefusals};
use photongate_net::metrics::{Families, MEDIA_TYPE, text};
use prometheus_client::registry::Registry;

use super::Api;
use crate::peer::PeerStatus;
use crate::server::Board;

/// Everything that is counted, for Prometheus.
///
/// Text format 0.0.4.
#[utoipa::path(
    get, path = "/metrics", tag = HEALTH, operation_id = "get_metrics",
    responses(
        (status = 200, description = "The numbers of this moment.", body = String, content_type = "text/plain",
         example = "photongate_px_commands_decided_total 17"),
        ReadRefusals,
    ),
)]
pub(super) async fn metrics(State(api): State<Api>, _: Read) -> Response {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(families(api.handle.board())));
    ([(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], text(&registry)).into_response()
}

fn families(board: &Board) -> Families {
    let mut families = Families::default();
    let build = [("version", env!("CARGO_PKG_VERSION").to_owned()), ("node", board.name().to_owned())];
    families.gauge("photongate_px_build_info", "Version of the program and name of the node; always 1", &build, 1.0);
    let ready = board.not_ready_because().is_empty();
    families.flag("photongate_px_ready", "Whether the node is a member and knows a leader", &[], ready);
    let status = board.status();
    let leads = status.leader.as_deref() == Some(board.name());
    families.flag("photongate_px_leader", "Whether the node leads", &[], leads);
    let help = "How often another member became the leader, or none";
    families.counter("photongate_px_leader_changes", help, &[], board.leader_changes.value());
    let (configuration, members) =
        status.membership.map_or((0, 0), |membership| (membership.configuration, membership.members.len()));
    for (name, help, value) in [
        ("photongate_px_configuration", "Counts the changes of members, from 1", f64::from(configuration)),
        ("photongate_px_members", "Who votes", members as f64),
        ("photongate_px_ballot", "The number of the ballot that the node follows", f64::from(status.ballot)),
        ("photongate_px_revision", "Up to where in the log the node's state is", status.revision as f64),
        ("photongate_px_accepted", "Up to where the node has accepted the log", status.accepted as f64),
        ("photongate_px_log_entries", "Entries of the log that the node keeps", status.log_entries as f64),
        ("photongate_px_log_bytes", "About how many bytes they take", status.log_bytes as f64),
        ("photongate_px_documents", "Documents", status.documents as f64),
        ("photongate_px_clients", "Clients that are remembered", status.clients as f64),
        ("photongate_px_waiting_requests", "Requests that wait for an answer", status.waiting_requests as f64),
    ] {
        families.gauge(name, help, &[], value);
    }
    let help = "Commands of this node's callers that were decided";
    families.counter("photongate_px_commands_decided", help, &[], board.decided.value());
    families.counter("photongate_px_requests_refused", "Requests that were refused", &[], board.refused.value());
    families.counter("photongate_px_batches", "Batches that were made durable", &[], board.batches.value());
    let help = "How long a command took from being asked until it was decided";
    families.histogram("photongate_px_commit_seconds", help, &[], board.commit.buckets(), board.commit.sum_s());
    let help = "How long it took to make a batch durable";
    families.histogram("photongate_px_fsync_seconds", help, &[], board.fsync.buckets(), board.fsync.sum_s());
    status.peers.iter().for_each(|peer| of_a_peer(&mut families, peer));
    families
}

fn of_a_peer(families: &mut Families, peer: &PeerStatus) {
    let labels = [("peer", peer.name.clone())];
    families.flag("photongate_px_peer_up", "Whether messages go through, in both directions", &labels, peer.up);
    let rtt = peer.ping.rtt_us.unwrap_or(f64::NAN) / 1e6;
    families.gauge("photongate_px_peer_rtt_seconds", "Round trip to a peer, smoothed", &labels, rtt);
    let help = "How much one round trip differs from the next, smoothed";
    families.gauge("photongate_px_peer_jitter_seconds", help, &labels, peer.ping.jitter_us / 1e6);
    families.gauge("photongate_px_peer_loss", "Part of the last pings that was lost", &labels, peer.ping.loss);
    let help = "Bytes that wait to be sent to a peer";
    families.gauge("photongate_px_peer_queue_bytes", help, &labels, peer.queued_bytes as f64);
    let help = "Connections that were made to a peer";
    families.counter("photongate_px_peer_connects", help, &labels, peer.connects);
    let help = "Messages of a peer that made no sense or were too long";
    families.counter("photongate_px_peer_bad_messages", help, &labels, peer.bad_messages);
}
