//! `photongate px member`: who votes.

use std::fmt::Write;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::connection::{Reach, text};
use crate::failure::Failure;
use crate::output;

/// List, add, remove or replace members of the cluster
///
/// A new node is started, and then added with its address, which all members remember. A node that has lost its disk comes back with an
/// empty one and waits: replacing it lets it in under a new number.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate px member list
    photongate px member add px-4.example --addr 192.0.2.4:8482
    photongate px member replace px-2.example
    photongate px member remove px-4.example

Exit status: 0 if the members are as wanted; 1 if they cannot be, or there is no majority; 2 if the node cannot be asked.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the members
    #[command(after_long_help = "Example:\n\n    photongate px member list --json")]
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// Let a node vote that runs
    #[command(after_long_help = "Example:\n\n    photongate px member add px-4.example --addr 192.0.2.4:8482")]
    Add(Join),
    /// Let a node vote no more
    #[command(after_long_help = "Example:\n\n    photongate px member remove px-4.example")]
    Remove(Change),
    /// Let a node vote with the disk that it has now
    #[command(after_long_help = "Example:\n\n    photongate px member replace px-2.example")]
    Replace(Join),
}

#[derive(Args)]
struct Join {
    #[command(flatten)]
    change: Change,

    /// Where the others reach the node, if that is not in their configurations: a host and a port
    #[arg(long, value_name = "ADDRESS")]
    addr: Option<String>,
}

#[derive(Args)]
struct Change {
    /// The name of the node
    name: String,

    #[command(flatten)]
    reach: Reach,
}

/// Carries the subcommand out.
///
/// # Errors
/// The node cannot be asked, or refuses.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::List { reach } => {
            let membership = reach.quietly().ask(&json!({ "op": "status" }))?["membership"].take();
            if reach.json { output::print(&format!("{membership:#}\n")) } else { output::print(&table(&membership)) }
        }
        Command::Add(join) => join.change.make("add", join.addr.as_deref()),
        Command::Remove(change) => change.make("remove", None),
        Command::Replace(join) => join.change.make("replace", join.addr.as_deref()),
    }
}

impl Change {
    fn make(&self, change: &str, addr: Option<&str>) -> Result<(), Failure> {
        let wish = json!({ "op": "member", "change": change, "name": self.name, "addr": addr });
        let members = self.reach.ask(&wish)?;
        if self.reach.json { Ok(()) } else { output::print(&table(&members)) }
    }
}

/// The members, one a line.
pub(super) fn table(membership: &Value) -> String {
    let members = membership["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    let width = members.iter().map(|member| text(&member["name"]).len()).max().unwrap_or_default();
    members.iter().fold(String::new(), |mut table, member| {
        let (pid, name) = (member["pid"].to_string(), text(&member["name"]));
        let _ = write!(table, "{pid:>4}  {name:<width$}  disk {}", text(&member["store"]));
        if let Some(address) = member["address"].as_str() {
            let _ = write!(table, "  at {address}");
        }
        table.push('\n');
        table
    })
}
