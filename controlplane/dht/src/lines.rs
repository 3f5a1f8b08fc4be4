//! What is said on the Unix socket: a JSON object a line, commands in and answers out.
//!
//! `docs/operations/dht.md`, "The socket", describes them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Id;
use crate::fetch::FetchError;
use crate::handle::PutError;
use crate::store::StoreError;

/// One command, and what its answers are to be marked with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Line {
    /// Repeated in each answer.
    #[serde(default)]
    pub(crate) id: Option<Value>,
    /// How often the node is to say that it is at work on it, while it says nothing else.
    #[serde(default)]
    pub(crate) beat_ms: Option<u64>,
    #[serde(flatten)]
    pub(crate) command: Command,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Command {
    /// How the node is.
    Status,
    /// Which nodes it knows.
    Peers,
    /// Which nodes are nearest to an id.
    Lookup { target: Id },
    /// Who has a value.
    Stat { key: Id },
    /// Put a value into the network.
    Put { base64: String },
    /// Ask the nodes nearest to a value that is here to keep it.
    Spread { key: Id },
    /// Wait until so many other nodes have a value: have shown it, or with `verify` false are said to have it.
    Confirm {
        key: Id,
        wanted: usize,
        #[serde(default = "yes")]
        verify: bool,
    },
    /// Fetch a value.
    Value { key: Id },
    /// Fetch the pieces of a file, those from `first` to `last` in `have` left out.
    Get {
        key: Id,
        #[serde(default)]
        have: Vec<Range>,
    },
}

/// Pieces of a file, both ends counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The first.
    pub first: usize,
    /// The last.
    pub last: usize,
}

/// What is said to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer(Map<String, Value>);

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// The answer to one that makes no sense.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, Answer> {
        serde_json::from_slice(line).map_err(|error| Answer::refused("bad_command", error.to_string()))
    }
}

impl Answer {
    /// It was done: the fields of `what`, which is an object.
    pub(crate) fn done(what: impl Serialize) -> Self {
        let fields = serde_json::to_value(what).expect("answers are made of text and numbers");
        let mut answer = Map::from_iter([("ok".to_owned(), json!(true))]);
        if let Value::Object(fields) = fields {
            answer.extend(fields);
        }
        Self(answer)
    }

    /// It was not: a word for programs, and a sentence for people.
    pub(crate) fn refused(error: &str, detail: impl Into<String>) -> Self {
        let fields = [("ok", json!(false)), ("error", json!(error)), ("detail", json!(detail.into()))];
        Self(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The line, for the command that was marked so.
    pub(crate) fn line(mut self, id: Option<&Value>) -> Vec<u8> {
        if let Some(id) = id {
            self.0.insert("id".to_owned(), id.clone());
        }
        let mut line = serde_json::to_vec(&self.0).expect("answers are made of text and numbers");
        line.push(b'\n');
        line
    }
}

impl From<FetchError> for Answer {
    fn from(error: FetchError) -> Self {
        let word = match &error {
            FetchError::Nowhere { .. } => "not_found",
            FetchError::Stalled { .. } => "stalled",
            FetchError::NotAFile(_) => "not_a_file",
            FetchError::GivenUp | FetchError::Stopped(_) => "stopping",
        };
        Self::refused(word, error.to_string())
    }
}

impl From<PutError> for Answer {
    fn from(error: PutError) -> Self {
        let word = match &error {
            PutError::Store(StoreError::TooLong { .. }) => "too_long",
            PutError::Store(StoreError::Full { .. }) => "full",
            PutError::Store(StoreError::Disk { .. }) => "disk",
            PutError::NotHere => "not_here",
            PutError::Stopped(_) => "stopping",
        };
        Self::refused(word, error.to_string())
    }
}

const fn yes() -> bool {
    true
}

/// The longest line: a value in Base64, and a little around it.
pub(crate) const LONGEST_LINE: usize = crate::transfer::LONGEST_VALUE as usize / 3 * 4 + 64 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_with_its_mark() {
        let key = Id::of(b"x");
        let line = format!(r#"{{"op": "get", "key": "{key}", "have": [{{"first": 0, "last": 3}}], "id": 7}}"#);
        let have = vec![Range { first: 0, last: 3 }];
        let command = Command::Get { key, have };
        assert_eq!(Line::parse(line.as_bytes()), Ok(Line { id: Some(json!(7)), beat_ms: None, command }));
        let line = br#"{"op": "status", "beat_ms": 500}"#;
        assert_eq!(Line::parse(line), Ok(Line { id: None, beat_ms: Some(500), command: Command::Status }));
    }

    #[test]
    fn what_makes_no_sense_is_answered() {
        for line in ["", "[]", "{}", r#"{"op": "sing"}"#, r#"{"op": "stat", "key": "short"}"#] {
            let answer = Line::parse(line.as_bytes()).unwrap_err().line(None);
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!((&answer["ok"], &answer["error"]), (&json!(false), &json!("bad_command")), "{line}");
        }
    }

    #[test]
    fn an_answer_has_the_mark_of_its_command() {
        let line = Answer::done(json!({ "size": 3 })).line(Some(&json!("a")));
        let answer: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(answer, json!({ "ok": true, "size": 3, "id": "a" }));
    }
}
