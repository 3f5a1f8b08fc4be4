//! The routes that every interface has: whether the process lives, and what the interface is, for programs and for people.

#![allow(unused_qualifications, reason = "the macros that describe routes repeat their types in other scopes")]

use std::sync::{Arc, OnceLock};

use axum::Extension;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::docs::{docs_answer, docs_page, docs_style};

/// The tag of these routes, and of whatever else is for those who start and watch a process.
pub const HEALTH: &str = "health";

/// `/healthz`, `/openapi.json`, `/docs` and its style sheet. `described` makes the whole description, of these routes too; it is called
/// when somebody asks for it.
pub fn common_routes<S: Clone + Send + Sync + 'static>(described: fn() -> OpenApi) -> OpenApiRouter<S> {
    let texts = Texts { described, json: Arc::default(), page: Arc::default() };
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(openapi))
        .routes(routes!(page))
        .routes(routes!(style))
        .layer(Extension(texts))
}

/// What is shown of an interface, made once.
#[derive(Clone, Debug)]
struct Texts {
    described: fn() -> OpenApi,
    json: Arc<OnceLock<String>>,
    page: Arc<OnceLock<String>>,
}

/// Answers as long as the process serves.
#[utoipa::path(
    get, path = "/healthz", tag = HEALTH, operation_id = "get_health", security(()),
    responses((status = 200, description = "It serves.", body = String, content_type = "text/plain", example = "ok\n")),
)]
async fn healthz() -> &'static str {
    "ok\n"
}

/// This description, as OpenAPI 3.1.
#[utoipa::path(
    get, path = "/openapi.json", tag = HEALTH, operation_id = "get_openapi", security(()),
    responses((status = 200, description = "The description.", body = serde_json::Value)),
)]
async fn openapi(Extension(texts): Extension<Texts>) -> Response {
    let json = || (texts.described)().to_json().expect("the document is made of text");
    let json = texts.json.get_or_init(json).clone();
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response()
}

/// The description of the interface, for people.
#[utoipa::path(
    get, path = "/docs", tag = HEALTH, operation_id = "get_docs", security(()),
    responses((status = 200, description = "A page.", body = String, content_type = "text/html")),
)]
async fn page(Extension(texts): Extension<Texts>) -> Response {
    docs_answer(texts.page.get_or_init(|| docs_page(&(texts.described)())).clone())
}

/// How the page looks.
#[utoipa::path(
    get, path = "/docs/style.css", tag = HEALTH, operation_id = "get_docs_style", security(()),
    responses((status = 200, description = "A style sheet.", body = String, content_type = "text/css")),
)]
async fn style() -> Response {
    docs_style()
}
