//! Which node is asked: the arguments of all commands that ask one.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::line_socket::LineSocket;
use crate::numbers::duration;

/// What kind of node it is.
pub(crate) trait Role {
    /// The subcommand that runs one.
    const NAME: &'static str;

    /// Where one has its socket by default.
    const SOCKET: &'static str;

    /// Where one with this configuration has it.
    ///
    /// # Errors
    /// The configuration has mistakes.
    fn socket_in(config: &Path) -> Result<PathBuf, Failure>;
}

/// Where the node is.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The node")]
pub(crate) struct Reach<R: Role> {
    /// The Unix socket of the node
    #[arg(long, value_name = "PATH", default_value = R::SOCKET, conflicts_with = "config")]
    socket: PathBuf,

    /// The node's configuration, which says where its socket is
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// How long the node may give no sign of life
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience)]
    pub(crate) patience: Duration,

    /// Print JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,

    #[arg(skip)]
    role: PhantomData<R>,
}

impl<R: Role> Reach<R> {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there, or the configuration has mistakes.
    pub(crate) fn connect(&self) -> Result<LineSocket, Failure> {
        let socket = match &self.config {
            Some(config) => R::socket_in(config)?,
            None => self.socket.clone(),
        };
        LineSocket::connect(&socket, R::NAME, self.patience)
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("nobody answers in no time".to_owned()),
        patience => Ok(patience),
    }
}
