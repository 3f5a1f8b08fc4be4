//! What `photongate check --host` says about a machine, and the command that mends what it lacks.
//!
//! Everything is read from `/proc`, `/sys` and `/dev` below a root that is a parameter, so that tests can build machines.

mod clock;
mod cores;
mod interfaces;
mod memory;
mod pci;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::config::FilterConfig;

/// Checks the machine: for what `config` needs, or for what filters need in general.
pub(super) fn check(machine: &Machine, config: Option<&FilterConfig>) -> Vec<Finding> {
    let mut findings = Vec::new();
    memory::check(machine, config, &mut findings);
    pci::check(machine, config, &mut findings);
    interfaces::check(machine, config, &mut findings);
    cores::check(machine, config, &mut findings);
    clock::check(machine, &mut findings);
    findings
}

/// The findings, one a line, each with what mends it below.
pub(super) fn report(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { subject, status, message, fix } in findings {
        let status = status.name();
        let _ = writeln!(text, "{status:<4}  {subject:<12} {message}");
        for line in fix.iter().flat_map(|fix| fix.lines()) {
            let _ = writeln!(text, "{:>20}{line}", "");
        }
    }
    text
}

/// How many findings keep a filter from running, in words; nothing if none does.
pub(super) fn complaint(findings: &[Finding]) -> Option<String> {
    match findings.iter().filter(|finding| finding.status == Status::Fail).count() {
        0 => None,
        1 => Some("1 problem keeps a filter from running on this machine".to_owned()),
        count => Some(format!("{count} problems keep a filter from running on this machine")),
    }
}

/// One thing that was looked at.
#[derive(Debug)]
pub(super) struct Finding {
    subject: String,
    status: Status,
    message: String,
    /// A command, or what else to do.
    fix: Option<String>,
}

/// What a finding means for a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// As it should be.
    Ok,
    /// A filter runs, but slower or less safely than it could.
    Warn,
    /// A filter does not run.
    Fail,
}

impl Finding {
    fn ok(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { subject: subject.into(), status: Status::Ok, message: message.into(), fix: None }
    }

    fn warn(subject: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { subject: subject.into(), status: Status::Warn, message: message.into(), fix: Some(fix.into()) }
    }

    fn fail(subject: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { subject: subject.into(), status: Status::Fail, message: message.into(), fix: Some(fix.into()) }
    }

    /// The finding for programs.
    pub(super) fn to_json(&self) -> Value {
        json!({ "subject": self.subject, "status": self.status.name(), "message": self.message, "fix": self.fix })
    }
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// The machine, as its files show it.
pub(super) struct Machine {
    root: PathBuf,
}

impl Machine {
    /// The machine whose files are below `root`: `/` for this one.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The content of a file without the newline behind it; `None` if there is no such file, or no right to read it.
    fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        Some(fs::read_to_string(self.root.join(path)).ok()?.trim_end().to_owned())
    }

    fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.read(path)?.parse().ok()
    }

    fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.root.join(path).exists()
    }

    /// The names in a folder, sorted; empty if there is none.
    fn list(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The last part of what a link points to.
    fn link_name(&self, path: impl AsRef<Path>) -> Option<String> {
        Some(fs::read_link(self.root.join(path)).ok()?.file_name()?.to_string_lossy().into_owned())
    }

    /// A field of `/proc/self/status`.
    fn process(&self, field: &str) -> Option<String> {
        let status = self.read("proc/self/status")?;
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        Some(value.trim().to_owned())
    }

    /// Whether this process has the capability with this number (`linux/capability.h`).
    fn capable(&self, capability: u32) -> bool {
        let effective = self.process("CapEff").and_then(|mask| u64::from_str_radix(&mask, 16).ok());
        effective.is_some_and(|mask| mask >> capability & 1 == 1)
    }
}

/// Reads a list as the kernel writes them: `0-3,8`.
fn parse_list(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests;
