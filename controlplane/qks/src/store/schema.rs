//! The tables, and how an older database gets them.

/// The table that says which versions were applied, made before all others.
pub(super) const VERSION_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)";

/// One list of statements a version. `{bytes}` stands for the database's type for bytes. Instants are nanoseconds since 1970, streams and
/// ids text.
pub(super) const VERSIONS: &[&[&str]] = &[FIRST, CLAIMS, BYTES];

const FIRST: &[&str] = &[
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
];

/// Several processes: which of them gives a block out (0 is none), which there are, and who has the chair.
const CLAIMS: &[&str] = &[
    "ALTER TABLE block ADD COLUMN claimed_by BIGINT NOT NULL DEFAULT 0",
    "CREATE INDEX block_claim ON block (neighbour, is_mine, claimed_by)",
    "CREATE TABLE process (id BIGINT PRIMARY KEY, seen_at BIGINT NOT NULL)",
    "CREATE TABLE lease (name TEXT PRIMARY KEY, holder BIGINT NOT NULL)",
];

/// The bytes of blocks, apart: a mark is moved every few requests, and SQLite writes a row anew as a whole when it becomes longer.
const BYTES: &[&str] = &[
    "CREATE TABLE block_bytes (
        stream TEXT NOT NULL,
        number BIGINT NOT NULL,
        sealed {bytes} NOT NULL,
        PRIMARY KEY (stream, number),
        FOREIGN KEY (stream, number) REFERENCES block (stream, number) ON DELETE CASCADE
    )",
    "INSERT INTO block_bytes (stream, number, sealed) SELECT stream, number, sealed FROM block",
    "ALTER TABLE block DROP COLUMN sealed",
];
