//! What a filter says that a list changes, in words.

use std::fmt::Write;

use photongate_agent::api::{Change, Changes, PeerName};

/// Whether nothing changes at all.
pub(crate) fn are_none(changes: &Changes) -> bool {
    changes.added.is_empty() && changes.removed.is_empty() && changes.changed.is_empty()
}

/// A line for each peer that goes, comes or changes, then what should be known besides.
pub(crate) fn in_words(changes: &Changes) -> String {
    let mut text = String::new();
    for peer in &changes.removed {
        let _ = writeln!(text, "- {}", name(peer));
    }
    for peer in &changes.added {
        let _ = writeln!(text, "+ {}", name(peer));
    }
    for peer in &changes.changed {
        let what: Vec<_> = peer.changes.iter().map(|change| what(*change)).collect();
        let _ = writeln!(text, "~ {}/{}: {}", peer.isd_as, peer.drkey_protocol, what.join(", "));
    }
    let _ = writeln!(
        text,
        "{} added, {} removed, {} changed, {} unchanged",
        changes.added.len(),
        changes.removed.len(),
        changes.changed.len(),
        changes.unchanged
    );
    text += &missing_keys(changes);
    for warning in &changes.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

/// A line for each new peer that there is no key for.
pub(crate) fn missing_keys(changes: &Changes) -> String {
    let mut text = String::new();
    for peer in changes.without_key.iter().map(name) {
        let _ = writeln!(text, "no key yet for {peer}, it is fetched again: photongate keys {peer}");
    }
    text
}

/// A peer as it is written on the command line: ISD-AS and DRKey protocol.
pub(crate) fn name(peer: &PeerName) -> String {
    format!("{}/{}", peer.isd_as, peer.drkey_protocol)
}

fn what(change: Change) -> &'static str {
    match change {
        Change::Name => "name",
        Change::Prefixes => "prefixes",
        Change::Limit => "limit",
        Change::BestEffort => "best_effort",
        Change::Encapsulation => "encapsulation",
        Change::Keys => "keys",
    }
}
