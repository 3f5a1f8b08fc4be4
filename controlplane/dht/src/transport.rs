//! How nodes reach each other: datagrams for queries and answers, connections for values.
//!
//! Either in the clear over UDP and TCP (`plain`), or within QUIC with mutual TLS (`closed`), where only who has a certificate of the
//! network's authority takes part. The address of a node is always where it listens, whichever port it sends from.

mod closed;
mod plain;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use photongate_net::metrics::Counter;
use photongate_net::quic::QuicTlsError;
use photongate_net::tls::TlsError;
use tokio::sync::mpsc;

use crate::node::{IdRule, Source};
use crate::transfer::{Patience, Refused, Served};
use crate::{Contact, Id};

pub(crate) use closed::{Closed, Names};
pub(crate) use plain::Plain;

/// The way to other nodes.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(Plain),
    Closed(Closed),
}

/// What a transport needs from the node.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// Where that goes which happens. When it is full datagrams are dropped, as the network might drop them.
    pub(crate) events: mpsc::Sender<Event>,
    /// Finds the values that other nodes ask for.
    pub(crate) find: Find,
    pub(crate) patience: Patience,
    /// Connections that ask for values, in all.
    pub(crate) connections: usize,
    pub(crate) traffic: Arc<Traffic>,
}

/// Finds a value, to be sent to a node.
pub(crate) type Find = Arc<dyn Fn(Id) -> Pin<Box<dyn Future<Output = Option<Bytes>> + Send>> + Send + Sync>;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A datagram came.
    Arrived { from: Source, datagram: Bytes },
    /// A connection was made to this node, which has proven who it is.
    Connected(Contact),
    /// There is nobody there.
    Unreachable(SocketAddr),
}

/// What went through.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Datagrams sent.
    pub datagrams_sent: Counter,
    /// Their bytes.
    pub datagram_bytes_sent: Counter,
    /// Datagrams received.
    pub datagrams_received: Counter,
    /// Their bytes.
    pub datagram_bytes_received: Counter,
    /// Datagrams that were dropped, sent or received, because there were too many.
    pub datagrams_dropped: Counter,
    /// Values sent to other nodes.
    pub values_sent: Counter,
    /// Their bytes.
    pub value_bytes_sent: Counter,
    /// Values received from other nodes.
    pub values_received: Counter,
    /// Their bytes.
    pub value_bytes_received: Counter,
    /// Values that this node was asked for and has not.
    pub misses: Counter,
    /// Transfers of values from other nodes that failed.
    pub transfers_failed: Counter,
    /// Connections that were refused because there were too many.
    pub connections_refused: Counter,
}

/// Why a node cannot reach others.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Files(#[from] TlsError),
    /// The certificate has no name that a node could be called by.
    #[error(
        "the certificate of this node has no DNS name that tls.names takes, but: {subject}: issue one with such a name, as `photongate \
         pki issue` does"
    )]
    NoName {
        /// The names in it.
        subject: String,
    },
    /// The TLS library refuses.
    #[error(transparent)]
    Tls(#[from] QuicTlsError),
    /// The address cannot be used.
    #[error("listen: {address} cannot be used: {why}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        why: String,
    },
}

impl Transport {
    /// Where the node listens.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Plain(plain) => plain.address(),
            Self::Closed(closed) => closed.address(),
        }
    }

    /// Sends a datagram. It may be lost.
    pub(crate) fn send(&self, to: SocketAddr, datagram: Vec<u8>) {
        match self {
            Self::Plain(plain) => plain.send(to, &datagram),
            Self::Closed(closed) => closed.send(to, datagram.into()),
        }
    }

    /// Whom to ask for something that a contact has: where it is, and in a closed network who has to be there.
    pub(crate) fn source(&self, contact: &Contact) -> Source {
        match self {
            Self::Plain(_) => IdRule::Free.source(contact),
            Self::Closed(_) => IdRule::Certificate.source(contact),
        }
    }

    /// Asks a node for a value. Who shows another certificate than it should is not asked.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) async fn ask(&self, from: Source, key: Id, size: Option<u32>) -> Result<Bytes, Refused> {
        let (asked, traffic) = match self {
            Self::Plain(plain) => (plain.ask(from.address, key, size).await, plain.traffic()),
            Self::Closed(closed) => (closed.ask(from, key, size).await, closed.traffic()),
        };
        match &asked {
            Ok(value) => {
                traffic.values_received.add(1);
                traffic.value_bytes_received.add(value.len() as u64);
            }
            Err(_) => traffic.transfers_failed.add(1),
        }
        asked
    }
}

impl Traffic {
    fn served(&self, served: Served) {
        self.values_sent.add(served.values);
        self.value_bytes_sent.add(served.bytes);
        self.misses.add(served.misses);
    }

    fn sent(&self, bytes: usize) {
        self.datagrams_sent.add(1);
        self.datagram_bytes_sent.add(bytes as u64);
    }
}

impl Surroundings {
    /// Hands a datagram on.
    fn take(&self, from: Source, datagram: Bytes) {
        self.traffic.datagrams_received.add(1);
        self.traffic.datagram_bytes_received.add(datagram.len() as u64);
        if self.events.try_send(Event::Arrived { from, datagram }).is_err() {
            self.traffic.datagrams_dropped.add(1);
        }
    }
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// A node that asks for a value, or says nothing, is waited for so long.
const SILENCE: Duration = Duration::from_secs(10);

/// After a failure of the operating system, as when there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);
