//! What `photongate check --config` says about a configuration.

use std::fmt::Write;
use std::path::Path;
use std::time::SystemTime;

use photongate_net::config::{Problem, Problems};
use photongate_wire::{Nanos, UnixNanos};
use serde_json::{Value, json};

use super::effective;
use crate::config::{FilterConfig, PeerConfig};

/// What the filter would do, in a few lines, and what looks odd.
pub(super) fn summary(path: &Path, config: &FilterConfig) -> String {
    let mut text = format!("{}: ok\n", path.display());
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<11} {value}");
    };
    line(
        "filter of",
        format!("{}, LF on UDP port {}, DRKey protocol {}", config.isd_as, config.lf.port, config.lf.protocol),
    );
    for port in &config.ports {
        let target = &config.ports[port.forward_to].name;
        line("port", format!("{} ({}, MTU {}), forwards to {target}", port.name, port.device.arguments(), port.mtu));
    }
    line("peers", peers(&config.peers));
    let workers = config.workers.count;
    line(
        "workers",
        format!("{workers}, bursts of {}, crypto `{}`", config.workers.burst, config.workers.crypto.name()),
    );
    line("memory", format!("{} MiB for packets and tables, {}", config.memory.mib, duplicate_memory(config)));
    for warning in warnings(path, config) {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

/// The configuration as it was understood, defaults filled in, for programs.
pub(super) fn summary_json(path: &Path, config: &FilterConfig) -> Value {
    let mut object = effective::to_json(config);
    object["file"] = path.to_string_lossy().into();
    object["duplicates"]["memory_mib"] = duplicate_bytes(config).map_or(0, mib).into();
    object["warnings"] = problems_json(warnings(path, config).iter());
    object
}

/// All problems, and how many there are.
pub(super) fn complaint(problems: &Problems) -> String {
    match problems.iter().len() {
        1 => problems.to_string(),
        count => format!("{problems}\n{count} problems"),
    }
}

/// The problems for programs.
pub(super) fn problems_json<'p>(problems: impl Iterator<Item = &'p Problem>) -> Value {
    let problem = |problem: &Problem| {
        json!({
            "file": problem.file.to_string_lossy(),
            "line": problem.position.map(|position| position.line),
            "column": problem.position.map(|position| position.column),
            "field": problem.field,
            "message": problem.message,
        })
    };
    problems.map(problem).collect()
}

/// What the file itself warns of, and what only the present time tells.
fn warnings(path: &Path, config: &FilterConfig) -> Vec<Problem> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(UnixNanos(0), |since| UnixNanos(Nanos::from(since).0));
    let mut warnings = config.warnings.clone();
    for (index, peer) in config.peers.iter().enumerate() {
        if peer.rotation.key_set(now).inbound.is_none() {
            let message = "no secret is valid yet: until the first not_before there is no key for this peer";
            let field = format!("peers[{index}].shared_secrets");
            warnings.push(Problem { field, ..Problem::of_file(path, message) });
        }
    }
    warnings
}

fn peers(peers: &[PeerConfig]) -> String {
    let names: Vec<_> = peers.iter().take(NAMED_PEERS).map(|peer| peer.isd_as.to_string()).collect();
    match peers.len() {
        0 => "none".to_owned(),
        count if count > NAMED_PEERS => format!("{count}: {}, …", names.join(", ")),
        count => format!("{count}: {}", names.join(", ")),
    }
}

fn duplicate_memory(config: &FilterConfig) -> String {
    duplicate_bytes(config)
        .map_or("no duplicate suppression".to_owned(), |bytes| format!("{} MiB to recognise duplicates", mib(bytes)))
}

fn duplicate_bytes(config: &FilterConfig) -> Option<u64> {
    let sizing = config.duplicates.as_ref()?.sizing(config.keys.times.time_threshold, config.workers.count);
    Some(sizing.ok()?.memory_bytes())
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

const NAMED_PEERS: usize = 5;
