//! The server over real sockets: whom it serves, and above all what it refuses.

mod bodies;
mod callers;
mod ending;
mod malformed;
mod oidc;
mod overload;
mod tls;
mod unix;

use std::future::pending;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::routing::{get, post};
use http::header;
use hyper::body::Frame;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// A server with a token for each role, and the routes below.
struct Running {
    _folder: TempDir,
    addresses: Vec<SocketAddr>,
    tokens: Tokens,
    /// Lets the route `/wait` answer.
    go_on: Arc<Notify>,
    /// The body of `/endless` was dropped.
    dropped: Arc<Notify>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

struct Tokens {
    read: String,
    admin: String,
}

impl Running {
    /// One that listens in clear, and has the default bounds.
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// One whose options `change` has changed.
    async fn with(change: impl FnOnce(&mut ServerOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut callers = Callers::default();
        let [read, admin] = [Role::Read, Role::Admin].map(|role| {
            let path = folder.path().join(role.to_string());
            let file = TokenFile::create_or_read(&path).unwrap();
            callers = std::mem::take(&mut callers).with_token(&role.to_string(), role, file);
            std::fs::read_to_string(path).unwrap().trim_end().to_owned()
        });
        let mut options = ServerOptions {
            listeners: vec![Listen::Plain("127.0.0.1:0".parse().unwrap())],
            callers,
            audit: None,
            requests_per_second: NonZeroU32::new(1_000).unwrap(),
            content_security_policy: "default-src 'self'",
            bounds: Bounds { drain: Duration::from_secs(60), ..Bounds::default() },
        };
        change(&mut options);
        let server = Server::bind(options).await.unwrap();
        let addresses = server.addresses();
        let (go_on, dropped) = <(Arc<Notify>, Arc<Notify>)>::default();
        let (stop, stopped) = oneshot::channel();
        let running = server.run(router(Arc::clone(&go_on), Arc::clone(&dropped)), async move {
            let _ = stopped.await;
        });
        let task = tokio::spawn(running);
        Self { _folder: folder, addresses, tokens: Tokens { read, admin }, go_on, dropped, stop, task }
    }

    /// A connection to the first listener.
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addresses[0]).await.unwrap()
    }

    /// The answer to `request`, which is sent as it stands, over a connection of its own.
    async fn answer(&self, request: impl AsRef<[u8]>) -> Answer {
        answer_over(self.connect().await, request).await
    }
}

/// The answer to a request over `stream`, of which no other follows.
async fn answer_over(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: impl AsRef<[u8]>) -> Answer {
    stream.write_all(request.as_ref()).await.unwrap();
    Answer::read(&mut stream).await
}

/// A request without a body, after whose answer the connection ends.
fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text += "Host: localhost\r\n";
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text + "\r\n"
}

/// The same, by somebody with a token.
fn request_by(token: &str, method: &str, path: &str) -> String {
    request(method, path, &[("Authorization", &format!("Bearer {token}"))])
}

/// An answer as it came over the wire.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// Reads until the other end closes the connection.
    async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Self {
        let mut text = Vec::new();
        within(stream.read_to_end(&mut text)).await.unwrap();
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer, but {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The problem document in it.
    fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: Problem = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        problem
    }
}

/// What takes longer than this hangs.
async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future).await.expect("it takes too long")
}

fn router(go_on: Arc<Notify>, dropped: Arc<Notify>) -> Router {
    let events = || async { ([(header::CONTENT_TYPE, "text/event-stream")], Body::new(FirstEvent(true))) };
    let wait = || async move {
        go_on.notified().await;
        "waited"
    };
    let endless = || async { Body::new(Endless(dropped)) };
    Router::new()
        .route("/open", get(|| async { "open" }))
        .route("/read", get(|Read(caller): Read| async { caller.name }))
        .route(
            "/admin",
            post(|Admin(caller): Admin, body: String| async move { format!("{} {}", caller.name, body.len()) }),
        )
        .route("/from", get(|Read(caller): Read| async { caller.from }))
        .route("/bytes", post(|body: String| async move { body.len().to_string() }))
        .route("/large", post(|body: String| async move { body.len().to_string() }).layer(body_limit(LARGE)))
        .route("/events", get(events))
        .route("/wait", get(wait))
        .route("/never", get(pending::<()>))
        .route("/endless", get(endless))
}

/// What the route `/large` takes, in bytes: more than the others.
const LARGE: u64 = 200_000;

/// One event, and never another.
struct FirstEvent(bool);

impl HttpBody for FirstEvent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if std::mem::take(&mut self.0) {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data: first\n\n")))));
        }
        Poll::Pending
    }
}

/// Zeros, and word when it is dropped.
struct Endless(Arc<Notify>);

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 65_536])))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
