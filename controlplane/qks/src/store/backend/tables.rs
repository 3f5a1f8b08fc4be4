//! What is read or written a row at a time, and the tables themselves.

use sqlx::{Pool, Postgres, Sqlite};

use super::columns::{RECALL, answer_of, block_name, bytes, origin_of, unix_nanos, unreadable};
use crate::stock::{BlockName, BlockState, Check};
use crate::store::StoreError;
use crate::store::rows::{Answer, StoredBlock};
use crate::store::schema::VERSION_TABLE;

macro_rules! tables {
    ($module:ident, $database:ty, begin = $begin:literal, bytes = $bytes:literal) => {
        pub(in crate::store) mod $module {
            use sqlx::AssertSqlSafe;

            use super::*;

            type Db = Pool<$database>;

            pub(in crate::store) async fn version(db: &Db) -> Result<usize, StoreError> {
                sqlx::query(VERSION_TABLE).execute(db).await?;
                let sql = "SELECT COALESCE(MAX(version), 0) FROM schema_version";
                let version: i64 = sqlx::query_scalar(sql).fetch_one(db).await?;
                usize::try_from(version).map_err(|_| StoreError::Unreadable(format!("the version {version}")))
            }

            pub(in crate::store) async fn upgrade(db: &Db, version: i64, statements: &[&'static str]) -> Result<(), StoreError> {
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

            pub(in crate::store) async fn recall(db: &Db, caller: &str, name: &str) -> Result<Option<Answer>, StoreError> {
                let row = sqlx::query_as(RECALL).bind(caller.to_owned()).bind(name.to_owned()).fetch_optional(db).await?;
                row.map(|row| answer_of(caller, name, row)).transpose()
            }

            pub(in crate::store) async fn blocks(db: &Db) -> Result<Vec<StoredBlock>, StoreError> {
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

            pub(in crate::store) async fn block_bytes(db: &Db, name: BlockName) -> Result<Option<Vec<u8>>, StoreError> {
                let sql = "SELECT sealed FROM block WHERE stream = $1 AND number = $2";
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
        }
    };
}

tables! {
    sqlite, Sqlite, begin = "BEGIN IMMEDIATE", bytes = "BLOB"
}

tables! {
    postgres, Postgres, begin = "BEGIN", bytes = "BYTEA"
}
