//! `photongate aslist check`: is a list all right?

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use photongate_agent::as_list::{AsList, Context, Held, Read, SecretFiles};
use photongate_net::config::{Problem, Problems};
use serde_json::json;

use super::peer_name;
use crate::config::FilterConfig;
use crate::failure::Failure;
use crate::{output, problems};

/// Check a list of peers, without any filter
///
/// Reports every mistake at once, with line, column and what to do. With a configuration the list is checked for that filter: its
/// own AS, its times, the room in its dictionary, the MTU of its ports. Files with secrets must be there. Secrets that the list
/// shows as `held = true` are those of a running filter, and are taken to be there.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate aslist check config/as-list.toml
    photongate aslist check as-list.json --config filter.toml --json

Exit status: 0 if the list can be used; 2 if not.")]
pub(crate) struct Arguments {
    /// The list: TOML, or JSON if its name ends in .json
    file: PathBuf,

    /// The configuration of the filter that the list is for
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Checks the list, and prints what was found.
///
/// # Errors
/// The list has mistakes, or it cannot be read; or the configuration.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let context = match &arguments.config {
        None => Context::default(),
        // Of the list that the filter has, nothing is asked here: it may be the one with the mistakes.
        Some(path) => match FilterConfig::load_to_start(path, SecretFiles::Trust) {
            Ok((config, _)) => config.list_context(),
            Err(found) => return Err(refusal(arguments, &found)?),
        },
    };
    let Read { list, mut warnings } = match AsList::load(&arguments.file, &Context { held: Held::Unknown, ..context }) {
        Ok(read) => read,
        Err(found) => return Err(refusal(arguments, &found)?),
    };
    warnings.extend(problems::early_secrets(&arguments.file, &list));
    output::print(&if arguments.json { json_text(&list, &warnings) } else { text(arguments, &list, &warnings) })
}

/// What ends the command because of `found`. As JSON it has been said on standard output then.
fn refusal(arguments: &Arguments, found: &Problems) -> Result<Failure, Failure> {
    if !arguments.json {
        return Ok(Failure::bad_input(problems::complaint(found)));
    }
    output::print(&format!("{:#}\n", json!({ "ok": false, "problems": problems::to_json(found.iter()) })))?;
    Ok(Failure::bad_input(""))
}

fn text(arguments: &Arguments, list: &AsList, warnings: &[Problem]) -> String {
    let mut text = format!("{}: ok\n", arguments.file.display());
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<11} {value}");
    };
    let mut names: Vec<_> = list.peers().iter().take(NAMED_PEERS).map(peer_name).collect();
    if list.peers().len() > NAMED_PEERS {
        names.push("…".to_owned());
    }
    line("peers", format!("{}: {}", list.peers().len(), names.join(", ")));
    line("prefixes", prefixes(list).to_string());
    line("digest", list.digest());
    for warning in warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

fn json_text(list: &AsList, warnings: &[Problem]) -> String {
    let object = json!({
        "ok": true,
        "peers": list.peers().len(),
        "prefixes": prefixes(list),
        "digest": list.digest(),
        "warnings": problems::to_json(warnings),
    });
    format!("{object:#}\n")
}

fn prefixes(list: &AsList) -> usize {
    list.peers().iter().map(|peer| peer.prefixes.len()).sum()
}

const NAMED_PEERS: usize = 5;
