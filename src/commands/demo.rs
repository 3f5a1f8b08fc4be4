//! `photongate demo`: keys from a QKD link, real packets through two filters, and attacks on them.

use std::env;

use clap::Args;
use photongate_net::Shutdown;

use crate::demo;
use crate::failure::Failure;

/// Show it work: two filters with keys from a simulated QKD link, two hosts, and attacks from between them
///
/// Ends with a table of what was sent, what arrived, and what was refused for which reason. Everything is in network
/// namespaces of its own, and gone afterwards. Without root, capture files take the place of the network.
#[derive(Args)]
#[command(after_long_help = "\
Example:

    sudo photongate demo

Exit status 1 says that the sums do not agree, or that the demo could not be played to its end.")]
pub(crate) struct Arguments {
    /// Use capture files in place of a network, as happens by itself without root
    #[arg(long)]
    without_namespaces: bool,
}

/// Plays the demo.
///
/// # Errors
/// It cannot be played, or the sums do not agree.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let fail = |error: anyhow::Error| Failure::at_run_time(format!("photongate: the demo broke off: {error:#}"));
    let shutdown = Shutdown::install().map_err(|error| fail(error.into()))?;
    let program = env::current_exe().map_err(|error| fail(error.into()))?;
    // The table has said it already.
    if demo::play(&program, arguments.without_namespaces, shutdown).map_err(fail)? {
        Ok(())
    } else {
        Err(Failure::at_run_time(""))
    }
}
