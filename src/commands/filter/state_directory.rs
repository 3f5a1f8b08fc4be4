//! The folder in which a filter keeps what outlives it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use photongate_agent::sealed::{SealedStore, StateKey};
use photongate_net::state_folder::StateFolder;
use tempfile::TempDir;

use crate::config::StateConfig;

/// A state folder that is this process's alone.
pub(super) struct StateDirectory {
    folder: StateFolder,
    store: Arc<SealedStore>,
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
        let folder = StateFolder::open(path)?;
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let key = StateKey::find(config.key_file.as_deref(), credentials.as_deref(), path)?;
        let store = SealedStore::open(&path.join(SEALED), &key);
        let store = store.with_context(|| format!("the state folder {} cannot be used", path.display()))?;
        Ok(Self { folder, store: Arc::new(store), _temporary: temporary })
    }

    /// What is sealed.
    pub(super) fn store(&self) -> &Arc<SealedStore> {
        &self.store
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of something in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

const SEALED: &str = "sealed";
