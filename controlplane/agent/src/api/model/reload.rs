//! Reloading, and what is logged.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Changes;

/// What a reload changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReloadOutcome {
    /// Fields of the configuration that have another value now.
    pub fields: Vec<String>,
    /// What changed about the peers.
    pub as_list: Changes,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// The least severe messages that are logged.
    pub level: LogLevel,
}

/// How severe a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What does not work.
    Error,
    /// And what does not work as wanted.
    Warn,
    /// And what is being done.
    Info,
    /// And how.
    Debug,
    /// And everything else.
    Trace,
}

impl LogLevel {
    /// The level as it is written in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
