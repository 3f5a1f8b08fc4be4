//! What `photongate check --config` says about a configuration.

use std::fmt::Write;
use std::path::Path;

use photongate_agent::as_list::AsList;
use photongate_net::config::Problem;
use serde_json::Value;

use crate::config::{FilterConfig, ListSource};
use crate::problems;

/// What the filter would do, in a few lines, and what looks odd.
pub(super) fn summary(path: &Path, config: &FilterConfig) -> String {
    let mut text = format!("{}: ok\n", path.display());
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<11} {value}");
    };
    let lf2 = if config.peers.accepts_lf2() { format!(", lf2 on {}", config.lf.lf2_port) } else { String::new() };
    line(
        "filter of",
        format!("{}, LF on UDP port {}{lf2}, DRKey protocol {}", config.isd_as, config.lf.port, config.lf.protocol),
    );
    for port in &config.ports {
        let target = &config.ports[port.forward_to].name;
        line("port", format!("{} ({}, MTU {}), forwards to {target}", port.name, port.device.arguments(), port.mtu));
    }
    line("peers", peers(&config.peers));
    if let ListSource::File { path, watch } = &config.as_list {
        let taken_up = if *watch { "changes are taken up as they happen" } else { "read again at a reload" };
        line("AS list", format!("{}, {taken_up}", path.display()));
    }
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
    let mut object = config.to_json();
    object["file"] = path.to_string_lossy().into();
    object["duplicates"]["memory_mib"] = duplicate_bytes(config).map_or(0, mib).into();
    object["warnings"] = problems::to_json(&warnings(path, config));
    object
}

/// What the file itself warns of, and what only the present time tells.
fn warnings(path: &Path, config: &FilterConfig) -> Vec<Problem> {
    let list = match &config.as_list {
        ListSource::Inline => path,
        ListSource::File { path, .. } => path,
    };
    config.warnings.iter().cloned().chain(problems::early_secrets(list, &config.peers)).collect()
}

fn peers(list: &AsList) -> String {
    let names: Vec<_> = list.peers().iter().take(NAMED_PEERS).map(|peer| peer.key.isd_as.to_string()).collect();
    match list.peers().len() {
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
