//! State at rest: encrypted and authenticated, so that whoever gets hold of the disk learns no keys and changes nothing unnoticed.
//!
//! ```text
//! file   = header, id of the file (16 random bytes), piece…
//! header = "PGSTATE", version (1 byte), id of the state key (8)
//! piece  = nonce (12), content of the piece encrypted by AES-256-GCM, tag (16)
//! ```
//!
//! All pieces but the last have 256 KiB of content, so that a long file is never in memory whole while it is written. With each piece are
//! authenticated the header, the file's id and name, and which piece it is, and whether the last: none can stand in for another,
//! and neither can files. An older version of the same file can: who may write to the directory can take the state back in time, and no
//! more.

mod sealing;
mod state_key;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, RandomizedNonceKey};
use aws_lc_rs::rand;
use photongate_net::secret_file;
use zeroize::Zeroizing;

pub use sealing::Sealing;
pub use state_key::{CREDENTIAL, StateKey, StateKeyError};

/// A directory of sealed files.
#[derive(Debug)]
pub struct SealedStore {
    directory: PathBuf,
    key: RandomizedNonceKey,
    header: [u8; HEADER_LEN],
}

impl SealedStore {
    /// The store in `directory`, which is made, mode 0700, if there is none. What an interrupted write left there is removed.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(directory: &Path, key: &StateKey) -> io::Result<Self> {
        make_directory(directory)?;
        secret_file::remove_unfinished(directory)?;
        let mut header = [0; HEADER_LEN];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        header[MAGIC.len()] = VERSION;
        header[MAGIC.len() + 1..].copy_from_slice(&key.id());
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.bytes()).expect("the key has the length of AES-256 keys");
        Ok(Self { directory: directory.to_owned(), key, header })
    }

    /// Seals what `write` puts there into the place of what `name` held. After a power cut it is one or the other.
    ///
    /// # Errors
    /// What the operating system says. The file is then as it was.
    pub fn seal(&self, name: &str, write: impl FnOnce(&mut Sealing<'_>)) -> io::Result<()> {
        secret_file::replace_with(&self.path(name), |file| {
            let mut id = [0; ID_LEN];
            rand::fill(&mut id).map_err(|_| io::Error::other("there is no randomness to encrypt with"))?;
            file.write_all(&self.header)?;
            file.write_all(&id)?;
            let mut sealing = Sealing::new(&self.key, self.associated(name, &id), file);
            write(&mut sealing);
            sealing.finish()
        })
    }

    /// What was last sealed under `name`; `None` if nothing was.
    ///
    /// # Errors
    /// [`UnsealError`].
    pub fn unseal(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, UnsealError> {
        let path = self.path(name);
        let mut sealed = match fs::read(&path) {
            Ok(sealed) => Zeroizing::new(sealed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(UnsealError::Unreadable { path, source }),
        };
        let Some((header, rest)) = sealed.split_first_chunk_mut::<HEADER_LEN>() else {
            return Err(UnsealError::NotSealed { path });
        };
        if !header.starts_with(MAGIC) {
            return Err(UnsealError::NotSealed { path });
        }
        if header[MAGIC.len()] != VERSION {
            return Err(UnsealError::OtherVersion { path, version: header[MAGIC.len()] });
        }
        if *header != self.header {
            return Err(UnsealError::OtherKey { path });
        }
        let Some((id, pieces)) = rest.split_first_chunk_mut::<ID_LEN>() else {
            return Err(UnsealError::Damaged { path });
        };
        let Some(length) = sealing::open(&self.key, &self.associated(name, id), pieces) else {
            return Err(UnsealError::Damaged { path });
        };
        sealed.drain(..HEADER_LEN + ID_LEN);
        sealed.truncate(length);
        Ok(Some(sealed))
    }

    /// Where `name` is kept.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.sealed"))
    }

    /// What is authenticated beside the content.
    fn associated(&self, name: &str, id: &[u8; ID_LEN]) -> Vec<u8> {
        [self.header.as_slice(), id, name.as_bytes()].concat()
    }
}

/// Why a sealed file cannot be used. None of these mends itself: the file may be removed, and what was in it is lost.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// The operating system refuses.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is no sealed file: move it away", path.display())]
    NotSealed {
        /// The file.
        path: PathBuf,
    },
    /// It was written by a later version.
    #[error("{} has format {version}, and this program knows format {VERSION} only", path.display())]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u8,
    },
    /// It was sealed with another key.
    #[error("{} was sealed with another state key: bring that key back, or remove the file", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
    },
    /// It was changed after it was sealed, or put in the place of another one.
    #[error("{} is damaged or was tampered with: remove it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// Makes a directory for nobody else, and those above it.
fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

const MAGIC: &[u8; 7] = b"PGSTATE";
const VERSION: u8 = 1;
const HEADER_LEN: usize = MAGIC.len() + 1 + state_key::ID_LEN;

/// Of a file's id. It ties the pieces of a file together.
const ID_LEN: usize = 16;

#[cfg(test)]
mod tests;
