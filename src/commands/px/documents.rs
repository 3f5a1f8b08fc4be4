//! `photongate px put`, `get`, `delete`, `list`, `watch`: documents.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write as _};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};

use super::connection::{Reach, text};
use crate::failure::Failure;
use crate::output;

/// Write a document
///
/// Prints its generation now. When this returns, the document is on the disks of a majority.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate px put motd --value 'Back at five'
    photongate px put as-list --file as-list.toml --expected 6

Exit status: 0 if it was written; 1 if not, as when it had another generation; 2 if the node cannot be asked.")]
pub(super) struct Put {
    /// The name: printable characters without blanks
    name: String,

    /// What it is to say; without this and --file, standard input
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    value: Option<String>,

    /// The file with what it is to say
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Only if the document has this generation; 0: only if there is none
    #[arg(long, value_name = "GENERATION")]
    expected: Option<u64>,

    #[command(flatten)]
    reach: Reach,
}

/// Print a document
///
/// As it stands, on standard output. It is what was acknowledged last, anywhere; that takes a majority. With --stale it is what this node
/// knows, which always works.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate px get as-list > as-list.toml
    photongate px get as-list --stale --json

Exit status: 0 if there is one; 1 if there is none, or no majority; 2 if the node cannot be asked.")]
pub(super) struct Get {
    /// The name
    name: String,

    /// Whatever this node knows, however old it is
    #[arg(long)]
    stale: bool,

    #[command(flatten)]
    reach: Reach,
}

/// Remove a document
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate px delete motd
    photongate px delete as-list --expected 7

Exit status: 0 if it is not there any more; 1 if it had another generation, or there is no majority; 2 if the node cannot be asked.")]
pub(super) struct Delete {
    /// The name
    name: String,

    /// Only if the document has this generation
    #[arg(long, value_name = "GENERATION")]
    expected: Option<u64>,

    #[command(flatten)]
    reach: Reach,
}

/// List documents, by name
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate px list
    photongate px list sites/ --stale --json

Exit status: 0 if they are listed; 1 if there is no majority; 2 if the node cannot be asked.")]
pub(super) struct List {
    /// With which their names begin
    #[arg(default_value = "")]
    prefix: String,

    /// Whatever this node knows, however old it is
    #[arg(long)]
    stale: bool,

    #[command(flatten)]
    reach: Reach,
}

/// Print changes as they happen, until Ctrl-C
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate px watch
    photongate px watch sites/ --from 1700 --json

Exit status: 1 if the node ends, or does not remember changes so far back; 2 if it cannot be asked.")]
pub(super) struct Watch {
    /// With which the names of the documents begin
    #[arg(default_value = "")]
    prefix: String,

    /// Changes behind this revision; without it, those from now on
    #[arg(long, value_name = "REVISION")]
    from: Option<u64>,

    #[command(flatten)]
    reach: Reach,
}

impl Put {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let bytes = match (&self.value, &self.file) {
            (Some(value), _) => value.clone().into_bytes(),
            (None, Some(file)) => fs::read(file).map_err(|error| unreadable(&file.display().to_string(), &error))?,
            (None, None) => {
                let mut bytes = Vec::new();
                io::stdin().read_to_end(&mut bytes).map_err(|error| unreadable("standard input", &error))?;
                bytes
            }
        };
        let base64 = STANDARD.encode(bytes);
        let question = json!({ "op": "put", "name": self.name, "base64": base64, "expected": self.expected });
        let answer = self.reach.ask(&question)?;
        if self.reach.json {
            return Ok(());
        }
        output::print(&format!("generation {}\n", answer["generation"]))
    }
}

impl Get {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let answer = self.reach.ask(&json!({ "op": "get", "name": self.name, "stale": self.stale }))?;
        if self.reach.json {
            return Ok(());
        }
        if self.stale {
            tell_age(&answer);
        }
        let bytes = match answer["base64"].as_str() {
            Some(base64) => STANDARD.decode(base64).map_err(Failure::at_run_time)?,
            None => text(&answer["value"]).as_bytes().to_vec(),
        };
        let written = io::stdout().write_all(&bytes).and_then(|()| io::stdout().flush());
        written.map_err(|error| Failure::at_run_time(format!("photongate: standard output cannot be written: {error}")))
    }
}

impl Delete {
    pub(super) fn run(&self) -> Result<(), Failure> {
        self.reach.ask(&json!({ "op": "delete", "name": self.name, "expected": self.expected })).map(|_| ())
    }
}

impl List {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut question = json!({ "op": "list", "prefix": self.prefix, "stale": self.stale, "limit": PAGE });
        loop {
            let answer = self.reach.ask(&question)?;
            let documents = answer["documents"].as_array().map(Vec::as_slice).unwrap_or_default();
            if !self.reach.json {
                if self.stale && question.get("after").is_none() {
                    tell_age(&answer);
                }
                output::print(&table(documents))?;
            }
            match documents.last() {
                Some(last) if documents.len() == PAGE => question["after"] = last["name"].clone(),
                _ => return Ok(()),
            }
        }
    }
}

impl Watch {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut connection = self.reach.connect()?;
        connection.send(&json!({ "op": "watch", "prefix": self.prefix, "from": self.from }))?;
        loop {
            let change = connection.wait()?;
            if change["ok"] != true {
                return Err(Failure::at_run_time(format!("photongate: {}", text(&change["detail"]))));
            }
            let revision = change["revision"].to_string();
            let line = match text(&change["change"]) {
                _ if self.reach.json => change.to_string(),
                "delete" => format!("{revision:>8}  delete  {}", text(&change["name"])),
                _ => format!(
                    "{revision:>8}  put     {}  generation {}, by {}",
                    text(&change["name"]),
                    change["generation"],
                    text(&change["author"])
                ),
            };
            output::print(&format!("{line}\n"))?;
        }
    }
}

/// Says on standard error that an answer may be old, beside what was asked for on standard output.
fn tell_age(answer: &Value) {
    let heard = match answer["age_ticks"].as_u64() {
        Some(ticks) => format!("it last heard of a leader {ticks} ticks ago"),
        None => "it knows of no leader".to_owned(),
    };
    eprintln!("photongate: this may be old: the node knows the log up to revision {}; {heard}", answer["known_up_to"]);
}

fn table(documents: &[Value]) -> String {
    let width = documents.iter().map(|document| text(&document["name"]).chars().count()).max().unwrap_or_default();
    documents.iter().fold(String::new(), |mut table, document| {
        let (name, generation) = (text(&document["name"]), document["generation"].to_string());
        let _ = writeln!(table, "{name:<width$}  generation {generation:<6}  by {}", text(&document["author"]));
        table
    })
}

fn unreadable(what: &str, error: &io::Error) -> Failure {
    Failure::bad_input(format!("photongate: {what} cannot be read: {error}"))
}

/// Documents that are asked for at once.
const PAGE: usize = 1_000;
