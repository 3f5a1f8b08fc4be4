//! The embedded guard: a master key that the operator keeps, in a file, a credential, or the mind.
//!
//! A wrapped key is a header, and behind it nonce and ciphertext as in `data_key`. The header says how the master key is known: by an
//! identifier of the key, or by the salt that makes it from the passphrase. Header and number are authenticated.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

use super::data_key::{KeyBytes, open_behind, seal_behind};
use super::guard::Guard;
use super::{Sealing, SecretsError};

/// What the operator keeps: a key of 32 bytes, or a passphrase that one is made from.
pub enum Master {
    /// The key itself.
    Key(Zeroizing<[u8; 32]>),
    /// A passphrase of at least [`SHORTEST_PASSPHRASE`] characters.
    Passphrase(Zeroizing<String>),
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key(..)",
            Self::Passphrase(_) => "Passphrase(..)",
        })
    }
}

/// Wraps data keys with the first master, and unwraps those of the others, too.
#[derive(Debug)]
pub(crate) struct MasterKeys(Arc<Vec<Wrapper>>);

impl MasterKeys {
    /// `previous` are those that were in force before.
    pub(crate) fn new(current: Master, previous: Vec<Master>) -> Self {
        Self(Arc::new([current].into_iter().chain(previous).map(Wrapper::new).collect()))
    }
}

impl Guard for MasterKeys {
    fn wrap<'g>(&'g self, number: u32, key: &'g KeyBytes) -> Sealing<'g, Vec<u8>> {
        let (wrappers, key) = (Arc::clone(&self.0), key.clone());
        Box::pin(aside(move || wrappers[0].wrap(number, &key)))
    }

    fn unwrap<'g>(&'g self, number: u32, wrapped: &'g [u8]) -> Sealing<'g, KeyBytes> {
        let (wrappers, wrapped) = (Arc::clone(&self.0), wrapped.to_vec());
        Box::pin(aside(move || {
            let mut outcomes = wrappers.iter().map(|wrapper| wrapper.unwrap(number, &wrapped));
            outcomes.find_map(Result::ok).ok_or_else(|| {
                tracing::error!(
                    number,
                    "a data key was wrapped by another master key: bring that one back as a previous one"
                );
                SecretsError::Broken
            })
        }))
    }
}

/// To make a key from a passphrase takes long enough to hold up others.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SecretsError> + Send + 'static,
) -> Result<T, SecretsError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(SecretsError::Unavailable("the server is ending".to_owned())))
}

enum Wrapper {
    Key {
        header: [u8; KEY_HEADER_LEN],
        key: RandomizedNonceKey,
    },
    Passphrase {
        passphrase: Zeroizing<String>,
        made: Mutex<HashMap<[u8; PASSPHRASE_HEADER_LEN], Arc<RandomizedNonceKey>>>,
    },
}

impl fmt::Debug for Wrapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key { .. } => "Key(..)",
            Self::Passphrase { .. } => "Passphrase(..)",
        })
    }
}

impl Wrapper {
    fn new(master: Master) -> Self {
        match master {
            Master::Key(bytes) => {
                let labelled = Zeroizing::new([ID_LABEL, bytes.as_slice()].concat());
                let mut header = [BY_KEY; KEY_HEADER_LEN];
                header[1..].copy_from_slice(&digest(&SHA256, &labelled).as_ref()[..KEY_HEADER_LEN - 1]);
                Self::Key { header, key: aes(&bytes) }
            }
            Master::Passphrase(passphrase) => Self::Passphrase { passphrase, made: Mutex::default() },
        }
    }

    fn wrap(&self, number: u32, data_key: &KeyBytes) -> Result<Vec<u8>, SecretsError> {
        match self {
            Self::Key { header, key } => seal_behind(header, key, &associated(header, number), data_key.as_slice()),
            Self::Passphrase { passphrase, made } => {
                let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
                let strong = made.keys().find(|header| header[1..5] == ITERATIONS.to_be_bytes());
                let header = strong.copied().map_or_else(new_header, Ok)?;
                let key = remembered(&mut made, passphrase, header)?;
                drop(made);
                seal_behind(&header, &key, &associated(&header, number), data_key.as_slice())
            }
        }
    }

    fn unwrap(&self, number: u32, wrapped: &[u8]) -> Result<KeyBytes, SecretsError> {
        let opened = match self {
            Self::Key { header, key } => {
                let rest = wrapped.strip_prefix(header).ok_or(SecretsError::Broken)?;
                open_behind(key, &associated(header, number), rest)?
            }
            Self::Passphrase { passphrase, made } => {
                let (header, rest) = wrapped.split_first_chunk().ok_or(SecretsError::Broken)?;
                let key = remembered(&mut made.lock().unwrap_or_else(PoisonError::into_inner), passphrase, *header)?;
                open_behind(&key, &associated(header, number), rest)?
            }
        };
        let bytes: &[u8; 32] = opened.as_slice().try_into().map_err(|_| SecretsError::Broken)?;
        Ok(Zeroizing::new(*bytes))
    }
}

/// The key that the passphrase and the salt in the header give, made once.
fn remembered(
    made: &mut HashMap<[u8; PASSPHRASE_HEADER_LEN], Arc<RandomizedNonceKey>>,
    passphrase: &str,
    header: [u8; PASSPHRASE_HEADER_LEN],
) -> Result<Arc<RandomizedNonceKey>, SecretsError> {
    if let Some(key) = made.get(&header) {
        return Ok(Arc::clone(key));
    }
    let [BY_PASSPHRASE, rest @ ..] = header else { return Err(SecretsError::Broken) };
    let (iterations, salt) = rest.split_first_chunk::<4>().expect("the header has room for both");
    let iterations =
        NonZeroU32::new(u32::from_be_bytes(*iterations)).filter(|iterations| iterations.get() <= MOST_ITERATIONS);
    let mut bytes = KeyBytes::default();
    let iterations = iterations.ok_or(SecretsError::Broken)?;
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, passphrase.as_bytes(), bytes.as_mut_slice());
    if made.len() >= MOST_MADE {
        made.clear();
    }
    let key = Arc::new(aes(&bytes));
    made.insert(header, Arc::clone(&key));
    Ok(key)
}

fn new_header() -> Result<[u8; PASSPHRASE_HEADER_LEN], SecretsError> {
    let mut header = [BY_PASSPHRASE; PASSPHRASE_HEADER_LEN];
    header[1..5].copy_from_slice(&ITERATIONS.to_be_bytes());
    getrandom::fill(&mut header[5..]).map_err(|error| SecretsError::Unavailable(error.to_string()))?;
    Ok(header)
}

fn aes(bytes: &KeyBytes) -> RandomizedNonceKey {
    RandomizedNonceKey::new(&AES_256_GCM, &**bytes).expect("the key has the length of AES-256 keys")
}

fn associated(header: &[u8], number: u32) -> Vec<u8> {
    [LABEL, header, &number.to_be_bytes()].concat()
}

/// In characters. What is shorter can be guessed.
pub const SHORTEST_PASSPHRASE: usize = 16;

const LABEL: &[u8] = b"photongate data key\0";
const ID_LABEL: &[u8] = b"photongate master key\0";

/// What headers begin with.
const BY_KEY: u8 = 1;
const BY_PASSPHRASE: u8 = 2;

/// An identifier of the master key.
const KEY_HEADER_LEN: usize = 1 + 8;

/// Number of iterations (big-endian), and salt.
const PASSPHRASE_HEADER_LEN: usize = 1 + 4 + 16;

/// Of PBKDF2 with HMAC-SHA-256, as OWASP recommends it for passwords.
const ITERATIONS: u32 = 600_000;

/// Whoever can write to the database must not keep the server busy for hours.
const MOST_ITERATIONS: u32 = 10_000_000;

/// Each process has a salt of its own at first, and takes over what it finds afterwards.
const MOST_MADE: usize = 64;

#[cfg(test)]
mod tests;
