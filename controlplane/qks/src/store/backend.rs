//! The statements. SQLite and PostgreSQL understand the same ones, but for how a list of rows is handed over as JSON and how rows are
//! locked; so each statement stands here once, in a macro, and is compiled for both.

mod changes;
mod claims;
mod columns;
mod exchange;
mod tables;

use std::collections::BTreeSet;
use std::time::Duration;

use photongate_wire::UnixNanos;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Pool, Postgres, Sqlite};

use super::claims::{Process, Standing};
use super::judge::{ReserveRefusal, TakeRefusal, Use};
use super::rows::{Answer, KeyRows, NewBlock, Standstill, StoredBlock, Take};
use super::{Database, StoreError};
use crate::ids::QksId;
use crate::key_id::AssignmentId;
use crate::stock::{BlockName, Mark};

/// Connections to a database.
#[derive(Clone, Debug)]
pub(super) enum Backend {
    Sqlite(Pool<Sqlite>),
    Postgres(Pool<Postgres>),
}

/// Changes that are made together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Each with the process that is to give it out, if this end is.
    pub(super) blocks: Vec<(NewBlock, Process)>,
    pub(super) marks: Vec<(Mark, Giver)>,
    pub(super) removed: Vec<BlockName>,
    pub(super) reservations: Vec<Use>,
    pub(super) takes: Vec<Take>,
    pub(super) voided: Vec<AssignmentId>,
    pub(super) answers: Vec<Answer>,
    pub(super) sweep: Option<UnixNanos>,
}

/// Who gives a block out whose mark is moved.
#[derive(Clone, Copy, Debug)]
pub(super) enum Giver {
    Neighbour,
    Process(Process),
}

/// What became of those that can be refused, in their order.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The blocks that were new.
    pub(super) added: BTreeSet<BlockName>,
    /// The blocks whose marks were not moved, because who wanted to give them out does not have them any more.
    pub(super) lost: BTreeSet<BlockName>,
    pub(super) reservations: Vec<Result<(), ReserveRefusal>>,
    pub(super) takes: Vec<Result<KeyRows, TakeRefusal>>,
    pub(super) answers: Vec<Option<Answer>>,
}

impl Backend {
    pub(super) const fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub(super) async fn connect(database: &Database) -> Result<Self, StoreError> {
        match database {
            Database::Sqlite(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // A commit is on disk when it returns: marks and deliveries depend on it.
                    .synchronous(SqliteSynchronous::Full)
                    .busy_timeout(PATIENCE)
                    .pragma("secure_delete", "fast")
                    // Whoever commits the page too many waits until all are in the database itself.
                    .pragma("wal_autocheckpoint", LOG_PAGES);
                let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
                Ok(Self::Sqlite(pool.connect_with(options).await?))
            }
            Database::Postgres(url) => {
                // What the parser says may quote the URL, which has a password in it.
                let options: PgConnectOptions = url.parse().map_err(|_| {
                    StoreError::Database("the URL of the PostgreSQL database cannot be read".to_owned())
                })?;
                let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
                Ok(Self::Postgres(pool.connect_with(options).await?))
            }
        }
    }
}

/// The connection that batches are committed over. It is kept: taking one and giving it back costs as much as two statements, and what
/// SQLite remembers of the database is good as long as no other connection writes.
#[derive(Debug)]
pub(super) enum Writer {
    Sqlite(Pool<Sqlite>, Option<PoolConnection<Sqlite>>),
    Postgres(Pool<Postgres>, Option<PoolConnection<Postgres>>),
}

impl Writer {
    pub(super) fn new(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite(pool) => Self::Sqlite(pool, None),
            Backend::Postgres(pool) => Self::Postgres(pool, None),
        }
    }

    /// Makes all changes of a batch, or none.
    pub(super) async fn commit(&mut self, batch: &Batch) -> Result<Outcome, StoreError> {
        match self {
            Self::Sqlite(pool, kept) => sqlite::commit(pool, kept, batch).await,
            Self::Postgres(pool, kept) => postgres::commit(pool, kept, batch).await,
        }
    }
}

mod sqlite {
    pub(super) use super::changes::sqlite::*;
    pub(super) use super::claims::sqlite::*;
    pub(super) use super::tables::sqlite::*;
}

mod postgres {
    pub(super) use super::changes::postgres::*;
    pub(super) use super::claims::postgres::*;
    pub(super) use super::tables::postgres::*;
}

/// Calls a function of the module for the database that it is.
macro_rules! dispatch {
    ($(pub(super) async fn $name:ident(&self $(, $argument:ident: $kind:ty)*) -> $result:ty;)*) => {
        impl Backend {
            $(pub(super) async fn $name(&self $(, $argument: $kind)*) -> Result<$result, StoreError> {
                match self {
                    Self::Sqlite(pool) => sqlite::$name(pool $(, $argument)*).await,
                    Self::Postgres(pool) => postgres::$name(pool $(, $argument)*).await,
                }
            })*
        }
    };
}

dispatch! {
    pub(super) async fn migrate(&self, versions: &[&[&'static str]]) -> ();
    pub(super) async fn recall(&self, caller: &str, name: &str) -> Option<Answer>;
    pub(super) async fn join(&self) -> Process;
    pub(super) async fn beat(&self, process: Process) -> Standing;
    pub(super) async fn leave(&self, process: Process) -> ();
    pub(super) async fn claim(&self, process: Process, neighbour: &QksId, most: u64, now: UnixNanos) -> Vec<StoredBlock>;
    pub(super) async fn release(&self, process: Process, blocks: &[BlockName]) -> ();
    pub(super) async fn hand_over(&self, process: Process, blocks: &[BlockName], may_repeat: bool) -> Vec<BlockName>;
    pub(super) async fn take_on(&self, process: Process, blocks: &[BlockName]) -> Vec<BlockName>;
    pub(super) async fn own_bytes(&self, neighbour: &QksId, now: UnixNanos) -> u64;
    pub(super) async fn blocks(&self, neighbour: Option<&QksId>) -> Vec<StoredBlock>;
    pub(super) async fn review(&self, blocks: &[BlockName]) -> Vec<(BlockName, Standstill)>;
    pub(super) async fn block_bytes(&self, name: BlockName) -> Option<Vec<u8>>;
    pub(super) async fn entry(&self, kind: &str, name: &str) -> Option<String>;
    pub(super) async fn entries(&self, kind: &str) -> Vec<(String, String)>;
    pub(super) async fn put_entry(&self, kind: &str, name: &str, value: &str) -> ();
    pub(super) async fn add_entry(&self, kind: &str, name: &str, value: &str) -> bool;
    pub(super) async fn remove_entry(&self, kind: &str, name: &str) -> bool;
    pub(super) async fn count(&self, name: &str) -> u64;
    pub(super) async fn wrapped_key(&self, number: u32) -> Option<Vec<u8>>;
    pub(super) async fn latest_wrapped_key(&self) -> Option<u32>;
    pub(super) async fn add_wrapped_key(&self, number: u32, wrapped: &[u8]) -> bool;
    pub(super) async fn replace_wrapped_key(&self, number: u32, old: &[u8], new: &[u8]) -> bool;
}

const CONNECTIONS: u32 = 4;
/// How long SQLite's log becomes, in pages of 4 KiB.
const LOG_PAGES: &str = "8000";
const PATIENCE: Duration = Duration::from_secs(5);
