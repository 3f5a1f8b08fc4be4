//! The program's log: on standard error, for people or for machines.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
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
    /// And everything else.
    Trace,
}

/// Changes what is logged while the program runs. Clones change the same log.
#[derive(Clone, Debug)]
pub(crate) struct LogControl(reload::Handle<LevelFilter, Registry>);

/// Logs to standard error from now on.
pub(crate) fn start(format: LogFormat, level: LogLevel) -> LogControl {
    let (filter, handle) = reload::Layer::new(LevelFilter::from_level(level.into()));
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
        let level = self.0.clone_current().and_then(LevelFilter::into_level);
        level.map_or(LogLevel::Error, LogLevel::from)
    }

    /// Logs messages of this and of greater severity from now on.
    pub(crate) fn set_level(&self, level: LogLevel) {
        // The log lives as long as the program.
        let _ = self.0.reload(LevelFilter::from_level(level.into()));
    }
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
