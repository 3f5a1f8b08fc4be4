//! `photongate qks`: the key server, until it is told to stop.

mod client;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use photongate_qks::config::QksConfig;
use photongate_qks::server::Qks;
use tokio::runtime::Builder;

use crate::failure::Failure;
use crate::logging::{self, LogFormat, LogLevel};
use crate::serving;

/// Run the quantum key server
///
/// Hands keys to applications (ETSI GS QKD 014), made of what QKD links to neighbouring key servers produce. SIGINT and
/// SIGTERM stop it: requests that are under way are still answered.
///
/// The line `ready` in the log says that it answers.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_long_help = "\
Examples:

    photongate qks --config qks.toml
    photongate qks --config qks.toml --log-format json
    photongate qks client --help

Exit status: 0 after it was told to stop; 2 if the configuration or the machine does not let it start."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// The configuration
    #[arg(long, value_name = "FILE", required = true)]
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
    Client(client::Arguments),
}

/// Runs a key server until it is told to stop, or the subcommand.
///
/// # Errors
/// It cannot start; or as the subcommand.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match (&arguments.command, &arguments.config) {
        (Some(Command::Client(client)), _) => client::run(client),
        (None, Some(config)) => serve(arguments, config),
        (None, None) => Err(Failure::bad_input("photongate: there is no configuration")),
    }
}

fn serve(arguments: &Arguments, config: &Path) -> Result<(), Failure> {
    logging::start(arguments.log_format, arguments.log_level);
    // Key bytes must not reach a core dump, nor a debugger of the same user. From before the first secret is read.
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!("a crash could leave keys in a core dump: {error}");
    }
    let loaded = QksConfig::load(config).map_err(Failure::bad_input)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    serving::run(&mut Builder::new_multi_thread(), async |shutdown| {
        let qks = Qks::start(loaded.config).await.map_err(Failure::bad_input)?;
        tracing::info!(saes = ?qks.sae_addresses(), peers = ?qks.peer_addresses(), "ready");
        serving::tell_ready();
        qks.run(serving::asked_to_stop(&shutdown)).await;
        Ok(())
    })
}
