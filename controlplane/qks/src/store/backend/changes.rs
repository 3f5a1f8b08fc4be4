//! A batch of changes, made in one transaction.
//!
//! `$rows` is a table whose column `value` holds the elements of the JSON array in the first parameter, each an array itself; `$lock`
//! keeps selected rows from other processes until the transaction ends.

use std::collections::{BTreeMap, BTreeSet};

use photongate_net::now;
use photongate_wire::UnixNanos;
use serde_json::{Value, json};
use sqlx::{Pool, Postgres, Sqlite};

use super::columns::{NOBODY, RECALL, answer_of, block_name, bytes, instant, json_text, parsed, unreadable};
use super::{Batch, Giver, Outcome};
use crate::key_id::AssignmentId;
use crate::stock::{BlockName, Mark};
use crate::store::StoreError;
use crate::store::claims::Process;
use crate::store::judge::{self, AssignmentRow, AssignmentRows, BlockRow, ReserveRefusal, TakeRefusal, Use};
use crate::store::rows::{Answer, KeyRows, NewBlock, Take};

macro_rules! changes {
    ($module:ident, $database:ty, begin = $begin:literal, rows = $rows:literal, lock = $lock:literal) => {
        pub(in crate::store) mod $module {
            use sqlx::pool::PoolConnection;
            use sqlx::{Connection as _, Transaction};

            use super::*;

            type Db = Pool<$database>;
            type Tx<'t> = Transaction<'t, $database>;

            /// Over the connection that is kept, or a new one. One that failed is not kept.
            pub(in crate::store) async fn commit(
                db: &Db,
                kept: &mut Option<PoolConnection<$database>>,
                batch: &Batch,
            ) -> Result<Outcome, StoreError> {
                let mut connection = match kept.take() {
                    Some(connection) => connection,
                    None => db.acquire().await?,
                };
                let outcome = commit_over(&mut connection, batch).await?;
                *kept = Some(connection);
                Ok(outcome)
            }

            async fn commit_over(
                connection: &mut PoolConnection<$database>,
                batch: &Batch,
            ) -> Result<Outcome, StoreError> {
                let now = now();
                let mut tx = connection.begin_with($begin).await?;
                let added = add_blocks(&mut tx, &batch.blocks, now).await?;
                let lost = advance(&mut tx, &batch.marks, now).await?;
                for block in &batch.removed {
                    let sql = "DELETE FROM block WHERE stream = $1 AND number = $2";
                    named(sqlx::query(sql), *block).execute(&mut *tx).await?;
                }
                let reservations = reserve(&mut tx, &batch.reservations).await?;
                let takes = take(&mut tx, &batch.takes).await?;
                if !batch.voided.is_empty() {
                    delete_assignments(&mut tx, batch.voided.iter()).await?;
                }
                let mut answers = Vec::with_capacity(batch.answers.len());
                for answer in &batch.answers {
                    answers.push(remember(&mut tx, answer).await?);
                }
                if let Some(now) = batch.sweep {
                    sweep(&mut tx, now).await?;
                }
                tx.commit().await?;
                Ok(Outcome { added, lost, reservations, takes, answers })
            }

            async fn add_blocks(
                tx: &mut Tx<'_>,
                blocks: &[(NewBlock, Process)],
                now: UnixNanos,
            ) -> Result<BTreeSet<BlockName>, StoreError> {
                let mut added = BTreeSet::new();
                for (block, process) in blocks {
                    let NewBlock { name, state, neighbour, link, sealed } = block;
                    let claimed_by = if state.is_mine { process.0 } else { NOBODY };
                    // A block that was used up and swept away must not come back, however often its source brings it.
                    let sql = "INSERT INTO stream (stream, next) VALUES ($1, $2 + 1) ON CONFLICT (stream)
                        DO UPDATE SET next = excluded.next WHERE stream.next < excluded.next";
                    if named(sqlx::query(sql), *name).execute(&mut **tx).await?.rows_affected() == 0 {
                        continue;
                    }
                    added.insert(*name);
                    let sql = "INSERT INTO block (stream, number, neighbour, link, origin, is_mine, length, used, made_at, expires_at,
                            retire_at, fingerprint, sealed, claimed_by)
                        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING";
                    named(sqlx::query(sql), *name)
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
                        .bind(sealed.clone())
                        .bind(claimed_by)
                        .execute(&mut **tx)
                        .await?;
                }
                Ok(added)
            }

            /// Returns the blocks that were to be given out by a process that they do not belong to any more.
            async fn advance(tx: &mut Tx<'_>, marks: &[(Mark, Giver)], now: UnixNanos) -> Result<BTreeSet<BlockName>, StoreError> {
                let mut lost = BTreeSet::new();
                for (mark, giver) in marks {
                    let sql = "UPDATE block SET used = CASE WHEN used > $3 THEN used ELSE $3 END, retire_at = $4
                        WHERE stream = $1 AND number = $2 AND is_mine = $5 AND claimed_by = $6";
                    let (is_mine, claimed_by) = match giver {
                        Giver::Neighbour => (0, NOBODY),
                        Giver::Process(process) => (1, process.0),
                    };
                    let retire_at = now.saturating_add(KEPT_AFTER_USE);
                    let query = named(sqlx::query(sql), mark.block).bind(i64::from(mark.used)).bind(instant(retire_at));
                    let moved = query.bind(is_mine).bind(claimed_by).execute(&mut **tx).await?.rows_affected();
                    if moved == 0 {
                        lost.insert(mark.block);
                    }
                }
                Ok(lost)
            }

            async fn reserve(
                tx: &mut Tx<'_>,
                reservations: &[Use],
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
                    let outcome = judge::reserve(wanted, &mut blocks);
                    if outcome.is_ok() {
                        retire_at = retire_at.max(wanted.expires_at);
                        rows.extend(wanted.keys.as_ref().map(|(id, row)| assignment_row(*id, row)));
                    }
                    outcomes.push(outcome);
                }
                for (name, row) in blocks.iter().filter(|(name, row)| before[*name] != row.used) {
                    let sql = "UPDATE block SET used = $3, retire_at = CASE WHEN retire_at > $4 THEN retire_at ELSE $4 END
                        WHERE stream = $1 AND number = $2";
                    let query = named(sqlx::query(sql), *name).bind(i64::from(row.used)).bind(instant(retire_at));
                    query.execute(&mut **tx).await?;
                }
                put_assignments(tx, rows).await?;
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
                takes: &[Take],
            ) -> Result<Vec<Result<KeyRows, TakeRefusal>>, StoreError> {
                if takes.is_empty() {
                    return Ok(Vec::new());
                }
                let ids: BTreeSet<_> = takes.iter().flat_map(|take| take.keys.iter().map(|(id, _)| *id)).collect();
                let mut rows = AssignmentRows(take_assignments(tx, &ids).await?);
                let mut outcomes = Vec::with_capacity(takes.len());
                for take in takes {
                    let outcome = rows.take(take);
                    if let (Ok(rows), Some(answer)) = (&outcome, &take.remember) {
                        remember(tx, &Answer { rows: rows.clone(), ..answer.clone() }).await?;
                    }
                    outcomes.push(outcome);
                }
                // Most are taken whole, and so are gone already.
                let left = rows.0.iter().map(|(id, row)| assignment_row(*id, row));
                put_assignments(tx, left.collect()).await?;
                Ok(outcomes)
            }

            async fn put_assignments(tx: &mut Tx<'_>, rows: Vec<Value>) -> Result<(), StoreError> {
                if rows.is_empty() {
                    return Ok(());
                }
                let sql = concat!(
                    "INSERT INTO assignment (id, body, expires_at) SELECT j.value->>0, j.value->>1, CAST(j.value->>2 AS BIGINT) FROM ",
                    $rows,
                    " AS j WHERE true ON CONFLICT DO NOTHING"
                );
                sqlx::query(sql).bind(json_text(&rows)).execute(&mut **tx).await?;
                Ok(())
            }

            /// Deletes rows, and returns them.
            async fn take_assignments(
                tx: &mut Tx<'_>,
                ids: &BTreeSet<AssignmentId>,
            ) -> Result<BTreeMap<AssignmentId, AssignmentRow>, StoreError> {
                let ids: Vec<_> = ids.iter().map(|id| [id]).collect();
                let sql = concat!(
                    "DELETE FROM assignment WHERE id IN (SELECT j.value->>0 FROM ",
                    $rows,
                    " AS j) RETURNING id, body"
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

            type Query<'q> = sqlx::query::Query<'q, $database, <$database as sqlx::Database>::Arguments>;

            /// Binds a block's name to the first two parameters.
            fn named(query: Query<'_>, block: BlockName) -> Query<'_> {
                query.bind(block.stream.to_string()).bind(block.number as i64)
            }
        }
    };
}

changes! {
    sqlite, Sqlite,
    begin = "BEGIN IMMEDIATE", rows = "json_each($1)", lock = ""
}

changes! {
    postgres, Postgres,
    begin = "BEGIN", rows = "jsonb_array_elements($1::text::jsonb)", lock = " ORDER BY 1, 2 FOR UPDATE OF b"
}

fn assignment_row(id: AssignmentId, row: &AssignmentRow) -> Value {
    json!([id.to_string(), json_text(row), instant(UnixNanos(row.expires_at))])
}

/// How long the bytes of a block stay after the last of them were given out here: as long as an answer may be asked for again.
const KEPT_AFTER_USE: photongate_wire::Nanos = photongate_wire::Nanos::from_secs(600);
