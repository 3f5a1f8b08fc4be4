//! Data keys: what stored material is sealed with, and the bytes that sealing makes.
//!
//! A sealed text is the version (1 byte), the data key's number (4 bytes, big-endian), a random nonce (12 bytes), and what AES-256-GCM
//! makes of the plain text. Version, number and context are authenticated with it.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use super::SecretsError;

/// The bytes of a data key.
pub(crate) type KeyBytes = Zeroizing<[u8; 32]>;

/// A key for AES-256-GCM, ready for use. Wiped when it is dropped.
pub(crate) struct DataKey {
    number: u32,
    key: RandomizedNonceKey,
}

impl DataKey {
    pub(crate) fn new(number: u32, bytes: &KeyBytes) -> Self {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &**bytes).expect("the key has the length of AES-256 keys");
        Self { number, key }
    }

    /// Encrypts `plain`, which can be opened only with the same `context`.
    pub(crate) fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SecretsError> {
        let header = header(self.number);
        seal_behind(&header, &self.key, &associated(&header, context), plain)
    }

    /// Decrypts what a key of this number has sealed.
    pub(crate) fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
        let (header, rest) = sealed.split_first_chunk::<HEADER_LEN>().ok_or(SecretsError::Broken)?;
        open_behind(&self.key, &associated(header, context), rest)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", self.number)
    }
}

/// The number of the data key that `sealed` was sealed with. Whether it really was is known only when it is opened.
pub(crate) fn number_of(sealed: &[u8]) -> Result<u32, SecretsError> {
    match sealed.split_first_chunk::<HEADER_LEN>() {
        Some(([VERSION, number @ ..], _)) => Ok(u32::from_be_bytes(*number)),
        _ => Err(SecretsError::Broken),
    }
}

/// `header`, a random nonce, and what AES-256-GCM makes of `plain` with `associated`.
pub(crate) fn seal_behind(
    header: &[u8],
    key: &RandomizedNonceKey,
    associated: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, SecretsError> {
    let begin = header.len() + NONCE_LEN;
    // Wiped if encryption fails; otherwise no clear text is left in it.
    let mut sealed = Zeroizing::new(Vec::with_capacity(begin + plain.len() + AES_256_GCM.tag_len()));
    sealed.extend_from_slice(header);
    sealed.extend_from_slice(&[0; NONCE_LEN]);
    sealed.extend_from_slice(plain);
    let (nonce, tag) = key
        .seal_in_place_separate_tag(Aad::from(associated), &mut sealed[begin..])
        .map_err(|_| SecretsError::Unavailable("there is no randomness to encrypt with".to_owned()))?;
    sealed[header.len()..begin].copy_from_slice(nonce.as_ref());
    sealed.extend_from_slice(tag.as_ref());
    Ok(std::mem::take(&mut *sealed))
}

/// Opens what [`seal_behind`] has put behind the header.
pub(crate) fn open_behind(
    key: &RandomizedNonceKey,
    associated: &[u8],
    rest: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
    let (nonce, content) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SecretsError::Broken)?;
    let mut plain = Zeroizing::new(content.to_vec());
    let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(associated), &mut plain);
    let length = opened.map_err(|_| SecretsError::Broken)?.len();
    plain.truncate(length);
    Ok(plain)
}

fn header(number: u32) -> [u8; HEADER_LEN] {
    let mut header = [VERSION; HEADER_LEN];
    header[1..].copy_from_slice(&number.to_be_bytes());
    header
}

/// What is authenticated beside the content. The context comes last, so that no two contexts can be taken for one another.
fn associated(header: &[u8; HEADER_LEN], context: &[u8]) -> Vec<u8> {
    [LABEL, header, context].concat()
}

const LABEL: &[u8] = b"photongate sealed material\0";
const VERSION: u8 = 1;
const HEADER_LEN: usize = 5;
