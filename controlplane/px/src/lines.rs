//! Commands and results as lines of JSON: what the named pipe, the Unix socket and `photongate px` speak.
//!
//! A line is an object with the field `op`, and `id` if the caller wants one back. Its result is an object with that `id`, with
//! `"ok": true` and what came of it, or with `"ok": false`, a word in `error` that programs can decide by, and words for people in
//! `detail`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;

use crate::api::model::Members;
use crate::command::{Change, ClientId, Document, Generation, Name, Outcome, Revision, Sequence, Value};
use crate::node::{Answer, Changed, Consistency, Query, Refusal, Reply, Request};

/// What one line asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// To write a document.
    Put {
        /// Comes back with the result.
        id: Option<Json>,
        /// Which document.
        name: Name,
        /// What it is to say, if that is text.
        value: Option<String>,
        /// What it is to say, any bytes.
        base64: Option<String>,
        /// Only if it has this generation; 0: only if there is none.
        expected: Option<u64>,
        /// Who asks, if the caller counts its commands itself.
        client: Option<ClientId>,
        /// The number of the command among those of the client.
        sequence: Option<u64>,
    },
    /// To remove a document.
    Delete {
        /// As for `put`.
        id: Option<Json>,
        /// As for `put`.
        name: Name,
        /// As for `put`.
        expected: Option<u64>,
        /// As for `put`.
        client: Option<ClientId>,
        /// As for `put`.
        sequence: Option<u64>,
    },
    /// To read a document.
    Get {
        /// As for `put`.
        id: Option<Json>,
        /// As for `put`.
        name: Name,
        /// Whether whatever the node knows will do.
        #[serde(default)]
        stale: bool,
    },
    /// To read several documents.
    List {
        /// As for `put`.
        id: Option<Json>,
        /// With which their names begin.
        #[serde(default)]
        prefix: String,
        /// Only those behind this name.
        after: Option<Name>,
        /// At most so many.
        limit: Option<usize>,
        /// As for `get`.
        #[serde(default)]
        stale: bool,
    },
    /// To see changes as they happen.
    Watch {
        /// As for `put`.
        id: Option<Json>,
        /// As for `list`.
        #[serde(default)]
        prefix: String,
        /// Behind this revision; from now on if it is left out.
        from: Option<u64>,
    },
    /// To wait until this node knows all that was acknowledged before.
    Barrier {
        /// As for `put`.
        id: Option<Json>,
    },
    /// To be known as a client that counts its commands itself.
    Register {
        /// As for `put`.
        id: Option<Json>,
    },
    /// How the node is.
    Status {
        /// As for `put`.
        id: Option<Json>,
    },
    /// To change who the members are.
    Member {
        /// As for `put`.
        id: Option<Json>,
        /// What is to be done.
        change: MemberWord,
        /// The name of the node.
        name: String,
    },
}

/// What can be done about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemberWord {
    /// It joins.
    Add,
    /// It leaves.
    Remove,
    /// It has lost its disk, and joins with the one it has now.
    Replace,
}

/// What commands have in common that must keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order<'o> {
    /// They are commands of one client.
    Client(ClientId),
    /// They are about one document.
    Document(&'o Name),
}

/// A result, on its way to a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered(Map<String, Json>);

/// What a line asks a node, in the node's terms.
#[derive(Debug)]
pub enum Asked {
    /// A change, counted by the caller or not.
    Write {
        /// Whose command it is by the caller's count, and its number there.
        counted: Option<(ClientId, Sequence)>,
        /// What changes.
        change: Change,
    },
    /// Anything else that the node answers.
    Request(Request),
    /// Changes from a revision on.
    Watch {
        /// With which names begin.
        prefix: String,
        /// Behind which revision.
        from: Option<Revision>,
    },
    /// How the node is.
    Status,
    /// To change the members.
    Member(MemberWord, String),
}

impl Operation {
    /// Reads a line.
    ///
    /// # Errors
    /// A result that says what is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, Answered> {
        serde_json::from_slice(line).map_err(|error| {
            // The identity is told if the line has one that can be found, so that the caller knows which line it was.
            let id = serde_json::from_slice::<Json>(line).ok().and_then(|json| json.get("id").cloned());
            Answered::refused("bad_command", format!("this is no command: {error}")).with_id(id)
        })
    }

    /// What comes back with the result.
    pub fn take_id(&mut self) -> Option<Json> {
        match self {
            Self::Put { id, .. }
            | Self::Delete { id, .. }
            | Self::Get { id, .. }
            | Self::List { id, .. }
            | Self::Watch { id, .. }
            | Self::Barrier { id }
            | Self::Register { id }
            | Self::Status { id }
            | Self::Member { id, .. } => id.take(),
        }
    }

    /// What it asks a node.
    ///
    /// # Errors
    /// A result that says what is wrong with it.
    pub fn asks(self) -> Result<Asked, Answered> {
        Ok(match self {
            Self::Put { name, value, base64, expected, client, sequence, .. } => {
                let value = bytes(value, base64)?;
                let change = Change::Put { name, value, expected: expected.map(Generation) };
                Asked::Write { counted: counted(client, sequence)?, change }
            }
            Self::Delete { name, expected, client, sequence, .. } => {
                let change = Change::Delete { name, expected: expected.map(Generation) };
                Asked::Write { counted: counted(client, sequence)?, change }
            }
            Self::Get { name, stale, .. } => read(Query::Document(name), stale),
            Self::List { prefix, after, limit, stale, .. } => {
                let limit = limit.unwrap_or(MOST_LISTED).min(MOST_LISTED);
                read(Query::List { prefix, after, limit }, stale)
            }
            Self::Barrier { .. } => read(Query::List { prefix: String::new(), after: None, limit: 0 }, false),
            Self::Watch { prefix, from, .. } => Asked::Watch { prefix, from: from.map(Revision) },
            Self::Register { .. } => {
                let nonce = getrandom::u64().unwrap_or_default();
                let change = Change::Register { nonce };
                Asked::Write { counted: Some((ClientId::from(0), Sequence(0))), change }
            }
            Self::Status { .. } => Asked::Status,
            Self::Member { change, name, .. } => Asked::Member(change, name),
        })
    }

    /// Commands for which this is the same must keep their order: those of a client that counts them, or about a document.
    pub fn order(&self) -> Option<Order<'_>> {
        match self {
            Self::Put { client: Some(client), .. } | Self::Delete { client: Some(client), .. } => {
                Some(Order::Client(*client))
            }
            Self::Put { name, .. } | Self::Delete { name, .. } | Self::Get { name, .. } => Some(Order::Document(name)),
            Self::List { .. }
            | Self::Watch { .. }
            | Self::Barrier { .. }
            | Self::Register { .. }
            | Self::Status { .. }
            | Self::Member { .. } => None,
        }
    }
}

impl Answered {
    /// It worked, and this came of it.
    pub fn done(fields: Json) -> Self {
        let mut map = Map::from_iter([("ok".to_owned(), Json::Bool(true))]);
        if let Json::Object(fields) = fields {
            map.extend(fields);
        }
        Self(map)
    }

    /// It did not, for a reason that programs know by `error`.
    pub fn refused(error: &str, detail: impl Into<String>) -> Self {
        let map = [("ok", Json::Bool(false)), ("error", error.into()), ("detail", detail.into().into())];
        Self(map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The answer of a node.
    pub fn to(reply: Reply) -> Self {
        match reply {
            Reply::Done(outcome) => outcome_fields(outcome),
            Reply::Read { answer, revision, age_ticks } => {
                let mut answered = match answer {
                    Answer::Document(Some(document)) => Self::done(document_fields(None, &document)),
                    Answer::Document(None) => Self::refused("not_found", "there is no document of this name"),
                    Answer::List(documents) => {
                        let documents: Vec<_> =
                            documents.iter().map(|(name, document)| document_fields(Some(name), document)).collect();
                        Self::done(json!({ "documents": documents }))
                    }
                };
                answered.set("known_up_to", json!(revision));
                if let Some(age) = age_ticks {
                    answered.set("age_ticks", json!(age));
                }
                answered
            }
            Reply::MembersChanged(membership) => {
                Self::done(serde_json::to_value(Members::from(&membership)).expect("members are made of text"))
            }
            Reply::Refused(refusal) => Self::refused(refusal_word(&refusal), refusal.to_string()),
        }
    }

    /// Gives it what the line brought for this.
    #[must_use]
    pub fn with_id(mut self, id: Option<Json>) -> Self {
        if let Some(id) = id {
            self.set("id", id);
        }
        self
    }

    /// One more field.
    pub fn set(&mut self, name: &str, value: Json) {
        self.0.insert(name.to_owned(), value);
    }

    /// Whether it worked.
    pub fn is_ok(&self) -> bool {
        self.0.get("ok") == Some(&Json::Bool(true))
    }

    /// The fields.
    pub fn into_json(self) -> Json {
        Json::Object(self.0)
    }

    /// The line, its end included.
    pub fn into_line(self) -> Vec<u8> {
        let mut line = self.into_json().to_string().into_bytes();
        line.push(b'\n');
        line
    }
}

/// A document as the fields of an object.
pub fn document_fields(name: Option<&Name>, document: &Document) -> Json {
    let mut fields = json!({
        "generation": document.generation,
        "revision": document.revision,
        "author": document.author,
        "time_ms": document.time,
    });
    if let Some(name) = name {
        fields["name"] = json!(name);
    }
    match std::str::from_utf8(document.value.as_bytes()) {
        Ok(text) => fields["value"] = json!(text),
        Err(_) => fields["base64"] = json!(STANDARD.encode(document.value.as_bytes())),
    }
    fields
}

/// A change that a watch saw, as an object.
pub fn changed_fields(changed: &Changed) -> Json {
    match &changed.document {
        Some(document) => {
            let mut fields = document_fields(Some(&changed.name), document);
            fields["change"] = "put".into();
            fields
        }
        None => json!({ "change": "delete", "name": changed.name, "revision": changed.revision }),
    }
}

/// The word that programs know a refusal by.
pub fn refusal_word(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Busy => "busy",
        Refusal::NotAMember => "not_a_member",
        Refusal::Stopping => "stopping",
        Refusal::Unknown => "unknown",
        Refusal::NoMajority => "no_majority",
        Refusal::Members(_) => "bad_member_change",
    }
}

fn outcome_fields(outcome: Outcome) -> Answered {
    match outcome {
        Outcome::Registered { client } => Answered::done(json!({ "client": client })),
        Outcome::Written { generation, revision } => {
            Answered::done(json!({ "generation": generation, "revision": revision }))
        }
        Outcome::Deleted { revision } => Answered::done(json!({ "revision": revision })),
        Outcome::Conflict { generation } => {
            let detail = match generation {
                Generation::ABSENT => "there is no such document: nothing was changed".to_owned(),
                generation => format!("the document has generation {generation}: nothing was changed"),
            };
            let mut answered = Answered::refused("conflict", detail);
            answered.set("generation", json!(generation));
            answered
        }
        Outcome::UnknownClient => {
            Answered::refused("unknown_client", "the client is not known (any more): register, and count from 1 again")
        }
        Outcome::Superseded => {
            Answered::refused("superseded", "a command of this client with a larger number was applied before")
        }
    }
}

fn read(query: Query, stale: bool) -> Asked {
    let consistency = if stale { Consistency::Stale } else { Consistency::Linearizable };
    Asked::Request(Request::Read { query, consistency })
}

fn bytes(value: Option<String>, base64: Option<String>) -> Result<Value, Answered> {
    let bytes = match (value, base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(base64)) => {
            STANDARD.decode(base64).map_err(|error| Answered::refused("bad_command", format!("base64: {error}")))?
        }
        (None, None) => return Err(Answered::refused("bad_command", "there is neither value nor base64")),
        (Some(_), Some(_)) => {
            return Err(Answered::refused("bad_command", "there are both value and base64: keep one"));
        }
    };
    Value::new(bytes).map_err(|error| Answered::refused("bad_command", error.to_string()))
}

fn counted(client: Option<ClientId>, sequence: Option<u64>) -> Result<Option<(ClientId, Sequence)>, Answered> {
    match (client, sequence) {
        (None, None) => Ok(None),
        (Some(client), Some(sequence)) => Ok(Some((client, Sequence(sequence)))),
        _ => Err(Answered::refused("bad_command", "client and sequence belong together: give both, or none")),
    }
}

/// The author that a command gets: an [`Arc`], as many commands have the same.
pub fn author(name: &str) -> Arc<str> {
    name.into()
}

/// The longest line, in bytes: the longest value, every byte of it escaped, and some more.
pub const LONGEST_LINE: usize = 6 * Value::MAX + 4_096;

/// Documents that one answer may have. The next ones can be asked for.
pub const MOST_LISTED: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_with_its_fields() {
        let line = br#"{"op":"put","name":"a","value":"text","expected":3,"id":[1]}"#;
        let mut operation = Operation::parse(line).unwrap();
        assert_eq!(operation.take_id(), Some(json!([1])));
        let Asked::Write { counted: None, change: Change::Put { name, value, expected } } = operation.asks().unwrap()
        else {
            panic!("it is a put that nobody counts");
        };
        assert_eq!((name.as_str(), &value.as_bytes()[..], expected), ("a", &b"text"[..], Some(Generation(3))));
    }

    #[test]
    fn what_is_no_command_is_refused_with_its_reason_and_identity() {
        for (line, detail) in [
            (r#"{"op":"put","name":"a b","value":"","id":7}"#, "without blanks"),
            (r#"{"op":"put","name":"a","valu":"","id":7}"#, "unknown field `valu`"),
            (r#"{"op":"fly","id":7}"#, "unknown variant `fly`"),
            (r#"{"op":"delete","id":7}"#, "missing field `name`"),
        ] {
            let refused = Operation::parse(line.as_bytes()).unwrap_err().into_json();
            assert_eq!(
                (&refused["ok"], &refused["error"], &refused["id"]),
                (&json!(false), &json!("bad_command"), &json!(7))
            );
            assert!(refused["detail"].as_str().unwrap().contains(detail), "{refused}");
        }
        assert_eq!(Operation::parse(b"garbage").unwrap_err().into_json().get("id"), None);
    }

    #[test]
    fn fields_that_contradict_each_other_are_refused() {
        for (line, detail) in [
            (r#"{"op":"put","name":"a"}"#, "neither value nor base64"),
            (r#"{"op":"put","name":"a","value":"","base64":""}"#, "both value and base64"),
            (r#"{"op":"put","name":"a","base64":"?"}"#, "base64: "),
            (r#"{"op":"delete","name":"a","sequence":1}"#, "client and sequence belong together"),
        ] {
            let refused = Operation::parse(line.as_bytes()).unwrap().asks().unwrap_err().into_json();
            assert!(refused["detail"].as_str().unwrap().contains(detail), "{line}: {refused}");
        }
    }

    #[test]
    fn results_are_lines_that_programs_can_decide_by() {
        let written = Reply::Done(Outcome::Written { generation: Generation(2), revision: Revision(9) });
        let line = Answered::to(written).with_id(Some(json!("a"))).into_line();
        assert_eq!(String::from_utf8(line).unwrap(), "{\"generation\":2,\"id\":\"a\",\"ok\":true,\"revision\":9}\n");
        let conflict = Answered::to(Reply::Done(Outcome::Conflict { generation: Generation(2) })).into_json();
        assert_eq!((&conflict["error"], &conflict["generation"]), (&json!("conflict"), &json!(2)));
        let busy = Answered::to(Reply::Refused(Refusal::Busy)).into_json();
        assert_eq!(busy["error"], "busy");
    }

    #[test]
    fn a_value_that_is_no_text_is_told_in_base64() {
        let mut document = Document {
            generation: Generation(1),
            revision: Revision(1),
            author: author("ops"),
            time: crate::command::UnixMillis(5),
            value: Value::new(vec![0xff]).unwrap(),
        };
        assert_eq!(document_fields(None, &document)["base64"], "/w==");
        document.value = Value::new("ü".as_bytes().to_vec()).unwrap();
        assert_eq!(document_fields(None, &document)["value"], "ü");
    }
}
