//! What every request passes on its way in, and every answer on its way out.

use std::num::NonZeroU32;

use axum::Router;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use tokio::sync::watch;
use tower::ServiceExt;

use super::body::{BodyRules, EndingBody, bounded};
use super::callers::{Callers, Connection};
use super::gate::{Gate, Peer, stopped};
use super::limits::RateLimits;
use super::{Audit, Bounds, Caller, Identity, Problem, Role, browser};

/// The routes of a server, and what stands before them.
pub(super) struct Guard {
    router: Router,
    callers: Callers,
    audit: Option<Audit>,
    limits: RateLimits,
    bounds: Bounds,
    content_security_policy: HeaderValue,
    stop: watch::Receiver<bool>,
}

impl Guard {
    pub(super) fn new(
        router: Router,
        callers: Callers,
        audit: Option<Audit>,
        requests_per_second: NonZeroU32,
        bounds: Bounds,
        content_security_policy: &'static str,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            // Bodies are bounded here, for routes that do without axum's extractors too.
            router: router.layer(DefaultBodyLimit::disable()),
            callers,
            audit,
            limits: RateLimits::new(requests_per_second),
            bounds,
            content_security_policy: HeaderValue::from_static(content_security_policy),
            stop,
        }
    }

    /// Lets the request in, if nothing about it speaks against that.
    fn admit<B>(
        &self,
        connection: &Connection,
        request: &Request<B>,
        identity: Result<Identity, Problem>,
    ) -> Result<Identity, Problem> {
        browser::check(request, connection.transport)?;
        let identity = identity?;
        match &identity {
            Identity::Known(caller) => self.limits.admit_caller(&caller.name)?,
            Identity::Anonymous | Identity::WithoutRole(_) => self.limits.admit_stranger(connection.source)?,
        }
        Ok(identity)
    }

    async fn route(&self, mut request: Request, rules: &BodyRules, identity: Identity) -> Result<Response, Problem> {
        request.extensions_mut().insert(identity);
        let Ok(answer) = self.router.clone().oneshot(request).await;
        // What a route makes of a body that ends early may be anything; why it ended is known here.
        rules.broken().map_or(Ok(answer), Err)
    }

    /// Writes down that somebody who has shown something was refused.
    fn record_refusal(&self, connection: &Connection, shown: &Shown, request: &str, why: Option<&str>) {
        let (Some(audit), Some((who, role, because))) = (&self.audit, shown.refused()) else { return };
        // Who is known is not counted as a failure, and must not fill the disk either.
        if role.is_none() || self.limits.may_record(who) {
            audit.refusal(who, role, &connection.from, request, why.unwrap_or(because));
        }
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in ALWAYS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert_with(|| self.content_security_policy.clone());
    }
}

impl Gate for Guard {
    type Connection = Connection;

    fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        stopped(&self.stop)
    }

    fn connected(&self, peer: &Peer<'_>) -> Connection {
        let from = peer.to_string();
        match *peer {
            Peer::Unix(process) => Connection::unix(process, from),
            Peer::Plain(address) => Connection::plain(address, from),
            Peer::Tls(address, certificate) => Connection::tls(address, from, certificate, &self.callers),
        }
    }

    async fn answer(&self, connection: &Connection, request: Request<Incoming>) -> Response {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (request, rules) = bounded(request, &self.bounds);
        let identity = self.callers.identify(connection, request.headers()).await;
        let shown = Shown::of(&identity);
        let outcome = match self.admit(connection, &request, identity) {
            Ok(identity) => self.route(request, &rules, identity).await,
            Err(problem) => Err(problem),
        };
        let why = outcome.as_ref().err().and_then(|problem| problem.detail.clone());
        let mut answer = match outcome {
            Ok(answer) => as_problem(answer).await,
            Err(problem) => problem.into_response(),
        };
        let status = answer.status();
        let who = shown.known();
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            let counted = if who.is_some() { Ok(()) } else { self.limits.note_failure(connection.source) };
            match counted {
                Ok(()) => {
                    tracing::warn!(from = connection.from, who, %method, path, %status, "a caller is refused");
                    self.record_refusal(connection, &shown, &format!("{method} {path}"), why.as_deref());
                }
                Err(too_many) => answer = too_many.into_response(),
            }
        }
        tracing::debug!(from = connection.from, who, %method, path, status = %answer.status(), "request");
        self.add_headers(answer.headers_mut());
        rules.end_connection_if_unread(answer.headers_mut());
        if is_event_stream(&answer) {
            answer.map(|body| Body::new(EndingBody::new(body, self.stopped())))
        } else {
            answer
        }
    }
}

/// What a caller has shown, for those who read about it later.
enum Shown {
    Nothing,
    /// Something that is not good.
    Bad,
    /// Something that gives no role here.
    WithoutRole(String),
    Known(Caller),
}

impl Shown {
    fn of(identity: &Result<Identity, Problem>) -> Self {
        match identity {
            Ok(Identity::Known(caller)) => Self::Known(caller.clone()),
            Ok(Identity::WithoutRole(who)) => Self::WithoutRole(who.clone()),
            Ok(Identity::Anonymous) => Self::Nothing,
            Err(_) => Self::Bad,
        }
    }

    /// Who it is, if they have a role.
    fn known(&self) -> Option<&str> {
        if let Self::Known(caller) = self { Some(&caller.name) } else { None }
    }

    /// Who was refused, which role they have, and why, if nothing else is known about that. `None` if they have shown nothing.
    fn refused(&self) -> Option<(&str, Option<Role>, &'static str)> {
        match self {
            Self::Nothing => None,
            Self::Bad => Some(("somebody", None, "what they have shown is not good")),
            Self::WithoutRole(who) => Some((who, None, "they have no role here")),
            Self::Known(caller) => Some((&caller.name, Some(caller.role), "their role does not allow it")),
        }
    }
}

/// Makes a problem document of an error that axum answers with, a line of text or nothing.
async fn as_problem(answer: Response) -> Response {
    let status = answer.status();
    let is_text = match answer.headers().get(header::CONTENT_TYPE) {
        None => answer.body().size_hint().exact() == Some(0),
        Some(media_type) => media_type.as_bytes().starts_with(b"text/plain"),
    };
    if !(status.is_client_error() || status.is_server_error()) || !is_text {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let text = to_bytes(body, LONGEST_TEXT).await.unwrap_or_default();
    let mut problem = Problem::of_status(status);
    problem.detail = Some(String::from_utf8_lossy(&text).into_owned()).filter(|text| !text.is_empty());
    let mut answer = problem.into_response();
    for (name, value) in &parts.headers {
        // `Allow`, for one.
        if ![header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name) {
            answer.headers_mut().append(name, value.clone());
        }
    }
    answer
}

fn is_event_stream(answer: &Response) -> bool {
    let media_type = answer.headers().get(header::CONTENT_TYPE);
    media_type.is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/event-stream"))
}

/// What every answer says to browsers: take it for what it is, show it in no frame, tell nobody where you came from.
const ALWAYS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The longest text of an error, in bytes.
const LONGEST_TEXT: usize = 16 * 1_024;
