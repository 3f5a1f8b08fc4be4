//! Clients: they register, write and read at one node or another, ask again when they get no answer, and remember what they saw.

use std::collections::BTreeMap;

use crate::{
    command::{Change, ClientId, Generation, Name, Outcome, Sequence, Value},
    node::{Answer, Consistency, Query, Refusal, Reply, Request},
    testing::{
        linearizability::{self, MAX_OPERATIONS, Operation, Told, What},
        random::Random,
    },
};

/// A client that does one thing after the other.
pub(crate) struct Client {
    id: Option<ClientId>,
    sequence: u64,
    /// What it is about.
    doing: Option<Doing>,
    /// The generations it saw last.
    seen: BTreeMap<Name, u64>,
}

struct Doing {
    what: Asked,
    from: u64,
    attempts: u32,
}

#[derive(Clone)]
enum Asked {
    Register,
    Put { name: Name, value: u64, expected: Option<u64> },
    Delete { name: Name, expected: Option<u64> },
    Read { name: Name },
}

/// What all clients did, by document, and the largest revision that anybody was told.
#[derive(Default)]
pub(crate) struct History {
    operations: BTreeMap<Name, Vec<Operation>>,
    next_value: u64,
    /// How many writes and reads were answered.
    pub(crate) answered: usize,
}

/// What a reply means for the client.
pub(crate) enum Next {
    /// It goes on to something new.
    Something,
    /// It asks again, at another node.
    Again,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self { id: None, sequence: 0, doing: None, seen: BTreeMap::new() }
    }

    /// What it asks now: something new, or the same again.
    pub(crate) fn ask(&mut self, now: u64, history: &mut History, random: &mut Random) -> Request {
        if self.doing.is_none() {
            let what = self.choose(history, random);
            if !matches!(what, Asked::Read { .. }) {
                self.sequence += 1;
            }
            self.doing = Some(Doing { what, from: now, attempts: 0 });
        }
        let doing = self.doing.as_mut().expect("it was just set");
        doing.attempts += 1;
        let change = match &doing.what {
            Asked::Read { name } => {
                let query = Query::Document(name.clone());
                return Request::Read { query, consistency: Consistency::Linearizable };
            }
            Asked::Register => Change::Register { nonce: random.next() },
            Asked::Put { name, value, expected } => Change::Put {
                name: name.clone(),
                value: Value::new(value.to_be_bytes().to_vec()).expect("eight bytes are few"),
                expected: expected.map(Generation),
            },
            Asked::Delete { name, expected } => {
                Change::Delete { name: name.clone(), expected: expected.map(Generation) }
            }
        };
        let client = self.id.unwrap_or(ClientId::from(0));
        Request::Write { client, sequence: Sequence(self.sequence), author: "client".into(), change }
    }

    fn choose(&self, history: &mut History, random: &mut Random) -> Asked {
        if self.id.is_none() {
            return Asked::Register;
        }
        let mut name: Name = ["a", "b", "c"][random.index(3)].parse().expect("short names are names");
        if history.operations.get(&name).is_some_and(|operations| operations.len() >= MAX_OPERATIONS / 2) {
            name = format!("{name}{}", history.next_value / 64).parse().expect("short names are names");
        }
        let expected = match random.index(4) {
            0 => self.seen.get(&name).copied(),
            1 => Some(random.within(0..4)),
            _ => None,
        };
        match random.index(10) {
            0 => Asked::Delete { name, expected },
            1..=4 => Asked::Read { name },
            _ => {
                history.next_value += 1;
                Asked::Put { name, value: history.next_value, expected }
            }
        }
    }

    /// The client as it goes on after `reply`; none stands for no reply in time. Says what command was acknowledged, and how.
    pub(crate) fn told(
        &mut self,
        reply: Option<Reply>,
        now: u64,
        history: &mut History,
    ) -> (Next, Option<(ClientId, Sequence, Outcome)>) {
        let Some(doing) = &self.doing else { return (Next::Something, None) };
        match reply {
            Some(Reply::Done(outcome)) => {
                let acknowledged = self.id.map(|client| (client, Sequence(self.sequence), outcome));
                self.done(outcome, now, history);
                (Next::Something, acknowledged)
            }
            Some(Reply::Read { answer: Answer::Document(document), .. }) => {
                let seen = document.map(|document| (number(&document.value), document.generation.0));
                let doing = self.doing.take().expect("it was there just now");
                if let Asked::Read { name } = doing.what {
                    self.seen.insert(name.clone(), seen.map_or(0, |(_, generation)| generation));
                    let what = What::Read { seen };
                    history.note(name, Operation { from: doing.from, to: Some(now), what });
                }
                (Next::Something, None)
            }
            Some(Reply::Refused(refusal)) if refusal != Refusal::Unknown && doing.attempts == 1 => {
                // Nothing was done. It does something else.
                self.doing = None;
                (Next::Something, None)
            }
            _ if doing.attempts > MAX_ATTEMPTS => {
                self.give_up(history);
                (Next::Something, None)
            }
            _ => (Next::Again, None),
        }
    }

    fn done(&mut self, outcome: Outcome, now: u64, history: &mut History) {
        let Some(doing) = self.doing.take() else { return };
        let told = match outcome {
            Outcome::Registered { client } => {
                self.id = Some(client);
                self.sequence = 0;
                return;
            }
            Outcome::Written { generation, .. } => Told::Done { generation: generation.0 },
            Outcome::Deleted { .. } => Told::Done { generation: 0 },
            Outcome::Conflict { generation } => Told::Conflict { generation: generation.0 },
            Outcome::UnknownClient | Outcome::Superseded => {
                // It may have been done before the client was forgotten.
                self.doing = Some(doing);
                self.give_up(history);
                self.id = None;
                return;
            }
        };
        let (name, what) = match doing.what {
            Asked::Put { name, value, expected } => (name, What::Put { value, expected, told: Some(told) }),
            Asked::Delete { name, expected } => (name, What::Delete { expected, told: Some(told) }),
            Asked::Register | Asked::Read { .. } => return,
        };
        let (Told::Done { generation } | Told::Conflict { generation }) = told;
        self.seen.insert(name.clone(), generation);
        history.note(name, Operation { from: doing.from, to: Some(now), what });
    }

    /// It does not wait for an answer any more: what it asked may still be done.
    pub(crate) fn give_up(&mut self, history: &mut History) {
        let Some(doing) = self.doing.take() else { return };
        let (name, what) = match doing.what {
            Asked::Put { name, value, expected } => (name, What::Put { value, expected, told: None }),
            Asked::Delete { name, expected } => (name, What::Delete { expected, told: None }),
            Asked::Register | Asked::Read { .. } => return,
        };
        history.note(name, Operation { from: doing.from, to: None, what });
    }
}

impl History {
    fn note(&mut self, name: Name, operation: Operation) {
        self.answered += usize::from(operation.to.is_some());
        self.operations.entry(name).or_default().push(operation);
    }

    /// The first document of which no order of things explains what was seen.
    pub(crate) fn unexplained(&self) -> Option<(&Name, &[Operation])> {
        let mut unexplained = self.operations.iter().filter(|(_, operations)| {
            assert!(operations.len() <= MAX_OPERATIONS, "the clients take another document before it becomes too many");
            !linearizability::is_linearizable(operations)
        });
        unexplained.next().map(|(name, operations)| (name, operations.as_slice()))
    }
}

fn number(value: &Value) -> u64 {
    let bytes = value.as_bytes().as_ref().try_into().expect("all values here have eight bytes");
    u64::from_be_bytes(bytes)
}

/// So many nodes a client asks before it gives up.
const MAX_ATTEMPTS: u32 = 6;
