//! A transaction in as few exchanges with the database as there can be: what is sent together waits once.
//!
//! SQLite works on a thread of its own, and to wake it and be woken again costs more than most statements do. So all that goes together is
//! one text to it, beginning and end of the transaction included: its driver takes several statements at once. To PostgreSQL they go
//! one by one.

use std::fmt::Write as _;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Either, Executor, PgConnection, Postgres, SqliteConnection, Transaction};

use crate::store::StoreError;

/// A statement, whose parameters are `$1`, `$2` and so on.
pub(super) struct Statement {
    sql: &'static str,
    parameters: Vec<Parameter>,
}

/// The value of a parameter.
pub(super) enum Parameter {
    Text(String),
    Number(i64),
    Bytes(Vec<u8>),
}

/// What a statement did.
pub(super) struct Ran<Row> {
    /// The rows it returns.
    pub(super) rows: Vec<Row>,
    /// How many rows it changed.
    pub(super) changed: u64,
}

impl Statement {
    pub(super) const fn new(sql: &'static str) -> Self {
        Self { sql, parameters: Vec::new() }
    }

    #[must_use]
    pub(super) fn text(self, text: String) -> Self {
        self.with(Parameter::Text(text))
    }

    #[must_use]
    pub(super) fn number(self, number: i64) -> Self {
        self.with(Parameter::Number(number))
    }

    #[must_use]
    pub(super) fn bytes(self, bytes: Vec<u8>) -> Self {
        self.with(Parameter::Bytes(bytes))
    }

    fn with(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }
}

impl Parameter {
    fn add_to<'q, A>(self, arguments: &mut A) -> Result<(), StoreError>
    where
        A: Arguments,
        String: sqlx::Encode<'q, A::Database> + sqlx::Type<A::Database> + 'q,
        i64: sqlx::Encode<'q, A::Database> + sqlx::Type<A::Database> + 'q,
        Vec<u8>: sqlx::Encode<'q, A::Database> + sqlx::Type<A::Database> + 'q,
    {
        match self {
            Self::Text(text) => arguments.add(text),
            Self::Number(number) => arguments.add(number),
            Self::Bytes(bytes) => arguments.add(bytes),
        }
        .map_err(|error| StoreError::Database(error.to_string()))
    }
}

/// A transaction on SQLite. It begins with the first exchange. One that is dropped before it is committed goes on: its connection is not to
/// be used any more.
pub(super) struct SqliteExchange<'c> {
    connection: &'c mut SqliteConnection,
    has_begun: bool,
}

impl<'c> SqliteExchange<'c> {
    #[allow(clippy::unused_async, reason = "PostgreSQL begins at once")]
    pub(super) async fn begin(connection: &'c mut SqliteConnection) -> Result<Self, StoreError> {
        Ok(Self { connection, has_begun: false })
    }

    /// Runs statements, and returns what each of them did.
    pub(super) async fn run(&mut self, statements: Vec<Statement>) -> Result<Vec<Ran<SqliteRow>>, StoreError> {
        self.send(statements, "").await
    }

    /// Runs statements, and commits.
    pub(super) async fn commit(mut self, statements: Vec<Statement>) -> Result<Vec<Ran<SqliteRow>>, StoreError> {
        self.send(statements, "COMMIT").await
    }

    async fn send(&mut self, statements: Vec<Statement>, end: &'static str) -> Result<Vec<Ran<SqliteRow>>, StoreError> {
        let count = statements.len();
        if count == 0 && end.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = String::new();
        let mut passed_over = 0;
        if !self.has_begun {
            // Not as a reader that is to write later: such a one can find that it must give way to another.
            sql.push_str("BEGIN IMMEDIATE; ");
            passed_over = 1;
        }
        self.has_begun = true;
        let mut arguments = SqliteArguments::default();
        let mut before = 0;
        for Statement { sql: one, parameters } in statements {
            push_renumbered(&mut sql, one, before);
            sql.push_str("; ");
            before += parameters.len();
            for parameter in parameters {
                parameter.add_to(&mut arguments)?;
            }
        }
        sql.push_str(end);
        // All of it is this module's own text, and there are few different ones, so the driver keeps them prepared.
        let mut steps = self.connection.fetch_many(sqlx::query_with(AssertSqlSafe(sql), arguments));
        let mut ran = Vec::with_capacity(count);
        let mut rows = Vec::new();
        while let Some(step) = steps.try_next().await? {
            match step {
                Either::Right(row) => rows.push(row),
                Either::Left(_) if passed_over > 0 => passed_over -= 1,
                Either::Left(done) => ran.push(Ran { rows: std::mem::take(&mut rows), changed: done.rows_affected() }),
            }
        }
        ran.truncate(count);
        if ran.len() < count {
            return Err(StoreError::Database("it did not run all statements".to_owned()));
        }
        Ok(ran)
    }
}

/// Adds a statement whose parameters come after `before` others.
fn push_renumbered(text: &mut String, sql: &str, before: usize) {
    let mut parts = sql.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = part[..digits].parse().unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(text, "${}{}", before + number, &part[digits..]);
    }
}

/// A transaction on PostgreSQL, rolled back when it is dropped.
pub(super) struct PostgresExchange<'c>(Transaction<'c, Postgres>);

impl<'c> PostgresExchange<'c> {
    pub(super) async fn begin(connection: &'c mut PgConnection) -> Result<Self, StoreError> {
        Ok(Self(sqlx::Connection::begin(connection).await?))
    }

    /// Runs statements, and returns what each of them did.
    pub(super) async fn run(&mut self, statements: Vec<Statement>) -> Result<Vec<Ran<PgRow>>, StoreError> {
        let mut ran = Vec::with_capacity(statements.len());
        for Statement { sql, parameters } in statements {
            let mut arguments = PgArguments::default();
            for parameter in parameters {
                parameter.add_to(&mut arguments)?;
            }
            let mut steps = self.0.fetch_many(sqlx::query_with(sql, arguments));
            let mut one = Ran { rows: Vec::new(), changed: 0 };
            while let Some(step) = steps.try_next().await? {
                match step {
                    Either::Right(row) => one.rows.push(row),
                    Either::Left(done) => one.changed = done.rows_affected(),
                }
            }
            ran.push(one);
        }
        Ok(ran)
    }

    /// Runs statements, and commits.
    pub(super) async fn commit(mut self, statements: Vec<Statement>) -> Result<Vec<Ran<PgRow>>, StoreError> {
        let ran = self.run(statements).await?;
        self.0.commit().await?;
        Ok(ran)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_count_on_from_those_before() {
        let mut text = String::new();
        push_renumbered(&mut text, "SET a = $2 WHERE b = $1", 0);
        text.push_str("; ");
        push_renumbered(&mut text, "DELETE WHERE c->>0 = $1 OR d = $10", 2);
        assert_eq!(text, "SET a = $2 WHERE b = $1; DELETE WHERE c->>0 = $3 OR d = $12");
    }
}
