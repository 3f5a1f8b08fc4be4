//! The server itself: sockets, bounds, and an orderly end.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::guard::Guard;
use super::listener::{BindError, Listen, Listener};
use super::{Audit, Callers};

/// A server that listens already, and answers once it is [run](Self::run).
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    callers: Callers,
    audit: Option<Audit>,
    requests_per_second: NonZeroU32,
    content_security_policy: &'static str,
    bounds: Bounds,
}

/// What a server is made of.
#[derive(Debug)]
pub struct ServerOptions {
    /// Where it listens.
    pub listeners: Vec<Listen>,
    /// Whom it knows.
    pub callers: Callers,
    /// Where refusals are written down of those who have shown something.
    pub audit: Option<Audit>,
    /// How often each caller may ask; twice as often in one go.
    pub requests_per_second: NonZeroU32,
    /// What pages may load (Content Security Policy), unless an answer says so itself.
    pub content_security_policy: &'static str,
    /// What clients must keep to.
    pub bounds: Bounds,
}

/// What clients must keep to. The defaults suit operators and their tools.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Clients that may be connected to one listener. More wait.
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long the head of a request may take, and how long a connection may wait for the next one.
    pub head: Duration,
    /// The longest body of a request, in bytes. [`body_limit`](super::body_limit) sets another for a route.
    pub body_bytes: u64,
    /// How long the body of a request may take at least.
    pub body: Duration,
    /// For each of so many bytes of a body, it may take a second longer.
    pub body_bytes_per_second: u64,
    /// How long a client may take nothing of an answer.
    pub write: Duration,
    /// How long requests may go on after the server was told to stop.
    pub drain: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 256,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            body_bytes: 64 * 1_024,
            body: Duration::from_secs(30),
            body_bytes_per_second: 64 * 1_024,
            write: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}

impl Server {
    /// Starts to listen. Clients that connect wait until the server runs.
    ///
    /// # Errors
    /// One of the listeners cannot be made. None is left then.
    pub async fn bind(options: ServerOptions) -> Result<Self, BindError> {
        let ServerOptions { listeners: places, callers, audit, requests_per_second, content_security_policy, bounds } =
            options;
        let mut listeners = Vec::with_capacity(places.len());
        for place in places {
            listeners.push(Listener::bind(place).await?);
        }
        Ok(Self { listeners, callers, audit, requests_per_second, content_security_policy, bounds })
    }

    /// Listens at one more place.
    ///
    /// # Errors
    /// The listener cannot be made. The server listens where it did.
    pub async fn listen_also(&mut self, place: Listen) -> Result<(), BindError> {
        self.listeners.push(Listener::bind(place).await?);
        Ok(())
    }

    /// The TCP addresses where it listens, in the order of the options: with the port that the system chose where
    /// they said 0.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(Listener::address).collect()
    }

    /// Answers requests with `router` until `shutdown` is over. Then nobody can connect any more, streams of events
    /// end, and what else is under way has [`Bounds::drain`] to end before it is cut off.
    ///
    /// # Panics
    /// If the content security policy is no header value.
    pub async fn run(self, router: Router, shutdown: impl Future<Output = ()>) {
        let Self { listeners, callers, audit, requests_per_second, content_security_policy, bounds } = self;
        let (stop, stopping) = watch::channel(false);
        let guard = Guard::new(router, callers, audit, requests_per_second, bounds, content_security_policy, stopping);
        let guard = Arc::new(guard);
        let mut serving = JoinSet::new();
        for listener in listeners {
            serving.spawn(listener.serve(Arc::clone(&guard)));
        }
        shutdown.await;
        stop.send_replace(true);
        while serving.join_next().await.is_some() {}
    }
}
