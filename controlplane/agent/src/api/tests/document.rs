//! What the description says, and whether the interface keeps to it.

use std::collections::BTreeSet;

use axum::response::Response;

use super::*;
use photongate_net::http::docs_page;

use crate::api::openapi::described;

#[tokio::test]
async fn every_route_is_described() {
    let desk = Desk::open().await;
    let described: BTreeSet<_> = described().paths.paths.into_keys().collect();
    // What the router shows of itself holds its paths.
    let shown = format!("{:?}", desk.router);
    let paths = shown.split('"').filter(|text| text.starts_with('/'));
    let is_file = |path: &str| path == "/" || path.starts_with("/assets/") || path.contains("fallback");
    let routed: BTreeSet<_> = paths.filter(|path| !is_file(path)).collect();
    assert_eq!(routed, described.iter().map(String::as_str).collect());
}

#[test]
fn every_operation_says_what_it_does_under_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for (place, operation) in operations() {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{place}: {name} is taken");
        assert!(operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{place} has no summary");
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{place}");
    }
}

#[test]
fn every_parameter_and_answer_is_explained() {
    for (place, operation) in operations() {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = &parameter["name"];
            assert!(parameter["description"].as_str().is_some_and(|text| !text.is_empty()), "{place}: {name}");
            assert!(parameter.get("example").is_some(), "{place}: {name} has no example");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let is_named = response.get("$ref").is_some();
            let is_told = response["description"].as_str().is_some_and(|text| !text.is_empty());
            assert!(is_named || is_told, "{place}: {status}");
        }
    }
}

#[test]
fn every_refusal_is_a_problem_document() {
    let document = document();
    for (place, operation) in operations() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let is_refusal = status.starts_with('4') || status.starts_with('5');
            if is_refusal && (place != "get /readyz" || status != "503") {
                let response = resolved(&document, response);
                let content: Vec<_> = response["content"].as_object().unwrap().keys().collect();
                assert_eq!(content, ["application/problem+json"], "{place}: {status}");
            }
        }
    }
}

#[test]
fn what_is_referred_to_is_there() {
    fn check(document: &Value, value: &Value) {
        if let Some(reference) = value["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let (list, object) = (value.as_array(), value.as_object());
        list.into_iter().flatten().chain(object.into_iter().flat_map(|object| object.values())).for_each(|value| {
            check(document, value);
        });
    }
    let document = document();
    check(&document, &document);
}

#[test]
fn every_operation_is_in_the_reference() {
    let page = include_str!("../../../../../docs/reference/api.md");
    for (place, _) in operations() {
        let (method, path) = place.split_once(' ').unwrap();
        let request = format!("`{} {}`", method.to_uppercase(), path.replace("/api/v1", "…"));
        assert!(page.contains(&request), "docs/reference/api.md says nothing of {request}");
    }
}

#[tokio::test]
async fn the_description_is_served_in_openapi_3_1() {
    let desk = Desk::open().await;
    let answer = desk.ask(None, request(Method::GET, "/openapi.json"), "").await;
    let served: Value = answer.json();
    assert_eq!(served, document());
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(served["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn the_page_for_people_may_load_its_style_and_nothing_else() {
    let desk = Desk::open().await;
    let page = desk.ask(None, request(Method::GET, "/docs"), "").await;
    assert_eq!(page.headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"));
    assert!(page.text().contains("<code>/api/v1/status</code>") && !page.text().contains("style="));
    let style = desk.ask(None, request(Method::GET, "/docs/style.css"), "").await;
    assert_eq!(style.headers[header::CONTENT_TYPE], "text/css; charset=utf-8");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_document() {
    let desk = Desk::open().await;
    assert_eq!(desk.get("/api/v2/status").await.problem().status_code(), StatusCode::NOT_FOUND);
    let answer = desk.post("/api/v1/status", "").await;
    assert_eq!(answer.problem().status_code(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers[header::ALLOW], "GET,HEAD");
}

#[tokio::test]
async fn strangers_get_nothing_and_readers_change_nothing() {
    let desk = Desk::open().await;
    for (place, operation) in operations() {
        let (method, path) = place.split_once(' ').unwrap();
        let path = path.replace("{isd_as}", "20-ff00:0:112").replace("{drkey_protocol}", "3").replace("{id}", "1");
        // The status alone: some answers have no end.
        let status = async |role| {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let request = request(method, &path).header(header::CONTENT_TYPE, JSON);
            desk.response(role, request.body(Body::empty()).unwrap()).await.status()
        };
        let security = operation["security"].as_array();
        if security.is_some_and(|security| security.contains(&serde_json::json!({}))) {
            assert_ne!(status(None).await, StatusCode::UNAUTHORIZED, "{place} is for everybody");
            continue;
        }
        assert_eq!(status(None).await, StatusCode::UNAUTHORIZED, "{place}");
        let role = security.map_or("read", |security| security[0]["token"][0].as_str().unwrap());
        let is_refused = status(Some(Role::Read)).await == StatusCode::FORBIDDEN;
        assert_eq!(is_refused, role == "admin", "{place} is for {role}");
    }
    assert_eq!(desk.audited(), []);
}

/// Fails if the description knows the route, but not that it answers like this.
pub(super) fn assert_described(method: &Method, path: &str, response: &Response) {
    let document = document();
    let Some(operation) = operation(&document, method, path) else { return };
    let status = response.status();
    let described = &operation["responses"][status.as_str()];
    assert!(described.is_object(), "{method} {path} may not answer {status}");
    let described = resolved(&document, described);
    let media_type = response.headers().get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap());
    let media_type = media_type.map(|value| value.split(';').next().unwrap());
    match (described["content"].as_object(), media_type) {
        (None, None) => {}
        (Some(content), Some(media_type)) if content.contains_key(media_type) => {}
        (described, _) => panic!("{method} {path}, {status}: {media_type:?} is none of {described:?}"),
    }
}

fn operation<'d>(document: &'d Value, method: &Method, path: &str) -> Option<&'d Value> {
    let fits = |template: &str| {
        let (mut template, mut path) = (template.split('/'), path.split('/'));
        let fits = template.by_ref().zip(path.by_ref()).all(|(part, given)| part.starts_with('{') || part == given);
        // Two that share a beginning differ in how many parts they have.
        fits && template.next().is_none() && path.next().is_none()
    };
    let parts = path.split('/').count();
    let mut items = document["paths"].as_object()?.iter();
    let exact = document["paths"].get(path);
    let item = exact.or_else(|| {
        items.find(|(template, _)| template.split('/').count() == parts && fits(template)).map(|(_, item)| item)
    });
    item?.get(method.as_str().to_lowercase())
}

#[test]
fn every_route_and_every_form_is_on_the_page_and_nothing_comes_from_elsewhere() {
    let document = described();
    let page = docs_page(&document);
    for path in document.paths.paths.keys() {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
    }
    for form in document.components.unwrap().schemas.keys() {
        assert!(page.contains(&format!("<div id=\"{form}\">")), "{form}");
    }
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"));
}

#[test]
fn every_answer_is_explained_and_who_may_call_is_said() {
    let page = docs_page(&described());
    assert!(!page.contains("<td></td><td></td>"), "an answer without a word");
    assert!(page.contains("<td>422</td><td>The document has mistakes"));
    for whom in ["everybody", "callers with the role <code>read</code>", "callers with the role <code>admin</code>"] {
        assert!(page.contains(&format!("<p>For {whom}.</p>")), "{whom}");
    }
}

/// Every operation, by its method and path.
fn operations() -> Vec<(String, Value)> {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation.clone()))
    });
    operations.collect()
}

fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.map_or(value, |pointer| document.pointer(pointer).unwrap())
}

fn document() -> Value {
    serde_json::to_value(described()).unwrap()
}
