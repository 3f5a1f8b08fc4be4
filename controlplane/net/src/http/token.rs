//! Bearer tokens that are kept in files (RFC 6750).

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::secret_file::{self, SecretFileError};

/// A token in a file that only its owner can read. Of the token itself, only the SHA-256 digest is kept in memory.
///
/// The file is read anew whenever it has changed, so a token is exchanged by exchanging the file. A file that is
/// gone, or that others can read, holds no token.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    held: Mutex<Held>,
}

impl TokenFile {
    /// What every token begins with, so that people and scanners recognise one.
    pub(super) const PREFIX: &str = "pgt_";

    /// The token in the file at `path`. If there is no such file, it is made, with mode 0600 and a random token.
    ///
    /// # Errors
    /// The file cannot be made or read, can be used by others than its owner, or holds no token.
    pub fn create_or_read(path: &Path) -> Result<Self, TokenError> {
        match secret_file::create(path, &new_token()?) {
            Ok(()) => tracing::info!(path = %path.display(), "a token was made"),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(TokenError::NotMade { path: path.to_owned(), source }),
        }
        let held = Held { state: FileState::of(path), digest: Some(read(path)?) };
        Ok(Self { path: path.to_owned(), held: Mutex::new(held) })
    }

    /// Whether `token` is the one in the file now. The time taken does not depend on how much of it is right.
    #[must_use]
    pub fn matches(&self, token: &str) -> bool {
        let digest = sha256(token);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let state = FileState::of(&self.path);
        if held.state != state {
            let read = read(&self.path);
            match &read {
                Ok(_) => tracing::info!(path = %self.path.display(), "the token was exchanged"),
                Err(error) => tracing::warn!(%error, "nobody can call with this token any more"),
            }
            *held = Held { state, digest: read.ok() };
        }
        held.digest.is_some_and(|held| held.ct_eq(&digest).into())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Why a file gives no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There was none, and none can be made.
    #[error("the token file {} cannot be made: {source}: let this program write in its folder", path.display())]
    NotMade {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It cannot be read, or by too many.
    #[error("the token file {} {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SecretFileError,
    },
    /// It holds something else.
    #[error(
        "the token file {} does not hold {} and {} hexadecimal digits: remove it, and the next start makes one",
        path.display(), TokenFile::PREFIX, 2 * RANDOM_BYTES
    )]
    NotAToken {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gives no randomness.
    #[error("no token can be made: {0}")]
    NoRandomness(#[from] getrandom::Error),
}

/// How many random bytes a token has.
const RANDOM_BYTES: usize = 32;

#[derive(Debug)]
struct Held {
    /// The file's state just before it was read.
    state: Option<FileState>,
    digest: Option<Digest>,
}

type Digest = [u8; 32];

/// What changes when a file does. `None` of it if there is no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileState {
    fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata: Metadata| Self {
            file: (metadata.dev(), metadata.ino()),
            length: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

fn new_token() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut random = Zeroizing::new([0; RANDOM_BYTES]);
    getrandom::fill(random.as_mut())?;
    // Room for all of it: a string that grows leaves its content behind in freed memory.
    let mut token = Zeroizing::new(String::with_capacity(TokenFile::PREFIX.len() + 2 * RANDOM_BYTES + 1));
    token.push_str(TokenFile::PREFIX);
    for byte in *random {
        for digit in [byte >> 4, byte & 0xf] {
            token.push(char::from_digit(digit.into(), 16).expect("four bits are one hexadecimal digit"));
        }
    }
    token.push('\n');
    Ok(token)
}

fn read(path: &Path) -> Result<Digest, TokenError> {
    let text = secret_file::read(path).map_err(|source| TokenError::Unreadable { path: path.to_owned(), source })?;
    let token = text.trim_end();
    let digits = token.strip_prefix(TokenFile::PREFIX).unwrap_or_default();
    match secret_file::parse_hex::<RANDOM_BYTES>(digits) {
        Ok(_) => Ok(sha256(token)),
        Err(_) => Err(TokenError::NotAToken { path: path.to_owned() }),
    }
}

fn sha256(token: &str) -> Digest {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("a SHA-256 digest has 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_is_its_owners_alone() {
        let (_folder, path, file) = new_file();
        let token = fs::read_to_string(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!((token.len(), &token[..4]), (69, "pgt_"));
        assert!(file.matches(token.trim_end()));
        assert!(TokenFile::create_or_read(&path).unwrap().matches(token.trim_end()), "the next start keeps it");
    }

    #[test]
    fn every_file_gets_a_token_of_its_own() {
        let (_a, path, _) = new_file();
        let (_b, _, other) = new_file();
        assert!(!other.matches(fs::read_to_string(path).unwrap().trim_end()));
    }

    #[test]
    fn nothing_but_the_whole_token_matches() {
        let (_folder, path, file) = new_file();
        let token = fs::read_to_string(path).unwrap().trim_end().to_owned();
        for wrong in ["", "pgt_", &token[..67], &token[4..], &token.to_uppercase(), &format!("{token}0")] {
            assert!(!file.matches(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_token_is_exchanged_with_its_file_while_the_server_runs() {
        let (_folder, path, file) = new_file();
        let old = fs::read_to_string(&path).unwrap();
        let new = format!("pgt_{}", "5e".repeat(32));
        secret_file::replace(&path, new.as_bytes()).unwrap();
        assert!(file.matches(&new));
        assert!(!file.matches(old.trim_end()));
    }

    #[test]
    fn without_a_file_or_with_one_that_others_can_read_no_token_matches() {
        let (_folder, path, file) = new_file();
        let token = fs::read_to_string(&path).unwrap().trim_end().to_owned();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!file.matches(&token));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(file.matches(&token));
        fs::remove_file(&path).unwrap();
        assert!(!file.matches(&token));
    }

    #[test]
    fn a_file_that_others_can_read_or_that_holds_something_else_is_refused_at_the_start() {
        let (_folder, path, _) = new_file();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = TokenFile::create_or_read(&path).unwrap_err();
        assert!(error.to_string().contains("run chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "hunter2").unwrap();
        let error = TokenFile::create_or_read(&path).unwrap_err();
        assert!(matches!(error, TokenError::NotAToken { .. }) && !error.to_string().contains("hunter2"), "{error}");
    }

    fn new_file() -> (TempDir, PathBuf, TokenFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        let file = TokenFile::create_or_read(&path).unwrap();
        (folder, path, file)
    }
}
