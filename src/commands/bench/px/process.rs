//! The processes that are measured: they never outlive the bench. And what they have cost so far.

use std::fs;
use std::io;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::unistd::{SysconfVar, sysconf};

/// A process that runs. Dropping it ends it, as a power cut would, and returns when it is gone: then nothing writes to its folder any
/// more.
pub(super) struct Process(Child);

impl Process {
    /// Starts it.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }

    /// Its number.
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processor time that these processes have used together, in user and kernel mode.
pub(in crate::commands::bench) fn cpu_time(processes: &[u32]) -> Result<Duration> {
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK)?.context("the system does not say how long its ticks are")?;
    let mut ticks = 0;
    for process in processes {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("a node has ended")?;
        ticks += ticks_of(&stat).context("/proc/PID/stat is not what it used to be")?;
    }
    Ok(Duration::from_secs_f64(ticks as f64 / ticks_per_second as f64))
}

/// The memory of a process, in MiB.
pub(in crate::commands::bench) fn resident_mib(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("a node has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc/PID/status has no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

/// `utime` and `stime`: proc_pid_stat(5).
fn ticks_of(stat: &str) -> Option<u64> {
    // The name stands in parentheses, and may have any characters in it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(UTIME);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Fields between the name and `utime`.
const UTIME: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_found_behind_a_name_of_any_kind() {
        let stat = "7 (a) b) R 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 4 0";
        assert_eq!(ticks_of(stat), Some(200));
    }
}
