//! Bodies of requests, bounded in size and time, and bodies of answers that end with the server.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tower::util::MapRequestLayer;

use super::{Bounds, Problem};

/// Lets a route take bodies of up to `bytes` bytes, where others take what [`Bounds`](super::Bounds) says: a layer
/// for the route.
pub fn body_limit(bytes: u64) -> MapRequestLayer<impl Fn(Request) -> Request + Clone> {
    MapRequestLayer::new(move |request: Request| {
        if let Some(rules) = request.extensions().get::<BodyRules>() {
            rules.0.limit.store(bytes, Ordering::Relaxed);
        }
        request
    })
}

/// Puts bounds on the body of a request, and tells afterwards what became of it. Routes find the rules among the
/// request's extensions.
pub(super) fn bounded(request: Request<Incoming>, bounds: &Bounds) -> (Request, BodyRules) {
    let rules = BodyRules::new(bounds.body_bytes, request.body().is_end_stream());
    let pace = Pace { time: bounds.body, bytes_per_second: bounds.body_bytes_per_second };
    let mut request = request.map(|body| Body::new(BoundedBody::new(body, rules.clone(), pace)));
    request.extensions_mut().insert(rules.clone());
    (request, rules)
}

/// What a request's body must keep to, and whether it did. Clones are about the same body.
#[derive(Clone, Debug)]
pub(super) struct BodyRules(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: AtomicU64,
    broken: AtomicU8,
    read: AtomicBool,
}

impl BodyRules {
    fn new(limit: u64, read: bool) -> Self {
        let (limit, broken, read) = (AtomicU64::new(limit), AtomicU8::new(KEPT), AtomicBool::new(read));
        Self(Arc::new(Shared { limit, broken, read }))
    }

    /// Tells the client to send nothing more over its connection, if its body was not read to the end: the connection
    /// ends with the answer then, and what the client sent meanwhile would be lost.
    pub(super) fn end_connection_if_unread(&self, headers: &mut HeaderMap) {
        if !self.0.read.load(Ordering::Relaxed) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// The answer that the request gets if its body broke a rule, whatever a route made of that.
    pub(super) fn broken(&self) -> Option<Problem> {
        match self.0.broken.load(Ordering::Relaxed) {
            TOO_LARGE => {
                let limit = self.limit();
                let detail = format!("this takes at most {limit} bytes");
                Some(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large").with_detail(detail))
            }
            TOO_SLOW => Some(Problem::new(StatusCode::REQUEST_TIMEOUT, "The body came too slowly")),
            _ => None,
        }
    }

    fn limit(&self) -> u64 {
        self.0.limit.load(Ordering::Relaxed)
    }

    fn break_with(&self, error: BodyError) -> axum::Error {
        let rule = match error {
            BodyError::TooLarge => TOO_LARGE,
            BodyError::TooSlow => TOO_SLOW,
        };
        self.0.broken.store(rule, Ordering::Relaxed);
        axum::Error::new(error)
    }
}

/// A request's body that keeps to its rules, or fails.
struct BoundedBody<B> {
    body: B,
    rules: BodyRules,
    pace: Pace,
    received: u64,
    /// When reading began, and how long the rest may be waited for.
    reading: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// How fast a body must come.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// How long any body may take.
    time: Duration,
    /// For each of so many bytes that came, a second more.
    bytes_per_second: u64,
}

impl<B> BoundedBody<B> {
    fn new(body: B, rules: BodyRules, pace: Pace) -> Self {
        Self { body, rules, pace, received: 0, reading: None }
    }
}

impl<B> HttpBody for BoundedBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        // The length that the head declares. The body itself has not been asked for: a client that waits for `100
        // Continue` sends none.
        if this.body.size_hint().lower() > this.rules.limit().saturating_sub(this.received) {
            return Poll::Ready(Some(Err(this.rules.break_with(BodyError::TooLarge))));
        }
        let (since, patience) = this.reading.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(now + this.pace.time)))
        });
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            ready!(patience.as_mut().poll(context));
            return Poll::Ready(Some(Err(this.rules.break_with(BodyError::TooSlow))));
        };
        let Some(frame) = frame else {
            this.rules.0.read.store(true, Ordering::Relaxed);
            return Poll::Ready(None);
        };
        let frame = frame.map_err(axum::Error::new)?;
        this.received += frame.data_ref().map_or(0, Bytes::len) as u64;
        if this.received > this.rules.limit() {
            return Poll::Ready(Some(Err(this.rules.break_with(BodyError::TooLarge))));
        }
        let earned = Duration::from_secs(this.received / this.pace.bytes_per_second.max(1));
        patience.as_mut().reset(*since + this.pace.time + earned);
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Which rule a body broke.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum BodyError {
    #[error("the body is too large")]
    TooLarge,
    #[error("the body came too slowly")]
    TooSlow,
}

const KEPT: u8 = 0;
const TOO_LARGE: u8 = 1;
const TOO_SLOW: u8 = 2;

/// A stream of events that ends when `end` does, as if it had been its last event.
pub(super) struct EndingBody<F> {
    body: Body,
    end: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> EndingBody<F> {
    pub(super) fn new(body: Body, end: F) -> Self {
        Self { body, end: Box::pin(end) }
    }
}

impl<F: Future<Output = ()>> HttpBody for EndingBody<F> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(context)
    }
}
