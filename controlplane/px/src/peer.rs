//! Connections to the other nodes: QUIC with mutual TLS 1.3 under a private authority.
//!
//! Between two nodes there are two connections, each with one stream: a node sends on the stream that it opened, and receives on
//! those that others opened. What is sent on one stream arrives in order, whole, or not at all; a connection that breaks is made again
//! (`outgoing`), and what was under way is lost. [`PeerEvent::Up`] says so each time: whoever sends must catch up from there.
//!
//! A node whose certificate the other end refuses can connect, and finds out only when it uses the connection. So a peer is up when a
//! ping on our stream was answered on its stream, never before.

mod backoff;
mod incoming;
mod link;
mod names;
mod outbox;
mod outgoing;
mod ping;
mod probe;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use photongate_net::quic::{PeerSubjects, QuicIdentity, QuicTlsError};
use photongate_net::tls::TlsError;
use s2n_quic::provider::endpoint_limits;
use s2n_quic::provider::limits::Limits;
use s2n_quic::{Client, Server};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use utoipa::ToSchema;

use crate::config::{MeConfig, ServerConfig};

use self::link::Link;
use self::names::KnownNames;
pub use self::ping::{PingFigures, Pings};

/// The connections to all other nodes. Dropping it ends them.
#[derive(Debug)]
pub struct Peers<M> {
    shared: Arc<Shared<M>>,
    client: Client,
    address: SocketAddr,
    _accepting: AbortOnDropHandle<()>,
}

/// What nodes send each other, beside pings: JSON, and no object whose `type` is `ping` or `pong`.
pub trait PeerMessage: Serialize + DeserializeOwned + Send + 'static {}

impl<M: Serialize + DeserializeOwned + Send + 'static> PeerMessage for M {}

/// What a connection needs to know.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// This node.
    pub me: MeConfig,
    /// How long to wait before the first attempt to connect again.
    pub retry_delay: Duration,
    /// How often round trips are measured.
    pub ping: Duration,
    /// How long a peer may be silent before its connection is given up.
    pub silence: Duration,
    /// Bytes that may wait to be sent to one peer.
    pub queue_bytes: usize,
    /// Tells this run of the node from those before: a number that is never used twice.
    pub incarnation: u64,
}

/// What happens on the connections.
#[derive(Debug)]
pub enum PeerEvent<M> {
    /// Messages to this peer and from it go through. What was sent to it or by it before may be lost.
    Up(Arc<str>),
    /// They do not any more.
    Down(Arc<str>),
    /// Its machine says that nobody listens there any more: the answer to [`Peers::probe`].
    Gone(Arc<str>),
    /// It sent something.
    Message(Arc<str>, M),
}

/// How the connections to a peer are.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PeerStatus {
    /// Its name.
    pub name: String,
    /// Where it is looked for.
    pub address: String,
    /// Whether messages go through, in both directions.
    pub up: bool,
    /// Why not, as far as this node knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Round trips.
    pub ping: PingFigures,
    /// Bytes that wait to be sent.
    pub queued_bytes: usize,
    /// How often a connection to it was made.
    pub connects: u64,
    /// Messages that it sent.
    pub received: u64,
    /// Messages of it that were too long or made no sense, and were skipped.
    pub bad_messages: u64,
}

/// Why a node cannot be reached by others.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Files(#[from] TlsError),
    /// The certificate is another's.
    #[error(
        "the certificate in {} is not for {id:?}, which is me.id, but for: {subject}: name the certificate of this node, or issue \
         one with {id:?} among its hosts",
        path.display()
    )]
    NotOurName {
        /// Its file.
        path: PathBuf,
        /// The name of this node.
        id: String,
        /// The names in the certificate.
        subject: String,
    },
    /// The TLS library refuses.
    #[error(transparent)]
    Tls(#[from] QuicTlsError),
    /// The address cannot be used.
    #[error("me.addr: {address} cannot be used: {why}")]
    Bind {
        /// The address.
        address: String,
        /// Why not.
        why: String,
    },
}

impl<M: PeerMessage> Peers<M> {
    /// Listens for other nodes and begins to connect to `servers`. What happens goes to `events`; while nobody takes it from there, nobody is
    /// listened to. Must be called within a runtime.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn start(
        options: PeerOptions,
        servers: &[ServerConfig],
        events: mpsc::Sender<PeerEvent<M>>,
    ) -> Result<Self, PeerError> {
        let identity = QuicIdentity::load(&options.me.tls)?;
        let MeConfig { id, tls, .. } = &options.me;
        if !identity.subject().dns_names().any(|name| name.eq_ignore_ascii_case(id)) {
            let (path, subject) = (tls.certificate.clone(), identity.subject().to_string());
            return Err(PeerError::NotOurName { path, id: id.clone(), subject });
        }
        let names = KnownNames::default();
        let asked = options.me.addr.to_string();
        let refused = |why: String| PeerError::Bind { address: asked.clone(), why };
        let address = options.me.addr.resolve().await.map_err(|error| refused(error.to_string()))?[0];
        let server = serve(&identity, &names, &options, address).map_err(refused_by(&asked))?;
        let address = server.local_addr().map_err(|error| refused(error.to_string()))?;
        let client = connect_from(&identity, &options, SocketAddr::new(address.ip(), 0)).map_err(refused_by(&asked))?;
        let shared = Arc::new(Shared { options, names, events, links: RwLock::default() });
        let accepting = tokio::spawn(incoming::accept(Arc::clone(&shared), server));
        let peers = Self { shared, client, address, _accepting: AbortOnDropHandle::new(accepting) };
        peers.set(servers);
        Ok(peers)
    }

    /// Where it listens, with the port that the system chose if the configuration said 0.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on these are the other nodes: connects to those that are new or have another address, and leaves those that are gone.
    pub fn set(&self, servers: &[ServerConfig]) {
        let mut links = self.shared.links.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = BTreeMap::new();
        for server in servers {
            let kept = links.remove(server.server_name.as_str()).filter(|entry| entry.link.address == server.addr);
            let entry = kept.unwrap_or_else(|| {
                let link = Arc::new(Link::new(server, &self.shared.options, self.shared.events.clone()));
                let task = tokio::spawn(outgoing::keep_connected(Arc::clone(&link), self.client.clone()));
                Entry { link, _connecting: AbortOnDropHandle::new(task) }
            });
            next.insert(Arc::clone(&entry.link.name), entry);
        }
        for entry in links.values() {
            entry.link.end();
        }
        *links = next;
        self.shared.names.set(links.keys().map(ToString::to_string));
    }

    /// Sends `message` to the node called `peer`, after all that was sent before. `false` if it goes nowhere: there is no such node, no
    /// connection to it, or too much waits already. There will be an [`Up`](PeerEvent::Up) when it is worth trying again.
    pub fn send(&self, peer: &str, message: &M) -> bool {
        let links = self.shared.links.read().unwrap_or_else(PoisonError::into_inner);
        links.get(peer).is_some_and(|entry| entry.link.outbox.push(message))
    }

    /// Asks the machine of the node called `peer` whether anybody listens there; if it says no, there will be a [`Gone`](PeerEvent::Gone).
    /// Does nothing while the last question is under way.
    pub fn probe(&self, peer: &str) {
        let link = self.shared.link(peer).filter(|link| !link.probing.swap(true, Ordering::Relaxed));
        let Some(link) = link else { return };
        let own = self.address.ip();
        tokio::spawn(async move {
            let is_gone = match link.remote() {
                Some(remote) => probe::is_refused(own, remote).await,
                None => false,
            };
            link.probing.store(false, Ordering::Relaxed);
            if is_gone {
                link.tell(PeerEvent::Gone(Arc::clone(&link.name))).await;
            }
        });
    }

    /// How the connections are, by name.
    pub fn status(&self) -> Vec<PeerStatus> {
        let links = self.shared.links.read().unwrap_or_else(PoisonError::into_inner);
        links.values().map(|entry| entry.link.status()).collect()
    }
}

/// What all connections share.
#[derive(Debug)]
struct Shared<M> {
    options: PeerOptions,
    names: KnownNames,
    events: mpsc::Sender<PeerEvent<M>>,
    links: RwLock<BTreeMap<Arc<str>, Entry<M>>>,
}

#[derive(Debug)]
struct Entry<M> {
    link: Arc<Link<M>>,
    _connecting: AbortOnDropHandle<()>,
}

impl<M> Shared<M> {
    fn link(&self, name: &str) -> Option<Arc<Link<M>>> {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        links.get(name).map(|entry| Arc::clone(&entry.link))
    }
}

fn serve(
    identity: &QuicIdentity,
    names: &KnownNames,
    options: &PeerOptions,
    address: SocketAddr,
) -> Result<Server, Refused> {
    let handshakes = endpoint_limits::Default::builder().with_inflight_handshake_limit(HANDSHAKES)?.build()?;
    Ok(Server::builder()
        .with_tls(identity.server(PROTOCOL, names.clone())?)?
        .with_limits(limits(options)?)?
        .with_endpoint_limits(handshakes)?
        .with_event(PeerSubjects)?
        .with_io(address)?
        .start()?)
}

fn connect_from(identity: &QuicIdentity, options: &PeerOptions, address: SocketAddr) -> Result<Client, Refused> {
    Ok(Client::builder()
        .with_tls(identity.client(PROTOCOL)?)?
        .with_limits(limits(options)?)?
        .with_io(address)?
        .start()?)
}

fn limits(options: &PeerOptions) -> Result<Limits, Refused> {
    Ok(Limits::new()
        .with_max_idle_timeout(options.silence)?
        .with_max_keep_alive_period(options.silence / 3)?
        .with_max_handshake_duration(options.silence.max(SHORTEST_HANDSHAKE))?
        .with_initial_round_trip_time(INITIAL_RTT)?
        .with_max_open_remote_unidirectional_streams(STREAMS)?
        .with_max_open_remote_bidirectional_streams(STREAMS)?
        .with_data_window(WINDOW)?
        .with_unidirectional_data_window(WINDOW)?
        .with_max_send_buffer_size(SEND_BUFFER)?)
}

/// The QUIC library has an error type for each step, and of each only the text is of use.
type Refused = Box<dyn std::error::Error + Send + Sync>;

fn refused_by(address: &str) -> impl Fn(Refused) -> PeerError {
    move |error| match error.downcast::<QuicTlsError>() {
        Ok(error) => PeerError::Tls(*error),
        Err(error) => PeerError::Bind { address: address.to_owned(), why: error.to_string() },
    }
}

/// What both sides say they speak (ALPN).
const PROTOCOL: &str = "photongate-px/1";

/// The longest message between nodes, in bytes.
pub const LONGEST_MESSAGE: usize = 16 << 20;

/// Handshakes that may be under way: a stranger can hold up no more than these.
const HANDSHAKES: usize = 64;

/// One is used.
const STREAMS: u64 = 2;

/// Nodes are near each other; the first lost packet should not cost a second.
const INITIAL_RTT: Duration = Duration::from_millis(50);
const SHORTEST_HANDSHAKE: Duration = Duration::from_secs(2);

/// Bytes under way on a connection: what a link of 1 Gbit/s and 100 ms holds.
const WINDOW: u64 = 12 << 20;
const SEND_BUFFER: u32 = 4 << 20;

#[cfg(test)]
mod tests;
