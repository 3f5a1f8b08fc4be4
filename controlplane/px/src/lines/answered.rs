//! What came of a line, on its way to the line that says so.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use crate::api::model::Members;
use crate::command::{Document, Generation, Name, Outcome};
use crate::node::{Answer, Changed, Refusal, Reply};

/// A result, on its way to a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered(Map<String, Json>);

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
