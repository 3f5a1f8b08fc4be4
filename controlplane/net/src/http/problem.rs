//! Errors as problem documents (RFC 9457).

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config;

/// Why a request was refused, or failed (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Which problem it is: `about:blank` if the status says all, else a URN that stays the same.
    #[serde(rename = "type", default = "about_blank")]
    #[schema(value_type = String, format = "uri-reference")]
    pub kind: Cow<'static, str>,
    /// The problem in a few words, the same each time.
    #[schema(value_type = String)]
    pub title: Cow<'static, str>,
    /// The HTTP status code.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened this time, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// All mistakes in the document that was sent, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<FieldProblem>,
    /// Headers that the answer has besides.
    #[serde(skip)]
    headers: Option<Box<HeaderMap>>,
}

/// One mistake in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// The file, if the document is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The character within the line, from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The field, like `peers[3].prefixes`; empty if no single one is meant.
    pub field: String,
    /// What is wrong with it, and what to do.
    pub message: String,
}

impl Problem {
    /// A problem that is called `title`: a few words that are the same each time it happens.
    pub fn new(status: StatusCode, title: &'static str) -> Self {
        let kind = if status.canonical_reason() == Some(title) {
            about_blank()
        } else {
            let words: Vec<_> = title.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
            format!("urn:photongate:problem:{}", words.join("-").to_ascii_lowercase()).into()
        };
        let title = Cow::Borrowed(title);
        Self { kind, title, status: status.as_u16(), detail: None, problems: Vec::new(), headers: None }
    }

    /// A problem about which the status code says all.
    pub fn of_status(status: StatusCode) -> Self {
        Self::new(status, status.canonical_reason().unwrap_or("Error"))
    }

    /// Says what happened this time, and what to do.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Names the mistakes in the document that was sent.
    #[must_use]
    pub fn with_fields(mut self, problems: Vec<FieldProblem>) -> Self {
        self.problems = problems;
        self
    }

    /// Gives the answer one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.get_or_insert_default().insert(name, value);
        self
    }

    /// The status code of the answer.
    pub fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl FieldProblem {
    /// All mistakes that a reader of configuration found.
    pub fn all(problems: &config::Problems) -> Vec<Self> {
        problems.iter().map(Self::from).collect()
    }
}

impl From<&config::Problem> for FieldProblem {
    fn from(problem: &config::Problem) -> Self {
        let file = (!problem.file.as_os_str().is_empty()).then(|| problem.file.display().to_string());
        let (line, column) = problem.position.map(|position| (position.line, position.column)).unzip();
        Self { file, line, column, field: problem.field.clone(), message: problem.message.clone() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("a problem is made of text and numbers");
        let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE))];
        let mut answer = (self.status_code(), content_type, body).into_response();
        answer.headers_mut().extend(self.headers.into_iter().flat_map(|headers| *headers));
        answer
    }
}

/// The media type of a [`Problem`].
pub(super) const CONTENT_TYPE: &str = "application/problem+json";

fn about_blank() -> Cow<'static, str> {
    Cow::Borrowed("about:blank")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_problem_is_written_as_rfc_9457_has_it() {
        let text = "[server]\nport = \"x\"\n";
        let refused = config::read_text(Path::new("a.toml"), text, |root| root.section("server", |_| Ok(())));
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The document has mistakes")
            .with_detail("nothing was changed")
            .with_fields(FieldProblem::all(&refused.unwrap_err()));
        let written: serde_json::Value = serde_json::to_value(&problem).unwrap();
        assert_eq!(written["type"], "urn:photongate:problem:the-document-has-mistakes");
        assert_eq!((&written["title"], &written["status"]), (&"The document has mistakes".into(), &422.into()));
        assert_eq!(written["problems"][0]["file"], "a.toml");
        assert_eq!((&written["problems"][0]["line"], &written["problems"][0]["column"]), (&2.into(), &1.into()));
        assert_eq!(written["problems"][0]["field"], "server.port");
        assert_eq!(serde_json::from_value::<Problem>(written).unwrap(), problem);
    }

    #[test]
    fn a_problem_that_its_status_explains_has_no_type_of_its_own() {
        assert_eq!(Problem::of_status(StatusCode::NOT_FOUND).kind, "about:blank");
        assert_eq!(Problem::of_status(StatusCode::NOT_FOUND).title, "Not Found");
    }

    #[test]
    fn the_answer_has_the_status_the_media_type_and_the_headers_of_the_problem() {
        let problem = Problem::of_status(StatusCode::TOO_MANY_REQUESTS)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("7"));
        let answer = problem.into_response();
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], CONTENT_TYPE);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "7");
    }
}
