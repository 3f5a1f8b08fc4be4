//! How keys are named, and how the key servers find what a name stands for.
//!
//! All keys of one request form an *assignment*. Its id begins with the time at which it was made, in milliseconds, and is random
//! otherwise; and the ID of each of its keys is a UUID that holds that id and the key's place: 14 bytes, with the version and variant bits
//! of a UUIDv8 (RFC 9562, section 5.8) in their places, and two bytes for the index. So 48 bits are the time, 58 are random, and one row of a
//! database stands for all keys of a request. Because of the time, rows that come together lie together, and go together: where ids
//! are random from the first bit on, each row is on a page of its own (RFC 9562, section 5.7, does it for the same reason).
//!
//! An ID is no secret: keys are handed out to those who are named for them, whoever knows the ID.

use std::fmt;

use photongate_wire::UnixNanos;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// All keys that one request got.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AssignmentId([u8; AssignmentId::LENGTH]);

impl AssignmentId {
    /// In bytes.
    pub const LENGTH: usize = 14;

    /// One that no other request has, made at `now`.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn draw(now: UnixNanos) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; Self::LENGTH];
        let (time, random) = bytes.split_at_mut(TIME_BYTES);
        let milliseconds = (now.0 / 1_000_000).to_be_bytes();
        time.copy_from_slice(&milliseconds[milliseconds.len() - TIME_BYTES..]);
        getrandom::fill(random)?;
        Ok(Self::from_bytes(bytes))
    }

    /// Made of any bytes, of which six bits are not used.
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        let mut whole = [0; 16];
        whole[..Self::LENGTH].copy_from_slice(&bytes);
        Self::of_key(Uuid::new_v8(whole)).0
    }

    /// The assignment that a key belongs to, and its index there.
    pub fn of_key(key: Uuid) -> (Self, u16) {
        let bytes = key.as_bytes();
        let id = bytes[..Self::LENGTH].try_into().expect("a UUID is longer");
        (Self(id), u16::from_be_bytes([bytes[14], bytes[15]]))
    }

    /// The ID of its key at `index`.
    pub fn key(self, index: u16) -> Uuid {
        let mut whole = [0; 16];
        whole[..Self::LENGTH].copy_from_slice(&self.0);
        whole[Self::LENGTH..].copy_from_slice(&index.to_be_bytes());
        Uuid::from_bytes(whole)
    }

    /// As it is stored.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl From<[u8; AssignmentId::LENGTH]> for AssignmentId {
    fn from(bytes: [u8; AssignmentId::LENGTH]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for AssignmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AssignmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<AssignmentId> for String {
    fn from(id: AssignmentId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for AssignmentId {
    type Error = photongate_net::secret_file::NotHex;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        photongate_net::secret_file::parse_hex(&text).map(|bytes| Self(*bytes))
    }
}

/// Enough for milliseconds until the year 10889.
const TIME_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_instant_differ_and_those_of_later_ones_come_behind_in_any_form() {
        let [early, late] = [1_000, 2_000].map(|seconds| UnixNanos(seconds * 1_000_000_000));
        let [one, other] = [early; 2].map(|now| AssignmentId::draw(now).unwrap());
        assert_ne!(one, other);
        let later = AssignmentId::draw(late).unwrap();
        assert!(one.max(other) < later);
        assert!(one.max(other).to_string() < later.to_string());
        assert_eq!(one.as_bytes()[..TIME_BYTES], other.as_bytes()[..TIME_BYTES]);
    }

    #[test]
    fn a_key_names_its_assignment_and_its_index() {
        let id = AssignmentId::from_bytes([0xff; 14]);
        for index in [0, 1, 511, u16::MAX] {
            let key = id.key(index);
            assert_eq!((key.get_version_num(), key.get_variant()), (8, uuid::Variant::RFC4122));
            assert_eq!(AssignmentId::of_key(key), (id, index));
        }
    }

    #[test]
    fn an_assignment_is_written_as_hexadecimal_digits() {
        let id = AssignmentId::from_bytes([7; 14]);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<AssignmentId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<AssignmentId>("\"00\"").is_err());
    }
}
