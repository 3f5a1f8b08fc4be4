//! An interface described for people: one page, made of the same document that programs read. No script, nothing
//! from elsewhere.

use std::fmt::Write;

use axum::body::Body;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, header};
use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

/// Answers with a page of [`docs_page`], which may load its style sheet and nothing else.
pub fn docs_answer(page: impl Into<Body>) -> Response {
    ([(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY))], Html(page.into()))
        .into_response()
}

/// Answers with the style sheet of the page, which must be at `/docs/style.css`.
pub fn docs_style() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"))], STYLE).into_response()
}

/// The page about an interface whose description is at `/openapi.json`.
///
/// # Panics
/// If the document cannot be written as JSON, which no document is known for.
pub fn docs_page(document: &OpenApi) -> String {
    let document = serde_json::to_value(document).expect("the document is made of text");
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>photongate: HTTP interface</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"stylesheet\" href=\"/docs/style.css\"></head><body><header>",
    );
    let info = &document["info"];
    let _ = write!(page, "<h1>{} <small>{}</small></h1>", text(&info["title"]), text(&info["version"]));
    let _ =
        write!(page, "<p>{} <a href=\"/openapi.json\">openapi.json</a></p></header><main>", text(&info["description"]));
    for tag in list(&document["tags"]) {
        let name = tag["name"].as_str().unwrap_or_default();
        let _ = write!(page, "<section><h2>{}</h2><p>{}</p>", escape(name), text(&tag["description"]));
        for (path, methods) in object(&document["paths"]) {
            for (method, operation) in object(methods) {
                if list(&operation["tags"]).iter().any(|tag| tag == name) {
                    operation_section(&mut page, &document, path, method, operation);
                }
            }
        }
        page.push_str("</section>");
    }
    page.push_str("<section><h2>Forms</h2>");
    for (name, schema) in object(&document["components"]["schemas"]) {
        schema_section(&mut page, name, schema);
    }
    page.push_str("</section></main></body></html>");
    page
}

fn operation_section(page: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let _ = write!(
        page,
        "<details><summary><b>{}</b> <code>{}</code> {}</summary><div>",
        escape(&method.to_uppercase()),
        escape(path),
        text(&operation["summary"]),
    );
    if let Some(description) = operation.get("description") {
        let _ = write!(page, "<p>{}</p>", text(description));
    }
    let roles = operation.get("security").unwrap_or(&document["security"]);
    let _ = write!(page, "<p>For {}.</p>", role(roles));
    let parameters = list(&operation["parameters"]);
    if !parameters.is_empty() {
        page.push_str("<h3>Parameters</h3><table>");
        for parameter in parameters {
            let needed = if parameter["required"] == true { ", needed" } else { "" };
            let _ = write!(
                page,
                "<tr><td><code>{}</code></td><td>{}{needed}</td><td>{}</td><td>{} As in <code>{}</code></td></tr>",
                text(&parameter["name"]),
                text(&parameter["in"]),
                form(&parameter["schema"]),
                text(&parameter["description"]),
                plain(&parameter["example"]),
            );
        }
        page.push_str("</table>");
    }
    if let Some(body) = operation.get("requestBody") {
        let _ = write!(page, "<h3>Body</h3><p>{} {}</p>", contents(&body["content"]), text(&body["description"]));
    }
    page.push_str("<h3>Answers</h3><table>");
    for (status, response) in object(&operation["responses"]) {
        let response = resolve(document, response);
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(status),
            text(&response["description"]),
            contents(&response["content"]),
        );
    }
    page.push_str("</table></div></details>");
}

/// Who may call, from the requirements of an operation (OpenAPI 3.1, "Security Requirement Object").
fn role(requirements: &Value) -> String {
    let requirements = list(requirements);
    if requirements.iter().any(|requirement| object(requirement).next().is_none()) {
        return "everybody".to_owned();
    }
    let roles = requirements.first().and_then(|requirement| object(requirement).next());
    roles.map_or(String::new(), |(_, roles)| format!("callers with the role <code>{}</code>", plain(&roles[0])))
}

/// What is meant, if the value refers to a part of the document.
fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn schema_section(page: &mut String, name: &str, schema: &Value) {
    let _ = write!(page, "<details><summary><code>{0}</code></summary><div id=\"{0}\">", escape(name));
    let _ = write!(page, "<p>{}</p>", text(&schema["description"]));
    let needed = list(&schema["required"]);
    if schema["properties"].is_object() {
        page.push_str("<table>");
        for (field, form_of) in object(&schema["properties"]) {
            let optional = if needed.iter().any(|needed| needed == field) { "" } else { " (optional)" };
            let _ = write!(
                page,
                "<tr><td><code>{}</code>{optional}</td><td>{}</td><td>{}</td></tr>",
                escape(field),
                form(form_of),
                text(&form_of["description"]),
            );
        }
        page.push_str("</table>");
    } else {
        let _ = write!(page, "<p>{}</p>", form(schema));
    }
    page.push_str("</div></details>");
}

/// The media types and forms of a body.
fn contents(content: &Value) -> String {
    let one = |(media_type, body): (&String, &Value)| {
        format!("{} <code>{}</code>", form(&body["schema"]), escape(media_type))
    };
    object(content).map(one).collect::<Vec<_>>().join(", or ")
}

/// A schema in a few words, with links to named ones.
fn form(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = escape(reference.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    for alternatives in ["oneOf", "anyOf", "allOf"] {
        let alternatives = list(&schema[alternatives]);
        if !alternatives.is_empty() {
            return alternatives.iter().map(form).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        return values
            .iter()
            .map(|value| format!("<code>{}</code>", escape(&value.to_string())))
            .collect::<Vec<_>>()
            .join(", ");
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        kind => kind.as_str().unwrap_or_default().to_owned(),
    };
    if schema["items"].is_object() {
        return format!("list of {}", form(&schema["items"]));
    }
    let bound =
        |name: &str, word: &str| schema[name].as_number().map(|bound| format!(" {word} {bound}")).unwrap_or_default();
    escape(&kind) + &bound("minimum", "from") + &bound("maximum", "to")
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A sentence or more, in which what stands between backticks is code.
fn text(value: &Value) -> String {
    let escaped = escape(value.as_str().unwrap_or_default());
    let mut parts = escaped.split('`');
    let mut html = parts.next().unwrap_or_default().to_owned();
    while let Some(code) = parts.next() {
        let _ = write!(html, "<code>{code}</code>{}", parts.next().unwrap_or_default());
    }
    html
}

/// A value as it is written in a request.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| escape(&value.to_string()), escape)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The page has a style sheet, and nothing else.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "\
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 0 auto; padding: 1rem }
summary { cursor: pointer; padding: .3rem 0 }
summary b { display: inline-block; min-width: 4.5rem }
details > div { padding: 0 1rem 1rem; overflow-x: auto; border-left: 3px solid #8886 }
table { border-collapse: collapse }
td { padding: .2rem .8rem .2rem 0; min-width: 3rem; vertical-align: top; border-top: 1px solid #8883 }
code { font-size: .92em; overflow-wrap: anywhere }
h3 { margin: .8rem 0 .2rem; font-size: 1rem }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_markup_is_shown_as_it_stands() {
        assert_eq!(text(&"send `<a>`, or `b`".into()), "send <code>&lt;a&gt;</code>, or <code>b</code>");
        assert_eq!(escape("<b>\"&\"</b>"), "&lt;b&gt;&quot;&amp;&quot;&lt;/b&gt;");
    }
}
