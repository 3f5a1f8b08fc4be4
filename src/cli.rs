//! The command line: which commands there are, and the way from arguments to exit status.

use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    aslist, check, completions, dht, import, keys, log_level, pki, px, qks, reload, status, top, verify,
};
#[cfg(feature = "dataplane")]
use crate::commands::{bench, demo, filter, trace};
use crate::failure::Failure;

/// Parses the arguments and runs the command they name.
pub(crate) fn run() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// The command line as a value, for shell completions.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Aslist(arguments) => aslist::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
        Command::Reload(arguments) => reload::run(&arguments),
        Command::LogLevel(arguments) => log_level::run(&arguments),
        Command::Pki(arguments) => pki::run(&arguments),
        Command::Dht(arguments) => dht::run(&arguments),
        Command::Px(arguments) => px::run(&arguments),
        Command::Qks(arguments) => qks::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        #[cfg(feature = "dataplane")]
        Command::Bench(arguments) => bench::run(&arguments),
        #[cfg(feature = "dataplane")]
        Command::Demo(arguments) => demo::run(&arguments),
        #[cfg(feature = "dataplane")]
        Command::Filter(arguments) => filter::run(&arguments),
        #[cfg(feature = "dataplane")]
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
    }
}

/// Tells for every packet at the edge of an AS whether the AS that it claims to come from really sent it.
#[derive(Parser)]
#[command(
    name = "photongate",
    version,
    long_version = LONG_VERSION.as_str(),
    after_long_help = AFTER_HELP,
    arg_required_else_help = true,
    max_term_width = 110,
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Arguments),
    Aslist(aslist::Arguments),
    Status(status::Arguments),
    Top(top::Arguments),
    Keys(Box<keys::Arguments>),
    Reload(reload::Arguments),
    LogLevel(log_level::Arguments),
    Pki(pki::Arguments),
    Dht(dht::Arguments),
    Px(px::Arguments),
    Qks(qks::Arguments),
    Import(import::Arguments),
    Completions(completions::Arguments),
    #[cfg(feature = "dataplane")]
    Bench(bench::Arguments),
    #[cfg(feature = "dataplane")]
    Demo(demo::Arguments),
    #[cfg(feature = "dataplane")]
    Filter(filter::Arguments),
    #[cfg(feature = "dataplane")]
    Trace(trace::Arguments),
    Verify(verify::Arguments),
}

const AFTER_HELP: &str = "\
A first filter, from the example configuration: is it all right, and is the machine?

    photongate check --config config/filter.toml
    sudo photongate check --host --config config/filter.toml

Exit status: 0 success; 1 the command failed, or found something wrong; 2 what it was given cannot
be used (arguments, configuration, machine).";

/// Version, revision and DPDK, for bug reports.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let revision = option_env!("PHOTONGATE_GIT_REVISION").map(|revision| format!(" ({revision})")).unwrap_or_default();
    let dpdk =
        option_env!("PHOTONGATE_DPDK_VERSION").map_or("built without DPDK".to_owned(), |dpdk| format!("DPDK {dpdk}"));
    format!("{}{revision}\n{dpdk}", env!("CARGO_PKG_VERSION"))
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_long_help_of_every_command_has_an_example() {
        let mut commands: Vec<_> = command().get_subcommands().cloned().collect();
        while let Some(command) = commands.pop() {
            let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.contains("    photongate ") || help.contains("    sudo photongate "),
                "{command} has no example"
            );
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
