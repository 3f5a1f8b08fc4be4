//! A filter as a process of its own: started, asked, and stopped.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

use super::telemetry::Telemetry;
use super::{Counters, Patience};

/// A running `photongate filter`. It is killed if it still runs when it is dropped.
#[derive(Debug)]
pub(crate) struct Filter {
    process: Child,
    telemetry: Option<Telemetry>,
    run_directory: PathBuf,
    log: PathBuf,
}

/// How a filter ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit status.
    pub(crate) status: ExitStatus,
    /// What it printed, standard output and errors together.
    pub(crate) output: String,
}

impl Filter {
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
        let output = File::options().append(true).create(true).open(&log).with_context(|| log.display().to_string())?;
        command.args(["filter", "--config"]).arg(&file);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // DPDK puts its socket there unless it is root.
        command.env("XDG_RUNTIME_DIR", directory);
        let process = command.spawn().context("photongate filter cannot be started")?;
        let run_directory = run_directory(directory).join(name);
        let mut filter = Self { process, telemetry: None, log, run_directory };
        let telemetry = patience.until("a filter to start", START_TIMEOUT, || {
            if let Some(status) = filter.process.try_wait()? {
                bail!("the filter ended at once ({status}):\n{}", filter.output());
            }
            let answering = Telemetry::connect(&filter.run_directory)
                .and_then(|telemetry| telemetry.ask(COUNTERS).map(|_| telemetry));
            Ok(answering.ok())
        });
        filter.telemetry = Some(telemetry.with_context(|| format!("it printed: {}", filter.output()))?);
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
        self.signal(Signal::SIGTERM)?;
        let status = patience.until("a filter to stop", STOP_TIMEOUT, || Ok(self.process.try_wait()?))?;
        Ok(Ended { status, output: self.output() })
    }

    /// Kills the filter, as a crash does.
    ///
    /// # Errors
    /// It cannot be killed.
    #[allow(dead_code, reason = "the demo is kinder than the tests")]
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        // The next filter of this name is given the same folder, which is not this one's to remove when it is dropped.
        let _ = fs::remove_dir_all(std::mem::take(&mut self.run_directory));
        Ok(())
    }

    fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default().trim().to_owned()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.process.id())?), signal)?)
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            // Both fail only for a process that has ended in the meantime.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
        // DPDK leaves it behind. The name is this filter's alone, so nobody else can be listening there.
        let _ = fs::remove_dir_all(&self.run_directory);
    }
}

impl Ended {
    /// Whether it ended of its own accord, with this status.
    pub(crate) fn with(&self, status: i32) -> bool {
        self.status.code() == Some(status) && self.status.signal().is_none()
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
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
