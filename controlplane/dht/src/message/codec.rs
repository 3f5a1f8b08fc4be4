//! Datagrams: how a [`Message`] is written as JSON, and what is read as one.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{Answer, Complaint, ErrorReply, Known, Magic, Message, Query, Question, Stored, Token};
use crate::{contact::Contact, id::Id};

impl Message {
    /// Reads a datagram. Fields it does not know are ignored.
    ///
    /// # Errors
    /// [`Malformed`] if it is nothing that could be answered. A query of a kind that does not exist, or without what it needs, is told as
    /// [`Malformed::Refused`], so that it can be.
    pub fn decode(datagram: &[u8]) -> Result<Self, Malformed> {
        if datagram.len() > LARGEST {
            return Err(Malformed::TooLong { bytes: datagram.len() });
        }
        if !is_shallow(datagram) {
            return Err(Malformed::TooDeep);
        }
        let written: Written<'_> = serde_json::from_slice(datagram).map_err(|_| Malformed::NotAMessage)?;
        let magic = written.magic.map(Magic);
        if let Some(text) = written.error {
            return Ok(Self::Error(ErrorReply { magic, complaint: Complaint::of(&text) }));
        }
        let magic = magic.ok_or(Malformed::NotAMessage)?;
        match (written.resp, written.result) {
            (Some(true), Some(result)) => result.answer(magic).map(Self::Answer),
            (None | Some(false), None) => {
                let requestor = written.requestor.ok_or(Malformed::NotAMessage)?;
                let params = written.params.unwrap_or_default();
                let (token, padded) = (params.token, params.pad.is_some());
                let question = params
                    .question(written.kind.as_deref().unwrap_or_default())
                    .map_err(|complaint| Malformed::Refused(ErrorReply { magic: Some(magic), complaint }))?;
                Ok(Self::Query(Query { magic, requestor, question, token, padded }))
            }
            _ => Err(Malformed::NotAMessage),
        }
    }

    /// Writes the datagram.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Query(query) if query.padded => {
                let missing = query.question.padded_bytes().saturating_sub(written(self, Some("")).len());
                written(self, Some(&PADDING[..missing]))
            }
            Self::Query(_) | Self::Answer(_) | Self::Error(_) => written(self, None),
        }
    }
}

fn written(message: &Message, pad: Option<&str>) -> Vec<u8> {
    let written = match message {
        Message::Query(query) => Written {
            magic: Some(query.magic.0),
            requestor: Some(query.requestor),
            kind: Some(Cow::Borrowed(query.question.kind())),
            params: Some(Params::of(query, pad)),
            ..Written::default()
        },
        Message::Answer(answer) => Written {
            magic: Some(answer.magic.0),
            resp: Some(true),
            result: Some(Results::of(answer)),
            ..Written::default()
        },
        Message::Error(error) => Written {
            magic: error.magic.map(|magic| magic.0),
            error: Some(Cow::Owned(error.complaint.to_string())),
            ..Written::default()
        },
    };
    serde_json::to_vec(&written).expect("nothing in a message resists being written")
}

/// Why a datagram is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is longer than [`LARGEST`].
    #[error("it has {bytes} bytes, and a datagram has at most {LARGEST}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Its JSON is nested deeper than any message.
    #[error("it is nested too deeply")]
    TooDeep,
    /// It is not JSON, or no query, answer or error.
    #[error("it is no message")]
    NotAMessage,
    /// It is a query that can only be refused. The reply is shorter than any query.
    #[error("it is a query that cannot be answered: {}", .0.complaint)]
    Refused(ErrorReply),
}

impl Question {
    /// What its `type` is.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Ping => "ping_node",
            Self::FindNode(_) => "find_node",
            Self::FindValue(_) => "find_value",
            Self::StoreValue { .. } => "store_value",
        }
    }

    /// How long a query with this question is made if it is padded.
    #[must_use]
    pub const fn padded_bytes(&self) -> usize {
        match self {
            Self::FindValue(_) => LARGEST.div_ceil(3),
            Self::Ping | Self::FindNode(_) | Self::StoreValue { .. } => PADDED,
        }
    }
}

impl Complaint {
    fn of(text: &str) -> Self {
        KNOWN_COMPLAINTS.into_iter().find(|complaint| complaint.to_string() == text).unwrap_or(Self::Other)
    }
}

/// All that may stand in a message.
#[derive(Default, Serialize, Deserialize)]
struct Written<'d> {
    #[serde(skip_serializing_if = "Option::is_none")]
    magic: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requestor: Option<Contact>,
    #[serde(rename = "type", borrow, skip_serializing_if = "Option::is_none")]
    kind: Option<Cow<'d, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    params: Option<Params<'d>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resp: Option<bool>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    result: Option<Results<'d>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'d, str>>,
}

#[derive(Default, Serialize, Deserialize)]
struct Params<'d> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'d, str>>,
    #[serde(with = "token_digits", default, skip_serializing_if = "Option::is_none")]
    token: Option<Token>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pad: Option<Cow<'d, str>>,
}

impl<'d> Params<'d> {
    fn of(query: &Query, pad: Option<&'d str>) -> Self {
        let (id, size, data) = match &query.question {
            Question::Ping => (None, None, None),
            Question::FindNode(id) | Question::FindValue(id) => (Some(*id), None, None),
            Question::StoreValue { key, size, data } => (Some(*key), Some(*size), data.as_deref()),
        };
        Self { id, size, data: data.map(to_base64), token: query.token, pad: pad.map(Cow::Borrowed) }
    }

    fn question(self, kind: &str) -> Result<Question, Complaint> {
        let missing = Complaint::MissingParameter;
        Ok(match kind {
            "ping_node" => Question::Ping,
            "find_node" => Question::FindNode(self.id.ok_or(missing)?),
            "find_value" => Question::FindValue(self.id.ok_or(missing)?),
            "store_value" => Question::StoreValue {
                key: self.id.ok_or(missing)?,
                size: self.size.ok_or(missing)?,
                data: from_base64(self.data).map_err(|NotBase64| missing)?,
            },
            _ => return Err(Complaint::UnknownType),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Results<'d> {
    id: Id,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<Contact>,
    #[serde(with = "token_digits", default, skip_serializing_if = "Option::is_none")]
    token: Option<Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    providers: Option<Vec<Contact>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'d, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<Stored>,
}

impl Results<'_> {
    fn of(answer: &Answer) -> Self {
        let value = answer.value.as_ref();
        Self {
            id: answer.id,
            nodes: answer.nodes.clone(),
            token: answer.token,
            providers: value.map(|value| value.providers.clone()),
            count: value.map(|value| value.count),
            data: value.and_then(|value| value.data.as_deref()).map(to_base64),
            stored: answer.stored,
        }
    }

    fn answer(self, magic: Magic) -> Result<Answer, Malformed> {
        let data = from_base64(self.data).map_err(|NotBase64| Malformed::NotAMessage)?;
        let value = (self.providers.is_some() || data.is_some()).then(|| {
            let providers = self.providers.unwrap_or_default();
            Known { count: self.count.unwrap_or(providers.len() as u32), providers, data }
        });
        Ok(Answer { magic, id: self.id, nodes: self.nodes, token: self.token, value, stored: self.stored })
    }
}

/// Whether nothing in `json` is nested deeper than [`DEEPEST`]. What is no JSON at all is found out later.
fn is_shallow(json: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    json.iter().all(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth <= DEEPEST
    })
}

/// A token is written as hexadecimal digits.
mod token_digits {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::{Cow, Token};

    pub(super) fn serialize<S: Serializer>(token: &Option<Token>, serializer: S) -> Result<S::Ok, S::Error> {
        let token = token.expect("left out if there is none");
        serializer.collect_str(&format_args!("{:032x}", u128::from_be_bytes(token.0)))
    }

    /// What is no token of ours may be one of another implementation: it is as good as none.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Token>, D::Error> {
        let digits = Option::<Cow<'de, str>>::deserialize(deserializer)?.unwrap_or_default();
        let is_token = digits.len() == 2 * Token::LENGTH && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !is_token {
            return Ok(None);
        }
        let number = u128::from_str_radix(&digits, 16).map_err(de::Error::custom)?;
        Ok(Some(Token(number.to_be_bytes())))
    }
}

struct NotBase64;

fn to_base64<'d>(bytes: &[u8]) -> Cow<'d, str> {
    Cow::Owned(STANDARD.encode(bytes))
}

fn from_base64(text: Option<Cow<'_, str>>) -> Result<Option<Vec<u8>>, NotBase64> {
    text.map(|text| STANDARD.decode(text.as_bytes()).map_err(|_| NotBase64)).transpose()
}

/// Bytes of a datagram.
pub const LARGEST: usize = 1_400;
/// Bytes of a query for nodes that is padded: an answer of seven of them is no longer than three times as much. A query for a value is
/// padded further, so that the answer may fill a datagram.
pub const PADDED: usize = 400;

/// How deeply our own messages are nested is 4.
const DEEPEST: usize = 8;
const PADDING: &str = match str::from_utf8(&[b'.'; LARGEST.div_ceil(3)]) {
    Ok(padding) => padding,
    Err(_) => unreachable!(),
};

const KNOWN_COMPLAINTS: [Complaint; 8] = [
    Complaint::UnknownType,
    Complaint::MissingParameter,
    Complaint::Token,
    Complaint::TooLarge,
    Complaint::WrongHash,
    Complaint::Quota,
    Complaint::Id,
    Complaint::Other,
];
