//! What columns hold, and what is made of it.

use photongate_wire::UnixNanos;
use uuid::Uuid;

use crate::ids::StreamId;
use crate::links::Origin;
use crate::stock::{BlockName, BlockState, Check};
use crate::store::StoreError;
use crate::store::rows::{Answer, StoredBlock};

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match code.as_deref() {
            Some(SERIALIZATION_FAILURE | DEADLOCK | SQLITE_BUSY) => Self::Contended,
            _ => Self::Database(error.to_string()),
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(super) fn unreadable(error: impl ToString) -> StoreError {
    StoreError::Unreadable(error.to_string())
}

pub(super) fn json_text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("rows have no maps but those with text keys")
}

pub(super) fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(unreadable)
}

pub(super) fn answer_of(caller: &str, name: &str, row: (String, String, i64)) -> Result<Answer, StoreError> {
    let (digest, body, expires_at) = row;
    let (caller, name) = (caller.to_owned(), name.to_owned());
    Ok(Answer { caller, name, digest, rows: parsed(&body)?, expires_at: unix_nanos(expires_at) })
}

/// The columns of a block but its bytes: stream, number, neighbour, link, origin, whether it is this end's, length, mark, when it was made
/// and ends, fingerprint.
pub(super) type BlockColumns = (String, i64, String, String, String, i64, i64, i64, i64, i64, String);

pub(super) fn stored_block(columns: BlockColumns) -> Result<StoredBlock, StoreError> {
    let (stream, number, neighbour, link, origin, is_mine, length, used, made_at, expires_at, check) = columns;
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
}

pub(super) fn block_name(stream: &str, number: i64) -> Result<BlockName, StoreError> {
    let stream = StreamId(stream.parse::<Uuid>().map_err(unreadable)?);
    Ok(BlockName { stream, number: number as u64 })
}

fn origin_of(text: &str) -> Result<Origin, StoreError> {
    let origins = [Origin::Qkd, Origin::Pqc, Origin::Hybrid];
    let origin = origins.into_iter().find(|origin| origin.to_string() == text);
    origin.ok_or_else(|| unreadable(format!("the origin {text:?}")))
}

pub(super) fn bytes(length: i64) -> Result<u32, StoreError> {
    u32::try_from(length).map_err(unreadable)
}

pub(super) fn instant(at: UnixNanos) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

pub(super) fn unix_nanos(instant: i64) -> UnixNanos {
    UnixNanos(u64::try_from(instant).unwrap_or(0))
}

pub(super) const RECALL: &str = "SELECT digest, body, expires_at FROM answer WHERE caller = $1 AND name = $2";

/// In `claimed_by`, for a block that no process gives out. Processes are counted from 1.
pub(super) const NOBODY: i64 = 0;

/// What PostgreSQL calls it when transactions stand in each other's way (its manual, appendix A), and SQLite.
const SERIALIZATION_FAILURE: &str = "40001";
const DEADLOCK: &str = "40P01";
const SQLITE_BUSY: &str = "5";
