//! Whether the node can do its work, and how it is.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use photongate_net::http::{HEALTH, Read, ReadRefusals, Readiness};

use super::openapi;
use crate::handle::Handle;
use crate::server::Status;

/// Whether the node is in the network.
#[utoipa::path(
    get, path = "/readyz", tag = HEALTH, operation_id = "get_readiness",
    security((), ("token" = ["read"]), ("certificate" = ["read"])),
    responses(
        (status = 200, description = "It is ready.", body = Readiness),
        (status = 503, description = "It is not. Callers that may read are told why.", body = Readiness),
    ),
)]
pub(super) async fn readyz(State(handle): State<Handle>, reader: Option<Read>) -> (StatusCode, Json<Readiness>) {
    Readiness::answer(handle.board().not_ready_because(), reader.is_some())
}

/// How the node is.
#[utoipa::path(
    get, path = "/api/v1/status", tag = openapi::NODE, operation_id = "get_status",
    responses((status = 200, description = "The node at this moment.", body = Status), ReadRefusals),
)]
pub(super) async fn status(State(handle): State<Handle>, _: Read) -> Json<Status> {
    Json(handle.board().status())
}
