//! The keys that were in force when a packet was captured.

use std::sync::Arc;

use photongate_drkey::Rotation;
use photongate_pipeline::limits::Limit;
use photongate_pipeline::{Entry, MemoryDictionary, PeerState};
use photongate_wire::UnixNanos;

use crate::settings::Peer;

/// All peers, and a dictionary with their keys as of one time. Keys are only computed anew when they may have changed.
pub(crate) struct Keys {
    peers: Vec<Held>,
    dictionary: MemoryDictionary,
    /// The time during which no peer's keys change.
    holds: Span,
}

impl Keys {
    /// The keys of `peers`, whose limits are full at `start`.
    pub(crate) fn new(peers: Vec<Peer>, start: UnixNanos) -> Self {
        let held = |peer: Peer| {
            let state = PeerState::new(peer.key, Limit::from_settings(&peer.limit, start), 1);
            let state = Arc::new(state.with_encapsulation(peer.encapsulation));
            Held { state, rotation: peer.rotation, holds: Span::NEVER }
        };
        let peers = peers.into_iter().map(held).collect();
        Self { peers, dictionary: MemoryDictionary::default(), holds: Span::NEVER }
    }

    /// The dictionary at `now`, which may be earlier than the time before: captures are not always in order.
    pub(crate) fn at(&mut self, now: UnixNanos) -> &MemoryDictionary {
        if !self.holds.contains(now) {
            self.holds = Span::ALWAYS;
            for peer in &mut self.peers {
                if !peer.holds.contains(now) {
                    let keys = peer.rotation.key_set(now);
                    self.dictionary.insert(Entry::new(Arc::clone(&peer.state), keys));
                    peer.holds = Span { from: now, until: peer.rotation.next_change(now) };
                }
                self.holds = self.holds.intersection(peer.holds);
            }
        }
        &self.dictionary
    }
}

struct Held {
    rotation: Rotation,
    state: Arc<PeerState>,
    holds: Span,
}

/// A span of time: its first instant, and the first instant after it if it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    from: UnixNanos,
    until: Option<UnixNanos>,
}

impl Span {
    const ALWAYS: Self = Self { from: UnixNanos(0), until: None };
    const NEVER: Self = Self { from: UnixNanos(0), until: Some(UnixNanos(0)) };

    fn contains(self, instant: UnixNanos) -> bool {
        self.from <= instant && self.until.is_none_or(|until| instant < until)
    }

    fn intersection(self, other: Self) -> Self {
        let until = [self.until, other.until].into_iter().flatten().min();
        Self { from: self.from.max(other.from), until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use photongate_crypto::Key;
    use photongate_drkey::{KeyTimes, Protocol, SharedSecret, SharedSecrets};
    use photongate_pipeline::PeerKey;
    use photongate_wire::Nanos;

    const PEER: &str = "20-ff00:0:112";
    const DAY: u64 = 86_400;

    fn at(seconds: u64) -> UnixNanos {
        UnixNanos(seconds * 1_000_000_000)
    }

    fn keys() -> (Keys, PeerKey) {
        let key = PeerKey { isd_as: PEER.parse().unwrap(), protocol: Protocol(3) };
        let times = KeyTimes { epoch: Nanos::from_secs(DAY), ..KeyTimes::default() };
        let secrets = SharedSecrets::new(vec![SharedSecret::new(Key::from_bytes([7; 16]), at(DAY)).unwrap()]);
        let rotation = Rotation::new("1-ff00:0:111".parse().unwrap(), key.isd_as, secrets, times).unwrap();
        (
            Keys::new(
                vec![Peer { key, limit: Default::default(), encapsulation: Default::default(), rotation }],
                at(0),
            ),
            key,
        )
    }

    fn epoch_in_force(keys: &mut Keys, key: PeerKey, now: UnixNanos) -> Option<UnixNanos> {
        Some(keys.at(now).get(key)?.keys.outbound(now)?.epoch.start)
    }

    #[test]
    fn keys_follow_the_time_forwards_and_backwards() {
        let (mut keys, key) = keys();
        for (now, epoch) in [
            (DAY / 2, None),
            (DAY, Some(DAY)),
            (2 * DAY - 1, Some(DAY)),
            (5 * DAY, Some(5 * DAY)),
            (3 * DAY, Some(3 * DAY)),
        ] {
            assert_eq!(epoch_in_force(&mut keys, key, at(now)), epoch.map(at), "at {now} s");
        }
    }

    #[test]
    fn keys_are_kept_until_they_change() {
        let (mut keys, key) = keys();
        keys.at(at(DAY + 100));
        let holds = keys.holds;
        let limit_taken_from = Arc::clone(&keys.at(at(DAY + 200)).get(key).unwrap().peer);
        assert_eq!(keys.holds, holds);
        keys.at(at(9 * DAY));
        assert_ne!(keys.holds, holds);
        assert!(Arc::ptr_eq(&limit_taken_from, &keys.at(at(9 * DAY)).get(key).unwrap().peer), "limits outlive keys");
    }
}
