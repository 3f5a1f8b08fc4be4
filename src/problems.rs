//! Problems of configurations and lists, as commands report them.

use std::path::Path;
use std::time::SystemTime;

use photongate_agent::as_list::AsList;
use photongate_net::config::{Problem, Problems};
use photongate_wire::{Nanos, UnixNanos};
use serde_json::{Value, json};

/// All problems, and how many there are.
pub(crate) fn complaint(problems: &Problems) -> String {
    match problems.iter().len() {
        1 => problems.to_string(),
        count => format!("{problems}\n{count} problems"),
    }
}

/// The problems for programs.
pub(crate) fn to_json<'p>(problems: impl IntoIterator<Item = &'p Problem>) -> Value {
    let problem = |problem: &Problem| {
        json!({
            "file": problem.file.to_string_lossy(),
            "line": problem.position.map(|position| position.line),
            "column": problem.position.map(|position| position.column),
            "field": problem.field,
            "message": problem.message,
        })
    };
    problems.into_iter().map(problem).collect()
}

/// A warning for each peer of the list in `file` that has no secret yet for the present time.
pub(crate) fn early_secrets(file: &Path, list: &AsList) -> Vec<Problem> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(UnixNanos(0), |since| UnixNanos(Nanos::from(since).0));
    let warning = |peer: &photongate_agent::as_list::ListedPeer| {
        let message = "no secret is valid yet: until the first not_before there is no key for this peer";
        let message = format!("{}: {message}", peer.key.isd_as);
        Problem { field: "peers".to_owned(), ..Problem::of_file(file, message) }
    };
    list.too_early(now).map(warning).collect()
}
