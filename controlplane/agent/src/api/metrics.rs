//! `/metrics`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use photongate_net::http::{Read, ReadRefusals};

use super::{Api, openapi};
use crate::metrics;

/// All counters and gauges, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = openapi::HEALTH, responses((status = 200, body = String, content_type = "application/openmetrics-text"), ReadRefusals))]
pub(super) async fn metrics(State(api): State<Api>, _: Read) -> Response {
    let content_type = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = metrics::text(&api.agent, (api.certificate)());
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
