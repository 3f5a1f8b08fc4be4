//! What a listener needs of whoever answers the requests that arrive there.

use std::fmt;
use std::net::SocketAddr;

use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use tokio::net::unix::UCred;
use tokio::sync::watch;

use super::Bounds;

/// Answers requests.
pub(super) trait Gate: Send + Sync + 'static {
    /// What is known about a connection, for all its requests.
    type Connection: Send + Sync + 'static;

    /// What clients must keep to.
    fn bounds(&self) -> &Bounds;

    /// Resolves when the server is to stop.
    fn stopped(&self) -> impl Future<Output = ()> + Send + 'static;

    /// Somebody connected.
    fn connected(&self, peer: &Peer<'_>) -> Self::Connection;

    /// The answer to a request that came over `connection`.
    fn answer(
        &self,
        connection: &Self::Connection,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response> + Send;
}

/// Who is at the other end of a connection.
pub(super) enum Peer<'c> {
    /// A process of this machine, as the kernel names it.
    Unix(&'c UCred),
    /// Somebody on this machine, over TCP.
    Plain(SocketAddr),
    /// Somebody with the certificate (DER) that the handshake proved, or with none.
    Tls(SocketAddr, Option<&'c [u8]>),
}

impl fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(peer) => match peer.pid() {
                Some(pid) => write!(f, "unix socket, process {pid}"),
                None => f.write_str("unix socket"),
            },
            Self::Plain(address) | Self::Tls(address, _) => address.fmt(f),
        }
    }
}

/// Resolves when `stop` becomes true.
pub(super) fn stopped(stop: &watch::Receiver<bool>) -> impl Future<Output = ()> + Send + use<> {
    let mut stop = stop.clone();
    async move {
        // An error means that the server itself is gone.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}
