//! `[control]`: where a running filter can be asked for traces and counters.

use std::path::PathBuf;

use photongate_net::config::{Reported, Section, Value};

/// `[control]`.
#[derive(Clone, Debug)]
pub(crate) struct ControlConfig {
    /// The socket that was asked for. `None`: [`DEFAULT_SOCKET`], which the filter can do without.
    pub socket: Option<PathBuf>,
}

/// Reads `[control]`.
pub(super) fn read(control: &mut Section<'_>) -> Result<ControlConfig, Reported> {
    Ok(ControlConfig { socket: control.optional_with("socket", Value::path)? })
}

/// Where `photongate filter` listens and `photongate trace` looks, if not told otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/photongate/filter.sock";
