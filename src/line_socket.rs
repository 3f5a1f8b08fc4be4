//! The way to a running node: its Unix socket, a line of JSON there and a line back.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::failure::Failure;

/// A connection to a node.
pub(crate) struct LineSocket {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

impl LineSocket {
    /// Connects to the node of this `role`, as the subcommand is called that runs one.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(crate) fn connect(path: &Path, role: &str) -> Result<Self, Failure> {
        let stream = UnixStream::connect(path).map_err(|error| {
            Failure::bad_input(format!(
                "photongate: nobody answers at {}: {error}\nis the node running? `photongate {role} CONFIG`; another socket: --socket \
                 PATH, or --config CONFIG of the node",
                path.display()
            ))
        })?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(Failure::at_run_time)?;
        Ok(Self { stream: BufReader::new(stream), path: path.to_owned() })
    }

    /// Sends a line.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) fn send(&mut self, question: &Value) -> Result<(), Failure> {
        let line = format!("{question}\n");
        self.stream.get_mut().write_all(line.as_bytes()).map_err(|error| self.broken(&error))
    }

    /// Waits for a line.
    ///
    /// # Errors
    /// It does not come, in so much time, or is no JSON.
    pub(crate) fn receive(&mut self, patience: Option<Duration>) -> Result<Value, Failure> {
        self.stream.get_mut().set_read_timeout(patience).map_err(Failure::at_run_time)?;
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Err(self.broken(&"the node has closed it")),
            Ok(_) => serde_json::from_str(&line).map_err(|error| self.broken(&error)),
            Err(error) => Err(self.broken(&error)),
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

/// How long a node may take nothing of a question.
const PATIENCE: Duration = Duration::from_secs(30);
