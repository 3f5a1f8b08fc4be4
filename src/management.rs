//! How commands reach a running filter: the arguments they have in common, and the way from a request to its answer.

use std::fs;
use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use photongate_agent::client::{Client, ClientError, ClientOptions, DEFAULT_SOCKET, Server};
use photongate_net::secret_file;
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::output;

/// Where the filter is, and what it is shown.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The filter")]
pub(crate) struct Reach {
    /// The Unix socket that the filter is managed by
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET, conflicts_with = "url")]
    socket: PathBuf,

    /// The address instead of the socket: http://127.0.0.1:8479 on this machine, https://HOST:PORT elsewhere
    #[arg(long, value_name = "URL")]
    url: Option<Server>,

    /// The file with the token to show; read.token of the filter's state directory to look, admin.token to change
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,

    /// The authorities that may vouch for the filter, PEM; without it, those this machine believes
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,

    /// The certificate to show, with those that issued it behind it, PEM
    #[arg(long, value_name = "FILE", requires = "url", requires = "key")]
    certificate: Option<PathBuf>,

    /// The private key of the certificate, PEM, mode 0600
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
}

/// A filter, and what it takes to wait for its answers.
pub(crate) struct Filter {
    runtime: Runtime,
    client: Client,
}

impl Reach {
    /// Gets ready to ask. Nothing is sent yet.
    ///
    /// # Errors
    /// What was given cannot be used.
    pub(crate) fn filter(&self) -> Result<Filter, Failure> {
        let server = self.url.clone().unwrap_or_else(|| Server::socket(&self.socket));
        let client = Client::new(server, &self.options()?).map_err(bad_input)?;
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Filter { runtime: runtime.map_err(bad_input)?, client })
    }

    fn options(&self) -> Result<ClientOptions, Failure> {
        let token = self.token_file.as_deref().map(secret).transpose()?;
        let authorities = self.ca.as_deref().map(public).transpose()?;
        let identity = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let mut pem = Zeroizing::new(public(certificate)?);
                // Room for the key first: a vector that grows leaves its content behind in freed memory.
                let key = secret(key)?;
                pem.reserve_exact(key.len() + 1);
                pem.push(b'\n');
                pem.extend_from_slice(key.as_bytes());
                Some(pem)
            }
            _ => None,
        };
        Ok(ClientOptions { token, authorities, identity })
    }
}

impl Filter {
    /// Waits for an answer. No answer is bad input, a refusal a failure of the command.
    ///
    /// # Errors
    /// The answer did not come, or was a refusal.
    pub(crate) fn ask<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        question: impl FnOnce(Client) -> F,
    ) -> Result<T, Failure> {
        self.run(question).map_err(|error| failure(&error))
    }

    /// As [`Self::ask`], for commands that do nothing but look: a refusal, too, means that they cannot.
    ///
    /// # Errors
    /// The answer did not come, or was a refusal.
    pub(crate) fn look<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        question: impl FnOnce(Client) -> F,
    ) -> Result<T, Failure> {
        self.run(question).map_err(bad_input)
    }

    /// Runs what asks by itself.
    pub(crate) fn run<T, F: Future<Output = T>>(&self, task: impl FnOnce(Client) -> F) -> T {
        self.runtime.block_on(task(self.client.clone()))
    }
}

/// What ends a command that got no answer, or a refusal.
pub(crate) fn failure(error: &ClientError) -> Failure {
    match error {
        ClientError::Refused { .. } => Failure::at_run_time(format!("photongate: {error}")),
        _ => bad_input(error),
    }
}

/// Asks the operator, if there is one at a terminal, whether to go on. Elsewhere, and with `yes`, the command itself says so.
///
/// # Errors
/// The operator does not want to.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(());
    }
    // A question that cannot be shown is one that nobody answers with yes.
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let _ = io::stdin().read_line(&mut answer);
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::at_run_time("photongate: nothing was changed"))
    }
}

/// Prints a document of the filter's for machines.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn print_json(document: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document).expect("a document is made of text and numbers");
    output::print(&(text + "\n"))
}

fn secret(path: &Path) -> Result<Zeroizing<String>, Failure> {
    secret_file::read(path).map_err(|error| bad_input(format!("the file {} {error}", path.display())))
}

fn public(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| bad_input(format!("the file {} cannot be read: {error}", path.display())))
}

fn bad_input(error: impl std::fmt::Display) -> Failure {
    Failure::bad_input(format!("photongate: {error}"))
}
