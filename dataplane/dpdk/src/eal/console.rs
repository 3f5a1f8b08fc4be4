//! Catches what DPDK prints past its log while it starts.
//!
//! `rte_eal_init` writes its fatal errors to standard error and its usage to standard output, whatever the log is
//! told. For that one call both go to files in memory, so that the caller can say the one thing that matters.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{dup, dup2_stderr, dup2_stdout};
use photongate_dpdk_sys as sys;

/// Redirects standard output and standard error until [`Capture::finish`]. If that fails, nothing is redirected.
pub(super) fn capture() -> Capture {
    Capture { redirected: Redirected::new().ok() }
}

pub(super) struct Capture {
    redirected: Option<Redirected>,
}

impl Capture {
    /// Puts both back, and returns the lines that went to standard error. Standard output, the usage, is forgotten.
    pub(super) fn finish(mut self) -> Vec<String> {
        let Some(redirected) = self.redirected.take() else { return Vec::new() };
        redirected.restore();
        let (mut file, mut text) = (redirected.errors, Vec::new());
        // What cannot be read cannot be shown either.
        let _ = file.rewind().and_then(|()| file.read_to_end(&mut text));
        let text = String::from_utf8_lossy(&text);
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if let Some(redirected) = &self.redirected {
            redirected.restore();
        }
    }
}

struct Redirected {
    stdout: OwnedFd,
    stderr: OwnedFd,
    errors: File,
}

impl Redirected {
    fn new() -> nix::Result<Self> {
        let output = memfd_create("dpdk-output", MFdFlags::MFD_CLOEXEC)?;
        let errors = memfd_create("dpdk-errors", MFdFlags::MFD_CLOEXEC)?;
        let (stdout, stderr) = (dup(std::io::stdout())?, dup(std::io::stderr())?);
        let redirected = Self { stdout, stderr, errors: File::from(errors) };
        flush();
        dup2_stdout(&output)?;
        if let Err(problem) = dup2_stderr(&redirected.errors) {
            redirected.restore();
            return Err(problem);
        }
        Ok(redirected)
    }

    fn restore(&self) {
        flush();
        // Both were duplicated from there a moment ago, so this does not fail.
        let _ = dup2_stdout(&self.stdout);
        let _ = dup2_stderr(&self.stderr);
    }
}

/// Rust and C each have a buffer for standard output.
fn flush() {
    let _ = std::io::stdout().flush();
    // SAFETY: flushes a stream of the C library, which locks it.
    unsafe { sys::pg_flush_stdout() };
}
