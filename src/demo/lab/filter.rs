//! A filter as a process of its own: started, asked, and stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::Uid;

use super::process::{Ended, Process};
use super::telemetry::Telemetry;
use super::{Counters, Patience};

/// A running `photongate filter`. It is killed if it still runs when it is dropped.
#[derive(Debug)]
pub(crate) struct Filter {
    process: Process,
    telemetry: Option<Telemetry>,
    run_directory: PathBuf,
}

impl Filter {
    /// Longer than the longest pause between two attempts of a filter to get a key: on a busy machine the first few may come too early.
    pub(crate) const KEYS_TIMEOUT: Duration = Duration::from_secs(90);

    /// Starts `program filter --config DIRECTORY/NAME.toml`, and waits until it filters. `command` says where the
    /// program runs; `config` is the file's text, in which `dpdk.name` is `name`.
    ///
    /// # Errors
    /// It does not start; what it printed is part of the error.
    pub(crate) fn start(
        command: Command,
        directory: &Path,
        name: &str,
        config: &str,
        patience: &Patience,
    ) -> Result<Self> {
        let file = directory.join(format!("{name}.toml"));
        fs::write(&file, config).with_context(|| file.display().to_string())?;
        Self::restart(command, directory, name, patience)
    }

    /// As [`Self::start`], with the file as it was left there.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub(crate) fn restart(mut command: Command, directory: &Path, name: &str, patience: &Patience) -> Result<Self> {
        let (file, log) = (directory.join(format!("{name}.toml")), directory.join(format!("{name}.log")));
        command.args(["filter", "--config"]).arg(&file);
        // DPDK puts its socket there unless it is root.
        command.env("XDG_RUNTIME_DIR", directory);
        let process = Process::start(command, &log).context("photongate filter")?;
        let mut filter = Self { process, telemetry: None, run_directory: run_directory(directory).join(name) };
        let telemetry = patience.until("a filter to start", START_TIMEOUT, || {
            filter.process.check()?;
            let answering = Telemetry::connect(&filter.run_directory)
                .and_then(|telemetry| telemetry.ask(COUNTERS).map(|_| telemetry));
            Ok(answering.ok())
        });
        filter.telemetry = Some(telemetry.with_context(|| format!("it printed: {}", filter.process.output()))?);
        Ok(filter)
    }

    /// What the filter has done with its packets so far.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn counters(&self) -> Result<Counters> {
        let telemetry = self.telemetry.as_ref().context("the filter has not started")?;
        Ok(Counters::read(&telemetry.ask(COUNTERS)?))
    }

    /// Asks the filter to stop, and waits until it has.
    ///
    /// # Errors
    /// It does not stop.
    pub(crate) fn stop(mut self, patience: &Patience) -> Result<Ended> {
        self.process.stop("a filter", patience)
    }

    /// Kills the filter, as a crash does.
    ///
    /// # Errors
    /// It cannot be killed.
    #[allow(dead_code, reason = "the demo is kinder than the tests")]
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        // The next filter of this name is given the same folder, which is not this one's to remove when it is dropped.
        let _ = fs::remove_dir_all(std::mem::take(&mut self.run_directory));
        Ok(())
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        // Fails only for a process that has ended in the meantime.
        let _ = self.process.kill();
        // DPDK leaves it behind. The name is this filter's alone, so nobody else can be listening there.
        let _ = fs::remove_dir_all(&self.run_directory);
    }
}

/// Where DPDK keeps its sockets, of processes whose `XDG_RUNTIME_DIR` is `directory`.
fn run_directory(directory: &Path) -> PathBuf {
    let base = if Uid::current().is_root() { Path::new("/var/run") } else { directory };
    base.join("dpdk")
}

const COUNTERS: &str = "/photongate/counters";

/// Machines under load take their time.
const START_TIMEOUT: Duration = Duration::from_secs(30);
