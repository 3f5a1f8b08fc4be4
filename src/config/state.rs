//! `[state]`: what the filter remembers from one start to the next.

use std::path::{Path, PathBuf};

use photongate_net::config::{Reported, Section, Value};

/// `[state]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct StateConfig {
    /// The folder that was asked for. `None`: [`DEFAULT_STATE`], which the filter can do without.
    pub directory: Option<PathBuf>,
    /// The file with the key that seals what is in it; `None` leaves the choice to the filter.
    pub key_file: Option<PathBuf>,
}

impl StateConfig {
    /// The folder, asked for or not.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.as_deref().unwrap_or(DEFAULT_STATE.as_ref())
    }
}

/// Reads `[state]`.
pub(super) fn read(state: &mut Section<'_>) -> Result<StateConfig, Reported> {
    let directory = state.optional_with("directory", Value::path);
    let key_file = state.optional_with("key_file", Value::key_path);
    Ok(StateConfig { directory: directory?, key_file: key_file? })
}

/// Where a filter keeps its state, if not told otherwise.
pub(crate) const DEFAULT_STATE: &str = "/var/lib/photongate";
