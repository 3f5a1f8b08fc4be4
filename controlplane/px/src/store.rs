//! The disk of a node: one redb file in its data directory.
//!
//! A batch is one transaction with one fsync: after a crash it is there whole or not at all, and redb's checksums tell which. All of them
//! are checked when the file is opened. The state is kept by document and client, the log by place; what an acceptor must not forget
//! is one small row.
//!
//! A data directory belongs to one node for ever. A store that cannot be read, or is another node's, is refused: a node that started
//! from something else than what it had promised could break what others rely on.

mod error;

use std::{collections::VecDeque, fs, path::Path};

use omnipaxos::{ballot_leader_election::Ballot, storage::StopSign};
use redb::{Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    command::{ClientId, Entry, Name},
    membership::{NodeName, StoreId},
    state::{Header, Session, Snapshot, StateChanges},
    storage::{Acceptor, Operation, Recovered},
};

pub use error::StoreError;

/// The disk of a node.
#[derive(Debug)]
pub struct Store {
    database: Database,
    kept: Kept,
    /// The place behind the last entry.
    end: u64,
}

impl Store {
    /// Opens the store in `directory`, which exists, or makes one with the id `fresh`, and counts the start.
    ///
    /// # Errors
    /// [`StoreError`]: what is there cannot be used, or the disk fails. The node must not start then.
    pub fn open(directory: &Path, node: &NodeName, fresh: StoreId) -> Result<(Self, Recovered), StoreError> {
        let path = directory.join(FILE);
        let database = Builder::new().set_check_integrity_on_open(true).create(&path)?;
        let opened = Self::start(database, node, fresh)?;
        // The file may be new; its name must be there after a crash, too.
        fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(StoreError::Directory)?;
        Ok(opened)
    }

    /// Opens a store on something else than a file.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(
        backend: impl StorageBackend,
        node: &NodeName,
        fresh: StoreId,
    ) -> Result<(Self, Recovered), StoreError> {
        let database = Builder::new().set_check_integrity_on_open(true).create_with_backend(backend)?;
        Self::start(database, node, fresh)
    }

    /// Does what the operations say, all of them or none, and returns when they are on disk.
    ///
    /// # Errors
    /// [`StoreError`]: nobody knows what is on disk now. The node must end, and start anew from what it finds.
    pub fn write(&mut self, operations: &[Operation]) -> Result<(), StoreError> {
        let transaction = self.database.begin_write()?;
        let (mut kept, mut end) = (self.kept.clone(), self.end);
        for operation in operations {
            match operation {
                Operation::Append { index, entries } => append(&transaction, *index, entries, &mut end)?,
                Operation::Promise(ballot) => kept.promise = Some(*ballot),
                Operation::AcceptedRound(ballot) => kept.accepted_round = Some(*ballot),
                Operation::Decided(places) => kept.decided = *places,
                Operation::StopSign(stop_sign) => kept.stop_sign.clone_from(stop_sign),
                Operation::Trim(place) => trim(&transaction, *place, &mut kept, &mut end)?,
                Operation::Changes(changes) => write_changes(&transaction, changes)?,
                Operation::Replace(snapshot) => replace(&transaction, snapshot)?,
                Operation::Begin(place) => {
                    transaction.open_table(LOG)?.retain(|_, _| false)?;
                    kept = Kept { decided: *place, start: *place, ..Kept::default() };
                    end = *place;
                }
            }
        }
        transaction.open_table(META)?.insert(META_ACCEPTOR, json(&kept).as_slice())?;
        transaction.commit()?;
        (self.kept, self.end) = (kept, end);
        Ok(())
    }

    fn start(database: Database, node: &NodeName, fresh: StoreId) -> Result<(Self, Recovered), StoreError> {
        let transaction = database.begin_write()?;
        let identity = {
            let mut meta = transaction.open_table(META)?;
            let known: Option<Identity> = read_json(&meta, META_IDENTITY)?;
            let mut identity = known.unwrap_or(Identity { format: FORMAT, node: node.clone(), store: fresh, boot: 0 });
            if identity.format != FORMAT {
                return Err(StoreError::Format { found: identity.format });
            }
            if identity.node != *node {
                return Err(StoreError::OtherNode { found: identity.node, expected: node.clone() });
            }
            identity.boot += 1;
            meta.insert(META_IDENTITY, json(&identity).as_slice())?;
            // So that they are there to be read.
            transaction.open_table(LOG)?;
            transaction.open_table(DOCUMENTS)?;
            transaction.open_table(SESSIONS)?;
            identity
        };
        transaction.commit()?;
        let cluster = read(&database)?;
        let acceptor = cluster.as_ref().map(|(_, acceptor)| acceptor.clone()).unwrap_or_default();
        let store = Self { database, end: acceptor.end(), kept: Kept::of(&acceptor) };
        Ok((store, Recovered { store: identity.store, boot: identity.boot, cluster }))
    }
}

/// Whose store it is.
#[derive(Serialize, Deserialize)]
struct Identity {
    format: u32,
    node: NodeName,
    store: StoreId,
    boot: u64,
}

/// What an acceptor keeps beside the entries.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Kept {
    promise: Option<Ballot>,
    accepted_round: Option<Ballot>,
    decided: u64,
    start: u64,
    stop_sign: Option<StopSign>,
}

impl Kept {
    fn of(acceptor: &Acceptor) -> Self {
        Self {
            promise: acceptor.promise,
            accepted_round: acceptor.accepted_round,
            decided: acceptor.decided,
            start: acceptor.start,
            stop_sign: acceptor.stop_sign.clone(),
        }
    }
}

fn append(transaction: &WriteTransaction, index: u64, entries: &[Entry], end: &mut u64) -> Result<(), StoreError> {
    let mut log = transaction.open_table(LOG)?;
    if index < *end {
        log.retain_in(index.., |_, _| false)?;
    }
    for (place, entry) in (index..).zip(entries) {
        log.insert(place, bytes(entry).as_slice())?;
    }
    *end = index + entries.len() as u64;
    Ok(())
}

/// As [`Acceptor`] does it in memory.
fn trim(transaction: &WriteTransaction, place: u64, kept: &mut Kept, end: &mut u64) -> Result<(), StoreError> {
    transaction.open_table(LOG)?.retain_in(..place, |_, _| false)?;
    if place > *end {
        kept.stop_sign = None;
        *end = place;
    }
    kept.start = kept.start.max(place);
    kept.decided = kept.decided.max(place);
    Ok(())
}

fn write_changes(transaction: &WriteTransaction, changes: &StateChanges) -> Result<(), StoreError> {
    let mut documents = transaction.open_table(DOCUMENTS)?;
    for (name, document) in &changes.documents {
        match document {
            Some(document) => documents.insert(name.as_str(), bytes(document).as_slice())?,
            None => documents.remove(name.as_str())?,
        };
    }
    let mut sessions = transaction.open_table(SESSIONS)?;
    for (client, session) in &changes.sessions {
        match session {
            Some(session) => sessions.insert(client.as_u128(), bytes(session).as_slice())?,
            None => sessions.remove(client.as_u128())?,
        };
    }
    transaction.open_table(META)?.insert(META_HEADER, json(&changes.header).as_slice())?;
    Ok(())
}

fn replace(transaction: &WriteTransaction, snapshot: &Snapshot) -> Result<(), StoreError> {
    transaction.open_table(DOCUMENTS)?.retain(|_, _| false)?;
    transaction.open_table(SESSIONS)?.retain(|_, _| false)?;
    write_changes(
        transaction,
        &StateChanges {
            header: snapshot.header.clone(),
            documents: snapshot
                .documents
                .iter()
                .map(|(name, document)| (name.clone(), Some(document.clone())))
                .collect(),
            sessions: snapshot.sessions.iter().map(|(client, session)| (*client, Some(*session))).collect(),
        },
    )
}

/// What is on disk; none before the first state was written.
fn read(database: &Database) -> Result<Option<(Snapshot, Acceptor)>, StoreError> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let Some(header) = read_json::<Header>(&meta, META_HEADER)? else { return Ok(None) };
    let kept: Kept =
        read_json(&meta, META_ACCEPTOR)?.ok_or(StoreError::Damaged { what: "what was promised is missing" })?;
    let mut snapshot = Snapshot { header, documents: [].into(), sessions: [].into() };
    for row in transaction.open_table(DOCUMENTS)?.iter()? {
        let (name, document) = row?;
        let name: Name =
            name.value().parse().map_err(|_| StoreError::Damaged { what: "a document has no proper name" })?;
        snapshot.documents.insert(name, parse(document.value())?);
    }
    for row in transaction.open_table(SESSIONS)?.iter()? {
        let (client, session) = row?;
        snapshot.sessions.insert(ClientId::from(client.value()), parse::<Session>(session.value())?);
    }
    let mut entries = VecDeque::new();
    for (row, expected) in transaction.open_table(LOG)?.iter()?.zip(kept.start..) {
        let (place, entry) = row?;
        if place.value() != expected {
            return Err(StoreError::Damaged { what: "the log has a hole" });
        }
        entries.push_back(parse(entry.value())?);
    }
    let Kept { promise, accepted_round, decided, start, stop_sign } = kept;
    let acceptor = Acceptor { promise, accepted_round, decided, start, entries, stop_sign };
    let membership = &snapshot.header.membership;
    let applied = snapshot.header.revision.0.checked_sub(membership.base.0);
    if decided > acceptor.accepted() || applied.is_none_or(|applied| applied < start || applied > acceptor.end()) {
        return Err(StoreError::Damaged { what: "the state and the log do not belong together" });
    }
    Ok(Some((snapshot, acceptor)))
}

fn read_json<T: DeserializeOwned>(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<T>, StoreError> {
    let Some(row) = meta.get(key)? else { return Ok(None) };
    serde_json::from_slice(row.value()).map(Some).map_err(|_| StoreError::Damaged { what: "a row cannot be read" })
}

/// For what there is one of: people can read it, and fields can be added.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what is kept can be written as JSON")
}

/// For what there are many of.
fn bytes(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("what is kept can be written as bytes")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|_| StoreError::Damaged { what: "a row cannot be read" })
}

const FILE: &str = "px.redb";
const FORMAT: u32 = 1;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const META_IDENTITY: &str = "identity";
const META_ACCEPTOR: &str = "acceptor";
const META_HEADER: &str = "header";
/// Entries by place.
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const DOCUMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("documents");
const SESSIONS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("sessions");

#[cfg(test)]
mod tests;
