//! The description of the interface, in OpenAPI 3.1.

use photongate_net::http::{FieldProblem, HEALTH, Problem, Security, common_routes, complete_description};
use utoipa::openapi::OpenApi;
use utoipa::{OpenApi as _, ToResponse};
use utoipa_axum::router::OpenApiRouter;

use super::Admin;

pub(super) const SERVER: &str = "server";
pub(super) const LINKS: &str = "links";
pub(super) const SAES: &str = "applications";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "photongate qks",
        description = "Administration of a running key server. \
            Errors are problem documents (RFC 9457). Times are RFC 3339 in UTC.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(Problem, FieldProblem), responses(NotFound)),
    tags(
        (name = HEALTH, description = "For whoever starts and watches the key server."),
        (name = SERVER, description = "The key server, its neighbours and routes. Never keys."),
        (name = LINKS, description = "The links to neighbours, and their QKD modules."),
        (name = SAES, description = "Which applications (SAEs) get keys here."),
    ),
    // The roles that it takes. Routes for admins say so themselves.
    security(("token" = ["read"]), ("certificate" = ["read"])),
    modifiers(&Security),
)]
struct Document;

/// What was named is not there.
#[derive(ToResponse)]
#[response(description = "What was named is not there.", content_type = "application/problem+json")]
pub(super) struct NotFound(#[allow(dead_code, reason = "describes the body")] Problem);

/// A router that describes itself, and has the routes that every role has.
pub(super) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::with_openapi(Document::openapi()).merge(common_routes(described))
}

/// The whole description: of every route, with what the server in front of them may answer.
pub(super) fn described() -> OpenApi {
    let mut document = super::routes().into_openapi();
    complete_description(&mut document, env!("CARGO_PKG_VERSION"));
    document
}

#[cfg(test)]
mod tests {
    use photongate_net::http::description_mistakes;

    use super::*;

    #[test]
    fn every_reference_leads_somewhere_every_operation_has_its_own_name_and_changes_are_for_admins() {
        assert_eq!(description_mistakes(&described()), Vec::<String>::new());
    }
}
