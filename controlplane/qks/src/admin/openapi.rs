//! The description of the interface, in OpenAPI 3.1. [`docs`](super::docs) shows it to people.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use photongate_net::http::{FieldProblem, Problem, Security, complete_description};
use utoipa::openapi::OpenApi;
use utoipa::{OpenApi as _, ToResponse};
use utoipa_axum::router::OpenApiRouter;

use super::Admin;

pub(super) const HEALTH: &str = "health";
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

/// A router that describes itself.
pub(super) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::with_openapi(Document::openapi())
}

/// This description, as OpenAPI 3.1.
#[utoipa::path(
    get, path = "/openapi.json", tag = HEALTH, operation_id = "get_openapi", security(()),
    responses((status = 200, description = "The description.", body = serde_json::Value)),
)]
pub(super) async fn document() -> Response {
    static JSON: LazyLock<String> = LazyLock::new(|| described().to_json().expect("the document is made of text"));
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], JSON.as_str()).into_response()
}

/// The whole description: of every route, with what the server in front of them may answer.
pub(super) fn described() -> OpenApi {
    let mut document = super::routes().into_openapi();
    complete_description(&mut document, env!("CARGO_PKG_VERSION"));
    document
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, to_value};

    use super::*;

    #[test]
    fn every_reference_of_the_description_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
        let document = to_value(described()).unwrap();
        let mut references = BTreeSet::new();
        collect(&document, &mut references);
        assert!(references.len() > 5);
        for reference in references {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        let operations: Vec<_> = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap())
            .collect();
        assert_eq!(operations.iter().collect::<BTreeSet<_>>().len(), operations.len());
    }

    #[test]
    fn what_changes_something_is_for_admins() {
        let document = to_value(described()).unwrap();
        for item in document["paths"].as_object().unwrap().values() {
            for method in ["put", "post", "delete"] {
                if let Some(operation) = item.get(method) {
                    assert_eq!(operation["security"][0]["token"][0], "admin", "{operation}");
                }
            }
        }
    }

    fn collect<'d>(value: &'d Value, references: &mut BTreeSet<&'d str>) {
        match value {
            Value::Object(fields) => {
                references.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| collect(value, references));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
            _ => {}
        }
    }
}
