//! Which node is asked, and how its refusals become exit statuses.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use photongate_dht::config::DhtConfig;
use serde_json::Value;

use crate::failure::Failure;
use crate::line_socket::{LineSocket, text};
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

    /// Print one JSON object, for programs
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
            Some(config) => DhtConfig::load(config).map_err(Failure::bad_input)?.config.socket,
            None => self.socket.clone(),
        };
        LineSocket::connect(&socket, "dht")
    }

    /// Asks once, on a connection of its own.
    ///
    /// # Errors
    /// There is no answer, or it is a refusal.
    pub(super) fn ask(&self, question: &Value) -> Result<Value, Failure> {
        ask(&mut self.connect()?, question)
    }

    /// Prints what a command came to: the object for programs, or the text for people.
    ///
    /// # Errors
    /// Nothing can be printed.
    pub(super) fn print(&self, object: &Value, text: &str) -> Result<(), Failure> {
        if self.json { output::print(&format!("{object:#}\n")) } else { output::print(text) }
    }
}

/// Asks once.
///
/// # Errors
/// There is no answer, or it is a refusal.
pub(super) fn ask(node: &mut LineSocket, question: &Value) -> Result<Value, Failure> {
    node.send(question)?;
    let answer = node.receive(Some(PATIENCE))?;
    if answer["ok"] == true { Ok(answer) } else { Err(refused(&answer)) }
}

/// What ends a command that was refused.
pub(super) fn refused(answer: &Value) -> Failure {
    let (word, detail) = (text(&answer["error"]), text(&answer["detail"]));
    let message = format!("photongate: {detail}");
    match word {
        "not_found" => Failure::with_status(NOT_FOUND, message),
        "stalled" => Failure::with_status(INCOMPLETE, message),
        _ => Failure::at_run_time(message),
    }
}

/// Exit status: nobody has it.
pub(super) const NOT_FOUND: u8 = 3;

/// Exit status: a part of it is done, and the same command goes on from there.
pub(super) const INCOMPLETE: u8 = 4;

/// Where a node has its socket by default.
const DEFAULT_SOCKET: &str = "/var/lib/photongate-dht/dht.sock";

/// More than a node tries to fetch something for that does not come.
const PATIENCE: Duration = Duration::from_secs(180);
