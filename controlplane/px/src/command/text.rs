//! How names, values and client ids are written: as text for people (JSON), as bytes on disk.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{ClientId, Name, Value};

/// A text that is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It has no characters, or too many.
    #[error("a name has 1 to {MAX_NAME} characters, not {characters}")]
    Length {
        /// How many it has.
        characters: usize,
    },
    /// It has a blank or something that cannot be printed.
    #[error("a name has only printable characters without blanks, not {character:?}")]
    Character {
        /// The first such.
        character: char,
    },
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let characters = text.chars().count();
        if !(1..=MAX_NAME).contains(&characters) {
            return Err(BadName::Length { characters });
        }
        match text.chars().find(|character| character.is_whitespace() || character.is_control()) {
            Some(character) => Err(BadName::Character { character }),
            None => Ok(Self(Arc::from(text))),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Base64)
        } else {
            let bytes = bytes::Bytes::deserialize(deserializer)?;
            Self::new(bytes).map_err(de::Error::custom)
        }
    }
}

struct Base64;

impl de::Visitor<'_> for Base64 {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "at most {} bytes in Base64", Value::MAX)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        // Judged by its length first, so that a long text is not decoded in vain.
        if text.len() > Value::MAX.div_ceil(3) * 4 {
            return Err(E::invalid_length(text.len(), &self));
        }
        let bytes = STANDARD.decode(text).map_err(E::custom)?;
        Value::new(bytes).map_err(E::custom)
    }
}

impl Serialize for ClientId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.as_u128().serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            text.parse().map_err(de::Error::custom)
        } else {
            u128::deserialize(deserializer).map(Self::from)
        }
    }
}

/// The most characters that a name may have.
const MAX_NAME: usize = 256;
