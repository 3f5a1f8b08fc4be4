//! Where a server listens, and how it serves what connects there.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::gate::{Gate, Peer};
use super::patience::Patient;
use crate::tls::ServerTls;
use crate::unix_socket::{self, SocketError, SocketFile};

/// Where a server is to listen.
#[derive(Clone, Debug)]
pub enum Listen {
    /// At a Unix socket with this path, which only the server's user and root can open.
    Unix(PathBuf),
    /// In clear, at an address of the loopback interface.
    Plain(SocketAddr),
    /// With TLS 1.3.
    Tls(SocketAddr, Arc<ServerTls>),
}

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Tokens and answers would cross a network in clear.
    #[error(
        "{address} is not on the loopback interface: give the server a certificate for TLS, or listen at 127.0.0.1"
    )]
    PlainBeyondLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The operating system refuses an address.
    #[error("cannot listen at {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What it says.
        source: io::Error,
    },
    /// There is no Unix socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// A socket that clients can connect to.
#[derive(Debug)]
pub(super) enum Listener {
    Unix {
        listener: UnixListener,
        /// Goes when the listener does.
        _file: SocketFile,
    },
    Plain(TcpListener, SocketAddr),
    Tls(TcpListener, SocketAddr, Arc<ServerTls>),
}

impl Listener {
    pub(super) async fn bind(listen: Listen) -> Result<Self, BindError> {
        match listen {
            Listen::Unix(path) => {
                let (listener, file) = unix_socket::listen_at(&path)?;
                let refused = |source| SocketError::Refused { path, source };
                Ok(Self::Unix { listener: UnixListener::from_std(listener).map_err(refused)?, _file: file })
            }
            Listen::Plain(address) if !address.ip().to_canonical().is_loopback() => {
                Err(BindError::PlainBeyondLoopback { address })
            }
            Listen::Plain(address) => {
                let (listener, address) = listen_at(address).await?;
                Ok(Self::Plain(listener, address))
            }
            Listen::Tls(address, tls) => {
                let (listener, address) = listen_at(address).await?;
                Ok(Self::Tls(listener, address, tls))
            }
        }
    }

    /// The address, if it has one.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix { .. } => None,
            Self::Plain(_, address) | Self::Tls(_, address, _) => Some(*address),
        }
    }

    /// Serves clients until the server stops, and then those that are connected for a little longer.
    pub(super) async fn serve<G: Gate>(self, gate: Arc<G>) {
        // Each listener has its own, so that a crowd at one does not shut the operator out of another.
        let places = Arc::new(Semaphore::new(gate.bounds().connections));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = gate.stopped() => break,
                accepted = self.accept(&places) => match accepted {
                    Ok((stream, place)) => {
                        let gate = Arc::clone(&gate);
                        connections.spawn(async move {
                            stream.serve(&gate).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: clients wait, and so must we.
                        tracing::warn!(%error, "a connection cannot be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
        drop(self);
        let ended = async { while connections.join_next().await.is_some() {} };
        // Those that have not ended by then are cut off when the set is dropped.
        let _ = timeout(gate.bounds().drain, ended).await;
    }

    async fn accept(&self, places: &Arc<Semaphore>) -> io::Result<(Stream, OwnedSemaphorePermit)> {
        let place = Arc::clone(places).acquire_owned().await.expect("nobody closes it");
        let stream = match self {
            Self::Unix { listener, .. } => Stream::Unix(listener.accept().await?.0),
            Self::Plain(listener, _) => {
                let (stream, from) = listener.accept().await?;
                Stream::Plain(stream, from)
            }
            Self::Tls(listener, _, tls) => {
                let (stream, from) = listener.accept().await?;
                Stream::Tls(stream, from, TlsAcceptor::from(tls.config()))
            }
        };
        Ok((stream, place))
    }
}

async fn listen_at(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let refused = |source| BindError::Address { address, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, address))
}

/// A client that has connected.
enum Stream {
    Unix(UnixStream),
    Plain(TcpStream, SocketAddr),
    Tls(TcpStream, SocketAddr, TlsAcceptor),
}

impl Stream {
    async fn serve<G: Gate>(self, gate: &Arc<G>) {
        match self {
            Self::Unix(stream) => match stream.peer_cred() {
                Ok(peer) => serve_requests(stream, Peer::Unix(&peer), gate).await,
                Err(error) => tracing::warn!(%error, "the kernel does not say who is at the Unix socket"),
            },
            Self::Plain(stream, from) => {
                send_at_once(&stream);
                serve_requests(stream, Peer::Plain(from), gate).await;
            }
            Self::Tls(stream, from, acceptor) => {
                send_at_once(&stream);
                match timeout(gate.bounds().handshake, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                        let certificate = certificate.map(|certificate| certificate.as_ref().to_vec());
                        serve_requests(stream, Peer::Tls(from, certificate.as_deref()), gate).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%from, %error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!(%from, "a TLS handshake took too long"),
                }
            }
        }
    }
}

/// Answers are written whole, so there is nothing to gain from waiting for more.
fn send_at_once(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
}

async fn serve_requests<S, G>(stream: S, peer: Peer<'_>, gate: &Arc<G>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    G: Gate,
{
    let bounds = gate.bounds();
    let stream = TokioIo::new(Patient::new(stream, bounds.write));
    let connection = Arc::new(gate.connected(&peer));
    let from = peer.to_string();
    let service = service_fn(|request| {
        let (gate, connection) = (Arc::clone(gate), Arc::clone(&connection));
        async move { Ok::<_, std::convert::Infallible>(gate.answer(&connection, request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(stream, service);
    let mut serving = pin!(serving);
    let outcome = tokio::select! {
        outcome = serving.as_mut() => outcome,
        () = gate.stopped() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(from, %error, "a connection ended early");
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// More headers than any client of ours sends.
const MAX_HEADERS: usize = 64;

/// The longest head of a request, with its target and headers.
const MAX_HEAD_BYTES: usize = 32 * 1_024;
