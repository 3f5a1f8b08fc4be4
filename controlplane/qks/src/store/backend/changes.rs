//! A batch of changes, made in one transaction: what it depends on is read in one go, judged, and all changes are made in another.
//!
//! `$rows` is a table whose column `value` holds the elements of the JSON array in the first parameter, each an array itself; `$lock`
//! keeps selected rows from other processes until the transaction ends.

use std::collections::{BTreeMap, BTreeSet};

use photongate_net::now;
use photongate_wire::UnixNanos;
use serde_json::{Value, json};
use sqlx::pool::PoolConnection;
use sqlx::{Pool, Postgres, Row, Sqlite};

use super::columns::{NOBODY, RECALL, answer_of, block_name, bytes, instant, json_text, parsed, unreadable};
use super::exchange::{PostgresExchange, SqliteExchange, Statement};
use super::{Batch, Giver, Outcome};
use crate::key_id::AssignmentId;
use crate::stock::BlockName;
use crate::store::StoreError;
use crate::store::claims::Process;
use crate::store::judge::{AssignmentRow, AssignmentRows, BlockRow, Judged, Moved, judge};
use crate::store::rows::{Answer, NewBlock};

macro_rules! changes {
    ($module:ident, $database:ty, $exchange:ident, rows = $rows:literal, lock = $lock:literal) => {
        pub(in crate::store) mod $module {
            use super::*;

            /// Over the connection that is kept, or a new one. One that failed is closed, and with it what it had begun.
            pub(in crate::store) async fn commit(
                db: &Pool<$database>,
                kept: &mut Option<PoolConnection<$database>>,
                batch: &Batch,
            ) -> Result<Outcome, StoreError> {
                let mut connection = match kept.take() {
                    Some(connection) => connection,
                    None => db.acquire().await?,
                };
                match commit_over(&mut connection, batch).await {
                    Ok(outcome) => {
                        *kept = Some(connection);
                        Ok(outcome)
                    }
                    Err(error) => {
                        drop(connection.close().await);
                        Err(error)
                    }
                }
            }

            async fn commit_over(
                connection: &mut PoolConnection<$database>,
                batch: &Batch,
            ) -> Result<Outcome, StoreError> {
                let now = now();
                let mut exchange = $exchange::begin(connection).await?;
                let added = add_blocks(&mut exchange, &batch.blocks, now).await?;
                let (blocks, assignments) = read(&mut exchange, batch).await?;
                let Judged { moved, new, assignments, reservations, takes, to_remember } = judge(batch, blocks, assignments);
                for answer in to_remember {
                    remember(&mut exchange, &answer).await?;
                }
                let mut answers = Vec::with_capacity(batch.answers.len());
                for answer in &batch.answers {
                    answers.push(remember(&mut exchange, answer).await?);
                }

                let mut statements = Vec::new();
                let marks = own_and_neighbours_marks(batch);
                if !marks.is_empty() {
                    statements.push(ADVANCE.text(marks_text(&marks)).number(instant(now.saturating_add(KEPT_AFTER_USE))));
                }
                if !batch.removed.is_empty() {
                    statements.push(REMOVE.text(names_text(&batch.removed)));
                }
                if !moved.is_empty() {
                    let row = |(name, moved): (&BlockName, &Moved)| (name.stream, name.number, moved.used, instant(moved.kept_until));
                    statements.push(USE_UP.text(json_text(&moved.iter().map(row).collect::<Vec<_>>())));
                }
                if !new.is_empty() {
                    statements.push(ADD_ASSIGNMENTS.text(assignments_text(new.iter())));
                }
                let (replaced, gone) = assignments.changes();
                if !replaced.is_empty() {
                    statements.push(REPLACE_ASSIGNMENTS.text(assignments_text(replaced.iter().copied())));
                }
                let forgotten: Vec<_> = gone.iter().chain(&batch.voided).map(|id| [*id]).collect();
                if !forgotten.is_empty() {
                    statements.push(FORGET_ASSIGNMENTS.text(json_text(&forgotten)));
                }
                if let Some(now) = batch.sweep {
                    statements.extend(SWEEP.map(|sql| Statement::new(sql).number(instant(now))));
                }
                let ran = exchange.commit(statements).await?;

                // The marks come first, if there are any.
                let mut kept = BTreeSet::new();
                for row in ran.first().filter(|_| !marks.is_empty()).map(|ran| &ran.rows).into_iter().flatten() {
                    let name = block_name(&row.try_get::<String, _>(0)?, row.try_get(1)?)?;
                    kept.insert((name, row.try_get::<i64, _>(2)?, row.try_get::<i64, _>(3)?));
                }
                let lost = marks.keys().filter(|mark| !kept.contains(*mark)).map(|(name, ..)| *name).collect();
                Ok(Outcome { added, lost, reservations, takes, answers })
            }

            async fn add_blocks(
                exchange: &mut $exchange<'_>,
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
                    let ran = exchange.run(vec![named(sql, *name)]).await?;
                    if ran.iter().all(|ran| ran.changed == 0) {
                        continue;
                    }
                    added.insert(*name);
                    let sql = "INSERT INTO block (stream, number, neighbour, link, origin, is_mine, length, used, made_at, expires_at,
                            retire_at, fingerprint, claimed_by)
                        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING";
                    let block = named(sql, *name)
                        .text(neighbour.as_str().to_owned())
                        .text(link.as_str().to_owned())
                        .text(state.origin.to_string())
                        .number(i64::from(state.is_mine))
                        .number(i64::from(state.length))
                        .number(i64::from(state.used))
                        .number(instant(state.made_at))
                        .number(instant(state.expires_at))
                        .number(instant(now))
                        .text(format!("{:032x}", u128::from_be_bytes(state.check.0)))
                        .number(claimed_by);
                    let sql = "INSERT INTO block_bytes (stream, number, sealed) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
                    exchange.run(vec![block, named(sql, *name).bytes(sealed.clone())]).await?;
                }
                Ok(added)
            }

            /// The blocks and the assignments that a batch is about.
            async fn read(
                exchange: &mut $exchange<'_>,
                batch: &Batch,
            ) -> Result<(BTreeMap<BlockName, BlockRow>, AssignmentRows), StoreError> {
                let pieces = batch.reservations.iter().flat_map(|wanted| &wanted.material.pieces);
                let names: BTreeSet<_> = pieces.map(|piece| piece.block).collect();
                let ids: BTreeSet<_> = batch.takes.iter().flat_map(|take| take.keys.iter().map(|(id, _)| [*id])).collect();
                let mut statements = Vec::new();
                if !names.is_empty() {
                    statements.push(READ_BLOCKS.text(names_text(names.iter())));
                }
                if !ids.is_empty() {
                    statements.push(READ_ASSIGNMENTS.text(json_text(&ids)));
                }
                let mut ran = exchange.run(statements).await?.into_iter();
                let mut blocks = BTreeMap::new();
                for row in ran.by_ref().take(usize::from(!names.is_empty())).flat_map(|ran| ran.rows) {
                    let name = block_name(&row.try_get::<String, _>(0)?, row.try_get(1)?)?;
                    let (length, used, is_mine) = (row.try_get(2)?, row.try_get(3)?, row.try_get::<i64, _>(4)? != 0);
                    blocks.insert(name, BlockRow { length: bytes(length)?, used: bytes(used)?, is_mine });
                }
                let mut assignments = BTreeMap::new();
                for row in ran.flat_map(|ran| ran.rows) {
                    let id = AssignmentId::try_from(row.try_get::<String, _>(0)?).map_err(unreadable)?;
                    assignments.insert(id, parsed(row.try_get(1)?)?);
                }
                Ok((blocks, AssignmentRows::new(assignments)))
            }

            async fn remember(exchange: &mut $exchange<'_>, answer: &Answer) -> Result<Option<Answer>, StoreError> {
                let sql = "INSERT INTO answer (caller, name, digest, body, expires_at) VALUES ($1, $2, $3, $4, $5)
                    ON CONFLICT DO NOTHING";
                let of = |sql| Statement::new(sql).text(answer.caller.clone()).text(answer.name.clone());
                let add = of(sql).text(answer.digest.clone()).text(json_text(&answer.rows)).number(instant(answer.expires_at));
                let ran = exchange.run(vec![add]).await?;
                if ran.iter().any(|ran| ran.changed == 1) {
                    return Ok(None);
                }
                let ran = exchange.run(vec![of(RECALL)]).await?;
                let row = ran.into_iter().flat_map(|ran| ran.rows).next();
                row.map(|row| {
                    let columns = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                    answer_of(&answer.caller, &answer.name, columns)
                })
                .transpose()
            }

            const READ_BLOCKS: Statement = Statement::new(concat!(
                "SELECT b.stream, b.number, b.length, b.used, b.is_mine FROM block b JOIN ",
                $rows,
                " AS j ON b.stream = j.value->>0 AND b.number = CAST(j.value->>1 AS BIGINT) ORDER BY 1, 2",
                $lock,
            ));
            const READ_ASSIGNMENTS: Statement = Statement::new(concat!(
                "SELECT b.id, b.body FROM assignment b JOIN ",
                $rows,
                " AS j ON b.id = j.value->>0 ORDER BY 1",
                $lock,
            ));
            /// Returns the blocks that it finds.
            const ADVANCE: Statement = Statement::new(concat!(
                "UPDATE block SET used = CASE WHEN used > to_used THEN used ELSE to_used END, retire_at = $2
                FROM (SELECT j.value->>0 AS of_stream, CAST(j.value->>1 AS BIGINT) AS of_number, CAST(j.value->>2 AS BIGINT) AS of_mine,
                    CAST(j.value->>3 AS BIGINT) AS of_process, CAST(j.value->>4 AS BIGINT) AS to_used FROM ",
                $rows,
                " AS j) AS mark
                WHERE stream = of_stream AND number = of_number AND is_mine = of_mine AND claimed_by = of_process
                RETURNING stream, number, is_mine, claimed_by"
            ));
            const REMOVE: Statement = Statement::new(concat!(
                "DELETE FROM block WHERE (stream, number) IN (SELECT b.stream, b.number FROM block b JOIN ",
                $rows,
                " AS j ON b.stream = j.value->>0 AND b.number = CAST(j.value->>1 AS BIGINT))"
            ));
            const USE_UP: Statement = Statement::new(concat!(
                "UPDATE block SET used = CASE WHEN used > to_used THEN used ELSE to_used END,
                    retire_at = CASE WHEN retire_at > kept_until THEN retire_at ELSE kept_until END
                FROM (SELECT j.value->>0 AS of_stream, CAST(j.value->>1 AS BIGINT) AS of_number,
                    CAST(j.value->>2 AS BIGINT) AS to_used, CAST(j.value->>3 AS BIGINT) AS kept_until FROM ",
                $rows,
                " AS j) AS mark
                WHERE stream = of_stream AND number = of_number"
            ));
            const ADD_ASSIGNMENTS: Statement = Statement::new(concat!(
                "INSERT INTO assignment (id, body, expires_at) SELECT j.value->>0, j.value->>1, CAST(j.value->>2 AS BIGINT) FROM ",
                $rows,
                " AS j WHERE true ON CONFLICT DO NOTHING"
            ));
            const REPLACE_ASSIGNMENTS: Statement = Statement::new(concat!(
                "UPDATE assignment SET body = j.value->>1 FROM ",
                $rows,
                " AS j WHERE assignment.id = j.value->>0"
            ));
            const FORGET_ASSIGNMENTS: Statement = Statement::new(concat!(
                "DELETE FROM assignment WHERE id IN (SELECT j.value->>0 FROM ",
                $rows,
                " AS j)"
            ));
        }
    };
}

changes! {
    sqlite, Sqlite, SqliteExchange,
    rows = "json_each($1)", lock = ""
}

changes! {
    postgres, Postgres, PostgresExchange,
    rows = "jsonb_array_elements($1::text::jsonb)", lock = " FOR UPDATE OF b"
}

const SWEEP: [&str; 3] = [
    "DELETE FROM assignment WHERE expires_at <= $1",
    "DELETE FROM answer WHERE expires_at <= $1",
    "DELETE FROM block WHERE (used >= length OR expires_at <= $1) AND retire_at <= $1",
];

/// Where the marks of a batch are to be: of a block, whether it is this end's, and which process has it.
type Marks = BTreeMap<(BlockName, i64, i64), u32>;

fn own_and_neighbours_marks(batch: &Batch) -> Marks {
    let mut marks = Marks::new();
    for (mark, giver) in &batch.marks {
        let (is_mine, claimed_by) = match giver {
            Giver::Neighbour => (0, NOBODY),
            Giver::Process(process) => (1, process.0),
        };
        let used = marks.entry((mark.block, is_mine, claimed_by)).or_default();
        *used = mark.used.max(*used);
    }
    marks
}

fn marks_text(marks: &Marks) -> String {
    let row = |((name, is_mine, claimed_by), used): (&(BlockName, i64, i64), &u32)| {
        (name.stream, name.number, *is_mine, *claimed_by, *used)
    };
    json_text(&marks.iter().map(row).collect::<Vec<_>>())
}

fn names_text<'n>(names: impl IntoIterator<Item = &'n BlockName>) -> String {
    json_text(&names.into_iter().map(|name| (name.stream, name.number)).collect::<Vec<_>>())
}

fn assignments_text<'a>(rows: impl Iterator<Item = (&'a AssignmentId, &'a AssignmentRow)>) -> String {
    let row = |(id, row): (&AssignmentId, &AssignmentRow)| -> Value {
        json!([id.to_string(), json_text(row), instant(UnixNanos(row.expires_at))])
    };
    json_text(&rows.map(row).collect::<Vec<_>>())
}

/// The statement with a block's name as the first two parameters.
fn named(sql: &'static str, block: BlockName) -> Statement {
    Statement::new(sql).text(block.stream.to_string()).number(block.number as i64)
}

/// How long the bytes of a block stay after the last of them were given out here: as long as an answer may be asked for again.
const KEPT_AFTER_USE: photongate_wire::Nanos = photongate_wire::Nanos::from_secs(600);
