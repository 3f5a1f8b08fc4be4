//! `photongate dht`: a node of the distributed store, until it is told to stop; and what asks one.

mod get;
mod progress;
mod put;
mod reach;
mod show;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use photongate_dht::config::DhtConfig;
use photongate_dht::server::Dht;
use tokio::runtime::Builder;

use crate::failure::Failure;
use crate::logging::{self, LogFormat, LogLevel};
use crate::serving;

/// Run a node of the distributed store, or ask one
///
/// Nodes keep values under their own SHA-256 on whichever of them are nearest, and find them with no server in the middle. A file is a
/// list of values: its pieces come from many nodes at once. The configuration says who this node is and where to find others;
/// docs/operations/dht.md has an example. SIGINT and SIGTERM stop the node.
///
/// The line `ready` in the log says that it listens.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_long_help = "\
Examples:

    photongate dht dht.toml
    photongate dht put as-list.toml
    photongate dht get 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 as-list.toml
    photongate dht peers --config dht.toml

Exit status: 0 after it was told to stop; 2 if the configuration or the machine does not let it start."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// The configuration: TOML, or JSON if its name ends in .json
    #[arg(value_name = "CONFIG", required = true)]
    config: Option<PathBuf>,

    /// How log lines look
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,

    /// The least severe messages to log
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL")]
    log_level: LogLevel,
}

#[derive(Subcommand)]
enum Command {
    Put(put::Arguments),
    Get(get::Arguments),
    Lookup(show::LookUp),
    Stat(show::Stat),
    Peers(show::Peers),
    Status(show::Status),
}

/// Runs a node until it is told to stop, or the subcommand.
///
/// # Errors
/// It cannot start; or as the subcommand.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match (&arguments.command, &arguments.config) {
        (Some(Command::Put(put)), _) => put.run(),
        (Some(Command::Get(get)), _) => get.run(),
        (Some(Command::Lookup(look_up)), _) => look_up.run(),
        (Some(Command::Stat(stat)), _) => stat.run(),
        (Some(Command::Peers(peers)), _) => peers.run(),
        (Some(Command::Status(status)), _) => status.run(),
        (None, Some(config)) => serve(arguments, config),
        (None, None) => Err(Failure::bad_input("photongate: there is no configuration")),
    }
}

fn serve(arguments: &Arguments, path: &Path) -> Result<(), Failure> {
    logging::start(arguments.log_format, arguments.log_level);
    let loaded = DhtConfig::load(path).map_err(Failure::bad_input)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    serving::run(&mut Builder::new_multi_thread(), async |shutdown| {
        let dht = Dht::start(loaded.config).await.map_err(Failure::bad_input)?;
        let me = dht.contact();
        tracing::info!(node = %me.address, id = %me.id, api = ?dht.api_addresses(), "ready");
        serving::tell_ready();
        dht.run(serving::asked_to_stop(&shutdown)).await;
        Ok(())
    })
}
