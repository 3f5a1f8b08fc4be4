//! The statements. SQLite and PostgreSQL understand the same ones, but for how a list of rows is handed over as JSON and how rows are
//! locked; so each statement stands here once, and is compiled for both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use photongate_net::now;
use photongate_wire::UnixNanos;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Pool, Postgres, Sqlite};
use uuid::Uuid;

use super::judge::{self, AssignmentRow, AssignmentRows, BlockRow, ReserveRefusal, TakeRefusal, Use};
use super::rows::{Answer, KeyRows, NewBlock, StoredBlock, Take};
use super::schema::VERSION_TABLE;
use super::{Database, StoreError};
use crate::ids::StreamId;
use crate::key_id::AssignmentId;
use crate::links::Origin;
use crate::stock::{BlockName, BlockState, Check, Mark};

/// Connections to a database.
#[derive(Clone, Debug)]
pub(super) enum Backend {
    Sqlite(Pool<Sqlite>),
    Postgres(Pool<Postgres>),
}

/// Changes that are made together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) blocks: Vec<NewBlock>,
    pub(super) marks: Vec<Mark>,
    pub(super) owners: Vec<(BlockName, bool)>,
    pub(super) removed: Vec<BlockName>,
    pub(super) reservations: Vec<Use>,
    pub(super) takes: Vec<Take>,
    pub(super) voided: Vec<AssignmentId>,
    pub(super) answers: Vec<Answer>,
    pub(super) sweep: Option<UnixNanos>,
}

/// What became of those that can be refused, in their order.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The blocks that were new.
    pub(super) added: BTreeSet<BlockName>,
    pub(super) reservations: Vec<Result<(), ReserveRefusal>>,
    pub(super) takes: Vec<Result<KeyRows, TakeRefusal>>,
    pub(super) answers: Vec<Option<Answer>>,
}

impl Backend {
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
                    .pragma("secure_delete", "fast");
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
    pub(super) async fn version(&self) -> usize;
    pub(super) async fn upgrade(&self, version: i64, statements: &[&'static str]) -> ();
    pub(super) async fn commit(&self, batch: Batch) -> Outcome;
    pub(super) async fn recall(&self, caller: &str, name: &str) -> Option<Answer>;
    pub(super) async fn blocks(&self) -> Vec<StoredBlock>;
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
}

/// The functions above, for one database. `$rows` is a table whose column `value` holds the elements of the JSON array in the first
/// parameter, each an array itself; `$lock` keeps selected rows from other processes until the transaction ends.
macro_rules! statements {
    ($module:ident, $database:ty, begin = $begin:literal, bytes = $bytes:literal, rows = $rows:literal, lock = $lock:literal) => {
        mod $module {
            use sqlx::{AssertSqlSafe, Transaction};

            use super::*;

            type Db = Pool<$database>;
            type Tx<'t> = Transaction<'t, $database>;

            pub(super) async fn version(db: &Db) -> Result<usize, StoreError> {
                sqlx::query(VERSION_TABLE).execute(db).await?;
                let sql = "SELECT COALESCE(MAX(version), 0) FROM schema_version";
                let version: i64 = sqlx::query_scalar(sql).fetch_one(db).await?;
                usize::try_from(version).map_err(|_| StoreError::Unreadable(format!("the version {version}")))
            }

            pub(super) async fn upgrade(db: &Db, version: i64, statements: &[&'static str]) -> Result<(), StoreError> {
                let mut tx = db.begin_with($begin).await?;
                let sql = "INSERT INTO schema_version (version) VALUES ($1) ON CONFLICT DO NOTHING";
                let ours = sqlx::query(sql).bind(version).execute(&mut *tx).await?.rows_affected();
                // Another process of the site may be at it, too: the first one's row makes the others wait, and find it done.
                if ours == 1 {
                    for statement in statements {
                        let statement = statement.replace("{bytes}", $bytes);
                        sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await?;
                    }
                }
                Ok(tx.commit().await?)
            }

            pub(super) async fn commit(db: &Db, batch: Batch) -> Result<Outcome, StoreError> {
                let now = now();
                let mut tx = db.begin_with($begin).await?;
                let added = add_blocks(&mut tx, batch.blocks, now).await?;
                advance(&mut tx, &batch.marks, now).await?;
                for (block, is_mine) in batch.owners {
                    let sql = "UPDATE block SET is_mine = $3 WHERE stream = $1 AND number = $2";
                    named(sqlx::query(sql), block).bind(i64::from(is_mine)).execute(&mut *tx).await?;
                }
                for block in batch.removed {
                    let sql = "DELETE FROM block WHERE stream = $1 AND number = $2";
                    named(sqlx::query(sql), block).execute(&mut *tx).await?;
                }
                let reservations = reserve(&mut tx, batch.reservations).await?;
                let takes = take(&mut tx, batch.takes).await?;
                if !batch.voided.is_empty() {
                    delete_assignments(&mut tx, batch.voided.iter()).await?;
                }
                let mut answers = Vec::with_capacity(batch.answers.len());
                for answer in batch.answers {
                    answers.push(remember(&mut tx, &answer).await?);
                }
                if let Some(now) = batch.sweep {
                    sweep(&mut tx, now).await?;
                }
                tx.commit().await?;
                Ok(Outcome { added, reservations, takes, answers })
            }

            async fn add_blocks(
                tx: &mut Tx<'_>,
                blocks: Vec<NewBlock>,
                now: UnixNanos,
            ) -> Result<BTreeSet<BlockName>, StoreError> {
                let mut added = BTreeSet::new();
                for block in blocks {
                    let NewBlock { name, state, neighbour, link, sealed } = block;
                    // A block that was used up and swept away must not come back, however often its source brings it.
                    let sql = "INSERT INTO stream (stream, next) VALUES ($1, $2 + 1) ON CONFLICT (stream)
                        DO UPDATE SET next = excluded.next WHERE stream.next < excluded.next";
                    if named(sqlx::query(sql), name).execute(&mut **tx).await?.rows_affected() == 0 {
                        continue;
                    }
                    added.insert(name);
                    let sql = "INSERT INTO block (stream, number, neighbour, link, origin, is_mine, length, used, made_at, expires_at,
                            retire_at, fingerprint, sealed)
                        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING";
                    named(sqlx::query(sql), name)
                        .bind(neighbour.as_str().to_owned())
                        .bind(link.as_str().to_owned())
                        .bind(state.origin.to_string())
                        .bind(i64::from(state.is_mine))
                        .bind(i64::from(state.length))
                        .bind(i64::from(state.used))
                        .bind(instant(state.made_at))
                        .bind(instant(state.expires_at))
                        .bind(instant(now))
                        .bind(format!("{:032x}", u128::from_be_bytes(state.check.0)))
                        .bind(sealed)
                        .execute(&mut **tx)
                        .await?;
                }
                Ok(added)
            }

            async fn advance(tx: &mut Tx<'_>, marks: &[Mark], now: UnixNanos) -> Result<(), StoreError> {
                for mark in marks {
                    let sql = "UPDATE block SET used = CASE WHEN used > $3 THEN used ELSE $3 END, retire_at = $4
                        WHERE stream = $1 AND number = $2";
                    let retire_at = now.saturating_add(KEPT_AFTER_USE);
                    let query = named(sqlx::query(sql), mark.block).bind(i64::from(mark.used)).bind(instant(retire_at));
                    query.execute(&mut **tx).await?;
                }
                Ok(())
            }

            async fn reserve(
                tx: &mut Tx<'_>,
                reservations: Vec<Use>,
            ) -> Result<Vec<Result<(), ReserveRefusal>>, StoreError> {
                if reservations.is_empty() {
                    return Ok(Vec::new());
                }
                let pieces = reservations.iter().flat_map(|wanted| &wanted.material.pieces);
                let names: BTreeSet<_> = pieces.map(|piece| piece.block).collect();
                let mut blocks = block_rows(tx, &names).await?;
                let before: BTreeMap<_, _> = blocks.iter().map(|(name, row)| (*name, row.used)).collect();
                let mut outcomes = Vec::with_capacity(reservations.len());
                let mut rows = Vec::with_capacity(reservations.len());
                let mut retire_at = UnixNanos(0);
                for wanted in reservations {
                    let outcome = judge::reserve(&wanted, &mut blocks);
                    if outcome.is_ok() {
                        retire_at = retire_at.max(wanted.expires_at);
                        let row = wanted.keys.map(|(id, row)| {
                            json!([id.to_string(), json_text(&row), instant(wanted.expires_at)])
                        });
                        rows.extend(row);
                    }
                    outcomes.push(outcome);
                }
                for (name, row) in blocks.iter().filter(|(name, row)| before[*name] != row.used) {
                    let sql = "UPDATE block SET used = $3, retire_at = CASE WHEN retire_at > $4 THEN retire_at ELSE $4 END
                        WHERE stream = $1 AND number = $2";
                    let query = named(sqlx::query(sql), *name).bind(i64::from(row.used)).bind(instant(retire_at));
                    query.execute(&mut **tx).await?;
                }
                let sql = concat!(
                    "INSERT INTO assignment (id, body, expires_at) SELECT j.value->>0, j.value->>1, CAST(j.value->>2 AS BIGINT) FROM ",
                    $rows,
                    " AS j WHERE true ON CONFLICT DO NOTHING"
                );
                sqlx::query(sql).bind(json_text(&rows)).execute(&mut **tx).await?;
                Ok(outcomes)
            }

            async fn block_rows(
                tx: &mut Tx<'_>,
                names: &BTreeSet<BlockName>,
            ) -> Result<BTreeMap<BlockName, BlockRow>, StoreError> {
                if names.is_empty() {
                    return Ok(BTreeMap::new());
                }
                let names: Vec<_> = names.iter().map(|name| (name.stream, name.number)).collect();
                let sql = concat!(
                    "SELECT b.stream, b.number, b.length, b.used, b.is_mine FROM block b JOIN ",
                    $rows,
                    " AS j ON b.stream = j.value->>0 AND b.number = CAST(j.value->>1 AS BIGINT)",
                    $lock,
                );
                let rows: Vec<(String, i64, i64, i64, i64)> =
                    sqlx::query_as(sql).bind(json_text(&names)).fetch_all(&mut **tx).await?;
                let rows = rows.into_iter().map(|(stream, number, length, used, is_mine)| {
                    let row = BlockRow { length: bytes(length)?, used: bytes(used)?, is_mine: is_mine != 0 };
                    Ok((block_name(&stream, number)?, row))
                });
                rows.collect()
            }

            async fn take(
                tx: &mut Tx<'_>,
                takes: Vec<Take>,
            ) -> Result<Vec<Result<KeyRows, TakeRefusal>>, StoreError> {
                if takes.is_empty() {
                    return Ok(Vec::new());
                }
                let ids: BTreeSet<_> = takes.iter().flat_map(|take| take.keys.iter().map(|(id, _)| *id)).collect();
                let mut rows = AssignmentRows { rows: assignment_rows(tx, &ids).await?, ..AssignmentRows::default() };
                let mut outcomes = Vec::with_capacity(takes.len());
                for take in takes {
                    let outcome = rows.take(&take);
                    if let (Ok(rows), Some(answer)) = (&outcome, take.remember) {
                        remember(tx, &Answer { rows: rows.clone(), ..answer }).await?;
                    }
                    outcomes.push(outcome);
                }
                let empty: Vec<_> = rows.changed.iter().filter(|(_, is_empty)| **is_empty).map(|(id, _)| id).collect();
                if !empty.is_empty() {
                    delete_assignments(tx, empty.into_iter()).await?;
                }
                for (id, _) in rows.changed.iter().filter(|(_, is_empty)| !**is_empty) {
                    let sql = "UPDATE assignment SET body = $2 WHERE id = $1";
                    sqlx::query(sql).bind(id.to_string()).bind(json_text(&rows.rows[id])).execute(&mut **tx).await?;
                }
                Ok(outcomes)
            }

            async fn assignment_rows(
                tx: &mut Tx<'_>,
                ids: &BTreeSet<AssignmentId>,
            ) -> Result<BTreeMap<AssignmentId, AssignmentRow>, StoreError> {
                let ids: Vec<_> = ids.iter().map(|id| [id]).collect();
                let sql = concat!(
                    "SELECT b.id, b.body FROM assignment b JOIN ",
                    $rows,
                    " AS j ON b.id = j.value->>0",
                    $lock
                );
                let rows: Vec<(String, String)> = sqlx::query_as(sql).bind(json_text(&ids)).fetch_all(&mut **tx).await?;
                rows.into_iter().map(|(id, body)| Ok((AssignmentId::try_from(id).map_err(unreadable)?, parsed(&body)?))).collect()
            }

            async fn delete_assignments(
                tx: &mut Tx<'_>,
                ids: impl Iterator<Item = &AssignmentId>,
            ) -> Result<(), StoreError> {
                let ids: Vec<_> = ids.map(|id| [id]).collect();
                let sql = concat!("DELETE FROM assignment WHERE id IN (SELECT j.value->>0 FROM ", $rows, " AS j)");
                sqlx::query(sql).bind(json_text(&ids)).execute(&mut **tx).await?;
                Ok(())
            }

            async fn remember(tx: &mut Tx<'_>, answer: &Answer) -> Result<Option<Answer>, StoreError> {
                let sql = "INSERT INTO answer (caller, name, digest, body, expires_at) VALUES ($1, $2, $3, $4, $5)
                    ON CONFLICT DO NOTHING";
                let query = sqlx::query(sql)
                    .bind(answer.caller.clone())
                    .bind(answer.name.clone())
                    .bind(answer.digest.clone())
                    .bind(json_text(&answer.rows))
                    .bind(instant(answer.expires_at));
                if query.execute(&mut **tx).await?.rows_affected() == 1 {
                    return Ok(None);
                }
                let row = sqlx::query_as(RECALL).bind(answer.caller.clone()).bind(answer.name.clone());
                let row: Option<(String, String, i64)> = row.fetch_optional(&mut **tx).await?;
                row.map(|row| answer_of(&answer.caller, &answer.name, row)).transpose()
            }

            async fn sweep(tx: &mut Tx<'_>, now: UnixNanos) -> Result<(), StoreError> {
                for sql in [
                    "DELETE FROM assignment WHERE expires_at <= $1",
                    "DELETE FROM answer WHERE expires_at <= $1",
                    "DELETE FROM block WHERE (used >= length OR expires_at <= $1) AND retire_at <= $1",
                ] {
                    sqlx::query(sql).bind(instant(now)).execute(&mut **tx).await?;
                }
                Ok(())
            }

            pub(super) async fn recall(db: &Db, caller: &str, name: &str) -> Result<Option<Answer>, StoreError> {
                let row = sqlx::query_as(RECALL).bind(caller.to_owned()).bind(name.to_owned()).fetch_optional(db).await?;
                row.map(|row| answer_of(caller, name, row)).transpose()
            }

            pub(super) async fn blocks(db: &Db) -> Result<Vec<StoredBlock>, StoreError> {
                let sql = "SELECT stream, number, neighbour, link, origin, is_mine, length, used, made_at, expires_at, fingerprint FROM block";
                let rows: Vec<(String, i64, String, String, String, i64, i64, i64, i64, i64, String)> =
                    sqlx::query_as(sql).fetch_all(db).await?;
                let rows = rows.into_iter().map(|row| {
                    let (stream, number, neighbour, link, origin, is_mine, length, used, made_at, expires_at, check) = row;
                    let state = BlockState {
                        length: bytes(length)?,
                        used: bytes(used)?,
                        is_mine: is_mine != 0,
                        origin: origin_of(&origin)?,
                        made_at: unix_nanos(made_at),
                        expires_at: unix_nanos(expires_at),
                        check: Check(u128::from_str_radix(&check, 16).map_err(unreadable)?.to_be_bytes()),
                    };
                    let neighbour = neighbour.parse().map_err(unreadable)?;
                    let link = link.parse().map_err(unreadable)?;
                    Ok(StoredBlock { name: block_name(&stream, number)?, state, neighbour, link })
                });
                rows.collect()
            }

            pub(super) async fn block_bytes(db: &Db, name: BlockName) -> Result<Option<Vec<u8>>, StoreError> {
                let sql = "SELECT sealed FROM block WHERE stream = $1 AND number = $2";
                let query = sqlx::query_scalar(sql).bind(name.stream.to_string()).bind(name.number as i64);
                Ok(query.fetch_optional(db).await?)
            }

            pub(super) async fn entry(db: &Db, kind: &str, name: &str) -> Result<Option<String>, StoreError> {
                let sql = "SELECT value FROM entry WHERE kind = $1 AND name = $2";
                Ok(sqlx::query_scalar(sql).bind(kind.to_owned()).bind(name.to_owned()).fetch_optional(db).await?)
            }

            pub(super) async fn entries(db: &Db, kind: &str) -> Result<Vec<(String, String)>, StoreError> {
                let sql = "SELECT name, value FROM entry WHERE kind = $1 ORDER BY name";
                Ok(sqlx::query_as(sql).bind(kind.to_owned()).fetch_all(db).await?)
            }

            pub(super) async fn put_entry(db: &Db, kind: &str, name: &str, value: &str) -> Result<(), StoreError> {
                let sql = "INSERT INTO entry (kind, name, value) VALUES ($1, $2, $3)
                    ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value";
                let query = sqlx::query(sql).bind(kind.to_owned()).bind(name.to_owned()).bind(value.to_owned());
                query.execute(db).await?;
                Ok(())
            }

            pub(super) async fn add_entry(db: &Db, kind: &str, name: &str, value: &str) -> Result<bool, StoreError> {
                let sql = "INSERT INTO entry (kind, name, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
                let query = sqlx::query(sql).bind(kind.to_owned()).bind(name.to_owned()).bind(value.to_owned());
                Ok(query.execute(db).await?.rows_affected() == 1)
            }

            pub(super) async fn remove_entry(db: &Db, kind: &str, name: &str) -> Result<bool, StoreError> {
                let sql = "DELETE FROM entry WHERE kind = $1 AND name = $2";
                let query = sqlx::query(sql).bind(kind.to_owned()).bind(name.to_owned());
                Ok(query.execute(db).await?.rows_affected() == 1)
            }

            pub(super) async fn count(db: &Db, name: &str) -> Result<u64, StoreError> {
                let sql = "INSERT INTO counter (name, value) VALUES ($1, 1)
                    ON CONFLICT (name) DO UPDATE SET value = counter.value + 1 RETURNING value";
                let value: i64 = sqlx::query_scalar(sql).bind(name.to_owned()).fetch_one(db).await?;
                u64::try_from(value).map_err(unreadable)
            }

            pub(super) async fn wrapped_key(db: &Db, number: u32) -> Result<Option<Vec<u8>>, StoreError> {
                let sql = "SELECT wrapped FROM wrapped_key WHERE number = $1";
                Ok(sqlx::query_scalar(sql).bind(i64::from(number)).fetch_optional(db).await?)
            }

            pub(super) async fn latest_wrapped_key(db: &Db) -> Result<Option<u32>, StoreError> {
                let sql = "SELECT MAX(number) FROM wrapped_key";
                let number: Option<i64> = sqlx::query_scalar(sql).fetch_one(db).await?;
                number.map(|number| u32::try_from(number).map_err(unreadable)).transpose()
            }

            pub(super) async fn add_wrapped_key(db: &Db, number: u32, wrapped: &[u8]) -> Result<bool, StoreError> {
                let sql = "INSERT INTO wrapped_key (number, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING";
                let query = sqlx::query(sql).bind(i64::from(number)).bind(wrapped.to_vec());
                Ok(query.execute(db).await?.rows_affected() == 1)
            }

            type Query<'q> = sqlx::query::Query<'q, $database, <$database as sqlx::Database>::Arguments>;

            /// Binds a block's name to the first two parameters.
            fn named(query: Query<'_>, block: BlockName) -> Query<'_> {
                query.bind(block.stream.to_string()).bind(block.number as i64)
            }

            const RECALL: &str = "SELECT digest, body, expires_at FROM answer WHERE caller = $1 AND name = $2";
        }
    };
}

statements! {
    sqlite, Sqlite,
    begin = "BEGIN IMMEDIATE", bytes = "BLOB", rows = "json_each($1)", lock = ""
}

statements! {
    postgres, Postgres,
    begin = "BEGIN", bytes = "BYTEA", rows = "jsonb_array_elements($1::text::jsonb)", lock = " ORDER BY 1, 2 FOR UPDATE OF b"
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.to_string())
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn unreadable(error: impl ToString) -> StoreError {
    StoreError::Unreadable(error.to_string())
}

fn json_text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("rows have no maps but those with text keys")
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(unreadable)
}

fn answer_of(caller: &str, name: &str, row: (String, String, i64)) -> Result<Answer, StoreError> {
    let (digest, body, expires_at) = row;
    let (caller, name) = (caller.to_owned(), name.to_owned());
    Ok(Answer { caller, name, digest, rows: parsed(&body)?, expires_at: unix_nanos(expires_at) })
}

fn block_name(stream: &str, number: i64) -> Result<BlockName, StoreError> {
    let stream = StreamId(stream.parse::<Uuid>().map_err(unreadable)?);
    Ok(BlockName { stream, number: number as u64 })
}

fn origin_of(text: &str) -> Result<Origin, StoreError> {
    let origins = [Origin::Qkd, Origin::Pqc, Origin::Hybrid];
    let origin = origins.into_iter().find(|origin| origin.to_string() == text);
    origin.ok_or_else(|| unreadable(format!("the origin {text:?}")))
}

fn bytes(length: i64) -> Result<u32, StoreError> {
    u32::try_from(length).map_err(unreadable)
}

fn instant(at: UnixNanos) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

fn unix_nanos(instant: i64) -> UnixNanos {
    UnixNanos(u64::try_from(instant).unwrap_or(0))
}

/// How long the bytes of a block stay after the last of them were given out here: as long as an answer may be asked for again.
const KEPT_AFTER_USE: photongate_wire::Nanos = photongate_wire::Nanos::from_secs(600);

const CONNECTIONS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(5);
