//! The description of the interface, in OpenAPI 3.1.

use photongate_net::http::{FieldProblem, HEALTH, Problem, Security, common_routes, complete_description};
use utoipa::openapi::OpenApi;
use utoipa::{IntoResponses, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;

use super::Api;

pub(super) const NODE: &str = "node";
pub(super) const DOCUMENTS: &str = "documents";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "photongate px",
        description = "A node of the cluster that keeps one ordered log. \
            Errors are problem documents (RFC 9457). Times are RFC 3339 in UTC.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(Problem, FieldProblem)),
    tags(
        (name = HEALTH, description = "For whoever starts and watches the node."),
        (name = NODE, description = "The node, its connections, and the members."),
        (name = DOCUMENTS, description = "The documents that the cluster keeps."),
    ),
    // The roles that it takes. Routes for admins say so themselves.
    security(("token" = ["read"]), ("certificate" = ["read"])),
    modifiers(&Security),
)]
struct Document;

/// What was named is not there.
#[derive(IntoResponses)]
#[response(status = 404, description = "What was named is not there.", content_type = "application/problem+json")]
pub(super) struct NotFound(#[allow(dead_code, reason = "describes the body")] Problem);

/// What is asked for does not go with what is.
#[derive(IntoResponses)]
#[response(
    status = 409,
    description = "It does not go with what is; nothing was changed.",
    content_type = "application/problem+json"
)]
pub(super) struct Conflict(#[allow(dead_code, reason = "describes the body")] Problem);

/// There is no majority, or no room.
#[derive(IntoResponses)]
#[response(
    status = 503,
    description = "There is no majority of members, or too much is under way. `Retry-After` says when to ask again.",
    content_type = "application/problem+json"
)]
pub(super) struct Unavailable(#[allow(dead_code, reason = "describes the body")] Problem);

/// Nobody knows.
#[derive(IntoResponses)]
#[response(
    status = 504,
    description = "There was no agreement in time: it may still happen, or not. A client that counts its commands asks again.",
    content_type = "application/problem+json"
)]
pub(super) struct Unknown(#[allow(dead_code, reason = "describes the body")] Problem);

/// A router that describes itself, and has the routes that every role has.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi()).merge(common_routes(described))
}

/// The whole description: of every route, with what the server in front of them may answer.
pub(super) fn described() -> OpenApi {
    let mut document = super::routes().into_openapi();
    complete_description(&mut document, env!("CARGO_PKG_VERSION"));
    document
}
