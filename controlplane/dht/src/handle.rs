//! The way to ask a running node: for whoever runs one in the same process, and for the interfaces that serve others.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use crate::node::{Announced, Found, Input, Source, Wanted};
use crate::server::Board;
use crate::store::{Keep, Store, StoreError, Stored};
use crate::transport::Transport;
use crate::{Contact, Id};

/// Asks a running node. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct Handle {
    me: Contact,
    told: mpsc::Sender<Told>,
    store: Store,
    transport: Arc<Transport>,
    board: Arc<Board>,
}

/// What the node's loop is told.
#[derive(Debug)]
pub(crate) enum Told {
    Input(Input),
    Find(Wanted, oneshot::Sender<Found>),
    Announce(Id, oneshot::Sender<Announced>),
    Contacts(oneshot::Sender<Vec<Contact>>),
}

/// What became of a value that was put into the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Its key.
    pub key: Id,
    /// Its length in bytes.
    pub size: u32,
    /// Whether this node had it before.
    pub was_here: bool,
    /// Other nodes that said that they have it, or fetch it now.
    pub kept: usize,
    /// Other nodes that were asked to keep it and refused, or did not answer.
    pub failed: usize,
}

/// Why a value was not put into the network.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// It cannot be kept here.
    #[error("the node cannot keep it: {0}")]
    Store(#[from] StoreError),
    /// The node does not have it.
    #[error("the node does not have this value")]
    NotHere,
    /// The node ends.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The node ends: it answers no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node is stopping")]
pub struct Stopped;

impl Handle {
    pub(crate) fn new(
        me: Contact,
        told: mpsc::Sender<Told>,
        store: Store,
        transport: Arc<Transport>,
        board: Arc<Board>,
    ) -> Self {
        Self { me, told, store, transport, board }
    }

    /// The node, as others know it.
    pub const fn me(&self) -> Contact {
        self.me
    }

    /// What is known of it.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// What it keeps.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Looks for nodes, or for who has a value.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn find(&self, wanted: Wanted) -> Result<Found, Stopped> {
        self.ask(|answer| Told::Find(wanted, answer)).await
    }

    /// The nodes in its table.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn contacts(&self) -> Result<Vec<Contact>, Stopped> {
        self.ask(Told::Contacts).await
    }

    /// Puts a value into the network: keeps it here, and asks the nodes nearest to its key to fetch it. They may be at it still when this
    /// returns; [`copies::verified`](crate::copies::verified) waits for them.
    ///
    /// # Errors
    /// [`PutError`].
    pub async fn put(&self, value: Bytes) -> Result<Put, PutError> {
        let key = Id::of(&value);
        let was_here = self.keep(value, Keep::Own).await?;
        Ok(Put { was_here, ..self.spread(key).await? })
    }

    /// Asks the nodes nearest to a value that is here to fetch it, unless they have it.
    ///
    /// # Errors
    /// [`PutError`].
    pub async fn spread(&self, key: Id) -> Result<Put, PutError> {
        let size = self.store.size_of(key).ok_or(PutError::NotHere)?;
        let store = self.store.clone();
        // From now on it is kept for the network, whyever it was here before.
        blocking(move || store.keep(key, Keep::Own)).await?;
        self.tell(Input::Held { key, size: size.into(), republish: true }).await?;
        let announced = self.ask(|answer| Told::Announce(key, answer)).await?;
        let kept = announced.kept.iter().filter(|contact| contact.id != self.me.id).count();
        Ok(Put { key, size, was_here: true, kept, failed: announced.failed as usize })
    }

    /// Keeps a value here, whose key the node then answers for. Gives whether it was here before.
    pub(crate) async fn keep(&self, value: Bytes, keep: Keep) -> Result<bool, PutError> {
        let size = value.len() as u64;
        let store = self.store.clone();
        let Stored { key, was_here, gave_way } = blocking(move || store.put(&value, keep)).await?;
        for dropped in gave_way {
            self.tell(Input::Dropped(dropped)).await?;
        }
        self.tell(Input::Held { key, size, republish: keep.is_for_others() }).await?;
        Ok(was_here)
    }

    /// A value that is here.
    pub(crate) async fn here(&self, key: Id) -> Option<Bytes> {
        let store = self.store.clone();
        blocking(move || store.get(key)).await
    }

    /// Asks the nodes nearest to a value to remember that this node has it, without waiting for what comes of it.
    pub(crate) async fn provide(&self, key: Id) {
        let (answer, _) = oneshot::channel();
        // A node that ends provides nothing.
        let _ = self.told.send(Told::Announce(key, answer)).await;
    }

    /// A node is not to be heard for a while.
    pub(crate) async fn ban(&self, source: Source) {
        // A node that ends hears nobody any more.
        let _ = self.tell(Input::Ban(source)).await;
    }

    pub(crate) async fn tell(&self, input: Input) -> Result<(), Stopped> {
        self.told.send(Told::Input(input)).await.map_err(|_| Stopped)
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Told) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.told.send(question(answer)).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }
}

/// Does what waits for the disk.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.expect("the store does not panic")
}
