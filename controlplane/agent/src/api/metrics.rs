//! `/metrics`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use photongate_net::http::{HEALTH, Problem, Read, ReadRefusals};
use photongate_net::metrics::MEDIA_TYPE;

use super::{Api, apart};
use crate::metrics;

/// Everything that is counted, for Prometheus.
///
/// Text format 0.0.4. `docs/operations/metrics.md` describes each metric.
#[utoipa::path(
    get, path = "/metrics", tag = HEALTH,
    responses(
        (status = 200, description = "The numbers of this moment.", body = String, content_type = "text/plain", example = "photongate_ready 1"),
        ReadRefusals,
    ),
)]
pub(super) async fn metrics(State(api): State<Api>, _: Read) -> Result<Response, Problem> {
    let certificate_expires = (api.certificate)();
    let text = apart(move || metrics::text(&api.agent, certificate_expires)).await?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], text).into_response())
}
