//! What the log's commands make: documents by name, and what is remembered of clients so that no command is applied twice.
//!
//! [`State::apply`] depends on nothing but the state and the entry, so equal logs make equal states. The state notes what changed since
//! it was last written to disk ([`State::take_changes`]): a snapshot costs what has changed, not what there is.

mod sessions;

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    command::{Change, ClientId, Command, Document, Entry, Generation, Name, Outcome, Revision, Value},
    digest::Fnv128,
    membership::Membership,
};

pub use sessions::Session;
use sessions::Sessions;

/// Documents and clients, as of one revision.
#[derive(Clone, Debug)]
pub struct State {
    revision: Revision,
    documents: BTreeMap<Name, Arc<Document>>,
    /// The largest generation that a removed document had: a new one begins above it, so that no name sees a generation twice.
    floor: Generation,
    sessions: Sessions,
    changed_documents: Vec<Name>,
    changed_sessions: Vec<ClientId>,
}

impl State {
    /// The state before the first entry. It remembers the `clients` that wrote last; this must be the same number on all nodes.
    #[must_use]
    pub fn new(clients: usize) -> Self {
        Self {
            revision: Revision(0),
            documents: BTreeMap::new(),
            floor: Generation::ABSENT,
            sessions: Sessions::new(clients),
            changed_documents: Vec::new(),
            changed_sessions: Vec::new(),
        }
    }

    /// Applies the entry at the next revision.
    pub fn apply(&mut self, entry: &Entry) -> Applied {
        self.revision = self.revision.next();
        match entry {
            Entry::Barrier(_) => Applied { outcome: None, changed: None },
            Entry::Command(command) => self.apply_command(command),
        }
    }

    /// Passes over a place of the log that changes no document: a change of members.
    pub fn skip(&mut self) {
        self.revision = self.revision.next();
    }

    /// Up to where in the log this is the state.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// A document.
    #[must_use]
    pub fn document(&self, name: &Name) -> Option<&Arc<Document>> {
        self.documents.get(name)
    }

    /// The documents whose names begin with `prefix`, in the order of their names, from behind `after`.
    pub fn list<'s>(
        &'s self,
        prefix: &'s str,
        after: Option<&Name>,
    ) -> impl Iterator<Item = (&'s Name, &'s Arc<Document>)> + use<'s> {
        let from = match after {
            Some(name) => self.documents.range((Excluded(name.clone()), Unbounded)),
            None => self.documents.range::<Name, _>(..),
        };
        from.skip_while(move |(name, _)| name.as_str() < prefix)
            .take_while(move |(name, _)| name.as_str().starts_with(prefix))
    }

    /// How many documents there are.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.documents.len()
    }

    /// How many clients are remembered.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.sessions.len()
    }

    /// A hash over everything: equal on nodes whose revisions are equal. Takes time in proportion to the state.
    #[must_use]
    pub fn digest(&self) -> u128 {
        let mut hash = Fnv128::new();
        hash.number(self.revision.0).number(self.floor.0);
        for (name, document) in &self.documents {
            hash.text(name.as_str()).number(document.generation.0).number(document.revision.0);
            hash.text(&document.author).number(document.time.0).bytes(document.value.as_bytes());
        }
        for (client, session) in self.sessions.iter() {
            hash.bytes(&client.as_u128().to_be_bytes()).number(session.sequence.0).number(session.revision.0);
        }
        hash.finish()
    }

    /// What the disk lacks since this was last called.
    pub fn take_changes(&mut self, membership: &Membership) -> StateChanges {
        self.changed_documents.sort_unstable();
        self.changed_documents.dedup();
        self.changed_sessions.sort_unstable();
        self.changed_sessions.dedup();
        let documents = std::mem::take(&mut self.changed_documents);
        let sessions = std::mem::take(&mut self.changed_sessions);
        StateChanges {
            header: self.header(membership),
            documents: documents
                .into_iter()
                .map(|name| {
                    let document = self.documents.get(&name).cloned();
                    (name, document)
                })
                .collect(),
            sessions: sessions.into_iter().map(|client| (client, self.sessions.get(client).copied())).collect(),
        }
    }

    /// Everything, for a node that has to begin anew.
    #[must_use]
    pub fn snapshot(&self, membership: &Membership) -> Snapshot {
        Snapshot {
            header: self.header(membership),
            documents: self.documents.clone(),
            sessions: self.sessions.iter().map(|(client, session)| (client, *session)).collect(),
        }
    }

    /// The state that `snapshot` was taken of.
    #[must_use]
    pub fn from_snapshot(snapshot: Snapshot, clients: usize) -> Self {
        Self {
            revision: snapshot.header.revision,
            documents: snapshot.documents,
            floor: snapshot.header.floor,
            sessions: Sessions::of(snapshot.sessions, clients),
            changed_documents: Vec::new(),
            changed_sessions: Vec::new(),
        }
    }

    fn header(&self, membership: &Membership) -> Header {
        Header { membership: membership.clone(), revision: self.revision, floor: self.floor }
    }

    fn apply_command(&mut self, command: &Command) -> Applied {
        if let Change::Register { nonce } = command.change {
            let client = ClientId::new(nonce, self.revision);
            if let Some(forgotten) = self.sessions.admit(client, self.revision) {
                self.changed_sessions.push(forgotten);
            }
            self.changed_sessions.push(client);
            return Applied { outcome: Some(Outcome::Registered { client }), changed: None };
        }
        if let Err(outcome) = self.sessions.judge(command.client, command.sequence) {
            return Applied { outcome: Some(outcome), changed: None };
        }
        let (outcome, changed) = match &command.change {
            Change::Put { name, value, expected } => self.put(command, name, value, *expected),
            Change::Delete { name, expected } => self.delete(name, *expected),
            Change::Register { .. } => unreachable!("registrations were dealt with above"),
        };
        self.sessions.note(command.client, command.sequence, outcome, self.revision);
        self.changed_sessions.push(command.client);
        Applied { outcome: Some(outcome), changed }
    }

    fn put(
        &mut self,
        command: &Command,
        name: &Name,
        value: &Value,
        expected: Option<Generation>,
    ) -> (Outcome, Option<ChangedDocument>) {
        let current = self.generation(name);
        if expected.is_some_and(|expected| expected != current) {
            return (Outcome::Conflict { generation: current }, None);
        }
        let before = if current == Generation::ABSENT { self.floor } else { current };
        let document = Arc::new(Document {
            generation: Generation(before.0 + 1),
            revision: self.revision,
            author: Arc::clone(&command.author),
            time: command.time,
            value: value.clone(),
        });
        let outcome = Outcome::Written { generation: document.generation, revision: self.revision };
        self.documents.insert(name.clone(), Arc::clone(&document));
        self.changed_documents.push(name.clone());
        (outcome, Some(ChangedDocument { name: name.clone(), document: Some(document) }))
    }

    fn delete(&mut self, name: &Name, expected: Option<Generation>) -> (Outcome, Option<ChangedDocument>) {
        let current = self.generation(name);
        if expected.is_some_and(|expected| expected != current) {
            return (Outcome::Conflict { generation: current }, None);
        }
        let outcome = Outcome::Deleted { revision: self.revision };
        if self.documents.remove(name).is_none() {
            return (outcome, None);
        }
        self.floor = self.floor.max(current);
        self.changed_documents.push(name.clone());
        (outcome, Some(ChangedDocument { name: name.clone(), document: None }))
    }

    fn generation(&self, name: &Name) -> Generation {
        self.documents.get(name).map_or(Generation::ABSENT, |document| document.generation)
    }
}

/// What an entry did.
#[derive(Clone, Debug)]
pub struct Applied {
    /// What its command is answered; none for a barrier.
    pub outcome: Option<Outcome>,
    /// The document that changed.
    pub changed: Option<ChangedDocument>,
}

/// A document that an entry changed.
#[derive(Clone, Debug)]
pub struct ChangedDocument {
    /// Which one.
    pub name: Name,
    /// What it is now; none if it was removed.
    pub document: Option<Arc<Document>>,
}

/// What belongs to a state beside documents and clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Who votes at that revision.
    pub membership: Membership,
    /// Up to where in the log it is the state.
    pub revision: Revision,
    /// The largest generation that a removed document had.
    pub floor: Generation,
}

/// What changed between two states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChanges {
    /// Of the later state.
    pub header: Header,
    /// The documents that changed, none where one was removed.
    pub documents: Vec<(Name, Option<Arc<Document>>)>,
    /// The clients that changed, none where one was forgotten.
    pub sessions: Vec<(ClientId, Option<Session>)>,
}

/// A whole state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What it is.
    pub header: Header,
    /// All documents.
    pub documents: BTreeMap<Name, Arc<Document>>,
    /// All clients that are remembered.
    pub sessions: BTreeMap<ClientId, Session>,
}

impl Snapshot {
    /// Makes it the later state that `changes` lead to.
    pub fn change(&mut self, changes: StateChanges) {
        self.header = changes.header;
        for (name, document) in changes.documents {
            match document {
                Some(document) => self.documents.insert(name, document),
                None => self.documents.remove(&name),
            };
        }
        for (client, session) in changes.sessions {
            match session {
                Some(session) => self.sessions.insert(client, session),
                None => self.sessions.remove(&client),
            };
        }
    }
}

#[cfg(test)]
mod tests;
