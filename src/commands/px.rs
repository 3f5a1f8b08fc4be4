//! `photongate px`: a node of the cluster that keeps one ordered log, until it is told to stop; and what asks one.

mod connection;
mod documents;
mod member;
mod status;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use photongate_px::config::{PipeConfig, PxConfig};
use photongate_px::server::Px;
use tokio::runtime::Builder;

use crate::failure::Failure;
use crate::logging::{self, LogFormat, LogLevel};
use crate::serving;

/// Run a node of the cluster that keeps one ordered log, or ask one
///
/// A few nodes, three or five, keep the same documents: what one of them has acknowledged survives the loss of any minority. The
/// configuration says who this node is and who the others are; docs/operations/px.md has an example. SIGINT and SIGTERM stop the
/// node: if it leads, it hands over first.
///
/// The line `ready` in the log says that it listens.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_long_help = "\
Examples:

    photongate px px-1.json
    photongate px px-1.toml --pipe /run/photongate/px.pipe
    photongate px put as-list --file as-list.toml --socket /run/photongate/px.sock
    photongate px get as-list

Exit status: 0 after it was told to stop; 1 if it had to end, as when its disk fails; 2 if the configuration or the machine does not \
let it start."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// The configuration: JSON or TOML
    #[arg(value_name = "CONFIG", required = true)]
    config: Option<PathBuf>,

    /// A named pipe for commands, in place of the one in the configuration; results go to PATH.out
    #[arg(long, value_name = "PATH")]
    pipe: Option<PathBuf>,

    /// How log lines look
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,

    /// The least severe messages to log
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL")]
    log_level: LogLevel,
}

#[derive(Subcommand)]
enum Command {
    Put(documents::Put),
    Get(documents::Get),
    Delete(documents::Delete),
    List(documents::List),
    Watch(documents::Watch),
    Status(status::Arguments),
    Member(member::Arguments),
}

/// Runs a node until it is told to stop, or the subcommand.
///
/// # Errors
/// It cannot start, or had to end; or as the subcommand.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match (&arguments.command, &arguments.config) {
        (Some(Command::Put(put)), _) => put.run(),
        (Some(Command::Get(get)), _) => get.run(),
        (Some(Command::Delete(delete)), _) => delete.run(),
        (Some(Command::List(list)), _) => list.run(),
        (Some(Command::Watch(watch)), _) => watch.run(),
        (Some(Command::Status(arguments)), _) => status::run(arguments),
        (Some(Command::Member(arguments)), _) => member::run(arguments),
        (None, Some(config)) => serve(arguments, config),
        (None, None) => Err(Failure::bad_input("photongate: there is no configuration")),
    }
}

fn serve(arguments: &Arguments, path: &Path) -> Result<(), Failure> {
    logging::start(arguments.log_format, arguments.log_level);
    let loaded = PxConfig::load(path).map_err(Failure::bad_input)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut config = loaded.config;
    if let Some(commands) = &arguments.pipe {
        config.pipe = Some(PipeConfig::new(commands.clone(), Some(PipeConfig::companion(commands))));
    }
    // One thread beside that of the disk: handing work from thread to thread would take longer than the work.
    serving::run(&mut Builder::new_current_thread(), async |shutdown| {
        let px = Px::start(config).await.map_err(Failure::bad_input)?;
        tracing::info!(peers = %px.address(), api = ?px.api_addresses(), "ready");
        serving::tell_ready();
        px.run(serving::asked_to_stop(&shutdown)).await.map_err(Failure::at_run_time)?;
        Ok(())
    })
}
