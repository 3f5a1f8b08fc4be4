//! What is read or written a row at a time, and the tables themselves.

use sqlx::{Pool, Postgres, Sqlite};

use super::columns::{BlockColumns, RECALL, answer_of, block_name, json_text, stored_block, unreadable};
use crate::ids::QksId;
use crate::stock::BlockName;
use crate::store::StoreError;
use crate::store::rows::{Answer, Standstill, StoredBlock};
use crate::store::schema::VERSION_TABLE;

/// `$alone` keeps other processes from the tables until the transaction ends; `$rows` is as for changes.
macro_rules! tables {
    ($module:ident, $database:ty, begin = $begin:literal, alone = $alone:literal, bytes = $bytes:literal, rows = $rows:literal) => {
        pub(in crate::store) mod $module {
            use sqlx::AssertSqlSafe;

            use super::*;

            type Db = Pool<$database>;

            /// Brings the tables up to date. Of several processes that start at once one does it, and the others wait and find it done.
            pub(in crate::store) async fn migrate(db: &Db, versions: &[&[&'static str]]) -> Result<(), StoreError> {
                let mut tx = db.begin_with($begin).await?;
                sqlx::query($alone).execute(&mut *tx).await?;
                sqlx::query(VERSION_TABLE).execute(&mut *tx).await?;
                let sql = "SELECT COALESCE(MAX(version), 0) FROM schema_version";
                let done: i64 = sqlx::query_scalar(sql).fetch_one(&mut *tx).await?;
                let done = usize::try_from(done).map_err(|_| unreadable(format!("the version {done}")))?;
                if done > versions.len() {
                    return Err(unreadable(format!(
                        "its tables are of version {done}, and this program knows {} at most: run a newer one",
                        versions.len()
                    )));
                }
                for (version, statements) in (1_i64..).zip(versions).skip(done) {
                    for statement in *statements {
                        let statement = statement.replace("{bytes}", $bytes);
                        sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await?;
                    }
                    let sql = "INSERT INTO schema_version (version) VALUES ($1)";
                    sqlx::query(sql).bind(version).execute(&mut *tx).await?;
                }
                Ok(tx.commit().await?)
            }

            pub(in crate::store) async fn recall(db: &Db, caller: &str, name: &str) -> Result<Option<Answer>, StoreError> {
                let row = sqlx::query_as(RECALL).bind(caller.to_owned()).bind(name.to_owned()).fetch_optional(db).await?;
                row.map(|row| answer_of(caller, name, row)).transpose()
            }

            /// All blocks; or those that this neighbour gives out.
            pub(in crate::store) async fn blocks(db: &Db, neighbour: Option<&QksId>) -> Result<Vec<StoredBlock>, StoreError> {
                let sql = "SELECT stream, number, neighbour, link, origin, is_mine, length, used, made_at, expires_at, fingerprint
                    FROM block WHERE $1 = '' OR is_mine = 0 AND neighbour = $1";
                let query = sqlx::query_as(sql).bind(neighbour.map_or("", QksId::as_str).to_owned());
                let rows: Vec<BlockColumns> = query.fetch_all(db).await?;
                rows.into_iter().map(stored_block).collect()
            }

            /// A block that is not there, but is not to come any more either, was thrown away.
            pub(in crate::store) async fn review(db: &Db, blocks: &[BlockName]) -> Result<Vec<(BlockName, Standstill)>, StoreError> {
                let names: Vec<_> = blocks.iter().map(|name| (name.stream, name.number)).collect();
                let sql = concat!("SELECT j.value->>0, CAST(j.value->>1 AS BIGINT), COALESCE(b.is_mine, 1) FROM ", $rows, " AS j
                    LEFT JOIN block b ON b.stream = j.value->>0 AND b.number = CAST(j.value->>1 AS BIGINT)
                    LEFT JOIN stream s ON s.stream = j.value->>0
                    WHERE b.is_mine = 0 OR b.used >= b.length OR b.stream IS NULL AND s.next > CAST(j.value->>1 AS BIGINT)");
                let rows: Vec<(String, i64, i64)> = sqlx::query_as(sql).bind(json_text(&names)).fetch_all(db).await?;
                let row = |(stream, number, is_mine): (String, i64, i64)| {
                    let why = if is_mine == 0 { Standstill::OtherEnds } else { Standstill::Gone };
                    Ok((block_name(&stream, number)?, why))
                };
                rows.into_iter().map(row).collect()
            }

            pub(in crate::store) async fn block_bytes(db: &Db, name: BlockName) -> Result<Option<Vec<u8>>, StoreError> {
                let sql = "SELECT sealed FROM block_bytes WHERE stream = $1 AND number = $2";
                let query = sqlx::query_scalar(sql).bind(name.stream.to_string()).bind(name.number as i64);
                Ok(query.fetch_optional(db).await?)
            }

            pub(in crate::store) async fn entry(db: &Db, kind: &str, name: &str) -> Result<Option<String>, StoreError> {
                let sql = "SELECT value FROM entry WHERE kind = $1 AND name = $2";
                Ok(sqlx::query_scalar(sql).bind(kind.to_owned()).bind(name.to_owned()).fetch_optional(db).await?)
            }

            pub(in crate::store) async fn entries(db: &Db, kind: &str) -> Result<Vec<(String, String)>, StoreError> {
                let sql = "SELECT name, value FROM entry WHERE kind = $1 ORDER BY name";
                Ok(sqlx::query_as(sql).bind(kind.to_owned()).fetch_all(db).await?)
            }

            pub(in crate::store) async fn put_entry(db: &Db, kind: &str, name: &str, value: &str) -> Result<(), StoreError> {
                let sql = "INSERT INTO entry (kind, name, value) VALUES ($1, $2, $3)
                    ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value";
                let query = sqlx::query(sql).bind(kind.to_owned()).bind(name.to_owned()).bind(value.to_owned());
                query.execute(db).await?;
                Ok(())
            }

            pub(in crate::store) async fn add_entry(db: &Db, kind: &str, name: &str, value: &str) -> Result<bool, StoreError> {
                let sql = "INSERT INTO entry (kind, name, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
                let query = sqlx::query(sql).bind(kind.to_owned()).bind(name.to_owned()).bind(value.to_owned());
                Ok(query.execute(db).await?.rows_affected() == 1)
            }

            pub(in crate::store) async fn remove_entry(db: &Db, kind: &str, name: &str) -> Result<bool, StoreError> {
                let sql = "DELETE FROM entry WHERE kind = $1 AND name = $2";
                let query = sqlx::query(sql).bind(kind.to_owned()).bind(name.to_owned());
                Ok(query.execute(db).await?.rows_affected() == 1)
            }

            pub(in crate::store) async fn count(db: &Db, name: &str) -> Result<u64, StoreError> {
                let sql = "INSERT INTO counter (name, value) VALUES ($1, 1)
                    ON CONFLICT (name) DO UPDATE SET value = counter.value + 1 RETURNING value";
                let value: i64 = sqlx::query_scalar(sql).bind(name.to_owned()).fetch_one(db).await?;
                u64::try_from(value).map_err(unreadable)
            }

            pub(in crate::store) async fn wrapped_key(db: &Db, number: u32) -> Result<Option<Vec<u8>>, StoreError> {
                let sql = "SELECT wrapped FROM wrapped_key WHERE number = $1";
                Ok(sqlx::query_scalar(sql).bind(i64::from(number)).fetch_optional(db).await?)
            }

            pub(in crate::store) async fn latest_wrapped_key(db: &Db) -> Result<Option<u32>, StoreError> {
                let sql = "SELECT MAX(number) FROM wrapped_key";
                let number: Option<i64> = sqlx::query_scalar(sql).fetch_one(db).await?;
                number.map(|number| u32::try_from(number).map_err(unreadable)).transpose()
            }

            pub(in crate::store) async fn add_wrapped_key(db: &Db, number: u32, wrapped: &[u8]) -> Result<bool, StoreError> {
                let sql = "INSERT INTO wrapped_key (number, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING";
                let query = sqlx::query(sql).bind(i64::from(number)).bind(wrapped.to_vec());
                Ok(query.execute(db).await?.rows_affected() == 1)
            }

            pub(in crate::store) async fn replace_wrapped_key(
                db: &Db,
                number: u32,
                old: &[u8],
                new: &[u8],
            ) -> Result<bool, StoreError> {
                let sql = "UPDATE wrapped_key SET wrapped = $3 WHERE number = $1 AND wrapped = $2";
                let query = sqlx::query(sql).bind(i64::from(number)).bind(old.to_vec()).bind(new.to_vec());
                Ok(query.execute(db).await?.rows_affected() == 1)
            }
        }
    };
}

tables! {
    sqlite, Sqlite, begin = "BEGIN IMMEDIATE", alone = "SELECT 1", bytes = "BLOB", rows = "json_each($1)"
}

tables! {
    postgres, Postgres, begin = "BEGIN", alone = "SELECT pg_advisory_xact_lock(7021770112)", bytes = "BYTEA",
    rows = "jsonb_array_elements($1::text::jsonb)"
}
