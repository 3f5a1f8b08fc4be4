//! Whose keys are meant.

use photongate_agent::api::{Peer, PeerName};
use photongate_agent::client::{Client, ClientError, PeersAsked};

use crate::commands::aslist::changes::name;
use crate::failure::Failure;
use crate::management::Filter;

/// Finds the peer that an operator means: by ISD-AS and DRKey protocol, by ISD-AS, or by name.
///
/// # Errors
/// There is none, or more than one; or the filter cannot be asked.
pub(super) fn find(filter: &Filter, meant: &str) -> Result<Peer, Failure> {
    let mut candidates = filter.ask(|client| candidates(client, meant.to_owned()))?;
    match (candidates.pop(), candidates.is_empty()) {
        (None, _) => Err(Failure::at_run_time(format!(
            "photongate: there is no peer {meant:?}: `photongate keys` lists them as ISD-AS/protocol and name"
        ))),
        (Some(peer), true) => Ok(peer),
        (Some(last), false) => {
            let names: Vec<_> = candidates.iter().chain([&last]).map(|peer| name(&named(peer))).collect();
            Err(Failure::at_run_time(format!("photongate: {meant:?} may be any of {}: say which", names.join(", "))))
        }
    }
}

/// What the filter finds a peer by.
pub(super) fn named(peer: &Peer) -> PeerName {
    PeerName { isd_as: peer.isd_as.clone(), drkey_protocol: peer.drkey_protocol }
}

/// All peers that may be meant.
async fn candidates(client: Client, meant: String) -> Result<Vec<Peer>, ClientError> {
    let (isd_as, protocol) = match meant.rsplit_once('/').map(|(isd_as, protocol)| (isd_as, protocol.parse::<u16>())) {
        Some((isd_as, Ok(protocol))) => (isd_as, Some(protocol)),
        _ => (meant.as_str(), None),
    };
    let is_meant = |peer: &Peer| {
        let by_isd_as = peer.isd_as == isd_as && protocol.is_none_or(|protocol| peer.drkey_protocol == protocol);
        by_isd_as || peer.name.as_deref() == Some(&meant)
    };
    // What is searched for may be a part of what many others are called: only whole names count.
    let search = if protocol.is_some() { isd_as } else { &meant };
    let mut asked = PeersAsked { search: Some(search.to_owned()), limit: Some(1000), ..PeersAsked::default() };
    let mut found = Vec::new();
    loop {
        let page = client.peers(&asked).await?;
        found.extend(page.peers.into_iter().filter(is_meant));
        asked.after = page.next;
        if asked.after.is_none() {
            return Ok(found);
        }
    }
}
