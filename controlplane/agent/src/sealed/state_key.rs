//! The key that seals the state, and where it is kept.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::{hmac, rand};
use photongate_net::secret_file::{self, SecretFileError};
use zeroize::Zeroizing;

/// An AES-256 key. Prints without its bytes, and is wiped when dropped.
pub struct StateKey(Zeroizing<[u8; KEY_LEN]>);

impl StateKey {
    /// Finds the key: in the file that is `configured`; else in the systemd credential [`CREDENTIAL`], if `credentials`, the
    /// service's directory of credentials, holds one; else in `state.key` in the state `directory`, where one is made if there is none.
    ///
    /// In each of them it is 64 hexadecimal digits, as from `openssl rand -hex 32`.
    ///
    /// # Errors
    /// [`StateKeyError`]. A configured file is never made.
    pub fn find(
        configured: Option<&Path>,
        credentials: Option<&Path>,
        directory: &Path,
    ) -> Result<Self, StateKeyError> {
        if let Some(path) = configured {
            return Self::taken(path, secret_file::read_hex(path));
        }
        if let Some(path) = credentials.map(|folder| folder.join(CREDENTIAL)).filter(|path| path.exists()) {
            return Self::taken(&path, secret_file::read_credential_hex(&path));
        }
        let path = directory.join(FILE);
        if !path.exists() {
            Self::make(&path).map_err(|source| StateKeyError::NotMade { path: path.clone(), source })?;
        }
        Self::taken(&path, secret_file::read_hex(&path))
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Tells keys apart, and tells nothing about them.
    pub(super) fn id(&self) -> [u8; ID_LEN] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.bytes());
        let tag = hmac::sign(&key, b"photongate: which state key");
        *tag.as_ref().first_chunk().expect("a SHA-256 tag is longer")
    }

    /// Makes a key. One that another process has made meanwhile stays.
    fn make(path: &Path) -> io::Result<()> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        rand::fill(bytes.as_mut_slice()).map_err(|_| io::Error::other("there is no randomness for a key"))?;
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_LEN + 1));
        for byte in bytes.iter() {
            for digit in [byte >> 4, byte & 0xf] {
                text.push(char::from_digit(u32::from(digit), 16).expect("four bits are one digit"));
            }
        }
        text.push('\n');
        super::make_directory(path.parent().unwrap_or(Path::new(".")))?;
        match secret_file::create(path, &text) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    fn taken(path: &Path, read: Result<Zeroizing<[u8; KEY_LEN]>, SecretFileError>) -> Result<Self, StateKeyError> {
        match read {
            Ok(bytes) if bytes.iter().all(|byte| *byte == 0) => Err(StateKeyError::AllZeroes { path: path.to_owned() }),
            Ok(bytes) => Ok(Self(bytes)),
            Err(source) => Err(StateKeyError::Unusable { path: path.to_owned(), source }),
        }
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKey(..)")
    }
}

/// Why there is no key to seal the state with.
#[derive(Debug, thiserror::Error)]
pub enum StateKeyError {
    /// The file or credential cannot be used.
    #[error("the state key: the file {} {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SecretFileError,
    },
    /// Nobody filled in the key.
    #[error("the state key: the file {} holds only zeroes: make a key with `openssl rand -hex 32`", path.display())]
    AllZeroes {
        /// The file.
        path: PathBuf,
    },
    /// The first key cannot be written.
    #[error("the state key: the file {} cannot be made: {source}", path.display())]
    NotMade {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The name of the systemd credential that holds the key.
pub const CREDENTIAL: &str = "photongate-state-key";

pub(super) const ID_LEN: usize = 8;

const KEY_LEN: usize = 32;
const FILE: &str = "state.key";
