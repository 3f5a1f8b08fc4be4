//! What must outlive the process: blocks, marks, assignments. On disk, and shared by the servers of a site if they use PostgreSQL.
//!
//! All changes go through one task that commits those that come together in one transaction: a commit waits for the
//! disk, and a hundred requests can wait for the same one.

mod backend;
mod claims;
mod judge;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Instant;

use photongate_wire::UnixNanos;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

pub use self::claims::{LEASE, Process, Standing};
pub use self::judge::{ReserveRefusal, TakeRefusal, Use};
pub use self::rows::{Answer, Assignment, KeyRows, Material, NewBlock, RowOfKeys, Standstill, StoredBlock, Take};

use self::backend::{Backend, Giver};
use self::writer::Command;
use crate::ids::QksId;
use crate::key_id::AssignmentId;
use crate::measures::Latency;
use crate::secrets::{RewrapKeys, Sealing, SecretsError, WrappedKeys};
use crate::stock::{BlockName, Mark};

/// The database of a key server. Clones are the same one.
#[derive(Clone)]
pub struct Store {
    commands: mpsc::Sender<Command>,
    reader: Backend,
    latency: Arc<Latency>,
    /// The number under which this process joined last.
    process: Arc<AtomicI64>,
}

/// Which database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// An SQLite file, made if it is missing. Used by one process at a time.
    Sqlite(PathBuf),
    /// A PostgreSQL URL. Its password is a secret, so the URL is never shown.
    Postgres(Zeroizing<String>),
}

/// Why the database did not do what it was asked to. Nothing of it was done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not answer, or answers with an error.
    #[error("the database does not do its work: {0}")]
    Database(String),
    /// Others change the same.
    #[error("the database is busy: others change the same")]
    Contended,
    /// It is asked for more than it can do.
    #[error("the database is busy: too many requests wait for it")]
    Busy,
    /// What is in it cannot be understood.
    #[error("the database holds something that cannot be read: {0}")]
    Unreadable(String),
}

impl Store {
    /// Opens the database, brings its tables up to date, joins whoever else uses it, and starts the task that writes to it.
    ///
    /// # Errors
    /// It cannot be reached, or is of a newer version.
    pub async fn open(database: &Database) -> Result<Self, StoreError> {
        let reader = Backend::connect(database).await?;
        reader.migrate(schema::VERSIONS).await?;
        let (commands, waiting) = mpsc::channel(LONGEST_QUEUE);
        tokio::spawn(writer::run(reader.clone(), waiting));
        let store = Self { commands, reader, latency: Arc::default(), process: Arc::default() };
        store.join().await?;
        Ok(store)
    }

    /// Keeps new blocks, those of a stream in their order. Returns which ones are new: one that is there, or was, is passed over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_blocks(&self, blocks: Vec<NewBlock>) -> Result<Vec<BlockName>, StoreError> {
        self.ask(|done| Command::AddBlocks(blocks, self.process(), done)).await?
    }

    /// Moves marks of the neighbour's blocks forward; none is moved back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn advance(&self, marks: Vec<Mark>) -> Result<(), StoreError> {
        self.ask(|done| Command::Advance(marks, Giver::Neighbour, done)).await?.map(drop)
    }

    /// Moves marks of blocks that `process` has claimed. Returns those blocks that it has no more, whose marks were not moved: what was
    /// taken out of them must not be given out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn advance_own(&self, process: Process, marks: Vec<Mark>) -> Result<Vec<BlockName>, StoreError> {
        self.ask(|done| Command::Advance(marks, Giver::Process(process), done)).await?
    }

    /// Forgets blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_blocks(&self, blocks: Vec<BlockName>) -> Result<(), StoreError> {
        self.ask(|done| Command::RemoveBlocks(blocks, done)).await?
    }

    /// Keeps an assignment, so that its takers can fetch their keys. If it is made of pieces, their blocks must be the neighbour's, and
    /// none of the bytes may have been given out.
    ///
    /// # Errors
    /// [`StoreError`]; the inner one if the pieces are not free.
    pub async fn reserve(&self, assignment: Assignment) -> Result<Result<(), ReserveRefusal>, StoreError> {
        let outcomes = self.give_out(vec![Use::of(assignment)]).await?;
        outcomes.into_iter().next().ok_or_else(|| StoreError::Database("it says nothing of a reservation".to_owned()))
    }

    /// As [`reserve`](Self::reserve), for many at once: they are in one transaction, and each is taken or refused for itself. Returns what
    /// became of them, in their order.
    ///
    /// # Errors
    /// [`StoreError`]; those inside if pieces are not free.
    pub async fn give_out(&self, uses: Vec<Use>) -> Result<Vec<Result<(), ReserveRefusal>>, StoreError> {
        self.ask(|done| Command::GiveOut(uses, done)).await?
    }

    /// Takes keys out for one application: all of them, or none.
    ///
    /// # Errors
    /// [`StoreError`]; the inner one if a key is not there for that application.
    pub async fn take(&self, take: Take) -> Result<Result<KeyRows, TakeRefusal>, StoreError> {
        self.ask(|done| Command::Take(take, done)).await?
    }

    /// Takes assignments back, with what nobody has fetched of them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn void(&self, ids: Vec<AssignmentId>) -> Result<(), StoreError> {
        self.ask(|done| Command::Void(ids, done)).await?
    }

    /// Keeps an answer for a caller that may ask for it again. Returns the one that is there already, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remember(&self, answer: Answer) -> Result<Option<Answer>, StoreError> {
        self.ask(|done| Command::Remember(answer, done)).await?
    }

    /// The answer that was kept for a caller under a name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn recall(&self, caller: &str, name: &str) -> Result<Option<Answer>, StoreError> {
        self.reader.recall(caller, name).await
    }

    /// All blocks, without their bytes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn blocks(&self) -> Result<Vec<StoredBlock>, StoreError> {
        self.reader.blocks(None).await
    }

    /// The blocks that a neighbour gives out, without their bytes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn neighbours_blocks(&self, neighbour: &QksId) -> Result<Vec<StoredBlock>, StoreError> {
        self.reader.blocks(Some(neighbour)).await
    }

    /// Those of these blocks of which this end will give nothing out, and why.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn review(&self, blocks: &[BlockName]) -> Result<Vec<(BlockName, Standstill)>, StoreError> {
        self.reader.review(blocks).await
    }

    /// The sealed bytes of a block, if it is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn block_bytes(&self, name: BlockName) -> Result<Option<Vec<u8>>, StoreError> {
        self.reader.block_bytes(name).await
    }

    /// Forgets what is over: expired blocks, assignments and answers, and blocks that are used up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep(&self, now: UnixNanos) -> Result<(), StoreError> {
        self.ask(|done| Command::Sweep(now, done)).await?
    }

    /// A value that is kept under a name, such as a registered application.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn entry(&self, kind: &str, name: &str) -> Result<Option<String>, StoreError> {
        self.reader.entry(kind, name).await
    }

    /// All values of a kind, with their names, in their order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn entries(&self, kind: &str) -> Result<Vec<(String, String)>, StoreError> {
        self.reader.entries(kind).await
    }

    /// Keeps a value under a name, in the place of what was there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_entry(&self, kind: &str, name: &str, value: &str) -> Result<(), StoreError> {
        self.reader.put_entry(kind, name, value).await
    }

    /// Keeps a value under a name if there is none. Returns whether it did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_entry(&self, kind: &str, name: &str, value: &str) -> Result<bool, StoreError> {
        self.reader.add_entry(kind, name, value).await
    }

    /// Forgets a value. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_entry(&self, kind: &str, name: &str) -> Result<bool, StoreError> {
        self.reader.remove_entry(kind, name).await
    }

    /// Counts up from 1 at each call, also over restarts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count(&self, name: &str) -> Result<u64, StoreError> {
        self.reader.count(name).await
    }

    /// How long changes took until they were on disk.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, StoreError> {
        let (done, answer) = oneshot::channel();
        let begun = Instant::now();
        self.commands.try_send(command(done)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Database("it was closed".to_owned()),
        })?;
        let answer = answer.await.map_err(|_| StoreError::Database("it was closed".to_owned()))?;
        self.latency.note(begun.elapsed());
        Ok(answer)
    }
}

impl WrappedKeys for Store {
    fn load(&self, number: u32) -> Sealing<'_, Option<Vec<u8>>> {
        Box::pin(async move { self.reader.wrapped_key(number).await.map_err(unavailable) })
    }

    fn latest(&self) -> Sealing<'_, Option<u32>> {
        Box::pin(async move { self.reader.latest_wrapped_key().await.map_err(unavailable) })
    }

    fn add<'k>(&'k self, number: u32, wrapped: &'k [u8]) -> Sealing<'k, bool> {
        Box::pin(async move { self.reader.add_wrapped_key(number, wrapped).await.map_err(unavailable) })
    }
}

impl RewrapKeys for Store {
    fn replace<'k>(&'k self, number: u32, old: &'k [u8], new: &'k [u8]) -> Sealing<'k, bool> {
        Box::pin(async move { self.reader.replace_wrapped_key(number, old, new).await.map_err(unavailable) })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn unavailable(error: StoreError) -> SecretsError {
    SecretsError::Unavailable(error.to_string())
}

/// Changes that wait to be committed.
const LONGEST_QUEUE: usize = 8_192;
