//! A running node: joins the pure core with the network, the disk, the clock, and whoever asks.
//!
//! One loop owns the core (`turns`). What takes time, reading and writing values and fetching those that were announced, is done beside
//! it, and what comes of it is told to the core like everything else.

mod board;
mod known;
mod pulls;
mod turns;

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use photongate_net::http::{Audit, AuditError, Management, ManagementError};
use photongate_net::secret_file;
use photongate_net::state_folder::{StateFolder, StateFolderError};
use photongate_net::unix_socket::{self, SocketError, SocketFile};
use photongate_wire::Nanos;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

pub use self::board::{Board, Status};
use self::known::KnownNodes;
use self::pulls::Pulls;
use self::turns::Turns;
use crate::config::{DhtConfig, Mode, PlainIds};
use crate::fetch::Effort;
use crate::handle::{Handle, blocking};
use crate::node::{IdRule, Limits, Node, PrefixLimits, Settings, Timing};
use crate::store::{Store, StoreError};
use crate::transfer::Patience;
use crate::transport::{Closed, Find, Names, Plain, Surroundings, Transport, TransportError};
use crate::{Contact, Id, api, socket};

/// A node that listens, and answers once it is [run](Self::run).
#[derive(Debug)]
pub struct Dht {
    turns: Turns,
    handle: Handle,
    effort: Effort,
    management: Option<Management>,
    socket: UnixListener,

    _socket_file: SocketFile,
    _folder: StateFolder,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its folder.
    #[error(transparent)]
    Folder(#[from] StateFolderError),
    /// Its audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Its values.
    #[error("the values on disk cannot be used: {0}")]
    Store(#[from] StoreError),
    /// The way to other nodes.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The socket for commands.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The HTTP interface.
    #[error(transparent)]
    Management(#[from] ManagementError),
    /// A file of its own.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

impl Dht {
    /// Opens what is on disk and listens. Must be called within a runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: DhtConfig) -> Result<Self, StartError> {
        let folder = StateFolder::open(&config.state)?;
        let audit = Audit::open(&folder.path().join("audit.log"))?;
        let (values, limit) = (folder.path().join("values"), config.limits.store_bytes);
        let store = blocking(move || Store::open(&values, limit)).await?;
        let (events_in, events) = mpsc::channel(EVENTS);
        let (told_in, told) = mpsc::channel(EVENTS);
        let traffic = Arc::default();
        let surroundings = Surroundings {
            events: events_in,
            find: finder(&store),
            patience: Patience { silence: config.timing.silence, ..Patience::default() },
            connections: config.limits.connections,
            traffic: Arc::clone(&traffic),
        };
        let transport = match &config.mode {
            Mode::Closed(closed) => {
                let names = Names::new(&closed.names);
                Transport::Closed(Closed::start(config.listen, &closed.files, names, surroundings).await?)
            }
            Mode::Plain(_) => Transport::Plain(Plain::start(config.listen, surroundings).await?),
        };
        let transport = Arc::new(transport);
        let address = advertised(&config, transport.address());
        let me = Contact { id: own_id(&config, &transport, address.ip(), folder.path())?, address };
        store.set_node(me.id);
        let board = Arc::new(Board::new(me, &config.mode, store.clone(), traffic));
        let handle = Handle::new(me, told_in, store.clone(), Arc::clone(&transport), Arc::clone(&board));
        let node = Node::new(settings(&config, &store), me, Box::new(random));
        let known = KnownNodes::open(&folder.path().join("nodes.txt"), &config);
        let turns =
            Turns::new(node, events, told, handle.clone(), known, Pulls::new(config.limits.pulls), config.timing.keep);
        let effort = Effort { at_once: config.limits.pieces, patience: config.timing.patience };
        let (socket, socket_file) = unix_socket::listen_at(&config.socket)?;
        let socket = UnixListener::from_std(socket).map_err(at(&config.socket))?;
        let management = match &config.api {
            Some(api) => Some(api.bind(folder.path(), &audit).await?),
            None => None,
        };
        Ok(Self { turns, handle, effort, management, socket, _socket_file: socket_file, _folder: folder })
    }

    /// Where other nodes reach it, and under which id.
    pub const fn contact(&self) -> Contact {
        self.handle.me()
    }

    /// Where its HTTP interface is.
    pub fn api_addresses(&self) -> Vec<SocketAddr> {
        self.management.iter().flat_map(|management| management.server.addresses()).collect()
    }

    /// Asks it things.
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// How long, and with how many at once, it tries to fetch something.
    pub const fn effort(&self) -> Effort {
        self.effort
    }

    /// Takes part until `shutdown` is over.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { turns, handle, effort, management, socket, .. } = self;
        // Whoever has an answer by one way may ask by any other: none is served before all are there.
        let _serving_socket = AbortOnDropHandle::new(tokio::spawn(socket::serve(socket, handle.clone(), effort)));
        let (stop_http, http_stopped) = oneshot::channel::<()>();
        let router = api::router(handle);
        let serving = management.map(|management| {
            tokio::spawn(management.server.run(router, async {
                let _ = http_stopped.await;
            }))
        });
        turns.run(shutdown).await;
        let _ = stop_http.send(());
        if let Some(serving) = serving {
            let _ = serving.await;
        }
    }
}

/// Finds what other nodes ask for.
fn finder(store: &Store) -> Find {
    let store = store.clone();
    Arc::new(move |key| {
        let store = store.clone();
        Box::pin(blocking(move || store.get(key)))
    })
}

fn settings(config: &DhtConfig, store: &Store) -> Settings {
    let nanos = |duration: std::time::Duration| Nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    let defaults = Settings::default();
    let republish = nanos(config.timing.republish);
    let (ids, prefixes) = match &config.mode {
        Mode::Closed(_) => (IdRule::Certificate, PrefixLimits::default()),
        Mode::Plain(plain) => {
            let ids = if plain.ids == PlainIds::Address { IdRule::Address } else { IdRule::Free };
            // On loopback all nodes share one prefix.
            let is_local = config.listen.ip().is_loopback();
            (ids, if is_local { PrefixLimits::default() } else { PrefixLimits::OPEN })
        }
    };
    Settings {
        ids,
        prefixes,
        bucket: config.limits.bucket,
        replicas: config.limits.replicas,
        timing: Timing {
            answer: nanos(config.timing.answer),
            republish,
            // Two may be missed.
            expiry: Nanos(republish.0.saturating_mul(5) / 2),
            ..defaults.timing
        },
        limits: Limits {
            value: config.limits.value_bytes.into(),
            // Nobody may take more than a part of the room.
            announced_bytes: store.usage().limit_bytes.div_ceil(2),
            ..defaults.limits
        },
        ..defaults
    }
}

/// What the node says about where it is.
fn advertised(config: &DhtConfig, bound: SocketAddr) -> SocketAddr {
    if let Some(address) = config.advertise {
        // With port 0 the system has chosen one.
        return SocketAddr::new(address.ip(), if address.port() == 0 { bound.port() } else { address.port() });
    }
    let ip = if bound.ip().is_unspecified() { outward(bound.ip()) } else { bound.ip() };
    SocketAddr::new(ip, bound.port())
}

/// The address that this machine has towards others; that of loopback if it has none. Nothing is sent.
fn outward(any: IpAddr) -> IpAddr {
    let (anybody, loopback): (IpAddr, IpAddr) = match any {
        IpAddr::V4(_) => (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(_) => (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(), Ipv6Addr::LOCALHOST.into()),
    };
    let asked = UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|socket| {
        socket.connect(SocketAddr::new(anybody, 9))?;
        socket.local_addr()
    });
    asked.map_or(loopback, |address| address.ip())
}

fn own_id(config: &DhtConfig, transport: &Transport, ip: IpAddr, folder: &Path) -> Result<Id, StartError> {
    if let Transport::Closed(closed) = transport {
        return Ok(Id::of_name(closed.name()));
    }
    let path = folder.join("id");
    let wish = match std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<Id>().ok()) {
        Some(id) => id,
        None => {
            let mut id = Id([0; Id::LENGTH]);
            random(&mut id.0);
            secret_file::replace(&path, format!("{id}\n").as_bytes()).map_err(at(&path))?;
            id
        }
    };
    let is_bound = matches!(&config.mode, Mode::Plain(plain) if plain.ids == PlainIds::Address);
    Ok(if is_bound { Id::of_address(ip, wish.0) } else { wish })
}

fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system has randomness");
}

fn at(path: &Path) -> impl Fn(io::Error) -> StartError {
    let path = path.display().to_string();
    move |source| StartError::Io { path: path.clone(), source }
}

/// What may wait for the loop. Datagrams beyond it are dropped; others wait.
const EVENTS: usize = 4_096;

#[cfg(test)]
mod tests;
