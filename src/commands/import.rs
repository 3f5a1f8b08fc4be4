//! `photongate import`: the configuration of another filter, converted to ours.

mod json;
mod lightning_filter;
mod merge;
mod to_toml;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use crate::config::FilterConfig;
use crate::failure::{Failure, remark};
use crate::output;

/// Convert another filter's configuration to filter.toml
#[derive(Args)]
#[command(after_long_help = EXAMPLE)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    from: From,
}

#[derive(Subcommand)]
enum From {
    /// Convert LightningFilter's JSON configuration
    ///
    /// The result goes to standard output. What has no counterpart, or means something else here, is listed on standard
    /// error, field by field. The ports in the result are placeholders: LightningFilter takes its ports from DPDK's
    /// command line.
    #[command(after_long_help = EXAMPLE)]
    LightningFilter {
        /// LightningFilter's configuration
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Converts the file and prints the result.
///
/// # Errors
/// The file cannot be read or is not such a configuration.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.from {
        From::LightningFilter { file } => lightning_filter(file),
    }
}

fn lightning_filter(file: &Path) -> Result<(), Failure> {
    let text = fs::read_to_string(file).map(Zeroizing::new);
    let text = text.map_err(|error| Failure::bad_input(format!("{}: cannot be read: {error}", file.display())))?;
    let (source, mut notes) =
        lightning_filter::read(&text).map_err(|problems| Failure::bad_input(lines(file, &problems)))?;
    let converted = to_toml::convert(&source, 2 * text.len() + BOILERPLATE, &mut notes);
    output::print(&converted)?;
    remark(&lines(file, &notes));
    // What LightningFilter tolerates may be refused here. Better now than when the filter is to start.
    match FilterConfig::parse(Path::new("(the result)"), &converted) {
        Ok(_) => Ok(()),
        Err(problems) => {
            Err(Failure::at_run_time(format!("the result must be edited before it can be used:\n{problems}")))
        }
    }
}

/// The messages, one a line, each with the file that it is about.
fn lines(file: &Path, messages: &[String]) -> String {
    let mut lines = String::new();
    for message in messages {
        let separator = if lines.is_empty() { "" } else { "\n" };
        let _ = write!(lines, "{separator}{}: {message}", file.display());
    }
    lines
}

/// More than the comments and sections of a result without peers.
const BOILERPLATE: usize = 16 * 1024;

const EXAMPLE: &str = "\
Example:

    photongate import lightning-filter lf.json > filter.toml
    photongate check --config filter.toml";
