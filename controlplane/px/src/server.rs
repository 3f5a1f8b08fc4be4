//! A running node: joins the pure core with the disk, the other nodes, the clock, and whoever asks.
//!
//! One loop owns the core. It gathers all that has happened, lets the core take it in one step, and does what comes out: writes
//! one batch, sends, answers. While the disk is busy with a batch the next one gathers, so what comes together is made durable together.
//!
//! If the disk fails, or does not come to an end, the node ends, and says so: it could promise nothing more.

mod disk;
mod links;
mod status;
mod turns;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use photongate_net::http::{Audit, AuditError, Management, ManagementError};
use photongate_net::state_folder::{StateFolder, StateFolderError};
use photongate_net::unix_socket::{self, SocketError, SocketFile};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::api;
use crate::command::Revision;
use crate::config::PxConfig;
use crate::handle::Handle;
use crate::membership::StoreId;
use crate::node::PeerMessage;
use crate::peer::{PeerError, PeerEvent, PeerOptions, Peers};
use crate::pipe::{Pipe, PipeError};
use crate::service::Asker;
use crate::socket;
use crate::storage::Recovered;
use crate::store::{Store, StoreError};
use crate::watch::Watches;

use self::disk::Disk;
pub use self::status::{Board, State, Status};
use self::turns::Turns;

/// A node that takes part already, once it is [run](Self::run).
pub struct Px {
    turns: Turns,
    handle: Handle,
    address: SocketAddr,
    management: Option<Management>,
    audit: Audit,
    socket: UnixListener,
    _pipe: Option<Pipe>,
    _socket_file: SocketFile,
    _folder: StateFolder,
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder of its state.
    #[error(transparent)]
    Folder(#[from] StateFolderError),
    /// What it has on disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Certificates, or the address for other nodes.
    #[error(transparent)]
    Peers(#[from] PeerError),
    /// The named pipe.
    #[error(transparent)]
    Pipe(#[from] PipeError),
    /// The Unix socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The HTTP interface.
    #[error(transparent)]
    Management(#[from] ManagementError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Something of the operating system.
    #[error("the node cannot start: {0}")]
    Io(#[from] std::io::Error),
}

/// Why a node ended that was not told to.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The disk.
    #[error("the disk fails, and a node without its disk must not go on: {0}")]
    Disk(StoreError),
    /// The disk does not come to an end.
    #[error(
        "the disk has not written a batch within {patience:?} (timing.disk), and a node without its disk must not go on"
    )]
    DiskHangs {
        /// How long was waited.
        patience: Duration,
    },
    /// A part of it is gone, which only a mistake in this program brings about.
    #[error("{0} has ended: please report this")]
    Part(&'static str),
}

impl Px {
    /// Opens what is on disk, listens and connects. Must be called within a runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: PxConfig) -> Result<Self, StartError> {
        let folder = StateFolder::open(&config.state)?;
        let audit = Audit::open(&folder.path().join("audit.log"))?;
        let (store, recovered) = Store::open(folder.path(), &config.me.id.as_str().into(), fresh_store_id())?;
        let board = Arc::new(Board::new(&config.me.id, recovered.store));
        let watches = Watches::new(config.limits.watch_changes, revision_of(&recovered));
        let (handle, asked) = Handle::new(config.limits.pending_commands, Arc::clone(&board), watches);
        let (events_in, events) = mpsc::channel::<PeerEvent<PeerMessage>>(EVENTS);
        let options = PeerOptions {
            me: config.me.clone(),
            retry_delay: config.retry_delay,
            ping: config.timing.ping,
            silence: config.timing.silence,
            queue_bytes: config.limits.queue_bytes,
            incarnation: getrandom::u64().unwrap_or_default(),
        };
        let peers = Peers::start(options, &config.servers, events_in).await?;
        let address = peers.address();
        let (socket, socket_file) = unix_socket::listen_at(&config.socket)?;
        let socket = UnixListener::from_std(socket)?;
        let author = format!("pipe of {}", config.me.id).into();
        let asker = Asker { author, from: "pipe".into(), audit: audit.clone(), is_patient: true };
        let pipe = config.pipe.as_ref().map(|pipe| Pipe::open(pipe, &handle, &asker)).transpose()?;
        let management = match &config.api {
            Some(api) => Some(api.bind(folder.path(), &audit).await?),
            None => None,
        };
        let disk = Disk::start(store, Arc::clone(&board))?;
        let turns = Turns::new(&config, recovered, peers, disk, asked, events, handle.clone());
        Ok(Self {
            turns,
            handle,
            address,
            management,
            audit,
            socket,
            _pipe: pipe,
            _socket_file: socket_file,
            _folder: folder,
        })
    }

    /// Where other nodes reach it.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its HTTP interface is.
    pub fn api_addresses(&self) -> Vec<SocketAddr> {
        self.management.iter().flat_map(|management| management.server.addresses()).collect()
    }

    /// Asks it things.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Takes part until `shutdown` is over. Then it hands the lead over, answers what is under way, and ends.
    ///
    /// # Errors
    /// [`Failed`]: it ended for another reason.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Failed> {
        let Self { turns, handle, management, audit, socket, .. } = self;
        // Whoever has an answer by one way may ask by any other: none is served before all are there.
        let serving_socket = socket::serve(socket, handle.clone(), audit.clone());
        let _serving_socket = AbortOnDropHandle::new(tokio::spawn(serving_socket));
        let (stop_http, http_stopped) = oneshot::channel::<()>();
        let router = api::router(handle, audit);
        let serving = management.map(|management| {
            tokio::spawn(management.server.run(router, async {
                let _ = http_stopped.await;
            }))
        });
        // In a task of its own: with tokio, to wake what a thread blocks on costs a system call, even from that thread.
        let (stop, stopped) = oneshot::channel::<()>();
        let mut turning = AbortOnDropHandle::new(tokio::spawn(turns.run(async {
            let _ = stopped.await;
        })));
        let ended = tokio::select! {
            ended = &mut turning => ended,
            () = shutdown => {
                let _ = stop.send(());
                turning.await
            }
        };
        // Whoever waits for an answer of a node that failed has none to expect.
        ended.unwrap_or(Err(Failed::Part("the loop")))?;
        let _ = stop_http.send(());
        if let Some(serving) = serving {
            let _ = serving.await;
        }
        Ok(())
    }
}

fn revision_of(recovered: &Recovered) -> Revision {
    recovered.cluster.as_ref().map_or(Revision(0), |(snapshot, _)| snapshot.header.revision)
}

/// What a disk is called that is new: 128 bits by chance.
fn fresh_store_id() -> StoreId {
    let halves = [(); 2].map(|()| u128::from(getrandom::u64().expect("the operating system has randomness")));
    StoreId(halves[0] << 64 | halves[1])
}

/// Events of other nodes that may wait for the loop. Behind these, streams are not read.
const EVENTS: usize = 4_096;

#[cfg(test)]
mod tests;
