//! The way to a running node: its Unix socket, a line of JSON there and a line back.
//!
//! A node that hangs, or was stopped, must not hold up who asks it: there is a limit to how long it may take and say nothing. It is a limit
//! to silence. However long a line takes that comes, it is waited for.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use serde_json::Value;

use crate::failure::Failure;
use crate::numbers::span;

/// A connection to a node.
pub(crate) struct LineSocket {
    stream: BufReader<UnixStream>,
    path: PathBuf,
    patience: Duration,
    /// What the node was asked for last.
    asked: String,
}

impl LineSocket {
    /// Connects to the node of this `role`, as the subcommand is called that runs one. It may be silent for as long as `patience`.
    ///
    /// # Errors
    /// Nobody listens there, or the node takes no connection.
    pub(crate) fn connect(path: &Path, role: &str, patience: Duration) -> Result<Self, Failure> {
        let stream = connected(path, patience).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => silent(path, patience, "has not taken a connection"),
            _ => Failure::bad_input(format!(
                "photongate: nobody answers at {}: {error}\nis the node running? `photongate {role} CONFIG`; another socket: --socket \
                 PATH, or --config CONFIG of the node",
                path.display()
            )),
        })?;
        let stream = BufReader::new(stream);
        Ok(Self { stream, path: path.to_owned(), patience, asked: String::new() })
    }

    /// Sends a line.
    ///
    /// # Errors
    /// The connection broke, or the node takes none of it for too long.
    pub(crate) fn send(&mut self, question: &Value) -> Result<(), Failure> {
        text(&question["op"]).clone_into(&mut self.asked);
        let line = format!("{question}\n");
        let sent = self.stream.get_mut().write_all(line.as_bytes());
        sent.map_err(|error| self.failed(&error, &format!("has taken nothing of the command `{}`", self.asked)))
    }

    /// Waits for a line.
    ///
    /// # Errors
    /// The node says nothing for too long, the connection broke, or it is no JSON.
    pub(crate) fn receive(&mut self) -> Result<Value, Failure> {
        self.receive_within(Some(self.patience))
    }

    /// Waits for a line for ever: what it tells may not happen for days.
    ///
    /// # Errors
    /// The connection broke, or it is no JSON.
    pub(crate) fn wait(&mut self) -> Result<Value, Failure> {
        self.receive_within(None)
    }

    fn receive_within(&mut self, patience: Option<Duration>) -> Result<Value, Failure> {
        self.stream.get_mut().set_read_timeout(patience).map_err(Failure::at_run_time)?;
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Err(self.broken(&"the node has closed it")),
            Ok(_) => serde_json::from_str(&line).map_err(|error| self.broken(&error)),
            Err(error) => Err(self.failed(&error, &format!("has said nothing to the command `{}`", self.asked))),
        }
    }

    fn failed(&self, error: &io::Error, what: &str) -> Failure {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => silent(&self.path, self.patience, what),
            _ => self.broken(error),
        }
    }

    fn broken(&self, why: &dyn std::fmt::Display) -> Failure {
        Failure::at_run_time(format!("photongate: the connection to {} is broken: {why}", self.path.display()))
    }
}

/// The text of a field; nothing if it has none.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Connects. A node that hangs takes connections only until so many wait; from then on the system keeps whoever connects waiting as well,
/// for as long as sending may take.
fn connected(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let stream = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let micros = i64::try_from(patience.as_micros()).unwrap_or(i64::MAX).max(1);
    setsockopt(&stream, sockopt::SendTimeout, &TimeVal::microseconds(micros))?;
    connect(stream.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(stream.into())
}

fn silent(path: &Path, patience: Duration, what: &str) -> Failure {
    Failure::bad_input(format!(
        "photongate: the node at {} {what} for {}: it hangs, or was stopped\nlook into its log and start it anew; to wait for longer: \
         --patience TIME",
        path.display(),
        span(patience)
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use nix::sys::socket::{Backlog, bind, listen};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_that_says_nothing_is_given_up_with_what_it_was_asked_for_and_where() {
        let (_folder, path) = place();
        let _node = UnixListener::bind(&path).unwrap();
        let mut client = LineSocket::connect(&path, "dht", SHORT).unwrap();
        client.send(&json!({ "op": "peers" })).unwrap();
        let said = format!("{:?}", client.receive().unwrap_err());
        for words in ["status: 2", path.to_str().unwrap(), "`peers`", "for 2 s", "--patience"] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }

    #[test]
    fn a_node_that_takes_nothing_is_given_up() {
        let (_folder, path) = place();
        let _node = UnixListener::bind(&path).unwrap();
        let mut client = LineSocket::connect(&path, "dht", SHORT).unwrap();
        let said = format!("{:?}", client.send(&json!({ "op": "put", "base64": "A".repeat(8 << 20) })).unwrap_err());
        assert!(said.contains("status: 2") && said.contains("has taken nothing of the command `put`"), "{said}");
    }

    #[test]
    fn a_node_that_takes_no_connections_any_more_is_given_up() {
        let (_folder, path) = place();
        let node = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(node.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&node, Backlog::new(1).unwrap()).unwrap();
        let mut waiting = Vec::new();
        let said = loop {
            match LineSocket::connect(&path, "dht", SHORT) {
                Ok(client) => waiting.push(client),
                Err(failure) => break format!("{failure:?}"),
            }
            assert!(waiting.len() < 9, "all of them wait");
        };
        assert!(said.contains("status: 2") && said.contains("has not taken a connection for 2 s"), "{said}");
    }

    #[test]
    fn a_line_that_comes_bit_by_bit_is_waited_for_however_long_it_takes() {
        let (_folder, path) = place();
        let node = UnixListener::bind(&path).unwrap();
        let talking = thread::spawn(move || {
            let (mut stream, _) = node.accept().unwrap();
            for part in [r#"{"#, r#""ok""#, ":", "true", "}", "\n"] {
                thread::sleep(SHORT / 5);
                stream.write_all(part.as_bytes()).unwrap();
            }
        });
        let mut client = LineSocket::connect(&path, "dht", SHORT).unwrap();
        assert_eq!(client.receive().unwrap(), json!({ "ok": true }));
        talking.join().unwrap();
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.sock");
        (folder, path)
    }

    const SHORT: Duration = Duration::from_secs(2);
}
