//! The peers of a burst, each once: packets that arrive together often are of few peers, and a look-up costs more than a comparison.

use crate::dictionary::PeerKey;
use crate::lanes::MAX_BURST;
use crate::packet::GOLDEN_RATIO;
use photongate_drkey::Protocol;
use photongate_wire::IsdAs;

/// Peers in the order in which they were first seen.
///
/// Which packets bring a new one follows no pattern, so there are no branches on it: a processor that guesses wrong loses more than
/// a look-up takes.
pub(crate) struct Peers {
    keys: [PeerKey; MAX_BURST],
    count: usize,
    /// By a hash of the key: where the last one with that hash is. Two that share it take turns, and are looked up more than once.
    latest: [u8; BUCKETS],
}

impl Peers {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self { keys: [NOBODY; MAX_BURST], count: 0, latest: [0; BUCKETS] }
    }

    /// The place of `key`, which is added if it is not found. Not called more than [`MAX_BURST`] times.
    #[inline(always)]
    pub(crate) fn place(&mut self, key: PeerKey) -> u8 {
        let latest = &mut self.latest[bucket(key)];
        let is_known = (usize::from(*latest) < self.count) & (self.keys[usize::from(*latest) % MAX_BURST] == key);
        let place = if is_known { *latest } else { self.count as u8 };
        // Where it is known, it is there.
        self.keys[usize::from(place) % MAX_BURST] = key;
        *latest = place;
        self.count += usize::from(!is_known);
        place
    }

    /// All of them, by place.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[PeerKey] {
        &self.keys[..self.count.min(MAX_BURST)]
    }
}

#[inline]
fn bucket(key: PeerKey) -> usize {
    let spread = (key.isd_as.bits() ^ u64::from(key.protocol.0) << 48).wrapping_mul(GOLDEN_RATIO);
    (spread >> (u64::BITS - BUCKETS.ilog2())) as usize
}

/// More than packets, so that few peers share one.
const BUCKETS: usize = 256;

const NOBODY: PeerKey = PeerKey { isd_as: IsdAs::from_bits(0), protocol: Protocol(0) };

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_peer_that_comes_again_has_the_same_place() {
        let mut peers = Peers::new();
        assert_eq!([7, 8, 7, 7, 8].map(|n| peers.place(peer(n))), [0, 1, 0, 0, 1]);
        assert_eq!(peers.as_slice(), [peer(7), peer(8)]);
    }

    #[test]
    fn a_key_of_nothing_but_zeroes_has_a_place_as_any_other() {
        let mut peers = Peers::new();
        assert_eq!([NOBODY, peer(1), NOBODY].map(|key| peers.place(key)), [0, 1, 0]);
        assert_eq!(peers.as_slice(), [NOBODY, peer(1)]);
    }

    proptest! {
        #[test]
        fn at_each_place_is_the_peer_that_was_given_it(numbers in prop::collection::vec(0..100_u64, 0..=MAX_BURST)) {
            let mut peers = Peers::new();
            let places: Vec<_> = numbers.iter().map(|n| peers.place(peer(*n))).collect();
            for (n, place) in numbers.iter().zip(places) {
                prop_assert_eq!(peers.as_slice()[usize::from(place)], peer(*n));
            }
        }
    }

    fn peer(n: u64) -> PeerKey {
        PeerKey { isd_as: IsdAs::from_bits(n << 40 | n), protocol: Protocol(3) }
    }
}
