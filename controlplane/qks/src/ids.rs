//! Names: of servers, applications, links and streams.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What a name is made of, for all kinds of names.
macro_rules! name {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, min_length = 1, max_length = 255)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotAName;

            fn from_str(text: &str) -> Result<Self, NotAName> {
                check(text).map(|()| Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAName;

            fn try_from(text: String) -> Result<Self, NotAName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A key server, unique in the QKD network: the KME ID of ETSI GS QKD 014, clause 3.1.
    QksId
}
name! {
    /// An application that gets keys, unique in the QKD network: the SAE ID of ETSI GS QKD 014, clause 3.1.
    SaeId
}
name! {
    /// A link between two neighbouring key servers. Both call it by the same name.
    LinkId
}

/// A run of key material of one source, the same bytes at the same places at both ends of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct StreamId(pub Uuid);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAName {
    /// It is empty.
    #[error("a name has at least one character")]
    Empty,
    /// It is too long.
    #[error("a name has at most {LONGEST_NAME} bytes")]
    TooLong,
    /// It could forge a line of a log.
    #[error("a name has no control characters")]
    Control,
}

fn check(text: &str) -> Result<(), NotAName> {
    match text {
        "" => Err(NotAName::Empty),
        _ if text.len() > LONGEST_NAME => Err(NotAName::TooLong),
        _ if text.chars().any(char::is_control) => Err(NotAName::Control),
        _ => Ok(()),
    }
}

/// Bytes in UTF-8.
pub const LONGEST_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_printable_text_is_a_name() {
        for text in ["a", "KME ünïcode/with slash", &"x".repeat(255)] {
            assert_eq!(text.parse::<SaeId>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn empty_long_and_unprintable_texts_are_refused() {
        assert_eq!("".parse::<QksId>(), Err(NotAName::Empty));
        assert_eq!("x".repeat(256).parse::<QksId>(), Err(NotAName::TooLong));
        assert_eq!("a\nb".parse::<QksId>(), Err(NotAName::Control));
        assert!(serde_json::from_str::<QksId>("\"\"").is_err());
    }
}
