//! `photongate aslist`: lists of peers, checked, compared, shown and applied.

mod apply;
pub(crate) mod changes;
mod check;
mod diff;
mod show;

use clap::{Args, Subcommand};
use photongate_agent::as_list::ListedPeer;

use crate::failure::Failure;

/// Check, compare, show and apply lists of peers
///
/// An AS list says with which ASes a filter shares keys, what lies behind them and what they may send. It is a file of its own, named
/// in filter.toml as `as_list.file`, that can be replaced while the filter runs. Every field is described in
/// docs/reference/as-list.md.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate aslist check config/as-list.toml
    photongate aslist check as-list.toml --config filter.toml
    photongate aslist diff as-list.toml new.toml
    sudo photongate aslist show
    sudo photongate aslist apply new.toml")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Arguments),
    Diff(diff::Arguments),
    Show(show::Arguments),
    Apply(apply::Arguments),
}

/// Runs the subcommand.
///
/// # Errors
/// As the subcommand.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Check(arguments) => check::run(arguments),
        Command::Diff(arguments) => diff::run(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Apply(arguments) => apply::run(arguments),
    }
}

/// A peer as it is told: ISD-AS, DRKey protocol, and what operators call it.
fn peer_name(peer: &ListedPeer) -> String {
    let name = peer.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    format!("{}/{}{name}", peer.key.isd_as, peer.key.protocol)
}
