//! `photongate keys`: when the keys begin and end, of all peers or of one.

use clap::Args;
use jiff::Timestamp;
use photongate_agent::api::{Peer, PeersPage};
use photongate_agent::client::PeersAsked;
use serde_json::{Value, json};

use super::{table, whose};
use crate::failure::Failure;
use crate::management::{Filter, Reach, print_json};
use crate::output;

#[derive(Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// Only this peer, with all there is to say
    peer: Option<String>,

    #[command(flatten)]
    reach: Reach,

    /// Only peers whose next key could not be fetched
    #[arg(long, conflicts_with = "peer")]
    degraded: bool,

    /// Print a JSON object for the peer, or an array of them for all
    #[arg(long)]
    json: bool,
}

/// Asks for the keys, and prints what is known of them.
///
/// # Errors
/// There is no such peer, or the filter cannot be asked.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let filter = arguments.reach.filter()?;
    match &arguments.peer {
        Some(peer) => {
            let peer = whose::find(&filter, peer)?;
            if arguments.json {
                print_json(&document(&peer))
            } else {
                output::print(&table::details(&peer, Timestamp::now()))
            }
        }
        None => show_all(&filter, arguments),
    }
}

/// Page by page: a list of peers may be long.
fn show_all(filter: &Filter, arguments: &Arguments) -> Result<(), Failure> {
    let mut asked = PeersAsked { degraded: arguments.degraded, limit: Some(1000), ..PeersAsked::default() };
    let mut documents = Vec::new();
    let mut is_first = true;
    loop {
        let PeersPage { peers, next, .. } = filter.ask(|client| {
            let asked = asked.clone();
            async move { client.peers(&asked).await }
        })?;
        if arguments.json {
            documents.extend(peers.iter().map(document));
        } else {
            let now = Timestamp::now();
            let head = if is_first && !peers.is_empty() { table::head() } else { String::new() };
            output::print(&peers.iter().fold(head, |text, peer| text + &table::row(peer, now)))?;
        }
        is_first = false;
        asked.after = next;
        if asked.after.is_none() {
            break;
        }
    }
    if arguments.json { print_json(&documents) } else { Ok(()) }
}

/// What concerns keys of what the filter tells about a peer.
fn document(peer: &Peer) -> Value {
    json!({
        "isd_as": peer.isd_as,
        "drkey_protocol": peer.drkey_protocol,
        "name": peer.name,
        "key_source": peer.key_source,
        "encapsulation": peer.encapsulation,
        "accept": peer.accept,
        "keys": peer.keys,
        "degraded": peer.degraded,
    })
}
