//! Where the keys of an answer go: into files, or to standard output, and nowhere unless asked.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use clap::Args;
use photongate_net::secret_file;
use photongate_qks::client::read;
use photongate_qks::sae::KeyContainer;
use zeroize::Zeroizing;

use super::{bad_input, refused};
use crate::failure::Failure;
use crate::output;

/// One of three ways.
#[derive(Args)]
#[command(next_help_heading = "The keys")]
#[group(required = true, multiple = false)]
pub(super) struct Destination {
    /// Write each key, in base64, into the file KEY_ID.key of this folder, mode 0600, and print the IDs
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Print each ID with its key, in base64
    #[arg(long)]
    show_keys: bool,

    /// Print the answer as it came: IDs and keys
    #[arg(long)]
    json: bool,
}

impl Destination {
    /// Makes the folder, if it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn prepare(&self) -> Result<(), Failure> {
        let Some(folder) = &self.out else { return Ok(()) };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| bad_input(format!("the folder {} cannot be made: {error}", folder.display())))
    }

    /// Puts the keys of an answer there.
    ///
    /// # Errors
    /// The answer cannot be read, or a file cannot be written. All keys that can be written are.
    pub(super) fn put(&self, answer: &[u8]) -> Result<(), Failure> {
        if self.json {
            return output::print(&as_it_came(answer)?);
        }
        let container: KeyContainer = read(answer).map_err(|error| refused(&error))?;
        let Some(folder) = &self.out else {
            // With room for all: a text that grows leaves what it held behind in freed memory.
            let room = container.keys.iter().map(|key| LONGEST_ID + key.key.len()).sum();
            let mut text = Zeroizing::new(String::with_capacity(room));
            for key in &container.keys {
                text.extend([&key.key_ID.to_string(), " ", &key.key, "\n"]);
            }
            return output::print(&text);
        };
        let mut ids = String::new();
        let mut unwritten = Vec::new();
        for key in &container.keys {
            let path = folder.join(format!("{}.key", key.key_ID));
            match secret_file::create(&path, &key.key) {
                Ok(()) => ids.extend([&key.key_ID.to_string(), "\n"]),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    unwritten.push(format!("photongate: {} is there already, and stays as it is", path.display()));
                }
                Err(error) => unwritten.push(format!("photongate: {} cannot be written: {error}", path.display())),
            }
        }
        output::print(&ids)?;
        if unwritten.is_empty() { Ok(()) } else { Err(Failure::at_run_time(unwritten.join("\n"))) }
    }
}

/// An answer as it came, with a newline behind it.
///
/// # Errors
/// It is no text.
pub(super) fn as_it_came(answer: &[u8]) -> Result<Zeroizing<String>, Failure> {
    let text = std::str::from_utf8(answer);
    let text = text.map_err(|_| Failure::at_run_time("photongate: the key server's answer is no text"))?;
    let mut line = Zeroizing::new(String::with_capacity(text.len() + 1));
    line.extend([text.trim_end(), "\n"]);
    Ok(line)
}

/// Of a UUID with the blank and the newline around it.
const LONGEST_ID: usize = 38;
