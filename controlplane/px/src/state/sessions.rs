//! What is remembered of clients: the number and the outcome of each one's last command.
//!
//! Bounded: when one too many is let in, the one whose last command is the oldest is forgotten. Which one that is follows from the log
//! alone, so all nodes forget the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::command::{ClientId, Outcome, Revision, Sequence};

/// What is remembered of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The largest number of its commands that were applied.
    pub sequence: Sequence,
    /// What came of that command; none if the client only registered.
    pub outcome: Option<Outcome>,
    /// Where in the log that was.
    pub revision: Revision,
}

#[derive(Clone, Debug)]
pub(super) struct Sessions {
    limit: usize,
    by_client: BTreeMap<ClientId, Session>,
    by_age: BTreeMap<Revision, ClientId>,
}

impl Sessions {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, by_client: BTreeMap::new(), by_age: BTreeMap::new() }
    }

    pub(super) fn of(by_client: BTreeMap<ClientId, Session>, limit: usize) -> Self {
        let by_age = by_client.iter().map(|(client, session)| (session.revision, *client)).collect();
        Self { limit, by_client, by_age }
    }

    /// Lets a client in. Says who was forgotten for it.
    pub(super) fn admit(&mut self, client: ClientId, revision: Revision) -> Option<ClientId> {
        let forgotten = (self.by_client.len() >= self.limit).then(|| self.by_age.pop_first()).flatten();
        let forgotten = forgotten.map(|(_, client)| client);
        if let Some(client) = forgotten {
            self.by_client.remove(&client);
        }
        self.by_client.insert(client, Session { sequence: Sequence(0), outcome: None, revision });
        self.by_age.insert(revision, client);
        forgotten
    }

    /// Whether a command of this number is new. If not, what it is answered.
    pub(super) fn judge(&self, client: ClientId, sequence: Sequence) -> Result<(), Outcome> {
        let session = self.by_client.get(&client).ok_or(Outcome::UnknownClient)?;
        if sequence > session.sequence {
            return Ok(());
        }
        let again = session.outcome.filter(|_| sequence == session.sequence);
        Err(again.unwrap_or(Outcome::Superseded))
    }

    /// Remembers the outcome of a command that [`Self::judge`] found new.
    pub(super) fn note(&mut self, client: ClientId, sequence: Sequence, outcome: Outcome, revision: Revision) {
        let session = self.by_client.get_mut(&client).expect("only commands of known clients are applied");
        self.by_age.remove(&session.revision);
        *session = Session { sequence, outcome: Some(outcome), revision };
        self.by_age.insert(revision, client);
    }

    pub(super) fn get(&self, client: ClientId) -> Option<&Session> {
        self.by_client.get(&client)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, &Session)> {
        self.by_client.iter().map(|(client, session)| (*client, session))
    }

    pub(super) fn len(&self) -> usize {
        self.by_client.len()
    }
}
