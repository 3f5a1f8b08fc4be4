//! Within QUIC, with mutual TLS: queries and answers as datagrams, values as streams.
//!
//! A node connects to where another one listens when there is something to send, and says on a first stream where it listens itself;
//! from then on either end uses the connection. One that is idle ends. Who a node is follows from its certificate: the first DNS name
//! that `tls.names` takes.

mod guests;
mod links;
mod names;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use photongate_net::quic::{PeerSubject, PeerSubjects, QuicFiles, QuicIdentity, QuicTlsError};
use s2n_quic::client::Connect;
use s2n_quic::connection::{Handle, StreamAcceptor};
use s2n_quic::provider::datagram::default::{Endpoint, Receiver};
use s2n_quic::provider::endpoint_limits;
use s2n_quic::provider::limits::Limits;
use s2n_quic::stream::{PeerStream, ReceiveStream};
use s2n_quic::{Client, Connection, Server};
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use self::guests::{Guest, Guests};
use self::links::{Link, Links};
pub(crate) use self::names::Names;
use super::{CONNECT_WITHIN, Event, SILENCE, Surroundings, Traffic, TransportError};
use crate::message::LARGEST;
use crate::node::Source;
use crate::transfer::{self, Refused};
use crate::{Contact, Id};

/// QUIC. Dropping it closes all connections.
#[derive(Debug)]
pub(crate) struct Closed {
    shared: Arc<Shared>,
    name: String,
    address: SocketAddr,
    _accepting: AbortOnDropHandle<()>,
}

impl Closed {
    /// Listens at `address`. Must be called within a runtime.
    ///
    /// # Errors
    /// The address, a file, or the name in the certificate cannot be used.
    pub(crate) async fn start(
        address: SocketAddr,
        files: &QuicFiles,
        names: Names,
        surroundings: Surroundings,
    ) -> Result<Self, TransportError> {
        Self::start_as(address, None, files, names, surroundings).await
    }

    /// As [`start`](Self::start), but others may be told that it listens at another port.
    async fn start_as(
        address: SocketAddr,
        claimed: Option<u16>,
        files: &QuicFiles,
        names: Names,
        surroundings: Surroundings,
    ) -> Result<Self, TransportError> {
        let identity = QuicIdentity::load(files)?;
        let name = names.name_in(identity.subject());
        let name = name.ok_or_else(|| TransportError::NoName { subject: identity.subject().to_string() })?;
        let server = serve(&identity, &names, address).map_err(refused_at(address))?;
        let address = server.local_addr().map_err(|error| refused_at(address)(error.into()))?;
        let client = connect_from(&identity, &names, SocketAddr::new(address.ip(), 0)).map_err(refused_at(address))?;
        let values = Arc::new(Semaphore::new(surroundings.connections));
        let (links, guests) = (Links::default(), Guests::new(surroundings.connections));
        let port = claimed.unwrap_or(address.port());
        let shared = Arc::new(Shared { client, port, names, links, guests, values, surroundings });
        let accepting = tokio::spawn(accept(server, Arc::clone(&shared)));
        Ok(Self { shared, name, address, _accepting: AbortOnDropHandle::new(accepting) })
    }

    /// The name of this node.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn send(&self, to: SocketAddr, datagram: Bytes) {
        self.traffic().sent(datagram.len());
        if let Some(connecting) = self.shared.links.send(to, datagram) {
            tokio::spawn(connect(Arc::clone(&self.shared), to, connecting));
        }
    }

    pub(super) async fn ask(&self, from: Source, key: Id, size: Option<u32>) -> Result<Bytes, Refused> {
        let (mut link, connecting) = self.shared.links.get(from.address);
        if let Some(connecting) = connecting {
            tokio::spawn(connect(Arc::clone(&self.shared), from.address, connecting));
        }
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let (mut handle, id) = timeout(CONNECT_WITHIN, link.connected()).await.map_err(late)??;
        if from.proven.is_some_and(|wanted| wanted != id) {
            // Whoever named it there is to blame, and not who is there.
            return Err(io::Error::other("another node is there").into());
        }
        let stream = timeout(CONNECT_WITHIN, handle.open_bidirectional_stream()).await.map_err(late)?;
        let stream = stream.map_err(io::Error::other)?;
        transfer::ask(stream, key, size, self.shared.surroundings.patience).await
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.shared.surroundings.traffic
    }
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    client: Client,
    /// Where we say that we listen.
    port: u16,
    names: Names,
    links: Links,
    guests: Guests,
    /// Values that may be on their way to other nodes.
    values: Arc<Semaphore>,
    surroundings: Surroundings,
}

impl Shared {
    /// Hands a message on, unless its node says too much.
    fn hear(&self, guest: &Guest, from: Source, message: Bytes) {
        if guest.may_speak() {
            self.surroundings.take(from, message);
        } else {
            self.surroundings.traffic.datagrams_dropped.add(1);
        }
    }
}

/// Makes a connection that is waited for, and uses it.
async fn connect(shared: Arc<Shared>, to: SocketAddr, link: Link) {
    let connected = timeout(CONNECT_WITHIN, dial(&shared, to)).await;
    let connected = connected.unwrap_or_else(|_| Err("it does not answer".into()));
    match connected {
        Ok((handle, acceptor, id, guest)) => {
            shared.links.up(to, &link, handle.clone(), id);
            // Without room for this, the core may still have an answer to what it asked.
            let _ = shared.surroundings.events.try_send(Event::Connected(Contact { id, address: to }));
            converse(&shared, handle, acceptor, Source { address: to, proven: Some(id) }, guest).await;
            shared.links.down(to, &link);
        }
        Err(error) => {
            tracing::debug!(%to, "no connection: {error}");
            shared.links.down(to, &link);
            // If there is no room for this, the core finds out by waiting.
            let _ = shared.surroundings.events.try_send(Event::Unreachable(to));
        }
    }
}

async fn dial(shared: &Shared, to: SocketAddr) -> Result<(Handle, StreamAcceptor, Id, Arc<Guest>), Mishap> {
    let connection = shared.client.connect(Connect::new(to).with_server_name(SERVER_NAME)).await?;
    let id = proven(shared, &connection)?;
    let guest = shared.guests.admit(id).ok_or(TOO_MANY)?;
    let (mut handle, acceptor) = connection.split();
    let mut hello = handle.open_send_stream().await?;
    hello.send(format!("{}\n", shared.port).into()).await?;
    hello.finish()?;
    Ok((handle, acceptor, id, guest))
}

/// Takes connections of other nodes. Ends when the endpoint does.
async fn accept(mut server: Server, shared: Arc<Shared>) {
    let mut conversing = JoinSet::new();
    while let Some(connection) = server.accept().await {
        while conversing.try_join_next().is_some() {}
        if conversing.len() >= CONNECTIONS {
            shared.surroundings.traffic.connections_refused.add(1);
            continue;
        }
        let shared = Arc::clone(&shared);
        conversing.spawn(async move {
            if let Err(error) = welcome(&shared, connection).await {
                tracing::debug!("a connection is refused: {error}");
            }
        });
    }
}

async fn welcome(shared: &Arc<Shared>, connection: Connection) -> Result<(), Mishap> {
    let id = proven(shared, &connection)?;
    let guest = shared.guests.admit(id).ok_or(TOO_MANY)?;
    let ip = connection.remote_addr()?.ip().to_canonical();
    let (handle, mut acceptor) = connection.split();
    let hello = timeout(SILENCE, async {
        let stream = acceptor.accept_receive_stream().await?.ok_or("it says nothing")?;
        whole(stream).await
    });
    let hello = hello.await.map_err(|_| "it says nothing")??;
    let port = std::str::from_utf8(&hello).ok().and_then(|text| text.trim_end().parse::<u16>().ok());
    let address = SocketAddr::new(ip, port.filter(|port| *port != 0).ok_or("it does not say where it listens")?);
    let link = shared.links.adopt(address, handle.clone(), id).ok_or("another node listens where it says it does")?;
    converse(shared, handle, acceptor, Source { address, proven: Some(id) }, guest).await;
    shared.links.down(address, &link);
    Ok(())
}

/// Takes what comes on a connection until it ends.
async fn converse(shared: &Arc<Shared>, handle: Handle, mut acceptor: StreamAcceptor, from: Source, guest: Arc<Guest>) {
    let mut streams = JoinSet::new();
    loop {
        while streams.try_join_next().is_some() {}
        tokio::select! {
            datagram = receive(&handle) => match datagram {
                Some(datagram) => shared.hear(&guest, from, datagram),
                None => return,
            },
            stream = acceptor.accept() => match stream {
                Ok(Some(stream)) => {
                    streams.spawn(take(Arc::clone(shared), stream, from, Arc::downgrade(&guest)));
                }
                Ok(None) | Err(_) => return,
            },
        }
    }
}

async fn take(shared: Arc<Shared>, stream: PeerStream, from: Source, guest: Weak<Guest>) {
    match stream {
        // A message that was too long for a datagram.
        PeerStream::Receive(stream) => {
            if let Ok(Ok(message)) = timeout(SILENCE, whole(stream)).await
                && let Some(guest) = guest.upgrade()
            {
                shared.hear(&guest, from, message);
            }
        }
        PeerStream::Bidirectional(stream) => {
            // Without a place the stream is dropped, which resets it: the other end asks somebody else.
            let of_guest = guest.upgrade().and_then(|guest| guest.place());
            let (Some(_of_guest), Ok(_of_all)) = (of_guest, shared.values.try_acquire()) else {
                shared.surroundings.traffic.connections_refused.add(1);
                return;
            };
            let Surroundings { find, traffic, .. } = &shared.surroundings;
            transfer::serve(stream, SILENCE, |key| find(key), |served| traffic.served(served)).await;
        }
    }
}

async fn whole(stream: ReceiveStream) -> Result<Bytes, Mishap> {
    let mut message = Vec::new();
    stream.take(LARGEST as u64 + 1).read_to_end(&mut message).await?;
    Ok(message.into())
}

/// The next datagram; `None` when the connection has ended.
async fn receive(handle: &Handle) -> Option<Bytes> {
    poll_fn(|context| {
        let polled = handle.datagram_mut(|receiver: &mut Receiver| receiver.poll_recv_datagram(context));
        match polled {
            Ok(datagram) => Poll::Ready(ready!(datagram).ok()),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// The id of the node that the other end's certificate names.
fn proven(shared: &Shared, connection: &Connection) -> Result<Id, Mishap> {
    let subject = connection.query_event_context(|subject: &PeerSubject| subject.0.clone())?;
    let subject = subject.ok_or("its certificate cannot be read")?;
    let name = shared.names.name_in(&subject).ok_or("its certificate has no name of a node")?;
    Ok(Id::of_name(&name))
}

fn serve(identity: &QuicIdentity, names: &Names, address: SocketAddr) -> Result<Server, Mishap> {
    let handshakes = endpoint_limits::Default::builder().with_inflight_handshake_limit(HANDSHAKES)?.build()?;
    Ok(Server::builder()
        .with_tls(identity.server(PROTOCOL, names.clone())?)?
        .with_limits(limits()?)?
        .with_endpoint_limits(handshakes)?
        .with_event(PeerSubjects)?
        .with_datagram(datagrams()?)?
        .with_io(address)?
        .start()?)
}

fn connect_from(identity: &QuicIdentity, names: &Names, address: SocketAddr) -> Result<Client, Mishap> {
    Ok(Client::builder()
        .with_tls(identity.client_of_any(PROTOCOL, names.clone())?)?
        .with_limits(limits()?)?
        .with_event(PeerSubjects)?
        .with_datagram(datagrams()?)?
        .with_io(address)?
        .start()?)
}

fn limits() -> Result<Limits, Mishap> {
    Ok(Limits::new()
        .with_max_idle_timeout(IDLE)?
        .with_max_handshake_duration(CONNECT_WITHIN)?
        .with_initial_round_trip_time(INITIAL_RTT)?
        .with_max_open_remote_unidirectional_streams(STREAMS)?
        .with_max_open_remote_bidirectional_streams(STREAMS)?
        .with_data_window(WINDOW)?
        .with_bidirectional_local_data_window(WINDOW)?
        .with_max_send_buffer_size(SEND_BUFFER)?)
}

fn datagrams() -> Result<Endpoint, Mishap> {
    let builder = Endpoint::builder().with_send_capacity(DATAGRAMS).map_err(|error| error.to_string())?;
    Ok(builder.with_recv_capacity(DATAGRAMS).map_err(|error| error.to_string())?.build()?)
}

fn refused_at(address: SocketAddr) -> impl Fn(Mishap) -> TransportError {
    move |error| match error.downcast::<QuicTlsError>() {
        Ok(error) => TransportError::Tls(*error),
        Err(error) => TransportError::Bind { address, why: error.to_string() },
    }
}

/// The QUIC library has an error type for each step, and of each only the text is of use.
type Mishap = Box<dyn std::error::Error + Send + Sync>;

/// Why a connection is of no use that could be made.
const TOO_MANY: &str = "there are enough connections with this node";

/// What both ends say they speak (ALPN).
const PROTOCOL: &str = "photongate-dht/1";

/// TLS wants a name to ask for. Which one a node has is seen from its certificate.
const SERVER_NAME: &str = "dht.photongate.invalid";

/// Connections that others may have made.
const CONNECTIONS: usize = 1_024;

/// Handshakes that may be under way: a stranger can hold up no more than these.
const HANDSHAKES: usize = 256;

/// Streams of one connection that the other end may have open.
const STREAMS: u64 = 32;

/// Datagrams that wait on one connection.
const DATAGRAMS: usize = 256;

/// After so long without use, a connection ends.
const IDLE: Duration = Duration::from_secs(30);

const INITIAL_RTT: Duration = Duration::from_millis(50);

/// Bytes under way on a connection.
const WINDOW: u64 = 4 << 20;
const SEND_BUFFER: u32 = 1 << 20;
