//! `photongate keys prefetch`: fetch a peer's next keys ahead of time.

use clap::Args;
use jiff::Timestamp;

use super::{table, whose};
use crate::commands::aslist::changes::name;
use crate::failure::Failure;
use crate::management::{Reach, print_json};
use crate::output;

/// Fetch a peer's next keys now, if they are not there yet
///
/// Useful before the place where its keys come from is shut down for a while, or to try at once whether it is back.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    sudo photongate keys prefetch 20-ff00:0:112
    sudo photongate keys prefetch Zurich --json | jq .degraded

Exit status: 0 if the peer's keys are as they should be; 1 if a key cannot be fetched, or there is no such peer; 2 if the filter cannot
be asked.")]
pub(super) struct Arguments {
    /// The peer
    peer: String,

    #[command(flatten)]
    reach: Reach,

    /// Print what the filter answers, one JSON object
    #[arg(long)]
    json: bool,
}

/// Has the keys fetched, and prints what is held then.
///
/// # Errors
/// A key cannot be fetched, there is no such peer, or the filter cannot be asked.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let filter = arguments.reach.filter()?;
    let peer = whose::named(&whose::find(&filter, &arguments.peer)?);
    let asked = peer.clone();
    let outcome = filter.ask(|client| async move { client.prefetch(&asked).await })?;
    if arguments.json {
        print_json(&outcome)?;
    } else {
        let now = Timestamp::now();
        let keys = table::containers(&outcome.keys, now);
        output::print(&format!("{}\n{keys}{}", name(&peer), table::trouble(outcome.degraded.as_ref(), now)))?;
    }
    // What is wrong has been said: only the exit status is left.
    if outcome.degraded.is_none() { Ok(()) } else { Err(Failure::at_run_time("")) }
}
