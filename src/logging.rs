//! The program's log: on standard error, for people or for machines.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// How severe a message must be to be logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// What does not work.
    Error,
    /// And what does not work as wanted.
    Warn,
    /// And what is being done.
    #[default]
    Info,
    /// And how.
    Debug,
    /// And everything else, also what libraries do.
    Trace,
}

/// Changes what is logged while the program runs. Clones change the same log.
#[derive(Clone, Debug)]
pub(crate) struct LogControl(reload::Handle<Targets, Registry>);

/// Logs to standard error from now on.
pub(crate) fn start(format: LogFormat, level: LogLevel) -> LogControl {
    let (filter, handle) = reload::Layer::new(targets(level));
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_target(false).with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    LogControl(handle)
}

#[cfg_attr(not(feature = "dataplane"), expect(dead_code, reason = "only the filter lets its log be changed"))]
impl LogControl {
    /// The least severe messages that are logged.
    pub(crate) fn level(&self) -> LogLevel {
        let targets = self.0.clone_current().unwrap_or_default();
        let ours = targets.iter().find(|(target, _)| *target == OURS);
        ours.and_then(|(_, level)| level.into_level()).map_or(LogLevel::Error, LogLevel::from)
    }

    /// Logs messages of this and of greater severity from now on.
    pub(crate) fn set_level(&self, level: LogLevel) {
        // The log lives as long as the program.
        let _ = self.0.reload(targets(level));
    }
}

/// What libraries do is of interest only if it fails: some of them tell of every request. What is audited is ours.
fn targets(level: LogLevel) -> Targets {
    let libraries = if level == LogLevel::Trace { Level::TRACE } else { Level::from(level).min(Level::WARN) };
    let level = Level::from(level);
    Targets::new().with_target(OURS, level).with_target(AUDIT, level).with_default(libraries)
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warn,
            Level::INFO => Self::Info,
            Level::DEBUG => Self::Debug,
            Level::TRACE => Self::Trace,
        }
    }
}

/// What the names of all our crates begin with.
const OURS: &str = "photongate";

/// What the messages about audited changes have in place of a crate's name.
const AUDIT: &str = "audit";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_changes_something_is_in_the_log_unless_less_is_wanted() {
        let is_shown = |at| targets(at).would_enable(AUDIT, &Level::INFO);
        assert!(is_shown(LogLevel::default()));
        assert!(!is_shown(LogLevel::Warn));
    }

    #[test]
    fn libraries_are_heard_only_when_something_fails_or_everything_is_wanted() {
        let is_shown = |at, target, level| targets(at).would_enable(target, &level);
        assert!(is_shown(LogLevel::Debug, "photongate_qks::peer", Level::DEBUG));
        assert!(!is_shown(LogLevel::Debug, "rustify::client", Level::DEBUG));
        assert!(is_shown(LogLevel::Debug, "rustify::client", Level::WARN));
        assert!(!is_shown(LogLevel::Error, "rustify::client", Level::WARN));
        assert!(is_shown(LogLevel::Trace, "rustify::client", Level::TRACE));
    }
}
