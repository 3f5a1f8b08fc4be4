//! `photongate aslist show`: which list is in force?

use clap::Args;
use jiff::Timestamp;
use photongate_agent::as_list::Format;

use crate::commands::status;
use crate::failure::Failure;
use crate::management::{Reach, print_json};
use crate::output;

/// Show the list of peers that a running filter has in force
///
/// No secret is shown: each appears as `held = true`. Such a list can be changed and applied again: the filter then keeps the secrets it
/// holds.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate aslist show > as-list.toml
    photongate aslist show --json | jq '.peers | length'
    photongate aslist show --in-force            # which generation, from where, since when")]
pub(crate) struct Arguments {
    #[command(flatten)]
    reach: Reach,

    /// As TOML, which is the default
    #[arg(long, conflicts_with_all = ["json", "in_force"])]
    toml: bool,

    /// As JSON
    #[arg(long)]
    json: bool,

    /// Not the list itself, but which one it is
    #[arg(long)]
    in_force: bool,
}

/// Asks for the list, and prints it.
///
/// # Errors
/// The filter refuses, or cannot be asked.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let filter = arguments.reach.filter()?;
    if !arguments.in_force {
        let format = if arguments.json { Format::Json } else { Format::Toml };
        let list = filter.ask(|client| async move { client.as_list(format).await })?;
        return output::print(&(list.text.trim_end().to_owned() + "\n"));
    }
    let in_force = filter.ask(|client| async move { client.as_list_in_force().await })?;
    if arguments.json {
        return print_json(&in_force);
    }
    let mut text = format!("{}\ndigest {}\n", status::as_list(&in_force, Timestamp::now()), in_force.digest);
    if let Some(refusal) = &in_force.last_refusal {
        text += &format!("the last change was refused: {refusal}\n");
    }
    output::print(&text)
}
