//! The tables, and how an older database gets them.

use super::StoreError;
use super::backend::Backend;

/// Brings the tables up to date.
pub(super) async fn migrate(backend: &Backend) -> Result<(), StoreError> {
    let done = backend.version().await?;
    if done > VERSIONS.len() {
        return Err(StoreError::Unreadable(format!(
            "its tables are of version {done}, and this program knows {} at most: run a newer one",
            VERSIONS.len()
        )));
    }
    for (version, statements) in (1..).zip(VERSIONS).skip(done) {
        backend.upgrade(version, statements).await?;
    }
    Ok(())
}

/// The table that says which versions were applied, made before all others.
pub(super) const VERSION_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)";

/// One list of statements a version. `{bytes}` stands for the database's type for bytes. Instants are nanoseconds since 1970, streams and
/// ids text.
const VERSIONS: &[&[&str]] = &[&[
    "CREATE TABLE block (
        stream TEXT NOT NULL,
        number BIGINT NOT NULL,
        neighbour TEXT NOT NULL,
        link TEXT NOT NULL,
        origin TEXT NOT NULL,
        is_mine BIGINT NOT NULL,
        length BIGINT NOT NULL,
        used BIGINT NOT NULL,
        made_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        retire_at BIGINT NOT NULL,
        fingerprint TEXT NOT NULL,
        sealed {bytes} NOT NULL,
        PRIMARY KEY (stream, number)
    )",
    "CREATE TABLE stream (stream TEXT PRIMARY KEY, next BIGINT NOT NULL)",
    "CREATE TABLE assignment (id TEXT PRIMARY KEY, body TEXT NOT NULL, expires_at BIGINT NOT NULL)",
    "CREATE INDEX assignment_expiry ON assignment (expires_at)",
    "CREATE TABLE answer (
        caller TEXT NOT NULL,
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        body TEXT NOT NULL,
        expires_at BIGINT NOT NULL,
        PRIMARY KEY (caller, name)
    )",
    "CREATE TABLE entry (kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, name))",
    "CREATE TABLE counter (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
    "CREATE TABLE wrapped_key (number BIGINT PRIMARY KEY, wrapped {bytes} NOT NULL)",
]];
