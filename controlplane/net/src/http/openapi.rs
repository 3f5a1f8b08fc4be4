//! What OpenAPI documents say about callers and refusals, the same for every role.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::Value;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Header, OpenApi, Ref, RefOr, Response, ResponseBuilder, SecurityRequirement};
use utoipa::{IntoResponses, Modify, PartialSchema};

use super::problem::CONTENT_TYPE;

/// What any route for readers may answer besides: `responses((status = 200, …), ReadRefusals)`. The document must
/// have the schemas [`Problem`](super::Problem) and [`FieldProblem`](super::FieldProblem).
#[derive(Debug)]
pub struct ReadRefusals;

/// What any route that changes something may answer besides.
#[derive(Debug)]
pub struct ChangeRefusals;

/// Adds how callers show who they are, as the security schemes `token` and `certificate`.
#[derive(Debug)]
pub struct Security;

impl IntoResponses for ReadRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            (StatusCode::BAD_REQUEST, "The request makes no sense."),
            (StatusCode::UNAUTHORIZED, "The caller is not known: the token is missing or wrong."),
            (StatusCode::FORBIDDEN, "The caller's role does not allow this."),
            (
                StatusCode::TOO_MANY_REQUESTS,
                "The caller asks too often. `Retry-After` says when to ask again, in seconds.",
            ),
        ]
        .into_iter()
        .map(refusal)
        .collect()
    }
}

impl IntoResponses for ChangeRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = ReadRefusals::responses();
        responses.extend(
            [
                (StatusCode::REQUEST_TIMEOUT, "The body of the request came too slowly."),
                (StatusCode::PAYLOAD_TOO_LARGE, "The body of the request is too large."),
                (StatusCode::SERVICE_UNAVAILABLE, "The change cannot be audited, so it was not made."),
            ]
            .into_iter()
            .map(refusal),
        );
        responses
    }
}

impl Modify for Security {
    fn modify(&self, openapi: &mut OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("pgt_ and 64 hexadecimal digits")
            .description(Some(
                "A token from a file that the server made at its first start, or of the OpenID provider.",
            ))
            .build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        let description = Some("A client certificate whose subject has a role.".to_owned());
        let certificate = SecurityScheme::MutualTls { description, deprecated: None, extensions: None };
        components.add_security_scheme("certificate", certificate);
    }
}

/// Completes a document: the program's version, and what the server in front of the routes may answer to any request.
pub fn complete_description(document: &mut OpenApi, version: &str) {
    version.clone_into(&mut document.info.version);
    for item in document.paths.paths.values_mut() {
        let methods = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        methods.into_iter().flatten().for_each(add_what_any_request_may_get);
    }
}

/// What is wrong with a document, a sentence each: references that lead nowhere, operations that share a name, and changes that are not for
/// admins.
pub fn description_mistakes(document: &OpenApi) -> Vec<String> {
    let document = serde_json::to_value(document).expect("the document is made of text");
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    let leads_nowhere = |reference: &&str| document.pointer(reference.trim_start_matches('#')).is_none();
    let mut mistakes: Vec<_> =
        references.into_iter().filter(leads_nowhere).map(|reference| format!("{reference} is not there")).collect();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let name = operation["operationId"].as_str().unwrap_or_default();
            if !names.insert(name) {
                mistakes.push(format!("{method} {path}: another operation is called {name:?}, too"));
            }
            if method != "get" && operation["security"][0]["token"][0] != "admin" {
                mistakes.push(format!("{method} {path} is not for admins alone"));
            }
        }
    }
    mistakes
}

fn collect_references<'d>(value: &'d Value, references: &mut BTreeSet<&'d str>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| collect_references(value, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, references)),
        _ => {}
    }
}

/// Adds the answers of the server to requests that no route sees, and the headers that go with some refusals.
fn add_what_any_request_may_get(operation: &mut Operation) {
    let mut refusals = ReadRefusals::responses();
    // Who needs not show who they are needs no role.
    if operation.security.as_ref().is_some_and(|security| security.contains(&SecurityRequirement::default())) {
        refusals.remove("403");
    }
    let responses = &mut operation.responses.responses;
    for (status, refusal) in refusals {
        responses.entry(status).or_insert(refusal);
    }
    let misdirected =
        "Without TLS, the header `Host` must name this machine: a page of another site may have led here.";
    responses.entry("421".to_owned()).or_insert_with(|| RefOr::T(problem(misdirected)));
    for (status, name, description) in [
        ("401", "WWW-Authenticate", "How to show who one is."),
        ("429", "Retry-After", "When to ask again, in seconds."),
    ] {
        if let Some(RefOr::T(refusal)) = responses.get_mut(status) {
            let mut header = Header::new(String::schema());
            header.description = Some(description.to_owned());
            refusal.headers.insert(name.to_owned(), header.into());
        }
    }
}

fn problem(description: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new().description(description).content(CONTENT_TYPE, content).build()
}

fn refusal((status, description): (StatusCode, &str)) -> (String, RefOr<Response>) {
    (status.as_str().to_owned(), RefOr::T(problem(description)))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};
    use utoipa::openapi::{InfoBuilder, OpenApiBuilder};

    use super::*;

    #[test]
    fn every_refusal_is_a_problem_document() {
        let (read, change) = (ReadRefusals::responses(), ChangeRefusals::responses());
        assert_eq!(read.keys().collect::<Vec<_>>(), ["400", "401", "403", "429"]);
        assert_eq!(change.keys().collect::<Vec<_>>(), ["400", "401", "403", "408", "413", "429", "503"]);
        for (status, response) in change {
            let response = to_value(response).unwrap();
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{status}");
        }
    }

    #[test]
    fn mistakes_of_a_document_are_found() {
        let change = |name: &str, role: &str| {
            let answer = json!({ "description": "Done.", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Nothing" } } } });
            json!({ "operationId": name, "security": [{ "token": [role] }], "responses": { "200": answer } })
        };
        let document = json!({
            "openapi": "3.1.0",
            "info": { "title": "test", "version": "1" },
            "paths": { "/a": { "put": change("change", "admin") }, "/b": { "put": change("change", "read") } },
        });
        let mistakes = description_mistakes(&from_value(document).unwrap());
        assert_eq!(
            mistakes,
            [
                "#/components/schemas/Nothing is not there",
                "put /b: another operation is called \"change\", too",
                "put /b is not for admins alone",
            ]
        );
    }

    #[test]
    fn a_document_says_how_callers_show_who_they_are() {
        let mut document = OpenApiBuilder::new().info(InfoBuilder::new().title("test").version("1")).build();
        Security.modify(&mut document);
        let schemes: Value = to_value(document).unwrap()["components"]["securitySchemes"].take();
        assert_eq!((&schemes["token"]["type"], &schemes["token"]["scheme"]), (&"http".into(), &"bearer".into()));
        assert_eq!(schemes["certificate"]["type"], "mutualTLS");
    }
}
