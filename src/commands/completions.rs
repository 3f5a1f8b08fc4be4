//! `photongate completions`: what a shell needs to complete the command line.

use clap::Args;
use clap_complete::Shell;

use crate::failure::Failure;
use crate::{cli, output};

/// Print the completions of a shell, to be stored where it looks for them
#[derive(Args)]
#[command(after_long_help = "\
Example, for bash:

    photongate completions bash | sudo tee /usr/share/bash-completion/completions/photongate > /dev/null")]
pub(crate) struct Arguments {
    /// The shell to complete for
    shell: Shell,
}

/// Prints the completions.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut cli::command(), "photongate", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
