//! Which node is asked, and how one question becomes one answer.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use photongate_px::config::PxConfig;
use serde_json::Value;

use crate::failure::Failure;
use crate::line_socket::LineSocket;
pub(super) use crate::line_socket::text;
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

impl Reach {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there, or the configuration has mistakes.
    pub(super) fn connect(&self) -> Result<LineSocket, Failure> {
        let socket = match &self.config {
            Some(config) => PxConfig::load(config).map_err(Failure::bad_input)?.config.socket,
            None => self.socket.clone(),
        };
        LineSocket::connect(&socket, "px")
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

/// Where a node has its socket by default.
pub(super) const DEFAULT_SOCKET: &str = "/var/lib/photongate-px/px.sock";

/// More than a node waits for agreement by default.
const PATIENCE: Duration = Duration::from_secs(30);
