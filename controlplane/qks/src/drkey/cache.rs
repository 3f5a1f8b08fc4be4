//! Fetched keys, until their epochs are over.

use std::collections::BTreeMap;
use std::fmt;

use photongate_crypto::Key;
use photongate_wire::{IsdAs, UnixNanos};

use super::{Level1Key, Level1Request};

/// Keys that other servers gave, wiped when they are let go.
#[derive(Default)]
pub(super) struct Cache(BTreeMap<(Sort, UnixNanos), Level1Key>);

/// What keys of different epochs have in common: fast side, slow side, protocol.
type Sort = (IsdAs, IsdAs, u16);

impl Cache {
    /// The key, if it is there.
    pub(super) fn get(&self, request: &Level1Request) -> Option<Level1Key> {
        let sort = sort(request);
        let (_, found) = self.0.range((sort, UnixNanos(0))..=(sort, request.at)).next_back()?;
        found.epoch.contains(request.at).then(|| found.copy())
    }

    /// Keeps a key. If there are too many, the one that ends first is let go.
    pub(super) fn insert(&mut self, request: &Level1Request, fetched: &Level1Key, now: UnixNanos) {
        self.sweep(now);
        while self.0.len() >= MOST {
            let first = self.0.iter().min_by_key(|(_, kept)| kept.epoch.end).map(|(name, _)| *name);
            first.map(|name| self.0.remove(&name));
        }
        self.0.insert((sort(request), fetched.epoch.start), fetched.copy());
    }

    /// Lets go of the keys whose epochs are over.
    pub(super) fn sweep(&mut self, now: UnixNanos) {
        self.0.retain(|_, kept| now < kept.epoch.end);
    }
}

impl Level1Key {
    /// Keys have no `Clone`, so that no copy is made by accident. This one is meant.
    fn copy(&self) -> Self {
        Self { key: Key::from_bytes(*self.key.as_bytes()), epoch: self.epoch }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

fn sort(request: &Level1Request) -> Sort {
    (request.pair.fast, request.pair.slow, request.protocol.0)
}

/// As many as SCION's control service keeps by default.
const MOST: usize = 10_000;

#[cfg(test)]
mod tests {
    use photongate_drkey::{AsPair, Epoch, Protocol};

    use super::*;

    fn request(slow: u64, at: u64) -> Level1Request {
        let pair = AsPair { fast: IsdAs::from_bits(1), slow: IsdAs::from_bits(slow) };
        Level1Request { pair, protocol: Protocol::GENERIC, at: UnixNanos(at) }
    }

    fn key(start: u64, end: u64, byte: u8) -> Level1Key {
        let epoch = Epoch { start: UnixNanos(start), end: UnixNanos(end) };
        Level1Key { key: Key::from_bytes([byte; 16]), epoch }
    }

    #[test]
    fn a_key_is_found_for_every_instant_of_its_epoch_and_for_no_other_request() {
        let mut cache = Cache::default();
        cache.insert(&request(2, 150), &key(100, 200, 1), UnixNanos(0));
        cache.insert(&request(2, 250), &key(200, 300, 2), UnixNanos(0));
        let found = |request| cache.get(&request).map(|found| found.key.as_bytes()[0]);
        assert_eq!(
            [99, 100, 199, 200, 299, 300].map(|at| found(request(2, at))),
            [None, Some(1), Some(1), Some(2), Some(2), None]
        );
        assert_eq!(found(request(3, 150)), None);
        assert_eq!(found(Level1Request { protocol: Protocol::SCMP, ..request(2, 150) }), None);
    }

    #[test]
    fn a_key_is_let_go_when_its_epoch_is_over() {
        let mut cache = Cache::default();
        cache.insert(&request(2, 150), &key(100, 200, 1), UnixNanos(0));
        cache.sweep(UnixNanos(199));
        assert!(cache.get(&request(2, 150)).is_some());
        cache.sweep(UnixNanos(200));
        assert!(cache.get(&request(2, 150)).is_none());
    }

    #[test]
    fn there_are_never_more_keys_than_there_is_room_for() {
        let mut cache = Cache::default();
        for slow in 2..MOST as u64 + 4 {
            cache.insert(&request(slow, 150), &key(100, 200 + slow, 1), UnixNanos(0));
        }
        assert_eq!(cache.0.len(), MOST);
        assert!(cache.get(&request(2, 150)).is_none(), "it ends first");
        assert!(cache.get(&request(4, 150)).is_some());
    }
}
