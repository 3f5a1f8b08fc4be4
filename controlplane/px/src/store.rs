//! The disk of a node: two files in its data directory.
//!
//! A batch of what was promised and accepted goes to the `journal`, which is made for that: one write, one sync. The state, whenever
//! the node has it written, goes to the `database`, and with it what the acceptor has at that moment; the journal begins anew then.
//! What is on disk is the database, with the journal's batches behind the last one that the database has.
//!
//! A data directory belongs to one node for ever. A store that cannot be read, or is another node's, is refused: a node that started
//! from something else than what it had promised could break what others rely on.

mod database;
mod error;
mod journal;

use std::fs::{self, OpenOptions};
use std::path::Path;

use redb::{Builder, StorageBackend, backends::FileBackend};

use crate::{
    membership::{NodeName, StoreId},
    state::Snapshot,
    storage::{Acceptor, Operation, Recovered},
};

use database::Database;
pub use error::StoreError;
use journal::Journal;

/// The disk of a node.
#[derive(Debug)]
pub struct Store {
    database: Database,
    journal: Journal,
    /// What both together say.
    acceptor: Acceptor,
}

impl Store {
    /// Opens the store in `directory`, which exists, or makes one with the id `fresh`, and counts the start.
    ///
    /// # Errors
    /// [`StoreError`]: what is there cannot be used, or the disk fails. The node must not start then.
    pub fn open(directory: &Path, node: &NodeName, fresh: StoreId) -> Result<(Self, Recovered), StoreError> {
        let database = builder().create(directory.join(DATABASE))?;
        // Whoever has the database has the journal, too: it needs no lock of its own.
        let journal =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(directory.join(JOURNAL))?;
        // The files may be new; their names must be there after a crash, too.
        fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(StoreError::Directory)?;
        Self::start(database, FileBackend::new(journal)?, node, fresh)
    }

    /// Opens a store on something else than files.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(
        database: impl StorageBackend,
        journal: impl StorageBackend,
        node: &NodeName,
        fresh: StoreId,
    ) -> Result<(Self, Recovered), StoreError> {
        Self::start(builder().create_with_backend(database)?, journal, node, fresh)
    }

    /// Does what the operations say, all of them or none, and returns when they are on disk.
    ///
    /// # Errors
    /// [`StoreError`]: nobody knows what is on disk now. The node must end, and start anew from what it finds.
    pub fn write(&mut self, operations: &[Operation]) -> Result<(), StoreError> {
        operations.iter().for_each(|operation| self.acceptor.apply(operation));
        if Journal::takes(operations) && !self.journal.is_full() {
            return self.journal.append(operations);
        }
        self.database.write(operations, &self.acceptor, self.journal.last())?;
        self.journal.restart();
        Ok(())
    }

    fn start(
        database: redb::Database,
        journal: impl StorageBackend,
        node: &NodeName,
        fresh: StoreId,
    ) -> Result<(Self, Recovered), StoreError> {
        let (database, identity) = Database::start(database, node, fresh, fresh_key())?;
        let found = database.read()?;
        let (journal, batches) = Journal::open(journal, identity.journal, found.last_batch, found.cluster.is_none())?;
        let (snapshot, mut acceptor) =
            found.cluster.map_or((None, Acceptor::default()), |(snapshot, acceptor)| (Some(snapshot), acceptor));
        for operation in batches.iter().flatten() {
            if !fits(operation, &acceptor) {
                return Err(StoreError::Damaged { what: "the journal does not belong to the database" });
            }
            acceptor.apply(operation);
        }
        let cluster = snapshot.map(|snapshot| checked(snapshot, acceptor.clone())).transpose()?;
        let recovered = Recovered { store: identity.store, boot: identity.boot, cluster };
        Ok((Self { database, journal, acceptor }, recovered))
    }
}

/// Whether an operation can have been done to this acceptor.
fn fits(operation: &Operation, acceptor: &Acceptor) -> bool {
    match operation {
        Operation::Append { index, .. } => (acceptor.start..=acceptor.end()).contains(index),
        _ => true,
    }
}

/// State and log, if they belong together.
fn checked(snapshot: Snapshot, acceptor: Acceptor) -> Result<(Snapshot, Acceptor), StoreError> {
    let membership = &snapshot.header.membership;
    let applied = snapshot.header.revision.0.checked_sub(membership.base.0);
    let belong_together = applied.is_some_and(|applied| (acceptor.start..=acceptor.end()).contains(&applied));
    if acceptor.decided > acceptor.accepted() || !belong_together {
        return Err(StoreError::Damaged { what: "the state and the log do not belong together" });
    }
    Ok((snapshot, acceptor))
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_check_integrity_on_open(true);
    builder
}

/// The key of a new journal.
fn fresh_key() -> u128 {
    let halves = [(); 2].map(|()| u128::from(getrandom::u64().expect("the operating system has randomness")));
    halves[0] << 64 | halves[1]
}

const DATABASE: &str = "px.redb";
const JOURNAL: &str = "px.journal";

#[cfg(test)]
mod tests;
