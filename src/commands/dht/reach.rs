//! How a node is asked, and how its refusals become exit statuses.

use std::path::{Path, PathBuf};

use photongate_dht::config::DhtConfig;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::line_socket::{LineSocket, text};
use crate::output;
use crate::reach::Role;

/// Where the node is.
pub(super) type Reach = crate::reach::Reach<Dht>;

/// A node of the store.
#[derive(Clone, Debug)]
pub(super) struct Dht;

impl Role for Dht {
    const NAME: &'static str = "dht";
    const SOCKET: &'static str = "/var/lib/photongate-dht/dht.sock";

    fn socket_in(config: &Path) -> Result<PathBuf, Failure> {
        Ok(DhtConfig::load(config).map_err(Failure::bad_input)?.config.socket)
    }
}

/// A connection to a node, which gives a sign of life while it is at work: that may take as long as it has patience with others.
pub(super) struct Node {
    socket: LineSocket,
    beat_ms: u64,
}

impl Reach {
    /// Connects, to ask several times.
    ///
    /// # Errors
    /// Nobody listens there, or the configuration has mistakes.
    pub(super) fn node(&self) -> Result<Node, Failure> {
        let beat_ms = u64::try_from((self.patience / BEATS).as_millis()).unwrap_or(u64::MAX);
        Ok(Node { socket: self.connect()?, beat_ms })
    }

    /// Asks once, on a connection of its own.
    ///
    /// # Errors
    /// There is no answer, or it is a refusal.
    pub(super) fn ask(&self, question: Value) -> Result<Value, Failure> {
        self.node()?.ask(question)
    }

    /// Prints what a command came to: the object for programs, or the text for people.
    ///
    /// # Errors
    /// Nothing can be printed.
    pub(super) fn print(&self, object: &Value, text: &str) -> Result<(), Failure> {
        if self.json { output::print(&format!("{object:#}\n")) } else { output::print(text) }
    }
}

impl Node {
    /// Asks once.
    ///
    /// # Errors
    /// There is no answer, or it is a refusal.
    pub(super) fn ask(&mut self, question: Value) -> Result<Value, Failure> {
        self.send(question)?;
        let answer = self.receive()?;
        if answer["ok"] == true { Ok(answer) } else { Err(refused(&answer)) }
    }

    /// Sends a command.
    ///
    /// # Errors
    /// The connection broke, or the node takes none of it for too long.
    pub(super) fn send(&mut self, mut question: Value) -> Result<(), Failure> {
        question["beat_ms"] = json!(self.beat_ms);
        self.socket.send(&question)
    }

    /// Waits for an answer, for as long as the node is at work.
    ///
    /// # Errors
    /// The node gives no sign of life for too long, or the connection broke.
    pub(super) fn receive(&mut self) -> Result<Value, Failure> {
        loop {
            let answer = self.socket.receive()?;
            if answer["working"] != true {
                return Ok(answer);
            }
        }
    }
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

/// Signs of life that are due before the node is given up: some may be late.
const BEATS: u32 = 6;
