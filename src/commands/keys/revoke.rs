//! `photongate keys revoke`: take keys out of use.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use photongate_agent::api::RevokeOutcome;
use photongate_agent::keys::Direction;

use super::{table, whose};
use crate::commands::aslist::changes::name;
use crate::failure::Failure;
use crate::management::{self, Reach, print_json};
use crate::output;

/// Take a peer's keys out of use, because they have become known
///
/// When the command returns, no worker holds them any more, and the filter refuses them should their source offer them again. New keys are
/// fetched at once; until there are any, the peer's traffic is dropped. A source that derives keys from one shared secret has no others for
/// the same time: give both sides a new secret first, with `photongate aslist apply`.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    sudo photongate keys revoke 20-ff00:0:112
    sudo photongate keys revoke Zurich --direction inbound --yes --json

Exit status: 0 if no worker holds them; 1 if that is not certain, you say no, or there is no such peer; 2 if the filter cannot be asked.")]
pub(super) struct Arguments {
    /// The peer
    peer: String,

    #[command(flatten)]
    reach: Reach,

    /// Only the keys of what the peer sends, or of what it is sent
    #[arg(long, value_enum)]
    direction: Option<Which>,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    /// Print what the filter answers, one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// What the peer sends
    Inbound,
    /// What the peer is sent
    Outbound,
}

/// Has the keys revoked, and prints which they were and what is held now.
///
/// # Errors
/// It is not certain that the keys are out of use, there is no such peer, or the filter cannot be asked.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let filter = arguments.reach.filter()?;
    let peer = whose::named(&whose::find(&filter, &arguments.peer)?);
    let direction = arguments.direction.map(|direction| match direction {
        Which::Inbound => Direction::Inbound,
        Which::Outbound => Direction::Outbound,
    });
    let which = direction.map_or("all", |direction| direction_name(direction));
    let question = format!("Revoke {which} keys of {}? Its traffic is dropped until there are new ones.", name(&peer));
    management::confirm(&question, arguments.yes)?;
    let asked = peer.clone();
    let outcome = filter.ask(|client| async move { client.revoke(&asked, direction).await })?;
    if arguments.json {
        print_json(&outcome)
    } else {
        output::print(&in_words(&name(&peer), &outcome, Timestamp::now()))
    }
}

fn in_words(peer: &str, outcome: &RevokeOutcome, now: Timestamp) -> String {
    let mut text = String::new();
    for revoked in &outcome.revoked {
        let (start, end) = (&revoked.epoch.start, &revoked.epoch.end);
        text += &format!("revoked: {} key of {start} to {end}\n", direction_name(revoked.direction));
    }
    if outcome.revoked.is_empty() {
        text += "there was no key to revoke\n";
    } else {
        text += &format!("no worker holds them any more, {} µs later\n", outcome.grace_period_us);
    }
    text + &format!("{peer} now\n")
        + &table::containers(&outcome.keys, now)
        + &table::trouble(outcome.degraded.as_ref(), now)
}

fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}
