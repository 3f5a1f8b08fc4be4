//! `/metrics`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use photongate_net::http::{Problem, Read, ReadRefusals};

use super::{Api, openapi};
use crate::metrics;

/// Everything that is counted, for Prometheus.
///
/// Text format 0.0.4. `docs/operations/metrics.md` describes each metric.
#[utoipa::path(
    get, path = "/metrics", tag = openapi::HEALTH,
    responses(
        (status = 200, description = "The numbers of this moment.", body = String, content_type = "text/plain", example = "photongate_ready 1"),
        ReadRefusals,
    ),
)]
pub(super) async fn metrics(State(api): State<Api>, _: Read) -> Result<Response, Problem> {
    let certificate_expires = (api.certificate)();
    // A hundred thousand peers take a tenth of a second or more: not on a thread that others wait for.
    let text = tokio::task::spawn_blocking(move || metrics::text(&api.agent, certificate_expires));
    let text = text.await.map_err(|_| Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(metrics::MEDIA_TYPE))], text).into_response())
}
