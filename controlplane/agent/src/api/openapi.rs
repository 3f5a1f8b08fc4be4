//! The description of the interface: OpenAPI 3.1, and a page for people.

use std::sync::Arc;

use axum::Router;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, header};
use photongate_net::http::{FieldProblem, Problem, Security};
use photongate_pipeline::PeerKey;
use utoipa::{IntoParams, OpenApi, ToResponse};
use utoipa_axum::router::OpenApiRouter;

use super::{Api, docs};

pub(super) const HEALTH: &str = "health";
pub(super) const FILTER: &str = "filter";
pub(super) const PEERS: &str = "peers and keys";
pub(super) const AS_LIST: &str = "AS list";
pub(super) const TRACES: &str = "traces";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "photongate filter",
        description = "Management of a running filter. Errors are problem documents (RFC 9457). Times are RFC 3339 in UTC.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(
        schemas(Problem, FieldProblem),
        responses(NotFound, Conflict, Invalid, UnsupportedMediaType, TooLarge),
    ),
    tags(
        (name = HEALTH, description = "For whoever starts and watches the filter."),
        (name = FILTER, description = "The filter, its workers and ports, its configuration and its log."),
        (name = PEERS, description = "Who the filter shares keys with, and those keys' epochs. Never the keys."),
        (name = AS_LIST, description = "Who the peers are: shown, compared, replaced whole."),
        (name = TRACES, description = "Packets with their verdicts, as pcapng."),
    ),
    security(("token" = []), ("certificate" = [])),
    modifiers(&Security),
)]
struct Document;

/// What was named is not there.
#[derive(ToResponse)]
#[response(description = "What was named is not there.", content_type = "application/problem+json")]
pub(super) struct NotFound(#[allow(dead_code, reason = "describes the body")] Problem);

/// It is not in a state for this.
#[derive(ToResponse)]
#[response(
    description = "It cannot be done as things stand; the detail says why.",
    content_type = "application/problem+json"
)]
pub(super) struct Conflict(#[allow(dead_code, reason = "describes the body")] Problem);

/// The document has mistakes.
#[derive(ToResponse)]
#[response(
    description = "The document has mistakes, all of which are named. Nothing was changed.",
    content_type = "application/problem+json"
)]
pub(super) struct Invalid(#[allow(dead_code, reason = "describes the body")] Problem);

/// The body is in a form that is not read.
#[derive(ToResponse)]
#[response(description = "The body is in a form that is not read here.", content_type = "application/problem+json")]
pub(super) struct UnsupportedMediaType(#[allow(dead_code, reason = "describes the body")] Problem);

/// The body is too large.
#[derive(ToResponse)]
#[response(description = "The body of the request is too large.", content_type = "application/problem+json")]
pub(super) struct TooLarge(#[allow(dead_code, reason = "describes the body")] Problem);

/// A peer in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "describes the path")]
pub(super) struct PeerParameters {
    /// The AS.
    #[param(
        example = "1-ff00:0:110",
        pattern = r"^[0-9]{1,5}-([0-9]{1,10}|[0-9a-f]{1,4}:[0-9a-f]{1,4}:[0-9a-f]{1,4})$"
    )]
    isd_as: String,
    /// The DRKey protocol.
    #[param(example = 3)]
    drkey_protocol: u16,
}

/// A trace in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "describes the path")]
pub(super) struct TraceParameter {
    /// The number of the trace.
    #[param(example = 1)]
    id: u64,
}

/// A router that describes itself.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
}

/// `/openapi.json`, and `/docs` for people.
pub(super) fn routes(mut document: utoipa::openapi::OpenApi) -> Router<Api> {
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    let json: Arc<str> = document.to_json().expect("the document is made of text").into();
    let page: Arc<str> = docs::page(&document).into();
    let answer_json = move || {
        let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let answer: Response = (content_type, json.to_string()).into_response();
        std::future::ready(answer)
    };
    Router::new()
        .route("/openapi.json", get(answer_json))
        .route("/docs", get(move || std::future::ready(Html(page.to_string()))))
        .merge(docs::style())
}

/// A peer as the audit log names it.
pub(super) fn peer_name(peer: PeerKey) -> String {
    format!("{} protocol {}", peer.isd_as, peer.protocol)
}
