//! The interface through its router, in front of a whole control plane.

mod as_list;
mod document;
mod events;
mod health;
mod keys;
mod metrics;
mod peers;
mod reload;
mod traces;

use std::sync::Mutex;

use axum::body::{Body, Bytes};
use http::request::Builder;
use http::{HeaderMap, Method, Request, header};
use http_body_util::BodyExt;
use photongate_net::http::{Caller, Identity, Role};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::Observer;
use crate::testing::{Lab, MemoryPath};

/// An interface, and the filter behind it.
struct Desk {
    lab: Lab,
    router: Router,
    traces: Traces,
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Desk {
    /// In front of the filter of 1-ff00:0:111 with [`LIST`].
    async fn open() -> Self {
        let lab = Lab::start(LOCAL, LIST).await;
        let audit = Audit::open(&lab.folder.path().join("audit.log")).unwrap();
        let observer = Arc::clone(&lab.path) as Arc<dyn Observer>;
        let traces = Traces::at(lab.folder.path().join("traces"), observer).unwrap();
        let log = Arc::new(MemoryLog(Mutex::new(LogLevel::Info)));
        let certificate: CertificateExpiry = Arc::new(|| Some(4_102_444_800));
        let router = Api::new(lab.agent.clone(), audit, log, traces.clone(), certificate).router();
        Self { lab, router, traces }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Some(Role::Read), request(Method::GET, path), "").await
    }

    async fn post(&self, path: &str, json: &str) -> Answer {
        self.ask(Some(Role::Admin), request(Method::POST, path).header(header::CONTENT_TYPE, JSON), json).await
    }

    /// The answer to somebody with this role, or to a stranger. It must be one that the description has.
    async fn ask(&self, role: Option<Role>, request: Builder, body: &str) -> Answer {
        let response = self.response(role, request.body(Body::from(body.to_owned())).unwrap()).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn response(&self, role: Option<Role>, mut request: Request<Body>) -> axum::response::Response {
        let caller = |role: Role| Caller { name: format!("token {role}"), role, from: "127.0.0.1:5".to_owned() };
        request.extensions_mut().insert(role.map_or(Identity::Anonymous, |role| Identity::Known(caller(role))));
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        document::assert_described(&method, &path, &response);
        response
    }

    /// Action and outcome of each line of the audit log.
    fn audited(&self) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(self.lab.folder.path().join("audit.log")).unwrap();
        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!((&line["who"], &line["from"]), (&"token admin".into(), &"127.0.0.1:5".into()));
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            (text("action"), text("outcome"))
        };
        text.lines().map(line).collect()
    }
}

impl Answer {
    fn json<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.headers[header::CONTENT_TYPE], JSON, "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The problem document, whose status must be that of the answer.
    fn problem(&self) -> Problem {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{self:?}");
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status_code(), self.status);
        problem
    }
}

fn request(method: Method, path: &str) -> Builder {
    Request::builder().method(method).uri(path)
}

/// What was logged would go nowhere, so all there is to it is its level.
struct MemoryLog(Mutex<LogLevel>);

impl Log for MemoryLog {
    fn level(&self) -> LogLevel {
        *self.0.lock().unwrap()
    }

    fn set_level(&self, level: LogLevel) {
        *self.0.lock().unwrap() = level;
    }
}

const JSON: &str = "application/json";

const LOCAL: &str = "1-ff00:0:111";

/// Two peers, of which the second has no secret that is in use yet.
const LIST: &str = r#"
[[peers]]
isd_as = "20-ff00:0:112"
name = "Zurich"
prefixes = ["10.248.2.0/24"]
shared_secrets = [{ secret = "0123456789abcdef0123456789abcdef", not_before = "2026-01-01T00:00:00Z" }]

[[peers]]
isd_as = "21-ff00:0:113"
name = "Geneva"
prefixes = ["10.248.3.0/24"]
shared_secrets = [{ secret = "00112233445566778899aabbccddeeff", not_before = "2100-01-01T00:00:00Z" }]
"#;

/// The first peer of [`LIST`], as a path.
const ZURICH: &str = "/api/v1/peers/20-ff00:0:112/3";

/// The second.
const GENEVA: &str = "/api/v1/peers/21-ff00:0:113/3";
