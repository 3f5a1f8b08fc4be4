//! A program of ours that runs beside this one.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Patience;

/// A running process. It is killed if it still runs when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit status.
    pub(crate) status: ExitStatus,
    /// What it printed, standard output and errors together.
    pub(crate) output: String,
}

impl Process {
    /// Starts `command`. What it prints is appended to the file `log`.
    pub(super) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let output = File::options().append(true).create(true).open(log).with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().context("photongate cannot be started")?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// # Errors
    /// It has ended; what it printed is part of the error.
    pub(super) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it ended at once ({status}):\n{}", self.output());
        }
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    pub(super) fn stop(&mut self, what: &str, patience: &Patience) -> Result<Ended> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let status = patience.until(&format!("{what} to stop"), STOP_TIMEOUT, || Ok(self.child.try_wait()?))?;
        Ok(Ended { status, output: self.output() })
    }

    /// Kills it, as a crash does.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// What it has printed.
    pub(super) fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            // Fails only for a process that has ended in the meantime.
            let _ = self.kill();
        }
    }
}

impl Ended {
    /// Whether it ended of its own accord, with this status.
    pub(crate) fn with(&self, status: i32) -> bool {
        self.status.code() == Some(status) && self.status.signal().is_none()
    }
}

const STOP_TIMEOUT: Duration = Duration::from_secs(20);
