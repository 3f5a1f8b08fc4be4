//! Whether the node lives, whether it can do its work, and how it is.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use photongate_net::http::{Read, ReadRefusals};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, openapi};
use crate::server::Status;

/// Whether the node can do its work.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// Whether it can.
    ready: bool,
    /// Why not, a sentence each. Empty for callers that may not read.
    because: Vec<String>,
}

/// Answers as long as the process serves.
#[utoipa::path(
    get, path = "/healthz", tag = openapi::HEALTH, operation_id = "get_health", security(()),
    responses((status = 200, description = "It serves.", body = String, content_type = "text/plain", example = "ok\n")),
)]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the node is a member and knows a leader.
#[utoipa::path(
    get, path = "/readyz", tag = openapi::HEALTH, operation_id = "get_readiness",
    security((), ("token" = ["read"]), ("certificate" = ["read"])),
    responses(
        (status = 200, description = "It is ready.", body = Readiness),
        (status = 503, description = "It is not. Callers that may read are told why.", body = Readiness),
    ),
)]
pub(super) async fn readyz(State(api): State<Api>, reader: Option<Read>) -> (StatusCode, Json<Readiness>) {
    let because = api.handle.board().not_ready_because();
    let ready = because.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, because: if reader.is_some() { because } else { Vec::new() } }))
}

/// How the node is: members, leader, log, connections.
#[utoipa::path(
    get, path = "/api/v1/status", tag = openapi::NODE, operation_id = "get_status",
    responses((status = 200, description = "The node at this moment.", body = Status), ReadRefusals),
)]
pub(super) async fn status(State(api): State<Api>, _: Read) -> Json<Status> {
    Json(api.handle.board().status())
}
