//! The key cache: all keys held, and those revoked, as bytes to be sealed, so that a filter that is restarted while a source is down
//! has keys.
//!
//! ```text
//! cache   = version (1 byte), number of peers (4), peer…, number of revoked keys (4), revoked…
//! peer    = ISD-AS (8), DRKey protocol (2), number of keys (1), key…
//! key     = flags (1), start of the epoch (8), end (8), handover (8, if flagged), the key (16)
//! revoked = ISD-AS (8), DRKey protocol (2), key
//! flags   = 1: outbound, 2: has a handover
//! ```
//!
//! Integers are big-endian, instants are nanoseconds since 1970.

use std::collections::BTreeMap;

use photongate_crypto::Key;
use photongate_drkey::{Epoch, Protocol};
use photongate_pipeline::PeerKey;
use photongate_wire::{IsdAs, UnixNanos};
use zeroize::Zeroizing;

use super::held::{HeldKey, HeldKeys, HeldRef, RevokedKey};
use super::{Direction, KeyManager};

/// What was read from a cache.
#[derive(Debug, Default)]
pub struct KeyCache {
    peers: BTreeMap<PeerKey, HeldKeys>,
    revoked: Vec<RevokedKey>,
}

impl KeyCache {
    /// Hands the keys that `manager` holds, and those it refuses, to `put`, as bytes, some at a time. They are in clear: to be sealed,
    /// and to be sealed before a revocation is confirmed, lest a restart bring the revoked key back.
    pub fn write(manager: &KeyManager, put: impl FnMut(&[u8])) {
        let mut cache = Writer(put);
        cache.put(&[VERSION]);
        cache.number(manager.held().count());
        for (peer, keys) in manager.held() {
            cache.peer(peer);
            cache.put(&[keys.len() as u8]);
            for HeldRef { direction, key, epoch, handover } in keys {
                cache.key(direction, key, epoch, handover);
            }
        }
        cache.number(manager.revoked().count());
        for RevokedKey { peer, direction, key, epoch } in manager.revoked() {
            cache.peer(*peer);
            cache.key(*direction, key, *epoch, epoch.end);
        }
    }

    /// Reads what [`KeyCache::write`] has made.
    ///
    /// # Errors
    /// [`CacheError`] if it was something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, CacheError> {
        let mut rest = Reader(bytes);
        let [version] = rest.take()?;
        if version != VERSION {
            return Err(CacheError::OtherVersion(version));
        }
        let mut cache = Self::default();
        for _ in 0..rest.number()? {
            let peer = rest.peer()?;
            let [count] = rest.take()?;
            let keys: Result<_, _> = (0..count).map(|_| rest.key()).collect();
            cache.peers.insert(peer, HeldKeys(keys?));
        }
        for _ in 0..rest.number()? {
            let peer = rest.peer()?;
            let HeldKey { direction, key, epoch, .. } = rest.key()?;
            cache.revoked.push(RevokedKey { peer, direction, key, epoch });
        }
        if rest.0.is_empty() { Ok(cache) } else { Err(CacheError::Malformed) }
    }

    /// Takes out what was held for one peer; nothing if nothing was.
    pub fn take(&mut self, peer: PeerKey) -> HeldKeys {
        self.peers.remove(&peer).unwrap_or_default()
    }

    /// Takes out the keys that were revoked, of all peers.
    pub fn take_revoked(&mut self) -> Vec<RevokedKey> {
        std::mem::take(&mut self.revoked)
    }
}

/// Why bytes are no key cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// It was written by another version of the program.
    #[error("the key cache has format {0}, and this program knows format {VERSION} only")]
    OtherVersion(u8),
    /// It breaks off, goes on after its end, or says what cannot be.
    #[error("the key cache is malformed")]
    Malformed,
}

struct Writer<P>(P);

impl<P: FnMut(&[u8])> Writer<P> {
    fn put(&mut self, bytes: &[u8]) {
        (self.0)(bytes);
    }

    fn number(&mut self, number: usize) {
        self.put(&u32::try_from(number).expect("there are fewer keys than that").to_be_bytes());
    }

    fn peer(&mut self, peer: PeerKey) {
        self.put(&peer.isd_as.to_be_bytes());
        self.put(&peer.protocol.to_be_bytes());
    }

    fn key(&mut self, direction: Direction, key: &Key, epoch: Epoch, handover: UnixNanos) {
        let outbound = if direction == Direction::Outbound { flag::OUTBOUND } else { 0 };
        let early = if handover == epoch.end { 0 } else { flag::HANDOVER };
        self.put(&[outbound | early]);
        for instant in [epoch.start, epoch.end].into_iter().chain((early != 0).then_some(handover)) {
            self.put(&instant.0.to_be_bytes());
        }
        self.put(key.as_bytes());
    }
}

/// What has not been read yet.
struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], CacheError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(CacheError::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u32, CacheError> {
        self.take().map(u32::from_be_bytes)
    }

    fn instant(&mut self) -> Result<UnixNanos, CacheError> {
        Ok(UnixNanos(u64::from_be_bytes(self.take()?)))
    }

    fn peer(&mut self) -> Result<PeerKey, CacheError> {
        let isd_as = IsdAs::from_be_bytes(self.take()?);
        Ok(PeerKey { isd_as, protocol: Protocol(u16::from_be_bytes(self.take()?)) })
    }

    fn key(&mut self) -> Result<HeldKey, CacheError> {
        let [flags] = self.take()?;
        let epoch = Epoch { start: self.instant()?, end: self.instant()? };
        let handover = if flags & flag::HANDOVER == 0 { epoch.end } else { self.instant()? };
        let key = Key::from_bytes(*Zeroizing::new(self.take()?));
        let is_possible = flags & !(flag::OUTBOUND | flag::HANDOVER) == 0
            && epoch.start < epoch.end
            && (epoch.start..=epoch.end).contains(&handover);
        let direction = if flags & flag::OUTBOUND == 0 { Direction::Inbound } else { Direction::Outbound };
        if is_possible { Ok(HeldKey { direction, key, epoch, handover }) } else { Err(CacheError::Malformed) }
    }
}

mod flag {
    pub(super) const OUTBOUND: u8 = 1;
    pub(super) const HANDOVER: u8 = 2;
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use photongate_drkey::KeyTimes;
    use photongate_wire::Nanos;
    use proptest::prelude::*;

    use super::*;
    use crate::keys::FetchedKey;

    #[test]
    fn a_restart_brings_back_what_was_held_and_not_what_was_revoked() {
        let mut before = manager(&[1, 2, 3]);
        before.revoke(peer(2), Some(Direction::Inbound), at(20));
        let mut cache = KeyCache::decode(&encode(&before)).unwrap();

        let mut after = KeyManager::new(times(), 1);
        after.restore_revoked(cache.take_revoked());
        for number in [1, 2, 4] {
            after.add(peer(number), cache.take(peer(number)), at(30));
        }
        for number in [1, 2] {
            assert_eq!(bytes(&after, number), bytes(&before, number), "peer {number}");
        }
        assert!(bytes(&after, 2)[0].is_none() && bytes(&after, 2)[2].is_some());
        assert_eq!(bytes(&after, 4), [None; 4]);
        assert_eq!(after.revoked().count(), 1);
        assert!(after.view(peer(3), at(30)).is_none(), "it is not listed any more");
    }

    #[test]
    fn keys_that_are_over_at_the_restart_are_left_out() {
        let mut cache = KeyCache::decode(&encode(&manager(&[1]))).unwrap();
        let mut after = KeyManager::new(times(), 1);
        after.add(peer(1), cache.take(peer(1)), at(102));
        assert!(bytes(&after, 1)[0].is_some(), "packets may still be on their way");

        let mut cache = KeyCache::decode(&encode(&manager(&[1]))).unwrap();
        let mut after = KeyManager::new(times(), 1);
        after.add(peer(1), cache.take(peer(1)), at(103));
        assert_eq!(bytes(&after, 1), [None; 4]);
    }

    #[test]
    fn a_cache_that_is_cut_short_or_goes_on_is_malformed() {
        let mut before = manager(&[1, 2]);
        before.revoke(peer(2), None, at(20));
        let whole = encode(&before);
        for end in 0..whole.len() {
            assert_eq!(KeyCache::decode(&whole[..end]).unwrap_err(), CacheError::Malformed, "cut to {end}");
        }
        let more = [whole.as_slice(), &[0]].concat();
        assert_eq!(KeyCache::decode(&more).unwrap_err(), CacheError::Malformed);
        assert_eq!(KeyCache::decode(&[9]).unwrap_err(), CacheError::OtherVersion(9));
    }

    #[test]
    fn a_peer_with_a_key_for_each_direction_takes_at_most_ninety_bytes() {
        let one = encode(&manager(&[1])).len() - encode(&manager(&[])).len();
        assert!(one <= 90, "{one} bytes a peer");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn any_bytes_are_a_cache_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..400), small in any::<bool>()) {
            if small {
                // So that there are no more peers and keys than fit, and decoding gets somewhere.
                let head = [VERSION, 0, 0, 0, 2];
                bytes.splice(..head.len().min(bytes.len()), head);
                if let Some(count) = bytes.get_mut(15) {
                    *count %= 3;
                }
            }
            let _ = KeyCache::decode(&bytes);
        }

        #[test]
        fn a_cache_with_some_bytes_changed_is_read_or_refused_and_never_breaks_the_manager(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
        ) {
            let mut bytes = encode(&manager(&[1, 2])).to_vec();
            for (index, value) in changes {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            if let Ok(mut cache) = KeyCache::decode(&bytes) {
                let mut manager = KeyManager::new(times(), 1);
                manager.restore_revoked(cache.take_revoked());
                for peer in cache.peers.keys().copied().collect::<Vec<_>>() {
                    manager.add(peer, cache.take(peer), at(30));
                }
                for now in [at(31), at(200), at(1)] {
                    manager.changed(now);
                    manager.due_fetches(now, 100);
                }
            }
        }
    }

    /// A manager whose peers have the keys of the epoch from 0 s to 100 s, fetched at 10 s.
    fn manager(peers: &[u64]) -> KeyManager {
        let mut manager = KeyManager::new(times(), 1);
        for number in peers {
            manager.add(peer(*number), HeldKeys::default(), at(10));
        }
        for fetch in manager.due_fetches(at(10), 100) {
            let byte = fetch.request.peer.isd_as.bits() as u8 * 2 + fetch.request.direction as u8;
            let epoch = Epoch { start: at(0), end: at(100) };
            let early = (fetch.request.direction == Direction::Inbound).then_some(at(90));
            let answer = FetchedKey { key: Key::from_bytes([byte; 16]), epoch, successor_from: early };
            manager.on_fetched(fetch.id, Ok(answer), at(10));
        }
        manager
    }

    fn encode(manager: &KeyManager) -> Vec<u8> {
        let mut cache = Vec::new();
        KeyCache::write(manager, |bytes| cache.extend_from_slice(bytes));
        cache
    }

    fn bytes(manager: &KeyManager, number: u64) -> [Option<[u8; 16]>; 4] {
        let keys = manager.key_set(peer(number), at(30));
        let ([inbound, inbound_old], [outbound, outbound_old]) =
            (keys.inbound_containers(), keys.outbound_containers());
        [inbound, inbound_old, outbound, outbound_old].map(|key| Some(*key?.key.as_bytes()))
    }

    fn times() -> KeyTimes {
        KeyTimes { epoch: Nanos::from_secs(100), ..KeyTimes::default() }
    }

    fn peer(number: u64) -> PeerKey {
        PeerKey { isd_as: IsdAs::from_bits(number), protocol: Protocol(3) }
    }

    fn at(seconds: u64) -> UnixNanos {
        UnixNanos(seconds * 1_000_000_000)
    }
}
