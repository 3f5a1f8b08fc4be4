//! The rest of the configuration, read anew while the filter runs.

use photongate_net::config::Problems;
use photongate_pipeline::limits::LimitSettings;
use photongate_pipeline::{Clock, Settings};

use crate::api::AsListOrigin;
use crate::as_list::AsList;

/// What reads the configuration: the program, which knows its form.
pub trait Configuration: Send + 'static {
    /// Reads the configuration anew and compares it with the one that runs. Changes nothing.
    ///
    /// In the settings, what did not change is kept from `running`: limits with what is left in them, what devices have said of
    /// themselves.
    ///
    /// # Errors
    /// [`ReloadRefused`].
    fn reread(&mut self, running: &Settings, clock: Clock) -> Result<Reread, ReloadRefused>;

    /// Where the peers stand, when they are part of the configuration itself.
    fn origin(&self) -> AsListOrigin;

    /// What was read last is in force from now on.
    fn accept(&mut self);
}

/// A configuration that can be put in force.
pub struct Reread {
    /// What the pipeline is to be told.
    pub settings: Settings,
    /// What a peer may send that has no limit of its own.
    pub default_limit: LimitSettings,
    /// The fields that have another value than before.
    pub fields: Vec<String>,
    /// The AS list, from wherever the configuration says.
    pub list: AsList,
    /// What the list was read from, by its digest.
    pub list_source: Vec<u8>,
    /// What works, yet is hardly meant so.
    pub warnings: Vec<String>,
}

/// Why a configuration was not put in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadRefused {
    /// It has mistakes.
    #[error("{0}")]
    Invalid(Problems),
    /// Something changed that only a start can change.
    #[error("{} can be changed only by a restart; nothing was changed", .0.join(", "))]
    NeedsRestart(Vec<String>),
}
