//! The interface described for people.

use std::sync::LazyLock;

use axum::response::Response;
use photongate_net::http::{docs_answer, docs_page, docs_style as style};

use super::openapi;

/// The description of the interface, for people.
#[utoipa::path(
    get, path = "/docs", tag = openapi::HEALTH, operation_id = "get_docs", security(()),
    responses((status = 200, description = "A page.", body = String, content_type = "text/html")),
)]
pub(super) async fn docs() -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(|| docs_page(&openapi::described()));
    docs_answer(PAGE.as_str())
}

/// How the page looks.
#[utoipa::path(
    get, path = "/docs/style.css", tag = openapi::HEALTH, operation_id = "get_docs_style", security(()),
    responses((status = 200, description = "A style sheet.", body = String, content_type = "text/css")),
)]
pub(super) async fn docs_style() -> Response {
    style()
}
