//! `photongate px status`: how a node is.

use std::fmt::Write;

use clap::Args;
use serde_json::{Value, json};

use super::connection::{Reach, text};
use super::member;
use crate::failure::Failure;
use crate::output;

/// Show how a node is: leader, members, log, connections
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate px status
    photongate px status --config px-1.toml --json

Exit status: 0 if the node can do its work; 1 if not: it says why; 2 if it cannot be asked.")]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
}

/// Prints it.
///
/// # Errors
/// The node cannot be asked, or cannot do its work.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let status = arguments.reach.ask(&json!({ "op": "status" }))?;
    if !arguments.reach.json {
        output::print(&in_words(&status))?;
    }
    if status["ready"] == true { Ok(()) } else { Err(Failure::at_run_time("")) }
}

fn in_words(status: &Value) -> String {
    let mut words = String::new();
    let leader = status["leader"].as_str().unwrap_or("nobody, as far as this node knows");
    let _ = writeln!(words, "{}: leader {leader}", text(&status["name"]));
    let _ = writeln!(
        words,
        "log: revision {}, {} entries kept; {} documents",
        status["revision"], status["log_entries"], status["documents"]
    );
    words.push_str("members:\n");
    words.push_str(&member::table(&status["membership"]));
    words.push_str("connections:\n");
    for peer in status["peers"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let ping = &peer["ping"];
        let micros = |field: &str| ping[field].as_f64().unwrap_or_default() / 1_000.0;
        let _ = if peer["up"] == true {
            writeln!(
                words,
                "      {}  up, round trip {:.2} ms, jitter {:.2} ms, loss {:.0} %",
                text(&peer["name"]),
                micros("rtt_us"),
                micros("jitter_us"),
                100.0 * ping["loss"].as_f64().unwrap_or_default()
            )
        } else {
            writeln!(words, "      {}  down: {}", text(&peer["name"]), text(&peer["reason"]))
        };
    }
    for sentence in status["because"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let _ = writeln!(words, "not ready: {}", text(sentence));
    }
    words
}
