//! Who of several processes has what. Times are those of the database, so that clocks of machines need not agree.

use std::collections::{BTreeMap, BTreeSet};

use photongate_wire::UnixNanos;
use sqlx::{Pool, Postgres, Sqlite};

use super::columns::{BlockColumns, NOBODY, block_name, instant, json_text, stored_block};
use crate::ids::QksId;
use crate::stock::BlockName;
use crate::store::StoreError;
use crate::store::claims::{LEASE, Process, Standing};
use crate::store::rows::StoredBlock;

/// `$shared` says whether there can be several processes; `$clock` is the database's time in milliseconds, `$rows` as for changes;
/// `$lock` and `$share` keep selected rows from being changed by others.
macro_rules! claims {
    ($module:ident, $database:ty, shared = $shared:literal, begin = $begin:literal, clock = $clock:literal, rows = $rows:literal,
        lock = $lock:literal, share = $share:literal) => {
        pub(in crate::store) mod $module {
            use sqlx::Transaction;

            use super::*;

            type Db = Pool<$database>;
            type Tx<'t> = Transaction<'t, $database>;

            pub(in crate::store) async fn join(db: &Db) -> Result<Process, StoreError> {
                let mut tx = db.begin_with($begin).await?;
                let sql = "INSERT INTO counter (name, value) VALUES ('process', 1)
                    ON CONFLICT (name) DO UPDATE SET value = counter.value + 1 RETURNING value";
                let id: i64 = sqlx::query_scalar(sql).fetch_one(&mut *tx).await?;
                let sql = concat!("INSERT INTO process (id, seen_at) VALUES ($1, ", $clock, ")");
                sqlx::query(sql).bind(id).execute(&mut *tx).await?;
                if !$shared {
                    sqlx::query("DELETE FROM process WHERE id <> $1").bind(id).execute(&mut *tx).await?;
                }
                clean_up(&mut tx).await?;
                tx.commit().await?;
                Ok(Process(id))
            }

            pub(in crate::store) async fn beat(db: &Db, process: Process) -> Result<Standing, StoreError> {
                if !$shared {
                    let sql = "SELECT COUNT(*) FROM process WHERE id = $1";
                    let known: i64 = sqlx::query_scalar(sql).bind(process.0).fetch_one(db).await?;
                    return Ok(if known == 1 { Standing::Member { has_chair: true, processes: 1 } } else { Standing::Expelled });
                }
                let mut tx = db.begin_with($begin).await?;
                let sql = concat!("UPDATE process SET seen_at = ", $clock, " WHERE id = $1");
                if sqlx::query(sql).bind(process.0).execute(&mut *tx).await?.rows_affected() == 0 {
                    return Ok(Standing::Expelled);
                }
                let sql = concat!("DELETE FROM process WHERE id IN
                    (SELECT id FROM process b WHERE seen_at < ", $clock, " - $1 AND id <> $2 ", $lock, " SKIP LOCKED)");
                let lease = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
                let dead = sqlx::query(sql).bind(lease).bind(process.0).execute(&mut *tx).await?.rows_affected();
                let sql = "INSERT INTO lease (name, holder) VALUES ('chair', $1) ON CONFLICT (name) DO UPDATE SET holder = excluded.holder
                    WHERE NOT EXISTS (SELECT 1 FROM process WHERE process.id = lease.holder)";
                sqlx::query(sql).bind(process.0).execute(&mut *tx).await?;
                let holder: i64 = sqlx::query_scalar("SELECT holder FROM lease WHERE name = 'chair'").fetch_one(&mut *tx).await?;
                let processes: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM process").fetch_one(&mut *tx).await?;
                if dead > 0 || holder == process.0 {
                    clean_up(&mut tx).await?;
                }
                tx.commit().await?;
                Ok(Standing::Member { has_chair: holder == process.0, processes: u32::try_from(processes).unwrap_or(u32::MAX) })
            }

            /// What was claimed by processes that are not there can be claimed anew.
            async fn clean_up(tx: &mut Tx<'_>) -> Result<(), StoreError> {
                let sql = "UPDATE block SET claimed_by = $1
                    WHERE claimed_by <> $1 AND NOT EXISTS (SELECT 1 FROM process WHERE process.id = block.claimed_by)";
                sqlx::query(sql).bind(NOBODY).execute(&mut **tx).await?;
                Ok(())
            }

            pub(in crate::store) async fn leave(db: &Db, process: Process) -> Result<(), StoreError> {
                let mut tx = db.begin_with($begin).await?;
                sqlx::query("DELETE FROM process WHERE id = $1").bind(process.0).execute(&mut *tx).await?;
                clean_up(&mut tx).await?;
                Ok(tx.commit().await?)
            }

            pub(in crate::store) async fn claim(
                db: &Db,
                process: Process,
                neighbour: &QksId,
                most: u64,
                now: UnixNanos,
            ) -> Result<Vec<StoredBlock>, StoreError> {
                let mut claimed = Vec::new();
                let mut left = most;
                loop {
                    let mut tx = db.begin_with($begin).await?;
                    // While this transaction lasts, others cannot find the process dead: they would not see what it claims.
                    let sql = concat!("SELECT 1 FROM process b WHERE id = $1 ", $share);
                    let known: Option<i32> = sqlx::query_scalar(sql).bind(process.0).fetch_optional(&mut *tx).await?;
                    if known.is_none() {
                        return Ok(claimed);
                    }
                    let sql = concat!("SELECT stream, number, neighbour, link, origin, is_mine, length, used, made_at, expires_at, fingerprint
                        FROM block b WHERE neighbour = $1 AND is_mine = 1 AND claimed_by = $2 AND used < length AND expires_at > $3
                        ORDER BY expires_at, stream, number LIMIT $4 ", $lock);
                    let query = sqlx::query_as(sql).bind(neighbour.as_str().to_owned()).bind(NOBODY).bind(instant(now)).bind(PAGE as i64);
                    let rows: Vec<BlockColumns> = query.fetch_all(&mut *tx).await?;
                    let is_last = rows.len() < PAGE;
                    let mut page = Vec::new();
                    for row in rows {
                        let block = stored_block(row)?;
                        let is_first = claimed.is_empty() && page.is_empty();
                        if !is_first && block.state.free() > left {
                            left = 0;
                            break;
                        }
                        left = left.saturating_sub(block.state.free());
                        page.push(block);
                    }
                    let names: Vec<_> = page.iter().map(|block| (block.name.stream, block.name.number)).collect();
                    let sql = concat!("UPDATE block SET claimed_by = $2 FROM ", $rows, " AS j
                        WHERE block.stream = j.value->>0 AND block.number = CAST(j.value->>1 AS BIGINT)");
                    sqlx::query(sql).bind(json_text(&names)).bind(process.0).execute(&mut *tx).await?;
                    tx.commit().await?;
                    claimed.extend(page);
                    if is_last || left == 0 {
                        return Ok(claimed);
                    }
                }
            }

            pub(in crate::store) async fn release(db: &Db, process: Process, blocks: &[BlockName]) -> Result<(), StoreError> {
                if blocks.is_empty() {
                    return Ok(());
                }
                let names: Vec<_> = blocks.iter().map(|name| (name.stream, name.number)).collect();
                let sql = concat!("UPDATE block SET claimed_by = $3 FROM ", $rows, " AS j
                    WHERE block.stream = j.value->>0 AND block.number = CAST(j.value->>1 AS BIGINT) AND claimed_by = $2");
                sqlx::query(sql).bind(json_text(&names)).bind(process.0).bind(NOBODY).execute(db).await?;
                Ok(())
            }

            pub(in crate::store) async fn hand_over(
                db: &Db,
                process: Process,
                blocks: &[BlockName],
                may_repeat: bool,
            ) -> Result<Vec<BlockName>, StoreError> {
                let mut tx = db.begin_with($begin).await?;
                let mut handed = Vec::new();
                for (name, (is_mine, claimed_by, used)) in owners(&mut tx, blocks).await? {
                    let is_free = is_mine && used == 0 && [NOBODY, process.0].contains(&claimed_by);
                    if is_free {
                        set_owner(&mut tx, name, 0, NOBODY).await?;
                    }
                    if is_free || !is_mine && may_repeat {
                        handed.push(name);
                    }
                }
                tx.commit().await?;
                Ok(handed)
            }

            pub(in crate::store) async fn take_on(db: &Db, process: Process, blocks: &[BlockName]) -> Result<Vec<BlockName>, StoreError> {
                let mut tx = db.begin_with($begin).await?;
                if $shared {
                    let sql = concat!("SELECT holder FROM lease b WHERE name = 'chair' ", $share);
                    let holder: Option<i64> = sqlx::query_scalar(sql).fetch_optional(&mut *tx).await?;
                    if holder != Some(process.0) {
                        return Ok(Vec::new());
                    }
                }
                let mut taken = Vec::new();
                for (name, (is_mine, claimed_by, _)) in owners(&mut tx, blocks).await? {
                    if !is_mine {
                        set_owner(&mut tx, name, 1, process.0).await?;
                    }
                    // It may have been told so before, and not have heard it.
                    if !is_mine || claimed_by == process.0 {
                        taken.push(name);
                    }
                }
                tx.commit().await?;
                Ok(taken)
            }

            /// For each block that is there: whether it is this end's, which process has it, and its mark.
            async fn owners(
                tx: &mut Tx<'_>,
                blocks: &[BlockName],
            ) -> Result<BTreeMap<BlockName, (bool, i64, i64)>, StoreError> {
                let names: BTreeSet<_> = blocks.iter().map(|name| (name.stream, name.number)).collect();
                let sql = concat!("SELECT b.stream, b.number, b.is_mine, b.claimed_by, b.used FROM block b JOIN ", $rows, " AS j
                    ON b.stream = j.value->>0 AND b.number = CAST(j.value->>1 AS BIGINT) ORDER BY 1, 2 ", $lock);
                let rows: Vec<(String, i64, i64, i64, i64)> =
                    sqlx::query_as(sql).bind(json_text(&names)).fetch_all(&mut **tx).await?;
                let row = |(stream, number, is_mine, claimed_by, used): (String, i64, i64, i64, i64)| {
                    Ok((block_name(&stream, number)?, (is_mine != 0, claimed_by, used)))
                };
                rows.into_iter().map(row).collect()
            }

            async fn set_owner(tx: &mut Tx<'_>, name: BlockName, is_mine: i64, claimed_by: i64) -> Result<(), StoreError> {
                let sql = "UPDATE block SET is_mine = $3, claimed_by = $4 WHERE stream = $1 AND number = $2";
                let query = sqlx::query(sql).bind(name.stream.to_string()).bind(name.number as i64);
                query.bind(is_mine).bind(claimed_by).execute(&mut **tx).await?;
                Ok(())
            }

            pub(in crate::store) async fn own_bytes(db: &Db, neighbour: &QksId, now: UnixNanos) -> Result<u64, StoreError> {
                let sql = "SELECT CAST(COALESCE(SUM(length - used), 0) AS BIGINT) FROM block
                    WHERE neighbour = $1 AND is_mine = 1 AND expires_at > $2";
                let query = sqlx::query_scalar(sql).bind(neighbour.as_str().to_owned()).bind(instant(now));
                let bytes: i64 = query.fetch_one(db).await?;
                Ok(u64::try_from(bytes).unwrap_or(0))
            }
        }
    };
}

claims! {
    sqlite, Sqlite,
    shared = false, begin = "BEGIN IMMEDIATE", clock = "CAST(strftime('%s', 'now') AS INTEGER) * 1000", rows = "json_each($1)",
    lock = "", share = ""
}

claims! {
    postgres, Postgres,
    shared = true, begin = "BEGIN", clock = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
    rows = "jsonb_array_elements($1::text::jsonb)", lock = "FOR UPDATE OF b", share = "FOR SHARE OF b"
}

/// Blocks that are claimed in one transaction.
const PAGE: usize = 1_024;
