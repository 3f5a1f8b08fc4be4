//! LightningFilter's peers, put together: it lists an AS once for each address behind it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::Ipv4Addr;

use photongate_wire::IsdAs;

use super::lightning_filter::{Peer, RateLimit, SharedSecret};

/// A peer of ours.
pub(super) struct Merged<'s> {
    /// Where it stands first in LightningFilter's list.
    pub(super) index: usize,
    pub(super) isd_as: IsdAs,
    pub(super) drkey_protocol: u16,
    pub(super) addresses: Vec<Ipv4Addr>,
    pub(super) ratelimit: Option<RateLimit>,
    pub(super) secrets: Vec<&'s SharedSecret>,
}

/// Puts together what is listed more than once, and leaves out, with a note, what our filter would refuse.
pub(super) fn merge<'s>(peers: &'s [Peer], local: IsdAs, notes: &mut Vec<String>) -> Vec<Merged<'s>> {
    let mut merged: Vec<Merged<'s>> = Vec::new();
    let mut places = HashMap::new();
    let mut owners: HashMap<Ipv4Addr, usize> = HashMap::new();
    for (index, peer) in peers.iter().enumerate() {
        if peer.isd_as == local {
            notes.push(format!("peers[{index}]: {local} is the filter's own AS: left out"));
            continue;
        }
        let secrets = distinct_starts(&peer.shared_secrets, index, notes);
        let place = *places.entry((peer.isd_as, peer.drkey_protocol)).or_insert(merged.len());
        if place == merged.len() {
            let Peer { isd_as, drkey_protocol, ratelimit, .. } = *peer;
            merged.push(Merged { index, isd_as, drkey_protocol, addresses: Vec::new(), ratelimit, secrets });
        } else {
            let first = &mut merged[place];
            // The last one counts there: entries of the same AS write to the same bucket.
            first.ratelimit = peer.ratelimit.or(first.ratelimit);
            if !secrets.is_empty() && secrets != first.secrets {
                let message = "differ from those of the same AS and protocol, which are used";
                notes.push(format!("peers[{index}].shared_secrets: {message} (peers[{}])", first.index));
            }
        }
        let Some(ip) = peer.ip else { continue };
        match owners.entry(ip) {
            Entry::Vacant(free) => {
                free.insert(index);
                merged[place].addresses.push(ip);
            }
            Entry::Occupied(owner) => {
                let message = format!("{ip} is the address of peers[{}] already: left out", owner.get());
                notes.push(format!("peers[{index}].ip: {message}"));
            }
        }
    }
    merged
}

/// Of secrets that begin at the same time LightningFilter uses the last; our filter refuses to guess.
fn distinct_starts<'s>(secrets: &'s [SharedSecret], peer: usize, notes: &mut Vec<String>) -> Vec<&'s SharedSecret> {
    let mut distinct: Vec<&SharedSecret> = Vec::new();
    for secret in secrets {
        if let Some(earlier) = distinct.iter_mut().find(|earlier| earlier.not_before == secret.not_before) {
            let start = secret.not_before;
            notes.push(format!(
                "peers[{peer}].shared_secrets: of several with not_before {start} only the last is used"
            ));
            *earlier = secret;
        } else {
            distinct.push(secret);
        }
    }
    distinct
}
