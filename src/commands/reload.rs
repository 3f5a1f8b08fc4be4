//! `photongate reload`: have a running filter read its configuration anew.

use std::fmt::Write;

use clap::Args;
use photongate_agent::api::ReloadOutcome;

use super::aslist::changes;
use crate::failure::Failure;
use crate::management::{Reach, print_json};
use crate::output;

/// Have a running filter read its configuration and AS list anew
///
/// The same as sending it SIGHUP, but that it says what came of it. It takes effect whole or not at all; no packet is lost. A file with
/// mistakes changes nothing, and every mistake is shown. So does a change of a field that only a restart can change: the message names it.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate check --config /etc/photongate/filter.toml && sudo photongate reload
    sudo photongate reload --json | jq .fields

Exit status: 0 if what is in the files is in force now; 1 if the filter refuses; 2 if it cannot be asked.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    reach: Reach,

    /// Print what the filter answers, one JSON object
    #[arg(long)]
    json: bool,
}

/// Has the filter reload, and prints what changed.
///
/// # Errors
/// The filter refuses, or cannot be asked.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let outcome = arguments.reach.filter()?.ask(|client| async move { client.reload().await })?;
    if arguments.json { print_json(&outcome) } else { output::print(&in_words(&outcome)) }
}

fn in_words(outcome: &ReloadOutcome) -> String {
    let mut text = String::new();
    if outcome.fields.is_empty() && changes::are_none(&outcome.as_list) {
        text.push_str("nothing has changed\n");
    }
    for field in &outcome.fields {
        let _ = writeln!(text, "~ {field}");
    }
    if !changes::are_none(&outcome.as_list) {
        text.push_str(&changes::in_words(&outcome.as_list));
    }
    text
}
