//! The folder in which a process keeps what outlives it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// A folder that is one process's alone, until it is dropped.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    _lock: Flock<File>,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateFolderError {
    /// What the operating system says.
    #[error("the state folder {path} cannot be used: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others could put something of theirs in it.
    #[error(
        "the state folder {path} cannot be used: others may write into it (its mode is {mode:04o}): chmod go-w {path}"
    )]
    Shared {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Another process has it.
    #[error("the state folder {path} cannot be used: another process uses it, so give each one of its own")]
    Taken {
        /// The folder.
        path: PathBuf,
    },
}

impl StateFolder {
    /// Opens the folder, and makes it if it is not there: for its owner only.
    ///
    /// # Errors
    /// [`StateFolderError`].
    pub fn open(path: &Path) -> Result<Self, StateFolderError> {
        let io = |source| StateFolderError::Io { path: path.to_owned(), source };
        make(path).map_err(io)?;
        let mode = fs::metadata(path).map_err(io)?.mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(StateFolderError::Shared { path: path.to_owned(), mode });
        }
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path.join(LOCK));
        let lock = Flock::lock(lock.map_err(io)?, FlockArg::LockExclusiveNonblock);
        let lock = lock.map_err(|_| StateFolderError::Taken { path: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().mode(0o700).create(path)
}

const LOCK: &str = "lock";

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_made_for_its_owner_and_belongs_to_one_process_at_a_time() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("a/b");
        let folder = StateFolder::open(&path).unwrap();
        assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o700);
        let refusal = StateFolder::open(&path).unwrap_err().to_string();
        assert!(refusal.ends_with("another process uses it, so give each one of its own"), "{refusal}");
        drop(folder);
        StateFolder::open(&path).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_write_into_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o770)).unwrap();
        let refusal = StateFolder::open(folder.path()).unwrap_err().to_string();
        assert!(refusal.contains("others may write into it (its mode is 0770): chmod go-w"), "{refusal}");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        StateFolder::open(folder.path()).unwrap();
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refusal = StateFolder::open(file.path()).unwrap_err().to_string();
        assert!(refusal.contains("cannot be used: "), "{refusal}");
    }
}
