//! Whether the key server lives, and whether it is ready.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use photongate_net::http::Read;

use super::model::Readiness;
use super::{Admin, openapi};

/// Answers as long as the process serves.
#[utoipa::path(
    get, path = "/healthz", tag = openapi::HEALTH, operation_id = "get_health", security(()),
    responses((status = 200, description = "It serves.", body = String, content_type = "text/plain", example = "ok\n")),
)]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the database answers, and a neighbour if there are any.
#[utoipa::path(
    get, path = "/readyz", tag = openapi::HEALTH, operation_id = "get_readiness",
    security((), ("token" = ["read"]), ("certificate" = ["read"])),
    responses(
        (status = 200, description = "It is ready.", body = Readiness),
        (status = 503, description = "It is not. Callers that may read are told why.", body = Readiness),
    ),
)]
pub(super) async fn readyz(State(admin): State<Admin>, reader: Option<Read>) -> (StatusCode, Json<Readiness>) {
    let because = admin.not_ready_because().await;
    let ready = because.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, because: if reader.is_some() { because } else { Vec::new() } }))
}

impl Admin {
    /// Why the server cannot do its work, a sentence each.
    pub(super) async fn not_ready_because(&self) -> Vec<String> {
        let mut because = Vec::new();
        if let Err(error) = self.0.store.entry("admin", "ready").await {
            because.push(error.to_string());
        }
        let neighbours = self.0.neighbours.all();
        if !neighbours.is_empty() && neighbours.iter().all(|neighbour| neighbour.is_down().is_some()) {
            because.push("no neighbouring key server answers".to_owned());
        }
        because
    }
}
