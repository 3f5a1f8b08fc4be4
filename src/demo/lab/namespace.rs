//! Network namespaces, made and removed with `ip netns`.

use std::fs::File;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};
use nix::unistd::Uid;

/// A network namespace of this process's own. It is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes the namespace `pg-<process>-<role>`, with its loopback interface up.
    ///
    /// # Errors
    /// What `ip` says.
    pub(crate) fn create(role: &str) -> Result<Self> {
        let name = format!("{PREFIX}{}-{role}", process::id());
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The name that `ip netns exec` takes.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A program that will run in the namespace, without standard input.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program.as_ref()).stdin(Stdio::null());
        command
    }

    /// Runs a program in the namespace, words separated by spaces, to its end; what it printed on standard output.
    ///
    /// # Errors
    /// It ended without success; what it printed is part of the error.
    pub(crate) fn run(&self, words: &str) -> Result<String> {
        let mut words = words.split_whitespace();
        let program = words.next().context("no program is named")?;
        run(self.command(program).args(words))
    }

    /// Runs `ip` for the namespace: `link set lo up`.
    ///
    /// # Errors
    /// What `ip` says.
    pub(crate) fn ip(&self, words: &str) -> Result<()> {
        run(Command::new("ip").args(["-n", &self.name]).args(words.split_whitespace())).map(drop)
    }

    /// Sets variables of the kernel's, such as `net.ipv6.conf.all.disable_ipv6=1`.
    ///
    /// # Errors
    /// What `sysctl` says.
    pub(crate) fn sysctl(&self, settings: &[&str]) -> Result<()> {
        run(self.command("sysctl").arg("-q").args(settings)).map(drop)
    }

    /// Calls `action` on a thread in the namespace. Sockets made there stay in the namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the action's own.
    pub(crate) fn enter<T: Send>(&self, action: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let file = File::open(Path::new(DIRECTORY).join(&self.name)).with_context(|| self.name.clone())?;
        thread::scope(|scope| {
            let inside = || {
                setns(file, CloneFlags::CLONE_NEWNET).context("entering a network namespace")?;
                action()
            };
            scope.spawn(inside).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Whatever still runs in there would keep the namespace and its interfaces alive without a name.
        remove(&self.name);
    }
}

/// Why namespaces cannot be made here, if so, in words that follow "because".
pub(crate) fn missing() -> Option<String> {
    // Tests may ask at the same time.
    static PROBES: AtomicU32 = AtomicU32::new(0);
    if !Uid::effective().is_root() {
        return Some("network namespaces need root".to_owned());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("there is no /dev/net/tun for TAP interfaces".to_owned());
    }
    for program in ["ip", "ping", "sysctl"] {
        let tried = Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if tried.is_err() {
            return Some(format!("the program {program} is not installed"));
        }
    }
    Namespace::create(&format!("probe{}", PROBES.fetch_add(1, Relaxed)))
        .and_then(|probe| probe.ip("link add probe type bridge"))
        .err()
        .map(|error| format!("network namespaces cannot be made here ({})", format!("{error:#}").replace('\n', " ")))
}

/// Removes the namespaces of processes that could not do so themselves because they were killed, and ends what runs
/// in them.
pub(crate) fn remove_leftovers() {
    let Ok(names) = fs::read_dir(DIRECTORY) else { return };
    for name in names.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')?.0.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner.to_string()).exists()) {
            remove(&name);
        }
    }
}

fn remove(name: &str) {
    let pids = run(Command::new("ip").args(["netns", "pids", name])).unwrap_or_default();
    for pid in pids.lines().filter_map(|line| line.trim().parse().ok()) {
        // It may have ended in the meantime, which is as good.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
    }
    // There is nobody to report to: the next start tries again.
    let _ = run(Command::new("ip").args(["netns", "del", name]));
}

/// Runs `command` to its end; what it printed on standard output.
fn run(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}").replace('"', "");
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("`{shown}` cannot be started"))?;
    if !output.status.success() {
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("`{shown}` failed: {}", format!("{text}{errors}").trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

const PREFIX: &str = "pg-";

/// Where `ip netns` keeps the names.
const DIRECTORY: &str = "/run/netns";
