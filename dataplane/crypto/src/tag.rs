//! Authentication tags, comparable in constant time only.

use std::fmt;

use subtle::ConstantTimeEq;

/// An authentication tag of 16 bytes. Not `PartialEq`, so that no caller can compare it with `==`.
#[derive(Clone, Copy, Default)]
pub struct Tag([u8; Self::LEN]);

impl Tag {
    /// Length of a tag in bytes.
    pub const LEN: usize = 16;

    /// The tag made of `bytes`, as read from a packet.
    #[inline]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes, as they are written into a packet.
    #[inline]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Whether the tags agree; the time taken depends on neither.
    ///
    /// Compared as one number: one byte after the other would take longer than a whole MAC.
    #[inline]
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        u128::from_ne_bytes(self.0).ct_eq(&u128::from_ne_bytes(other.0)).into()
    }
}

/// Hides the bytes: the tag computed for a forged packet would tell the forger what to send.
impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_match_only_when_every_bit_agrees() {
        let tag = Tag::from_bytes(*b"sixteen byte tag");
        assert!(tag.matches(&Tag::from_bytes(*tag.as_bytes())));
        for bit in 0..128 {
            let mut bytes = *tag.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!tag.matches(&Tag::from_bytes(bytes)), "bit {bit}");
        }
    }
}
