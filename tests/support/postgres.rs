//! A PostgreSQL server of a test's own: on a free port, with a data folder of its own, run by an unprivileged user.

#![allow(dead_code, reason = "each test program uses a part")]

#[allow(clippy::duplicate_mod, reason = "others that a test program includes need it too")]
#[path = "ports.rs"]
mod ports;

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running server, which ends with this value.
pub(crate) struct Postgres {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Postgres {
    /// Makes the data folder and starts the server.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some((user, group)) = unprivileged() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let port = ports::free_port();
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        let made = program("initdb", folder.path())
            .args(["--username=photongate", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg("--pwfile")
            .arg(&password)
            .arg("--pgdata")
            .arg(folder.path().join("data"))
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { folder, port, child: None };
        server.start_again();
        server
    }

    /// Starts the server after it was [stopped](Self::stop).
    pub(crate) fn start_again(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = program("postgres", self.folder.path());
        // The system lives through what tests do, so nothing need wait for the disk.
        command.arg("-D").arg(self.folder.path().join("data")).args([
            "-c",
            "fsync=off",
            "-c",
            "listen_addresses=127.0.0.1",
        ]);
        command.args(["-c", "unix_socket_directories=", "-c"]).arg(format!("port={}", self.port));
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "PostgreSQL does not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops the server as a crash would: connections break, nothing is finished.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let stopped = program("pg_ctl", self.folder.path())
            .args(["stop", "--mode=immediate", "--pgdata"])
            .arg(self.folder.path().join("data"))
            .output()
            .unwrap();
        if !stopped.status.success() {
            let _ = child.kill();
        }
        let _ = child.wait();
    }

    /// Where a database is; with a password in it.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://photongate:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One of PostgreSQL's programs, of the newest version that is installed.
fn program(name: &str, folder: &Path) -> Command {
    let versions = fs::read_dir(INSTALLED).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin").join(name)).collect();
    found.retain(|program| program.is_file());
    found.sort();
    let program =
        found.pop().unwrap_or_else(|| panic!("there is no {name} in {INSTALLED}: scripts/setup.sh installs it"));
    let mut command = Command::new(program);
    command.current_dir(folder);
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command
}

/// Whom to run the server as: it refuses to be run by root.
fn unprivileged() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find_map(|line| line.strip_prefix("postgres:")).expect("there is no user postgres");
    let mut fields = user.split(':').skip(1).map(|field| field.parse().unwrap());
    Some((fields.next().unwrap(), fields.next().unwrap()))
}

const INSTALLED: &str = "/usr/lib/postgresql";
const PASSWORD: &str = "of-a-test";
const PATIENCE: Duration = Duration::from_secs(60);
