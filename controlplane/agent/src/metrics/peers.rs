//! The numbers of peers, of which there may be a hundred thousand.

use std::cmp::Reverse;

use photongate_pipeline::{PeerKey, Tally, Verdict};

use super::collector::{Families, Kind};
use crate::Agent;
use crate::keys::Direction;

/// Peers that have numbers of their own: those with most traffic. The degraded ones come on top.
pub(crate) const MOST_PEERS: usize = 1000;

/// What is told about one peer.
pub(crate) struct PeerNumbers {
    pub(crate) key: PeerKey,
    pub(crate) tally: Tally,
    /// When the last key of each direction ends, in seconds since 1970; `None` without a key.
    pub(crate) expiry: [Option<f64>; 2],
    pub(crate) is_degraded: bool,
    pub(crate) is_dark: bool,
}

/// Adds the numbers of all peers, with few enough labels.
pub(super) fn add(families: &mut Families, agent: &Agent) {
    let mut peers = agent.peer_numbers();
    peers.sort_by_key(|peer| (Reverse(peer.is_degraded), Reverse(peer.tally.received().packets), peer.key));
    let degraded = peers.iter().filter(|peer| peer.is_degraded).count();
    let shown = (degraded.min(MOST_PEERS) + MOST_PEERS).min(peers.len());
    let (own, others) = peers.split_at(shown);
    for peer in own {
        let labels = [("peer", peer.key.isd_as.to_string()), ("protocol", peer.key.protocol.to_string())];
        traffic(families, &labels, &peer.tally);
        for (direction, expiry) in [Direction::Inbound, Direction::Outbound].into_iter().zip(peer.expiry) {
            let Some(expiry) = expiry else { continue };
            let [peer, protocol] = labels.clone();
            let labels = [peer, protocol, ("direction", direction.name().to_owned())];
            let help = "When the last key that is held for the peer ends, in seconds since 1970.";
            families.add("photongate_key_expiry_seconds", help, Kind::Gauge, &labels, expiry);
        }
        let mut gauge =
            |name, help, value: bool| families.add(name, help, Kind::Gauge, &labels, f64::from(u8::from(value)));
        gauge("photongate_peer_degraded", "Whether the peer's next key could not be fetched.", peer.is_degraded);
        gauge("photongate_peer_dark", "Whether the peer has no key for at least one direction.", peer.is_dark);
    }
    if !others.is_empty() {
        let labels = [("peer", "other".to_owned()), ("protocol", String::new())];
        let tally = others.iter().fold(Tally::default(), |sum, peer| sum + peer.tally);
        traffic(families, &labels, &tally);
    }
}

fn traffic(families: &mut Families, labels: &[(&'static str, String); 2], tally: &Tally) {
    let verdicts = [
        ("accepted", tally.of(Verdict::Accepted)),
        ("outbound", tally.of(Verdict::Outbound)),
        ("dropped", tally.dropped()),
    ];
    for (verdict, count) in verdicts {
        let [peer, protocol] = labels.clone();
        let labels = [peer, protocol, ("verdict", verdict.to_owned())];
        let help = "Packets by peer. Of dropped packets, the peer is the one that the packet names, proven or not.";
        families.add("photongate_peer_packets", help, Kind::Counter, &labels, count.packets as f64);
        families.add("photongate_peer_bytes", "Bytes of packets by peer.", Kind::Counter, &labels, count.bytes as f64);
    }
}
