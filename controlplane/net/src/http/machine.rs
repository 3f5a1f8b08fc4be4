//! A server for machines: whoever calls has proven in the TLS handshake which certificate it has, and the routes decide
//! what that certificate may do.
//!
//! Unlike [`Server`](super::Server) it knows no tokens, pages or browsers, and how a refusal looks is the standard's choice
//! that the routes speak.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::Response;
use http::StatusCode;
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::Bounds;
use super::body::bounded;
use super::gate::{Gate, Peer, stopped};
use super::listener::{BindError, Listen, Listener};
use crate::tls::{CertificateInfo, ServerTls};

/// A server that listens already, and answers once it is [run](Self::run).
#[derive(Debug)]
pub struct MachineServer {
    listeners: Vec<Listener>,
    bounds: Bounds,
    refusal: Refusal,
}

/// What a server for machines is made of.
#[derive(Debug)]
pub struct MachineOptions {
    /// Where it listens. The TLS sides should require certificates: a request without one has no [`CertificateInfo`].
    pub listeners: Vec<(SocketAddr, Arc<ServerTls>)>,
    /// What clients must keep to.
    pub bounds: Bounds,
    /// How a body that is too large or too slow is refused.
    pub refusal: Refusal,
}

/// Makes the answer to a request whose body broke the bounds, of its status and a sentence.
pub type Refusal = fn(StatusCode, &str) -> Response;

impl MachineServer {
    /// Starts to listen. Clients that connect wait until the server runs.
    ///
    /// # Errors
    /// One of the listeners cannot be made. None is left then.
    pub async fn bind(options: MachineOptions) -> Result<Self, BindError> {
        let mut listeners = Vec::with_capacity(options.listeners.len());
        for (address, tls) in options.listeners {
            listeners.push(Listener::bind(Listen::Tls(address, tls)).await?);
        }
        Ok(Self { listeners, bounds: options.bounds, refusal: options.refusal })
    }

    /// The addresses where it listens, in the order of the options: with the port that the system chose where they said 0.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(Listener::address).collect()
    }

    /// Answers requests with `router` until `shutdown` is over. Each request carries an `Arc<CertificateInfo>` as an
    /// extension if its connection has one. What is under way at the end has [`Bounds::drain`] to finish.
    pub async fn run(self, router: Router, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        let router = router.layer(DefaultBodyLimit::disable());
        let gate = Arc::new(Machines { router, bounds: self.bounds, refusal: self.refusal, stop: stopping });
        let mut serving = JoinSet::new();
        for listener in self.listeners {
            serving.spawn(listener.serve(Arc::clone(&gate)));
        }
        shutdown.await;
        stop.send_replace(true);
        while serving.join_next().await.is_some() {}
    }
}

struct Machines {
    router: Router,
    bounds: Bounds,
    refusal: Refusal,
    stop: watch::Receiver<bool>,
}

impl Gate for Machines {
    type Connection = Option<Arc<CertificateInfo>>;

    fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        stopped(&self.stop)
    }

    fn connected(&self, peer: &Peer<'_>) -> Self::Connection {
        match peer {
            Peer::Tls(_, Some(certificate)) => CertificateInfo::of(certificate).map(Arc::new),
            _ => None,
        }
    }

    async fn answer(&self, certificate: &Self::Connection, request: Request<Incoming>) -> Response {
        let (mut request, rules) = bounded(request, &self.bounds);
        if let Some(certificate) = certificate {
            request.extensions_mut().insert(Arc::clone(certificate));
        }
        let Ok(answer) = self.router.clone().oneshot(request).await;
        let mut answer = match rules.broken() {
            None => answer,
            Some(problem) => {
                let sentence = problem.detail.as_deref().unwrap_or(&problem.title);
                let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
                (self.refusal)(status, sentence)
            }
        };
        rules.end_connection_if_unread(answer.headers_mut());
        answer
    }
}
