//! `photongate keys`: which keys a running filter holds, and keys by hand.

mod prefetch;
mod revoke;
mod show;
mod table;
mod whose;

use clap::{Args, Subcommand};

use crate::failure::Failure;

/// Show when the keys of a running filter begin and end; fetch or revoke them by hand
///
/// Keys rotate by themselves: by hand they are only fetched ahead of a time when their source will be away, or taken out of use because
/// they have become known. Nothing ever shows a key itself.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_long_help = "\
A peer is written as ISD-AS and DRKey protocol, like 20-ff00:0:112/3; as ISD-AS alone; or by its name, if only one has it.

Examples:

    photongate keys
    photongate keys --degraded
    photongate keys 20-ff00:0:112 --json
    sudo photongate keys prefetch Zurich
    sudo photongate keys revoke 20-ff00:0:112/3 --direction inbound

Exit status: 0; 1 if the filter refuses, or there is no such peer; 2 if it cannot be asked."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    show: show::Arguments,
}

#[derive(Subcommand)]
enum Command {
    Prefetch(prefetch::Arguments),
    Revoke(revoke::Arguments),
}

/// Runs the command that is named, or shows the keys.
///
/// # Errors
/// As the command says.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        None => show::run(&arguments.show),
        Some(Command::Prefetch(arguments)) => prefetch::run(arguments),
        Some(Command::Revoke(arguments)) => revoke::run(arguments),
    }
}
