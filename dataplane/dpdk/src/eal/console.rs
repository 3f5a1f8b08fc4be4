//! Catches what DPDK prints past its log while it starts.
//!
//! `rte_eal_init` writes its fatal errors to standard error and its usage to standard output, whatever the log is
//! told. For that one call both go to a file in memory, so that the caller can say the one thing that matters.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{dup, dup2_stderr, dup2_stdout};
use photongate_dpdk_sys as sys;

/// Redirects standard output and standard error until [`Capture::finish`]. If that fails, nothing is redirected.
pub(super) fn capture() -> Capture {
    Capture { redirected: redirect().ok() }
}

pub(super) struct Capture {
    redirected: Option<Redirected>,
}

struct Redirected {
    file: File,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Capture {
    /// Puts both back, and returns the lines that were written.
    pub(super) fn finish(mut self) -> Vec<String> {
        let Some(mut file) = self.restore() else { return Vec::new() };
        let mut text = Vec::new();
        // What cannot be read cannot be shown either.
        let _ = file.rewind().and_then(|()| file.read_to_end(&mut text));
        String::from_utf8_lossy(&text)
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn restore(&mut self) -> Option<File> {
        let Redirected { file, stdout, stderr } = self.redirected.take()?;
        flush();
        // These were open a moment ago, so duplicating them back does not fail.
        let _ = dup2_stdout(&stdout);
        let _ = dup2_stderr(&stderr);
        Some(file)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.restore();
    }
}

fn redirect() -> nix::Result<Redirected> {
    let file = memfd_create("dpdk-start", MFdFlags::MFD_CLOEXEC)?;
    let (stdout, stderr) = (dup(std::io::stdout())?, dup(std::io::stderr())?);
    flush();
    dup2_stdout(&file)?;
    let redirected = Redirected { file: File::from(file), stdout, stderr };
    dup2_stderr(&redirected.file)?;
    Ok(redirected)
}

/// Rust and C each have a buffer for standard output.
fn flush() {
    let _ = std::io::stdout().flush();
    // SAFETY: flushes a stream of the C library, which locks it.
    unsafe { sys::pg_flush_stdout() };
}
