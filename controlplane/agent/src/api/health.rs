//! Whether the filter lives, and whether it is ready.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use photongate_net::http::Read;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Api, openapi};

/// Whether the filter is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) struct Readiness {
    /// Whether every worker polls and every peer has a key.
    pub ready: bool,
    /// Why not, a sentence each. Only for callers that may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
}

/// Answers as long as the process serves.
#[utoipa::path(get, path = "/healthz", tag = openapi::HEALTH, security(()), responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether every worker polls and every peer has a key.
#[utoipa::path(
    get, path = "/readyz", tag = openapi::HEALTH,
    security((), ("token" = []), ("certificate" = [])),
    responses(
        (status = 200, description = "It is ready.", body = Readiness),
        (status = 503, description = "It is not; callers that may read are told why.", body = Readiness),
    ),
)]
pub(super) async fn readyz(State(api): State<Api>, reader: Option<Read>) -> (StatusCode, Json<Readiness>) {
    let because = api.agent.not_ready_because();
    let ready = because.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let because = if reader.is_some() { because } else { Vec::new() };
    (status, Json(Readiness { ready, because }))
}
