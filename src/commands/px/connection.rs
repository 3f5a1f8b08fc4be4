//! The way to a node: its Unix socket, a line there and a line back.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use photongate_px::config::PxConfig;
use serde_json::Value;

use crate::failure::Failure;
use crate::output;

/// Where the node is.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The node")]
pub(super) struct Reach {
    /// The Unix socket of the node
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET, conflicts_with = "config")]
    socket: PathBuf,

    /// The node's configuration, which says where its socket is
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print the node's answer, JSON objects
    #[arg(long)]
    pub(super) json: bool,
}

/// A connection to a node.
pub(super) struct Connection {
    stream: BufReader<UnixStream>,
    socket: PathBuf,
}

impl Reach {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there, or the configuration has mistakes.
    pub(super) fn connect(&self) -> Result<Connection, Failure> {
        let socket = match &self.config {
            Some(config) => PxConfig::load(config).map_err(Failure::bad_input)?.config.socket,
            None => self.socket.clone(),
        };
        let stream = UnixStream::connect(&socket).map_err(|error| {
            Failure::bad_input(format!(
                "photongate: nobody answers at {}: {error}\nis the node running? `photongate px CONFIG`; another socket: --socket \
                 PATH, or --config CONFIG of the node",
                socket.display()
            ))
        })?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(Failure::at_run_time)?;
        Ok(Connection { stream: BufReader::new(stream), socket })
    }

    /// The same, without printing the answer.
    pub(super) fn quietly(&self) -> Self {
        Self { json: false, ..self.clone() }
    }

    /// Asks once. The answer is printed as it is if JSON is wanted.
    ///
    /// # Errors
    /// There is no answer, or it is a refusal.
    pub(super) fn ask(&self, question: &Value) -> Result<Value, Failure> {
        let mut connection = self.connect()?;
        connection.send(question)?;
        let answer = connection.receive(Some(PATIENCE))?;
        if self.json {
            output::print(&format!("{answer:#}\n"))?;
        }
        if answer["ok"] == true {
            return Ok(answer);
        }
        let (word, detail) = (text(&answer["error"]), text(&answer["detail"]));
        let message = if self.json { String::new() } else { format!("photongate: {word}: {detail}") };
        Err(Failure::at_run_time(message))
    }
}

impl Connection {
    /// Sends a line.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) fn send(&mut self, question: &Value) -> Result<(), Failure> {
        let line = format!("{question}\n");
        self.stream.get_mut().write_all(line.as_bytes()).map_err(|error| self.broken(&error))
    }

    /// Waits for a line.
    ///
    /// # Errors
    /// It does not come, in so much time, or is no JSON.
    pub(super) fn receive(&mut self, patience: Option<Duration>) -> Result<Value, Failure> {
        self.stream.get_mut().set_read_timeout(patience).map_err(Failure::at_run_time)?;
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Err(self.broken(&"the node has closed it")),
            Ok(_) => serde_json::from_str(&line).map_err(|error| self.broken(&error)),
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn broken(&self, why: &dyn std::fmt::Display) -> Failure {
        Failure::at_run_time(format!("photongate: the connection to {} is broken: {why}", self.socket.display()))
    }
}

/// The text of a field; nothing if it has none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Where a node has its socket by default.
pub(super) const DEFAULT_SOCKET: &str = "/var/lib/photongate-px/px.sock";

/// More than a node waits for agreement by default.
const PATIENCE: Duration = Duration::from_secs(30);
