//! `photongate dht lookup`, `stat`, `peers`, `status`: what a node knows.

use std::fmt::Write;

use clap::Args;
use photongate_dht::Id;
use serde_json::{Value, json};

use super::reach::Reach;
use crate::failure::Failure;
use crate::line_socket::text;
use crate::numbers::scaled_in;

/// Show which nodes are nearest to an id or key
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate dht lookup 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03

Exit status: 0 if nodes were found; 1 if none was; 2 if the node cannot be asked.")]
pub(super) struct LookUp {
    /// 64 hexadecimal digits
    id: Id,

    #[command(flatten)]
    reach: Reach,
}

/// Show who has a value, as far as others say
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate dht stat 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03

Exit status: 0 if somebody has it; 2 if the node cannot be asked; 3 if nobody has it.")]
pub(super) struct Stat {
    /// The key
    key: Id,

    #[command(flatten)]
    reach: Reach,
}

/// List the nodes that a node knows
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate dht peers
    photongate dht peers --config dht.toml --json

Exit status: 0 if it knows some; 1 if it knows none; 2 if it cannot be asked.")]
pub(super) struct Peers {
    #[command(flatten)]
    reach: Reach,
}

/// Show how a node is
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate dht status
    photongate dht status --config dht.toml --json

Exit status: 0 if the node is in the network; 1 if not: it says why; 2 if it cannot be asked.")]
pub(super) struct Status {
    #[command(flatten)]
    reach: Reach,
}

impl LookUp {
    /// Prints it.
    ///
    /// # Errors
    /// See the command's exit status.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let found = self.reach.ask(json!({ "op": "lookup", "target": self.id }))?;
        let words = format!(
            "{}{} hops, {} queries, {:.1} ms\n",
            table(&found["nodes"]),
            found["hops"],
            found["queries"],
            found["ms"].as_f64().unwrap_or_default()
        );
        self.reach.print(&found, &words)?;
        some(&found["nodes"], "photongate: no other node answers")
    }
}

impl Stat {
    /// Prints it.
    ///
    /// # Errors
    /// See the command's exit status.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let found = self.reach.ask(json!({ "op": "stat", "key": self.key }))?;
        let here = match text(&found["here"]) {
            "own" => "this node has it, as it was put into the network here\n",
            "held" => "this node has it, for the network\n",
            "cached" => "this node has it, as long as there is room\n",
            _ => "this node does not have it\n",
        };
        self.reach.print(&found, &format!("{here}{}", table(&found["providers"])))
    }
}

impl Peers {
    /// Prints them.
    ///
    /// # Errors
    /// See the command's exit status.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let known = self.reach.ask(json!({ "op": "peers" }))?;
        self.reach.print(&known, &table(&known["peers"]))?;
        some(&known["peers"], "photongate: the node knows no other")
    }
}

impl Status {
    /// Prints it.
    ///
    /// # Errors
    /// See the command's exit status.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let status = self.reach.ask(json!({ "op": "status" }))?;
        self.reach.print(&status, &in_words(&status))?;
        if status["ready"] == true { Ok(()) } else { Err(Failure::at_run_time("")) }
    }
}

fn in_words(status: &Value) -> String {
    let bytes = |field: &str| scaled_in(status[field].as_f64().unwrap_or_default(), "B");
    let mut words = format!(
        "{} at {}, {}: knows {} nodes\n",
        text(&status["id"]),
        text(&status["address"]),
        text(&status["mode"]),
        status["contacts"]
    );
    let _ = writeln!(
        words,
        "values: {} held, {}; {} cached, {}; room for {}",
        status["values_held"],
        bytes("bytes_held"),
        status["values_cached"],
        bytes("bytes_cached"),
        bytes("bytes_limit")
    );
    let _ = writeln!(
        words,
        "transfers: {} values sent, {}; {} received, {}",
        status["values_sent"],
        bytes("value_bytes_sent"),
        status["values_received"],
        bytes("value_bytes_received")
    );
    for sentence in list(&status["because"]) {
        let _ = writeln!(words, "not ready: {}", text(sentence));
    }
    words
}

/// Nodes, one a line.
fn table(nodes: &Value) -> String {
    list(nodes).iter().fold(String::new(), |mut table, node| {
        let (id, address) = (text(&node["id"]), text(&node["addr"]));
        let colons = if address.contains(':') { ("[", "]") } else { ("", "") };
        let _ = writeln!(table, "{id}  {}{address}{}:{}", colons.0, colons.1, node["port"]);
        table
    })
}

fn some(nodes: &Value, message: &str) -> Result<(), Failure> {
    if list(nodes).is_empty() { Err(Failure::at_run_time(message)) } else { Ok(()) }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
