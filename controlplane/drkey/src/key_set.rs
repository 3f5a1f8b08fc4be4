//! The keys held for one peer, and which of them a packet takes.

use photongate_crypto::Key;
use photongate_wire::{EpochNanos, Nanos, UnixNanos};

use crate::epoch::Epoch;
use crate::key_times::KeyTimes;

/// An AS-AS key and its epoch: one key container.
///
/// The key is not expanded: kernels expand it faster than they could fetch its round keys from memory.
#[derive(Debug)]
pub struct AsAsKey {
    /// What the keys of hosts are derived from.
    pub key: Key,
    /// When the key is used to send.
    pub epoch: Epoch,
}

impl AsAsKey {
    /// A `key` for use in `epoch`.
    pub fn new(key: &Key, epoch: Epoch) -> Self {
        Self { key: Key::from_bytes(*key.as_bytes()), epoch }
    }
}

/// The AS-AS keys held for one peer: for each direction the newest, and the one it replaces.
///
/// The newest may be one whose epoch has not begun. A set is never changed, only replaced. The keys that are replaced stand apart:
/// most of the time there are none.
///
/// What packets from the peer need comes first: the newest inbound key.
#[derive(Debug, Default)]
#[repr(C)]
pub struct KeySet {
    /// The newest key of what the peer sends; the local AS is its fast side.
    pub inbound: Option<AsAsKey>,
    /// The newest key of what the peer is sent; the peer is its fast side.
    pub outbound: Option<AsAsKey>,
    /// The key that `inbound` replaces, while packets may still have it.
    pub inbound_old: Option<Box<AsAsKey>>,
    /// The key that `outbound` replaces, as long as `inbound_old`: whoever read the clock just before it ended still sends with it.
    pub outbound_old: Option<Box<AsAsKey>>,
}

impl KeySet {
    /// The key of a packet that arrives at `now` with this `timestamp`, and when the packet says it was sent.
    ///
    /// That instant is known to lie in the acceptance window and in the key's epoch or the grace period after it; whether
    /// it is within `time_threshold` of `now` is not judged here. Of two keys that fit, the closer is taken:
    /// see [`Epoch::sent`].
    ///
    /// # Errors
    /// [`EpochMiss`] if there is no such key.
    #[inline]
    pub fn inbound_for(
        &self,
        timestamp: EpochNanos,
        now: UnixNanos,
        times: &KeyTimes,
    ) -> Result<(&AsAsKey, UnixNanos), EpochMiss> {
        closest(self.inbound_containers(), timestamp, now, times.acceptance_window(), times.grace)
    }

    /// As [`inbound_for`](Self::inbound_for), of a set that is known to have no old inbound key: at which this does not look.
    ///
    /// # Errors
    /// [`EpochMiss`] if the newest key does not fit.
    #[inline]
    pub fn newest_inbound_for(
        &self,
        timestamp: EpochNanos,
        now: UnixNanos,
        times: &KeyTimes,
    ) -> Result<(&AsAsKey, UnixNanos), EpochMiss> {
        closest([self.inbound.as_ref(), None], timestamp, now, times.acceptance_window(), times.grace)
    }

    /// The key to send with at `now`: the old one until it ends, then the new one. `None` outside their epochs.
    #[inline]
    pub fn outbound(&self, now: UnixNanos) -> Option<&AsAsKey> {
        [self.outbound_old.as_deref(), self.outbound.as_ref()].into_iter().flatten().find(|key| key.epoch.contains(now))
    }

    /// The inbound keys held: the newest, and the one it replaces.
    pub fn inbound_containers(&self) -> [Option<&AsAsKey>; 2] {
        [self.inbound.as_ref(), self.inbound_old.as_deref()]
    }

    /// The outbound keys held: the newest, and the one it replaces.
    pub fn outbound_containers(&self) -> [Option<&AsAsKey>; 2] {
        [self.outbound.as_ref(), self.outbound_old.as_deref()]
    }
}

/// Of the newest key and the old one, the one that the packet was sent under, and when.
#[inline]
fn closest<'k>(
    [new, old]: [Option<&'k AsAsKey>; 2],
    timestamp: EpochNanos,
    now: UnixNanos,
    window: Nanos,
    grace: Nanos,
) -> Result<(&'k AsAsKey, UnixNanos), EpochMiss> {
    if new.is_none() && old.is_none() {
        return Err(EpochMiss::NoKey);
    }
    let fit = |key: &'k AsAsKey| Some((key, key.epoch.sent(timestamp, now, window, grace)?));
    match (new.and_then(fit), old.and_then(fit)) {
        // Both fit when the epochs begin less than a window apart. An honest packet's time is then off by at most
        // the time threshold under its own key, and by more under the other.
        (Some((_, new_sent)), Some((key, sent))) if now.distance(sent) < now.distance(new_sent) => Ok((key, sent)),
        (Some(found), _) | (None, Some(found)) => Ok(found),
        (None, None) => Err(EpochMiss::OutsideWindow),
    }
}

/// Why a packet's timestamp leads to no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochMiss {
    /// No inbound key is held for the peer.
    #[error("no inbound key is held for the peer")]
    NoKey,
    /// With every key held, the packet would have been sent outside the acceptance window or the key's epoch.
    #[error("the timestamp fits none of the keys held for the peer")]
    OutsideWindow,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Nanos = Nanos::from_secs(5);
    const WINDOW: Nanos = Nanos::from_secs(60);
    const DAY: u64 = 86_400;

    fn at(secs: u64) -> UnixNanos {
        UnixNanos(secs * 1_000_000_000)
    }

    fn epoch(start: u64, end: u64) -> Epoch {
        Epoch { start: at(start), end: at(end) }
    }

    fn key(epoch: Epoch) -> AsAsKey {
        AsAsKey::new(&Key::from_bytes([1; 16]), epoch)
    }

    /// Inbound and outbound keys of these epochs, the newest first.
    fn holding(new: Epoch, old: Epoch) -> KeySet {
        KeySet {
            inbound: Some(key(new)),
            inbound_old: Some(Box::new(key(old))),
            outbound: Some(key(new)),
            outbound_old: Some(Box::new(key(old))),
        }
    }

    /// Which epoch's key is taken, and what for, when a sender that used `epoch` stamped the packet `sent`.
    fn taken(keys: &KeySet, epoch: Epoch, sent: UnixNanos, now: UnixNanos) -> Result<(Epoch, UnixNanos), EpochMiss> {
        let timestamp = sent.since_epoch(epoch.start).unwrap();
        closest(keys.inbound_containers(), timestamp, now, WINDOW, GRACE).map(|(key, sent)| (key.epoch, sent))
    }

    /// The table in scionproto's `provider_test.go`: epochs of a day, a window of 60 s.
    #[test]
    fn keys_are_selected_as_in_the_tests_of_scion() {
        let first = epoch(0, DAY);
        let second = epoch(DAY, 2 * DAY);
        let keys = holding(second, first);
        let t0 = DAY;
        for (now, epoch, sent, accepted) in [
            (t0 + 30, second, t0 + 29, true),
            (t0 + 2, first, t0 - 1, true),
            (t0 + 60, first, t0 + 30, false),
            (t0 + 4, first, t0 + 3, true),
            (t0 + 60, second, t0 + 20, false),
            (t0 + 300, second, t0 + 340, false),
            (t0 + 300, second, t0 + 271, true),
        ] {
            let expected = if accepted { Ok((epoch, at(sent))) } else { Err(EpochMiss::OutsideWindow) };
            assert_eq!(taken(&keys, epoch, at(sent), at(now)), expected, "sent at {sent}, judged at {now}");
        }
    }

    #[test]
    fn a_set_without_inbound_keys_is_told_apart_from_a_timestamp_that_fits_none() {
        let times = KeyTimes::default();
        let outbound_only = KeySet { outbound: Some(key(epoch(0, DAY))), ..KeySet::default() };
        assert_eq!(outbound_only.inbound_for(EpochNanos(0), at(0), &times).unwrap_err(), EpochMiss::NoKey);
        let old_only = KeySet { inbound_old: Some(Box::new(key(epoch(0, DAY)))), ..KeySet::default() };
        assert_eq!(old_only.inbound_for(EpochNanos(0), at(181), &times).unwrap_err(), EpochMiss::OutsideWindow);
    }

    #[test]
    fn a_timestamp_beyond_all_clocks_is_refused() {
        let keys = holding(epoch(DAY, 2 * DAY), epoch(0, DAY));
        let miss = keys.inbound_for(EpochNanos(u64::MAX), at(DAY), &KeyTimes::default()).unwrap_err();
        assert_eq!(miss, EpochMiss::OutsideWindow);
    }

    #[test]
    fn a_packet_that_fits_two_short_epochs_is_the_one_whose_time_is_closer_to_now() {
        let first = epoch(100, 110);
        let second = epoch(110, 120);
        let keys = holding(second, first);
        assert_eq!(taken(&keys, first, at(109), at(110)), Ok((first, at(109))));
        assert_eq!(taken(&keys, second, at(112), at(113)), Ok((second, at(112))));
    }

    #[test]
    fn the_old_key_is_sent_with_until_it_ends_even_when_the_epoch_of_the_new_one_has_begun() {
        let old = epoch(0, 100);
        let new = epoch(40, 140);
        let keys = holding(new, old);
        assert_eq!(keys.outbound(UnixNanos(at(100).0 - 1)).unwrap().epoch, old);
        assert_eq!(keys.outbound(at(100)).unwrap().epoch, new);
    }

    #[test]
    fn no_key_is_sent_with_before_its_start_or_after_its_end() {
        let keys = KeySet { outbound: Some(key(epoch(40, 140))), ..KeySet::default() };
        assert!(keys.outbound(UnixNanos(at(40).0 - 1)).is_none());
        assert!(keys.outbound(at(40)).is_some());
        assert!(keys.outbound(at(140)).is_none());
    }
}
