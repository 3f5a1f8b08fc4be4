//! Whether the filter lives, and whether it is ready.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use photongate_net::http::Read;

use super::model::Readiness;
use super::{Api, openapi};

/// Answers as long as the process serves.
#[utoipa::path(
    get, path = "/healthz", tag = openapi::HEALTH, operation_id = "get_health", security(()),
    responses((status = 200, description = "It serves.", body = String, content_type = "text/plain", example = "ok\n")),
)]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether every worker polls and every peer has a key.
#[utoipa::path(
    get, path = "/readyz", tag = openapi::HEALTH, operation_id = "get_readiness",
    security((), ("token" = ["read"]), ("certificate" = ["read"])),
    responses(
        (status = 200, description = "It is ready.", body = Readiness),
        (status = 503, description = "It is not. Callers that may read are told why.", body = Readiness),
    ),
)]
pub(super) async fn readyz(State(api): State<Api>, reader: Option<Read>) -> (StatusCode, Json<Readiness>) {
    answer(api.agent.not_ready_because(), reader.is_some())
}

fn answer(because: Vec<String>, to_reader: bool) -> (StatusCode, Json<Readiness>) {
    let ready = because.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let because = if to_reader { because } else { Vec::new() };
    (status, Json(Readiness { ready, because }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_without_reasons_against_it_is_ready() {
        let (status, Json(readiness)) = answer(Vec::new(), false);
        assert_eq!((status, readiness), (StatusCode::OK, Readiness { ready: true, because: Vec::new() }));
    }

    #[test]
    fn only_who_may_read_is_told_why_it_is_not_ready() {
        let because = vec!["worker 0 does not poll".to_owned()];
        let (status, Json(told)) = answer(because.clone(), true);
        assert_eq!(
            (status, told),
            (StatusCode::SERVICE_UNAVAILABLE, Readiness { ready: false, because: because.clone() })
        );
        let (status, Json(told)) = answer(because, false);
        assert_eq!((status, told), (StatusCode::SERVICE_UNAVAILABLE, Readiness { ready: false, because: Vec::new() }));
    }
}
