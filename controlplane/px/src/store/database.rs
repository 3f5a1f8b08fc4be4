//! The database: the state, and what the acceptor had when the state was written.
//!
//! One transaction with one sync: after a crash it is there whole or not at all, and redb's checksums tell which. All of them are checked
//! when the file is opened. The state is kept by document and client, the log by place; what an acceptor must not forget is one small row.

use std::collections::VecDeque;

use omnipaxos::{ballot_leader_election::Ballot, storage::StopSign};
use redb::{Database as Redb, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::StoreError;
use crate::{
    command::{ClientId, Name},
    membership::{NodeName, StoreId},
    state::{Header, Session, Snapshot, StateChanges},
    storage::{Acceptor, Operation},
};

/// The database.
#[derive(Debug)]
pub(super) struct Database(Redb);

/// Whose store it is.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Identity {
    format: u32,
    node: NodeName,
    pub(super) store: StoreId,
    pub(super) boot: u64,
    /// The key of the journal.
    pub(super) journal: u128,
}

/// What a database has.
pub(super) struct Found {
    /// The state and the log; none before the first state was written.
    pub(super) cluster: Option<(Snapshot, Acceptor)>,
    /// The number of the last batch of the journal that is in it.
    pub(super) last_batch: u64,
}

impl Database {
    /// Checks whose database it is, makes a new one `node`'s, and counts the start.
    pub(super) fn start(
        redb: Redb,
        node: &NodeName,
        fresh: StoreId,
        journal: u128,
    ) -> Result<(Self, Identity), StoreError> {
        let transaction = redb.begin_write()?;
        let identity = {
            let mut meta = transaction.open_table(META)?;
            let known: Option<Identity> = read_json(&meta, META_IDENTITY)?;
            let fresh = Identity { format: FORMAT, node: node.clone(), store: fresh, boot: 0, journal };
            let mut identity = known.unwrap_or(fresh);
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
        Ok((Self(redb), identity))
    }

    /// Does what the operations say about the state, and writes what the acceptor has behind them and behind the batch `last_batch`: all
    /// of it or nothing. Returns when it is on disk.
    pub(super) fn write(
        &mut self,
        operations: &[Operation],
        acceptor: &Acceptor,
        last_batch: u64,
    ) -> Result<(), StoreError> {
        let transaction = self.0.begin_write()?;
        for operation in operations {
            match operation {
                Operation::Changes(changes) => write_changes(&transaction, changes)?,
                Operation::Replace(snapshot) => replace(&transaction, snapshot)?,
                _ => {}
            }
        }
        // Little is left of the log when the state was written.
        transaction.delete_table(LOG)?;
        {
            let mut log = transaction.open_table(LOG)?;
            for (place, entry) in (acceptor.start..).zip(&acceptor.entries) {
                log.insert(place, bytes(entry).as_slice())?;
            }
        }
        let kept = Kept::of(acceptor, last_batch);
        transaction.open_table(META)?.insert(META_ACCEPTOR, json(&kept).as_slice())?;
        transaction.commit()?;
        Ok(())
    }

    /// Everything in it.
    pub(super) fn read(&self) -> Result<Found, StoreError> {
        let transaction = self.0.begin_read()?;
        let meta = transaction.open_table(META)?;
        let kept: Option<Kept> = read_json(&meta, META_ACCEPTOR)?;
        let last_batch = kept.as_ref().map_or(0, |kept| kept.last_batch);
        let Some(header) = read_json::<Header>(&meta, META_HEADER)? else {
            return Ok(Found { cluster: None, last_batch });
        };
        let kept = kept.ok_or(StoreError::Damaged { what: "what was promised is missing" })?;
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
        let Kept { promise, accepted_round, decided, start, stop_sign, .. } = kept;
        let acceptor = Acceptor { promise, accepted_round, decided, start, entries, stop_sign };
        Ok(Found { cluster: Some((snapshot, acceptor)), last_batch })
    }
}

/// What an acceptor keeps beside the entries.
#[derive(Serialize, Deserialize)]
struct Kept {
    promise: Option<Ballot>,
    accepted_round: Option<Ballot>,
    decided: u64,
    start: u64,
    stop_sign: Option<StopSign>,
    last_batch: u64,
}

impl Kept {
    fn of(acceptor: &Acceptor, last_batch: u64) -> Self {
        Self {
            promise: acceptor.promise,
            accepted_round: acceptor.accepted_round,
            decided: acceptor.decided,
            start: acceptor.start,
            stop_sign: acceptor.stop_sign.clone(),
            last_batch,
        }
    }
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

const FORMAT: u32 = 2;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const META_IDENTITY: &str = "identity";
const META_ACCEPTOR: &str = "acceptor";
const META_HEADER: &str = "header";
/// Entries by place.
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const DOCUMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("documents");
const SESSIONS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("sessions");
