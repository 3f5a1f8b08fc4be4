//! Whether the filter is ready.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use photongate_net::http::{HEALTH, Read, Readiness};

use super::Api;

/// Whether every worker polls and every peer has a key.
#[utoipa::path(
    get, path = "/readyz", tag = HEALTH, operation_id = "get_readiness",
    security((), ("token" = ["read"]), ("certificate" = ["read"])),
    responses(
        (status = 200, description = "It is ready.", body = Readiness),
        (status = 503, description = "It is not. Callers that may read are told why.", body = Readiness),
    ),
)]
pub(super) async fn readyz(State(api): State<Api>, reader: Option<Read>) -> (StatusCode, Json<Readiness>) {
    Readiness::answer(api.agent.not_ready_because(), reader.is_some())
}
