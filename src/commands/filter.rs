//! `photongate filter`: the filter itself, until it is told to stop.

mod keys;
mod options;
mod status;
mod summary;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use photongate_filter::{Filter, Running};
use photongate_net::Shutdown;

use crate::config::FilterConfig;
use crate::failure::Failure;
use crate::logging::{self, LogFormat, LogLevel};

use keys::{KeyThread, Schedule};
use status::Status;

/// Run the filter
///
/// Authenticates, limits and de-duplicates what arrives, encapsulates what leaves for a peer, and forwards the rest as
/// configured, on one core per worker. SIGINT and SIGTERM stop it: what has arrived is still forwarded, then a summary of
/// all packets is printed on standard output.
///
/// On a terminal, standard error shows a status line each second; otherwise the same numbers are logged every ten
/// seconds. The line `ready` in the log says that packets flow.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    sudo photongate filter --config filter.toml
    sudo photongate filter --config filter.toml --log-format json --summary-json summary.json

Exit status: 0 after it was told to stop; 1 if it failed while it ran; 2 if the configuration or the machine does not
let it start (`photongate check --config FILE`, `photongate check --host`).")]
pub(crate) struct Arguments {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// How log lines look
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,

    /// The least severe messages to log
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL")]
    log_level: LogLevel,

    /// Write the final counters to this file, too
    #[arg(long, value_name = "FILE")]
    summary_json: Option<PathBuf>,
}

/// Runs a filter until it is told to stop.
///
/// # Errors
/// It cannot start, or fails while it runs.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    logging::start(arguments.log_format, arguments.log_level);
    // Key bytes must not reach a core dump, nor a debugger of the same user. From before the first secret is read.
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!("a crash could leave keys in a core dump: {error}");
    }
    let config = FilterConfig::load(&arguments.config).map_err(Failure::bad_input)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let (options, peers) = options::from_config(config).map_err(bad_input)?;
    // Before the filter is set up, so that an impatient operator ends it in order, too.
    let shutdown = Shutdown::install().map_err(|error| at_run_time(format!("signals cannot be handled: {error}")))?;
    let mut running = Filter::start(options).map_err(bad_input)?;
    let control = running.take_control().expect("nobody has taken it before");
    let keys = KeyThread::start(Schedule::new(peers, &control), control);
    let keys = keys.map_err(|error| at_run_time(format!("the key thread cannot be started: {error}")))?;
    tracing::info!("ready");
    let failure = watch(&mut running, &keys, &shutdown);
    tracing::info!("stopping");
    let stopped = running.stop();
    let observer = match (&failure, stopped) {
        (None, Ok(observer)) => observer,
        (None, Err(panic)) => return Err(at_run_time(format!("the filter failed: {panic}"))),
        (Some(failure), _) => return Err(at_run_time(format!("the filter failed: {failure}"))),
    };
    if let Some(path) = &arguments.summary_json {
        let text = format!("{}\n", observer.to_json());
        fs::write(path, text).map_err(|error| at_run_time(format!("{} cannot be written: {error}", path.display())))?;
    }
    crate::output::print(&summary::text(&observer))
}

/// Shows how the filter is doing until it is told to stop, or why it had to.
fn watch(running: &mut Running, keys: &KeyThread, shutdown: &Shutdown) -> Option<String> {
    let mut status = Status::start(running.observer());
    while !shutdown.requested() {
        if let Some(panic) = running.failure() {
            return Some(panic.to_string());
        }
        if !keys.is_running() {
            return Some("the thread that renews keys has ended".to_owned());
        }
        status.show(running.observer(), Instant::now());
        thread::sleep(LOOK_AROUND);
    }
    status.end();
    None
}

fn bad_input(error: impl std::fmt::Display) -> Failure {
    Failure::bad_input(format!("photongate: {error}"))
}

fn at_run_time(error: impl std::fmt::Display) -> Failure {
    Failure::at_run_time(format!("photongate: {error}"))
}

/// How soon a signal is noticed.
const LOOK_AROUND: Duration = Duration::from_millis(50);
