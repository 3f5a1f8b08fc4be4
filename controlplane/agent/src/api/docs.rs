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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_and_every_form_is_on_the_page_and_nothing_comes_from_elsewhere() {
        let document = openapi::described();
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
        let page = docs_page(&openapi::described());
        assert!(!page.contains("<td></td><td></td>"), "an answer without a word");
        assert!(page.contains("<td>422</td><td>The document has mistakes"));
        for whom in ["everybody", "callers with the role <code>read</code>", "callers with the role <code>admin</code>"]
        {
            assert!(page.contains(&format!("<p>For {whom}.</p>")), "{whom}");
        }
    }
}
