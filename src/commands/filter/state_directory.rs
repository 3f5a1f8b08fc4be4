//! The folder in which a filter keeps what outlives it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use photongate_agent::sealed::{SealedStore, StateKey};
use tempfile::TempDir;

use crate::config::StateConfig;

/// A state folder that is this process's alone.
pub(super) struct StateDirectory {
    path: PathBuf,
    store: Arc<SealedStore>,
    _lock: Flock<File>,
    /// Removed at the end, if the state is not to outlive the process.
    _temporary: Option<TempDir>,
}

impl StateDirectory {
    /// Opens the folder that `config` names. Where it names none and the usual one cannot be had, a temporary one is made, with a
    /// warning: the filter then forgets everything when it ends.
    ///
    /// # Errors
    /// The folder, or the key that seals what is in it, cannot be used.
    pub(super) fn open(config: &StateConfig) -> Result<Self> {
        match Self::at(config.directory(), config, None) {
            Ok(state) => Ok(state),
            Err(error) if config.directory.is_some() => Err(error),
            Err(error) => {
                tracing::warn!(
                    "{error:#}; nothing will be remembered after the end: choose a folder as [state] directory"
                );
                let temporary = tempfile::Builder::new().prefix("photongate-").tempdir();
                let temporary = temporary.context("there is no place for temporary files either")?;
                let path = temporary.path().to_owned();
                Self::at(&path, config, Some(temporary))
            }
        }
    }

    fn at(path: &Path, config: &StateConfig, temporary: Option<TempDir>) -> Result<Self> {
        let what = || format!("the state folder {} cannot be used", path.display());
        make(path).with_context(what)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path.join(LOCK));
        let Ok(lock) = Flock::lock(lock.with_context(what)?, FlockArg::LockExclusiveNonblock) else {
            bail!("{}: another filter uses it, so give each a [state] directory of its own", what());
        };
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let key = StateKey::find(config.key_file.as_deref(), credentials.as_deref(), path)?;
        let store = SealedStore::open(&path.join(SEALED), &key).with_context(what)?;
        Ok(Self { path: path.to_owned(), store: Arc::new(store), _lock: lock, _temporary: temporary })
    }

    /// What is sealed.
    pub(super) fn store(&self) -> &Arc<SealedStore> {
        &self.store
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.path
    }

    /// The path of something in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
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
const SEALED: &str = "sealed";
