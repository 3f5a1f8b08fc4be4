//! The description of the interface, in OpenAPI 3.1.

use photongate_net::http::{FieldProblem, HEALTH, Problem, Security, common_routes, complete_description};
use utoipa::openapi::OpenApi;
use utoipa::{IntoResponses, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;

use crate::handle::Handle;

pub(super) const NODE: &str = "node";
pub(super) const NETWORK: &str = "network";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "photongate dht",
        description = "A node of the distributed store. Errors are problem documents (RFC 9457).",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(Problem, FieldProblem)),
    tags(
        (name = HEALTH, description = "For whoever starts and watches the node."),
        (name = NODE, description = "The node."),
        (name = NETWORK, description = "Where things are."),
    ),
    security(("token" = ["read"]), ("certificate" = ["read"])),
    modifiers(&Security),
)]
struct Document;

/// The node ends.
#[derive(IntoResponses)]
#[response(status = 503, description = "The node is stopping.", content_type = "application/problem+json")]
pub(super) struct Stopping(#[allow(dead_code, reason = "describes the body")] Problem);

/// A router that describes itself, and has the routes that every role has.
pub(super) fn router() -> OpenApiRouter<Handle> {
    OpenApiRouter::with_openapi(Document::openapi()).merge(common_routes(described))
}

/// The whole description: of every route, with what the server in front of them may answer.
pub(super) fn described() -> OpenApi {
    let mut document = super::routes().into_openapi();
    complete_description(&mut document, env!("CARGO_PKG_VERSION"));
    document
}
