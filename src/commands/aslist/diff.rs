//! `photongate aslist diff`: what would one list change about another?

use std::fmt::{Display, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use photongate_agent::api::model::Change;
use photongate_agent::as_list::{AsList, Context, Difference, Held, ListedPeer, SecretFiles};
use photongate_pipeline::limits::LimitSettings;
use photongate_pipeline::{Encapsulation, PeerEncapsulation};
use serde_json::json;

use super::peer_name;
use crate::failure::Failure;
use crate::{output, problems};

/// Show what a new list of peers changes about an old one
///
/// Peers are compared by ISD-AS and DRKey protocol, whatever their order, and lists whatever their format. No secret is shown. A secret
/// that one list gives and the other shows as `held = true` is taken to be the same.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate aslist diff as-list.toml new.toml
    photongate aslist diff as-list.toml new.json --json | jq .removed

    + 21-ff00:0:113/3 Geneva            a peer that is new, with its DRKey protocol
    - 3-1/3                             one that is gone
    ~ 20-ff00:0:112/3 Zurich            one that is another, and what is: `-` before, `+` after
        limit: 1000 packets/s -> none

Exit status: 0 if the lists say the same; 1 if they differ; 2 if one cannot be read.")]
pub(crate) struct Arguments {
    /// The list before: TOML, or JSON if its name ends in .json
    old: PathBuf,

    /// The list after
    new: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Compares the lists, and prints what differs.
///
/// # Errors
/// The lists differ, or one of them cannot be read.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Either list may show as held what the other gives.
    let new = read(&arguments.new, Held::Unknown);
    let old = read(&arguments.old, new.as_ref().map_or(Held::Unknown, Held::ByOrUnknown));
    let (old, _) = match (old, new) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => {
            let complaints: Vec<_> = old.err().into_iter().chain(new.err()).collect();
            return Err(Failure::bad_input(complaints.join("\n")));
        }
    };
    let new = read(&arguments.new, Held::ByOrUnknown(&old)).map_err(Failure::bad_input)?;
    let difference = old.difference(&new);
    output::print(&if arguments.json { json_text(&difference) } else { text(&old, &new, &difference) })?;
    if difference.is_empty() { Ok(()) } else { Err(Failure::at_run_time("")) }
}

fn read(path: &Path, held: Held<'_>) -> Result<AsList, String> {
    let context = Context { held, secret_files: SecretFiles::Trust, ..Context::default() };
    AsList::load(path, &context).map(|read| read.list).map_err(|found| problems::complaint(&found))
}

fn text(old: &AsList, new: &AsList, difference: &Difference) -> String {
    let mut text = String::new();
    for peer in difference.removed.iter().filter_map(|key| old.get(*key)) {
        let _ = writeln!(text, "- {}", peer_name(peer));
    }
    for peer in difference.added.iter().filter_map(|key| new.get(*key)) {
        let _ = writeln!(text, "+ {}", peer_name(peer));
    }
    for (key, changes) in &difference.changed {
        let (Some(old), Some(new)) = (old.get(*key), new.get(*key)) else { continue };
        let _ = writeln!(text, "~ {}", peer_name(new));
        for change in changes {
            let _ = writeln!(text, "    {}", changed(*change, old, new));
        }
    }
    let Difference { added, removed, changed, unchanged } = difference;
    let (added, removed, changed) = (added.len(), removed.len(), changed.len());
    let _ = writeln!(text, "{added} added, {removed} removed, {changed} changed, {unchanged} unchanged");
    text
}

fn changed(change: Change, old: &ListedPeer, new: &ListedPeer) -> String {
    match change {
        Change::Name => format!("name: {} -> {}", or_none(old.name.as_deref()), or_none(new.name.as_deref())),
        Change::Prefixes => {
            let only = |sign: char, one: &ListedPeer, other: &ListedPeer| -> Vec<String> {
                let missing = one.prefixes.iter().filter(|prefix| !other.prefixes.contains(prefix));
                missing.map(|prefix| format!("{sign}{prefix}")).collect()
            };
            format!("prefixes: {}", [only('-', old, new), only('+', new, old)].concat().join(" "))
        }
        Change::Limit => {
            format!(
                "limit: {} -> {}",
                or_none(old.limit.as_deref().map(limit)),
                or_none(new.limit.as_deref().map(limit))
            )
        }
        Change::BestEffort => format!("best_effort: {} -> {}", best_effort(old), best_effort(new)),
        Change::Encapsulation => format!("encapsulation: {} -> {}", encapsulation(old), encapsulation(new)),
        Change::Keys => "keys: other secrets".to_owned(),
    }
}

fn limit(limit: &LimitSettings) -> String {
    let rates = [
        (limit.bits_per_second, "bits/s"),
        (limit.burst_bytes, "bytes at once"),
        (limit.packets_per_second, "packets/s"),
        (limit.burst_packets, "packets at once"),
    ];
    let rates = rates.into_iter().filter_map(|(rate, unit)| Some(format!("{} {unit}", rate?)));
    rates.collect::<Vec<_>>().join(", ")
}

fn best_effort(peer: &ListedPeer) -> &'static str {
    if peer.refuse_best_effort { "drop" } else { "allow" }
}

fn encapsulation(peer: &ListedPeer) -> String {
    let PeerEncapsulation { send, accept } = peer.encapsulation;
    let accept: Vec<&str> = accept.iter().map(Encapsulation::name).collect();
    format!("{}, accepts {}", send.name(), accept.join(" and "))
}

fn or_none(value: Option<impl Display>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn json_text(difference: &Difference) -> String {
    let changes = difference.to_changes();
    let object = json!({
        "added": changes.added,
        "removed": changes.removed,
        "changed": changes.changed,
        "unchanged": changes.unchanged,
    });
    format!("{object:#}\n")
}
