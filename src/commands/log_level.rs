//! `photongate log-level`: what a running filter logs.

use clap::Args;
use clap::builder::TypedValueParser;
use clap::builder::{PossibleValue, PossibleValuesParser};
use photongate_agent::api::LogLevel;

use crate::failure::Failure;
use crate::management::{Reach, print_json};
use crate::output;

/// Show or change what a running filter logs
///
/// The level holds until the filter ends; then its `--log-level` counts again. No level makes it log keys or tokens.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    sudo photongate log-level            # what is it?
    sudo photongate log-level debug      # look closer
    sudo photongate log-level info       # and back")]
pub(crate) struct Arguments {
    /// The least severe messages that are to be logged
    #[arg(value_parser = level())]
    level: Option<LogLevel>,

    #[command(flatten)]
    reach: Reach,

    /// Print what the filter answers, one JSON object
    #[arg(long)]
    json: bool,
}

/// Changes the level if one is given, and prints the one in force.
///
/// # Errors
/// The filter refuses, or cannot be asked.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = arguments.reach.filter()?.ask(|client| async move {
        match arguments.level {
            Some(level) => client.set_log_level(level).await,
            None => client.log_settings().await,
        }
    })?;
    if arguments.json {
        return print_json(&settings);
    }
    let name = LEVELS.iter().find(|(level, _)| *level == settings.level).map_or("?", |(_, name)| name);
    output::print(&format!("{name}\n"))
}

fn level() -> impl TypedValueParser<Value = LogLevel> {
    let names = LEVELS.map(|(_, name)| PossibleValue::new(name));
    PossibleValuesParser::new(names).map(|given| {
        let level = LEVELS.iter().find(|(_, name)| *name == given);
        level.expect("only these names are taken").0
    })
}

const LEVELS: [(LogLevel, &str); 5] = [
    (LogLevel::Error, "error"),
    (LogLevel::Warn, "warn"),
    (LogLevel::Info, "info"),
    (LogLevel::Debug, "debug"),
    (LogLevel::Trace, "trace"),
];
