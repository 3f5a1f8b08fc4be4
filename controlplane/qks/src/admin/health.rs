//! Whether the key server is ready.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use photongate_net::http::{HEALTH, Read, Readiness};

use super::Admin;

/// Whether the database answers, and a neighbour if there are any.
#[utoipa::path(
    get, path = "/readyz", tag = HEALTH, operation_id = "get_readiness",
    security((), ("token" = ["read"]), ("certificate" = ["read"])),
    responses(
        (status = 200, description = "It is ready.", body = Readiness),
        (status = 503, description = "It is not. Callers that may read are told why.", body = Readiness),
    ),
)]
pub(super) async fn readyz(State(admin): State<Admin>, reader: Option<Read>) -> (StatusCode, Json<Readiness>) {
    Readiness::answer(admin.not_ready_because().await, reader.is_some())
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
