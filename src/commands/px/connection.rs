//! How one question to a node becomes one answer.

use std::path::{Path, PathBuf};

use photongate_px::config::PxConfig;
use serde_json::Value;

use crate::failure::Failure;
pub(super) use crate::line_socket::text;
use crate::output;
use crate::reach::Role;

/// Where the node is.
pub(super) type Reach = crate::reach::Reach<Px>;

/// A node of px.
#[derive(Clone, Debug)]
pub(super) struct Px;

impl Role for Px {
    const NAME: &'static str = "px";
    const SOCKET: &'static str = "/var/lib/photongate-px/px.sock";

    fn socket_in(config: &Path) -> Result<PathBuf, Failure> {
        Ok(PxConfig::load(config).map_err(Failure::bad_input)?.config.socket)
    }
}

impl Reach {
    /// The same, without printing the answer.
    pub(super) fn quietly(&self) -> Self {
        let mut quiet = self.clone();
        quiet.json = false;
        quiet
    }

    /// Asks once. The answer is printed as it is if JSON is wanted.
    ///
    /// # Errors
    /// There is no answer, or it is a refusal.
    pub(super) fn ask(&self, question: &Value) -> Result<Value, Failure> {
        let mut connection = self.connect()?;
        connection.send(question)?;
        let answer = connection.receive()?;
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
