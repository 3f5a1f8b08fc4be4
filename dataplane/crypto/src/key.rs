//! AES-128 keys and their expanded form. Both are wiped when dropped, and neither shows its bytes when printed.

use std::fmt;

use aes::Aes128Enc;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::cbc_mac::{Block, Input, absorb};

/// An AES-128 key. Prints as `Key(..)`, cannot be copied or compared, and is wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; Self::LEN]);

impl Key {
    /// Length of a key in bytes.
    pub const LEN: usize = 16;

    /// The key made of `bytes`. Wiping the array it was read into stays with the caller.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes of the key, for those who must store or send it.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Whether the keys are the same. The time taken depends on neither.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// Whether every byte is zero, as in a key that nobody has set. The time taken does not depend on the key.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.ct_eq(&[0; Self::LEN]).into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// An AES-128 key made ready to encrypt: the eleven round keys, expanded once and read for every packet.
///
/// The form of the round keys is private.
#[derive(ZeroizeOnDrop)]
pub struct Schedule(Aes128Enc);

impl Schedule {
    /// Expands `key` (FIPS 197, section 5.2).
    pub fn new(key: &Key) -> Self {
        Self(Aes128Enc::new(&key.0.into()))
    }

    /// The key one level below in a DRKey hierarchy: the CBC-MAC of `input` under this key.
    #[must_use]
    pub fn derive(&self, input: &Input) -> Key {
        let mut key = Key([0; Key::LEN]);
        absorb(self, &mut key.0, input.blocks());
        key
    }

    /// Encrypts one block in place (FIPS 197, section 5.1).
    pub(crate) fn encrypt(&self, block: &mut Block) {
        self.0.encrypt_block(block.into());
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schedule(..)")
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn aes_128_encrypts_the_example_vectors_of_fips_197() {
        for (key, plain, cipher) in [
            // Appendix B
            (
                hex!("2b7e151628aed2a6abf7158809cf4f3c"),
                hex!("3243f6a8885a308d313198a2e0370734"),
                hex!("3925841d02dc09fbdc118597196a0b32"),
            ),
            // Appendix C.1
            (
                hex!("000102030405060708090a0b0c0d0e0f"),
                hex!("00112233445566778899aabbccddeeff"),
                hex!("69c4e0d86a7b0430d8cdb78070b4c55a"),
            ),
        ] {
            let mut block = plain;
            Schedule::new(&Key::from_bytes(key)).encrypt(&mut block);
            assert_eq!(block, cipher);
        }
    }

    #[test]
    fn printing_a_key_or_a_schedule_shows_none_of_its_bytes() {
        let key = Key::from_bytes([0xab; 16]);
        assert_eq!(format!("{key:?} {:?}", Schedule::new(&key)), "Key(..) Schedule(..)");
    }

    #[test]
    fn only_the_key_of_sixteen_zero_bytes_is_zero() {
        assert!(Key::from_bytes([0; 16]).is_zero());
        for position in 0..16 {
            let mut bytes = [0; 16];
            bytes[position] = 1;
            assert!(!Key::from_bytes(bytes).is_zero());
        }
    }

    #[test]
    fn keys_match_only_if_every_byte_does() {
        let key = Key::from_bytes([7; 16]);
        assert!(key.matches(&Key::from_bytes([7; 16])));
        for position in 0..16 {
            let mut bytes = [7; 16];
            bytes[position] ^= 0x80;
            assert!(!key.matches(&Key::from_bytes(bytes)));
        }
    }

    #[test]
    fn keys_and_schedules_are_wiped_when_dropped() {
        fn wiped_on_drop<T: ZeroizeOnDrop>() {}
        wiped_on_drop::<Key>();
        wiped_on_drop::<Schedule>();
        wiped_on_drop::<Aes128Enc>();
    }
}
