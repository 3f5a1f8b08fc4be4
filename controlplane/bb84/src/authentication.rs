//! The authenticated channel: a one-time message authentication code after Wegman and Carter.
//!
//! "New hash functions and their use in authentication and set equality", JCSS 22 (1981). A message is hashed as a polynomial
//! over GF(2^128) (POLYVAL, RFC 8452 section 3), in a secret point that stays, and the hash is encrypted with key bits that are
//! used once. A forger who has seen any number of messages succeeds with probability at most (blocks of 16 bytes + 1) / 2^64.
//! The message's number enters the hash, and its pad is the next one, so that no message stands for another.

use std::collections::VecDeque;

use polyval::Polyval;
use polyval::universal_hash::UniversalHash;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::bits::Bits;
use crate::random::Random;

/// Proof that a message is of the other end.
pub struct Tag([u8; TAG_LEN]);

impl Tag {
    /// Of these bytes.
    pub fn new(bytes: [u8; TAG_LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes to send.
    pub fn to_bytes(&self) -> [u8; TAG_LEN] {
        self.0
    }

    /// Whether the tags agree; the time taken depends on neither.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Makes the tags of one direction. Both ends hold one for each, and use them in step.
pub struct Authenticator {
    hash: Polyval,
    pads: Pads,
    number: u64,
}

impl Authenticator {
    /// Begins with a hash and pads from `random`, which both ends begin with the same secret seed.
    pub fn new(random: &mut Random) -> Self {
        let mut point = Zeroizing::new([0; 16]);
        random.fill(point.as_mut_slice());
        let mut pads = Zeroizing::new([0; FIRST_PADS]);
        random.fill(pads.as_mut_slice());
        let mut authenticator =
            Self { hash: Polyval::new(&(*point).into()), pads: Pads(VecDeque::with_capacity(FIRST_PADS)), number: 0 };
        authenticator.refill(pads.as_slice());
        authenticator
    }

    /// The number of the next message.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The tag of the next message.
    ///
    /// # Errors
    /// If there is no key left to encrypt it with.
    pub fn tag(&mut self, message: &[u8]) -> Result<Tag, KeyUsedUp> {
        let pad = self.pads.take()?;
        let mut hash = self.hash.clone();
        hash.update_padded(message);
        let mut end = [0; 16];
        end[..8].copy_from_slice(&self.number.to_le_bytes());
        end[8..].copy_from_slice(&(message.len() as u64).to_le_bytes());
        hash.update(&[end.into()]);
        self.number += 1;
        let hash = hash.finalize();
        Ok(Tag(std::array::from_fn(|index| hash[index] ^ pad[index])))
    }

    /// How many bytes of key are missing until there is as much as is kept.
    pub fn missing(&self) -> usize {
        FIRST_PADS.saturating_sub(self.pads.0.len())
    }

    /// Adds key for the tags to come.
    pub fn refill(&mut self, key: &[u8]) {
        self.pads.0.extend(key);
    }
}

/// The hash of a key in a public point, by which the two ends see that theirs are equal. If they are not, the hashes are equal
/// all the same with probability at most (blocks of 128 bits + 1) / 2^64.
pub fn fingerprint(key: &Bits, point: [u8; 16]) -> Tag {
    let mut hash = Polyval::new(&point.into());
    hash.update_padded(&key.to_bytes());
    let mut end = [0; 16];
    end[..8].copy_from_slice(&(key.len() as u64).to_le_bytes());
    hash.update(&[end.into()]);
    let hash = hash.finalize();
    Tag(std::array::from_fn(|index| hash[index]))
}

/// There is no key left to authenticate messages with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key that authenticates messages is used up")]
pub struct KeyUsedUp;

/// Key that is used once, in the order it came.
struct Pads(VecDeque<u8>);

impl Pads {
    fn take(&mut self) -> Result<Zeroizing<[u8; TAG_LEN]>, KeyUsedUp> {
        if self.0.len() < TAG_LEN {
            return Err(KeyUsedUp);
        }
        let mut pad = Zeroizing::new([0; TAG_LEN]);
        for byte in pad.iter_mut() {
            *byte = self.0[0];
            self.0[0] = 0;
            self.0.pop_front();
        }
        Ok(pad)
    }
}

impl Drop for Pads {
    fn drop(&mut self) {
        self.0.make_contiguous().zeroize();
    }
}

/// Bytes of a tag.
pub const TAG_LEN: usize = 8;
/// Bits of a fingerprint.
pub const FINGERPRINT_BITS: usize = TAG_LEN * 8;
/// Bytes of key that are kept for the tags of one direction: enough for hundreds of blocks that yield nothing.
const FIRST_PADS: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Authenticator, Authenticator) {
        let new = || Authenticator::new(&mut Random::from_seed(&[5; 32]));
        (new(), new())
    }

    #[test]
    fn both_ends_make_the_same_tags() {
        let (mut here, mut there) = pair();
        for message in [&b""[..], b"one", b"a longer message that takes more than one block"] {
            assert!(here.tag(message).unwrap().matches(&there.tag(message).unwrap()));
        }
    }

    #[test]
    fn a_message_that_was_changed_repeated_or_cut_has_another_tag() {
        for other in [&b"messagf"[..], b"message\0", b"messag", b""] {
            let (mut here, mut there) = pair();
            assert!(!here.tag(b"message").unwrap().matches(&there.tag(other).unwrap()), "{other:?}");
        }
        let (mut here, mut there) = pair();
        let first = here.tag(b"message").unwrap();
        there.tag(b"message").unwrap();
        assert!(!first.matches(&there.tag(b"message").unwrap()));
    }

    #[test]
    fn key_is_used_once_and_runs_out_until_it_is_refilled() {
        let (mut here, mut there) = pair();
        for _ in 0..FIRST_PADS / TAG_LEN {
            here.tag(b"").unwrap();
            there.tag(b"").unwrap();
        }
        assert_eq!(here.tag(b"").err(), Some(KeyUsedUp));
        assert_eq!(here.missing(), FIRST_PADS);
        here.refill(&[1; 100]);
        there.refill(&[1; 100]);
        assert!(here.tag(b"").unwrap().matches(&there.tag(b"").unwrap()));
    }

    #[test]
    fn fingerprints_tell_keys_apart_that_differ_in_one_bit_or_in_length() {
        let mut random = Random::from_seed(&[6; 32]);
        let key = Bits::random(1000, &mut random);
        assert!(fingerprint(&key, [9; 16]).matches(&fingerprint(&key, [9; 16])));
        for index in [0, 500, 999] {
            let mut other = key.clone();
            other.flip(index);
            assert!(!fingerprint(&key, [9; 16]).matches(&fingerprint(&other, [9; 16])));
        }
        let mut longer = key.clone();
        longer.push(false);
        assert!(!fingerprint(&key, [9; 16]).matches(&fingerprint(&longer, [9; 16])));
    }
}
