//! The numbers of peers, of which there may be a hundred thousand.

use std::cmp::Reverse;
use std::sync::Arc;

use photongate_pipeline::{PeerKey, PeerState, Tally, Verdict};
use photongate_wire::UnixNanos;

use super::seconds;
use crate::keys::Direction;
use photongate_net::metrics::{Families, Label};

/// How many peers have numbers of their own: those with most traffic. As many degraded ones come on top.
pub(crate) const MOST_PEERS: usize = 1_000;

/// What is told about one peer.
#[derive(Clone, Debug)]
pub(crate) struct PeerNumbers {
    /// Which peer.
    pub(crate) key: PeerKey,
    /// Its counters.
    pub(crate) state: Arc<PeerState>,
    /// When the last key of each direction ends, in the order of [`Direction::BOTH`]; `None` without a key.
    pub(crate) expiry: [Option<UnixNanos>; 2],
    /// Whether its next key could not be fetched.
    pub(crate) is_degraded: bool,
    /// Whether it has no key for at least one direction.
    pub(crate) is_dark: bool,
}

/// Adds the numbers of all peers, with few enough labels.
pub(super) fn add(families: &mut Families, peers: Vec<PeerNumbers>) {
    let mut peers: Vec<_> = peers.into_iter().map(|peer| (peer.state.tally(), peer)).collect();
    let shown = choose(&mut peers, MOST_PEERS);
    let (own, others) = peers.split_at_mut(shown);
    own.sort_unstable_by_key(|(_, peer)| peer.key);
    for (tally, peer) in own {
        of_a_peer(families, peer, tally);
    }
    if !others.is_empty() {
        let labels = [("peer", "other".to_owned()), ("protocol", String::new())];
        traffic(families, &labels, &others.iter().fold(Tally::default(), |sum, (tally, _)| sum + *tally));
    }
}

/// Puts those in front that have numbers of their own, and says how many they are: up to `most` of those with most
/// traffic, and as many degraded ones.
fn choose(peers: &mut [(Tally, PeerNumbers)], most: usize) -> usize {
    let degraded = peers.iter().filter(|(_, peer)| peer.is_degraded).count().min(most);
    let shown = (degraded + most).min(peers.len());
    // Those without a key are the most urgent of the degraded ones.
    let urgency = |peer: &PeerNumbers| (Reverse(peer.is_degraded), Reverse(peer.is_dark));
    let by_traffic = |tally: &Tally, peer: &PeerNumbers| (Reverse(tally.received().packets), peer.key);
    if degraded > 0 {
        peers.select_nth_unstable_by_key(degraded - 1, |(tally, peer)| (urgency(peer), by_traffic(tally, peer)));
    }
    if shown < peers.len() {
        peers[degraded..].select_nth_unstable_by_key(shown - degraded, |(tally, peer)| by_traffic(tally, peer));
    }
    shown
}

fn of_a_peer(families: &mut Families, peer: &PeerNumbers, tally: &Tally) {
    let labels = [("peer", peer.key.isd_as.to_string()), ("protocol", peer.key.protocol.to_string())];
    traffic(families, &labels, tally);
    for (direction, expiry) in Direction::BOTH.into_iter().zip(peer.expiry) {
        let Some(expiry) = expiry else { continue };
        let [peer, protocol] = labels.clone();
        families.gauge(
            "photongate_key_expiry_timestamp_seconds",
            "When the last key that is held for a peer ends, in seconds since 1970",
            &[peer, protocol, ("direction", direction.name().to_owned())],
            seconds(expiry),
        );
    }
    families.flag(
        "photongate_peer_degraded",
        "Whether a peer's next key could not be fetched",
        &labels,
        peer.is_degraded,
    );
    families.flag("photongate_peer_dark", "Whether a peer lacks a key for a direction", &labels, peer.is_dark);
}

fn traffic(families: &mut Families, labels: &[Label; 2], tally: &Tally) {
    let verdicts = [
        ("accepted", tally.of(Verdict::Accepted)),
        ("outbound", tally.of(Verdict::Outbound)),
        ("dropped", tally.dropped()),
    ];
    for (verdict, count) in verdicts {
        let [peer, protocol] = labels.clone();
        let labels = [peer, protocol, ("verdict", verdict.to_owned())];
        families.counter("photongate_peer_packets", "Packets by peer and verdict", &labels, count.packets);
        families.counter("photongate_peer_bytes", "Bytes of packets by peer and verdict", &labels, count.bytes);
    }
}

#[cfg(test)]
mod tests {
    use photongate_drkey::Protocol;
    use photongate_pipeline::limits::Limit;
    use photongate_wire::IsdAs;

    use super::*;

    #[test]
    fn the_peers_with_most_traffic_have_numbers_of_their_own() {
        let mut peers: Vec<_> = (0..10).map(|number| peer(number, number as usize, false)).collect();
        let shown = choose(&mut peers, 3);
        assert_eq!(numbers(&peers[..shown]), [7, 8, 9]);
    }

    #[test]
    fn degraded_peers_come_on_top_and_dark_ones_before_others() {
        let mut peers: Vec<_> = (0..10).map(|number| peer(number, number as usize, number < 4)).collect();
        peers[1].1.is_dark = true;
        let shown = choose(&mut peers, 2);
        assert_eq!(numbers(&peers[..shown]), [1, 3, 8, 9]);
    }

    #[test]
    fn all_peers_are_shown_if_they_are_few() {
        let mut peers: Vec<_> = (0..3).map(|number| peer(number, 0, number == 1)).collect();
        assert_eq!(choose(&mut peers, 1_000), 3);
    }

    #[test]
    fn nothing_is_lost_between_those_shown_and_the_others() {
        let peers: Vec<_> = (0..1_500).map(|number| peer(number, 2, false).1).collect();
        let mut families = Families::default();
        add(&mut families, peers);
        let text = format!("{families:?}");
        let own = text.matches("\"photongate_peer_packets\"").count();
        assert_eq!(own, 1, "one family");
        assert!(
            text.contains("(\"peer\", \"other\"), (\"protocol\", \"\"), (\"verdict\", \"accepted\")], Counter(1000)")
        );
    }

    fn peer(number: u64, packets: usize, is_degraded: bool) -> (Tally, PeerNumbers) {
        let key = PeerKey { isd_as: IsdAs::from_bits((1 << 48) | number), protocol: Protocol(3) };
        let state = PeerState::new(key, Limit::UNLIMITED, 1);
        for _ in 0..packets {
            state.count(0, Verdict::Accepted, 100);
        }
        let numbers = PeerNumbers { key, state: Arc::new(state), expiry: [None; 2], is_degraded, is_dark: false };
        (numbers.state.tally(), numbers)
    }

    fn numbers(peers: &[(Tally, PeerNumbers)]) -> Vec<u64> {
        let mut numbers: Vec<_> = peers.iter().map(|(_, peer)| peer.key.isd_as.asn()).collect();
        numbers.sort_unstable();
        numbers
    }
}
