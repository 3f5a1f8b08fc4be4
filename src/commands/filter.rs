//! `photongate filter`: the filter itself, until it is told to stop.

mod configuration;
mod control_plane;
mod management;
mod options;
pub(crate) mod plane;
mod state_directory;
mod status;
mod summary;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use photongate_agent::as_list::SecretFiles;
use photongate_filter::{Filter, Running};
use photongate_net::Shutdown;
use photongate_net::config::Problems;

use crate::config::FilterConfig;
use crate::failure::Failure;
use crate::logging::{self, LogFormat, LogLevel};

use configuration::ConfigurationFile;
use control_plane::ControlPlane;
use state_directory::StateDirectory;
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
    let log = logging::start(arguments.log_format, arguments.log_level);
    // Key bytes must not reach a core dump, nor a debugger of the same user. From before the first secret is read.
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!("a crash could leave keys in a core dump: {error}");
    }
    let begun = SystemTime::now();
    let (config, list_problems) = load(&arguments.config)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let state = StateDirectory::open(&config.state).map_err(bad_input)?;
    let configuration = ConfigurationFile::load(arguments.config.clone(), state.store(), config, list_problems, begun);
    let (configuration, list) = configuration.map_err(Failure::bad_input)?;
    if let Some(refusal) = &list.refusal {
        tracing::error!("the AS list that was in force before stays in force: {refusal}");
    }
    let options = options::from_config(configuration.config(), &list.list).map_err(bad_input)?;
    // Before the filter is set up, so that an impatient operator ends it in order, too.
    let shutdown = Shutdown::install().map_err(|error| at_run_time(format!("signals cannot be handled: {error}")))?;
    let mut running = Filter::start(options).map_err(bad_input)?;
    let control_plane = ControlPlane::start(&mut running, configuration, list, state, log);
    let mut control_plane = control_plane.map_err(|error| bad_input(format!("{error:#}")))?;
    control_plane.announce();
    tracing::info!("ready");
    let failure = watch(&mut running, &mut control_plane, &shutdown);
    tracing::info!("stopping");
    let stopped = running.stop();
    control_plane.stop();
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
fn watch(running: &mut Running, control_plane: &mut ControlPlane, shutdown: &Shutdown) -> Option<String> {
    let mut status = Status::start(running.observer());
    while !shutdown.requested() {
        if let Some(panic) = running.failure() {
            return Some(panic.to_string());
        }
        if !control_plane.is_running() {
            return Some("the control plane has ended".to_owned());
        }
        status.show(running.observer(), Instant::now());
        thread::sleep(LOOK_AROUND);
    }
    status.end();
    None
}

/// Reads the configuration. What is wrong only with a list of peers in a file of its own is handed out beside the rest.
fn load(path: &Path) -> Result<(FilterConfig, Option<Problems>), Failure> {
    let problems = match FilterConfig::load_to_start(path, SecretFiles::Check) {
        Ok(loaded) => return Ok(loaded),
        Err(problems) => problems,
    };
    // With peers in the configuration itself, secrets in files that cannot be read now are no reason not to start: keys may be
    // held from before, and files be read later.
    match FilterConfig::load_to_start(path, SecretFiles::Trust) {
        Ok(loaded) => {
            tracing::error!("starting all the same: {problems}");
            Ok(loaded)
        }
        Err(_) => Err(Failure::bad_input(problems)),
    }
}

fn bad_input(error: impl std::fmt::Display) -> Failure {
    Failure::bad_input(format!("photongate: {error}"))
}

fn at_run_time(error: impl std::fmt::Display) -> Failure {
    Failure::at_run_time(format!("photongate: {error}"))
}

/// How soon a signal is noticed.
const LOOK_AROUND: Duration = Duration::from_millis(50);
