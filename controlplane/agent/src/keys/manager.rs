//! The key manager: which keys each peer has, and which must be fetched when. Pure: it has no clock, and asks nobody itself.
//!
//! A peer has two *lanes*, one a direction, that do not know of one another. A lane has the two containers of a
//! [`KeySet`]; a key that comes while both are in use waits until one is free. These are the rules:
//!
//! - The next key is fetched `prefetch` before the current one ends, each lane at another time in the first half of that period.
//! - An inbound key is held until no packet can have it any more: `grace` and `time_threshold` after its epoch. An outbound
//!   key is held until its epoch ends; then the next one is sent with.
//! - A key that may still be valid is let go only if it is revoked, if the peer is removed, or if its source was replaced and the
//!   new one has another key for its place.
//! - When keys begin and end is what their source says. An answer that does not fit is refused, and counts as a failure.
//! - After a failure the lane keeps what it has and tries again, ever less often. Lanes that failed get at most half of the places,
//!   so that they cannot keep others from theirs.
//!
//! After every call that changes something, the caller asks for [`KeyManager::due_fetches`] and [`KeyManager::changed`]; then it sleeps
//! until [`KeyManager::next_wake`] or until something happens, yet not long, for the clock may be set meanwhile.

mod judge;
mod lane;
mod pace;
mod schedule;
mod slots;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use photongate_drkey::{AsAsKey, Epoch, KeySet, KeyTimes};
use photongate_pipeline::PeerKey;
use photongate_wire::UnixNanos;

use self::judge::Refusal;
use self::lane::{Class, Context, Held, Lane, Taken};
use self::pace::Pace;
use self::schedule::{Flight, Peer};
use self::slots::{Slot, Slots};
use super::held::{HeldKey, HeldKeys, HeldRef, RevokedKey};
use super::view::{Degraded, PeerView};
use super::{Direction, FetchError, FetchedKey, KeyRequest};
use crate::api::PeerSummary;

pub(super) use self::pace::fetch_timeout;

/// The keys of all peers.
#[derive(Debug)]
pub struct KeyManager {
    pace: Pace,
    peers: Slots<Peer>,
    slots: BTreeMap<PeerKey, Slot>,
    /// When something is to be done for whom. One entry a peer at most.
    wakes: BTreeSet<(UnixNanos, Slot)>,
    /// Lanes whose next key is due, by [`Class`]. An entry counts only if its lane says that it is in this queue.
    queues: [VecDeque<(Slot, Direction)>; 4],
    flights: BTreeMap<(Slot, Direction), Flight>,
    last_serial: u64,
    /// Peers whose keys are to be handed out.
    changed: BTreeSet<Slot>,
    /// Peers with trouble, by when they go dark.
    degraded: BTreeSet<(UnixNanos, PeerKey)>,
    with_keys: usize,
    revoked: BTreeMap<PeerKey, Vec<RevokedKey>>,
    /// The latest time of day we were told.
    now: UnixNanos,
}

/// A key to be fetched from its peer's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// What the answer is recognised by.
    pub id: FetchId,
    /// Which key.
    pub request: KeyRequest,
}

/// Tells the answers to different fetches apart, also those of peers that were removed and added again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId {
    slot: Slot,
    direction: Direction,
    serial: u64,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The key is held, or was already.
    Taken,
    /// Nobody waits for it any more, or it came too late to be of use.
    Ignored,
    /// It is an error, or a key that must not be used.
    Failed,
}

impl KeyManager {
    /// A manager without peers. `seed` decides which peer's keys are fetched at which moment.
    pub fn new(times: KeyTimes, seed: u64) -> Self {
        Self {
            pace: Pace::new(times, seed),
            peers: Slots::new(),
            slots: BTreeMap::new(),
            wakes: BTreeSet::new(),
            queues: Default::default(),
            flights: BTreeMap::new(),
            last_serial: 0,
            changed: BTreeSet::new(),
            degraded: BTreeSet::new(),
            with_keys: 0,
            revoked: BTreeMap::new(),
            now: UnixNanos(0),
        }
    }

    /// Adds a peer, with what was held for it before: it is used until the source says otherwise. One that is there stays as it is.
    pub fn add(&mut self, peer: PeerKey, held: HeldKeys, now: UnixNanos) {
        self.advance(now);
        if self.slots.contains_key(&peer) {
            return;
        }
        let mut lanes = [Lane::default(), Lane::default()];
        for HeldKey { direction, key, epoch, handover } in held.0 {
            if self.revocation(peer, direction, &key).is_none() {
                let context = Context { pace: &self.pace, peer, direction, now };
                let held = Held { key, epoch, handover, former: true, first: false, known_after: 0 };
                lanes[direction as usize].restore(held, context);
            }
        }
        let slot = self.peers.insert(Peer::new(peer, lanes));
        self.slots.insert(peer, slot);
        // Also a peer without keys: what it sends is dropped for want of a key, not as unknown.
        self.changed.insert(slot);
        self.refresh(slot);
    }

    /// The source of a peer, or its secrets, were replaced: fetches anew at once, and keeps what is valid until then. A key that
    /// the new source has too just stays.
    pub fn replace_source(&mut self, peer: PeerKey, now: UnixNanos) {
        self.advance(now);
        let Some(&slot) = self.slots.get(&peer) else { return };
        for direction in Direction::BOTH {
            self.flights.remove(&(slot, direction));
            self.lane(slot, direction).distrust();
        }
        self.refresh(slot);
    }

    /// Removes a peer and wipes its keys. Returns whether it was there. What was revoked stays revoked.
    pub fn remove(&mut self, peer: PeerKey) -> bool {
        let Some(slot) = self.slots.remove(&peer) else { return false };
        for direction in Direction::BOTH {
            self.flights.remove(&(slot, direction));
        }
        if let Some(peer) = self.peers.get(slot) {
            self.wakes.remove(&(peer.wake, slot));
            self.with_keys -= usize::from(peer.with_keys);
            self.degraded.remove(&(peer.dark_order, peer.key));
        }
        self.changed.remove(&slot);
        self.peers.remove(slot);
        true
    }

    /// Hands out the fetches that are due, at most `most`. Each must be answered, see [`KeyManager::on_fetched`], also if nobody can be
    /// asked: its lane waits until then.
    pub fn due_fetches(&mut self, now: UnixNanos, most: usize) -> Vec<Fetch> {
        self.advance(now);
        let retrying = self.flights.values().filter(|flight| flight.class == Class::Retry).count();
        let mut retries_left = ((self.flights.len() + most) / 2).max(1).saturating_sub(retrying);
        let mut fetches = Vec::new();
        for class in [Class::Rotate, Class::Missing, Class::Confirm, Class::Retry] {
            while fetches.len() < most && (class != Class::Retry || retries_left > 0) {
                let Some((slot, direction)) = self.queues[class as usize].pop_front() else { break };
                if let Some(fetch) = self.begin(slot, direction, class) {
                    fetches.push(fetch);
                    retries_left -= usize::from(class == Class::Retry);
                }
            }
            let queue = &mut self.queues[class as usize];
            if queue.is_empty() {
                // After a start all peers were in it. They come back a few at a time.
                queue.shrink_to_fit();
            }
        }
        fetches
    }

    /// Takes the answer to a fetch. An answer that nobody waits for any more is ignored.
    pub fn on_fetched(&mut self, id: FetchId, answer: Result<FetchedKey, FetchError>, now: UnixNanos) -> Outcome {
        self.advance(now);
        let FetchId { slot, direction, serial } = id;
        let Some(flight) = self.flights.get(&(slot, direction)).filter(|flight| flight.serial == serial).copied()
        else {
            return Outcome::Ignored;
        };
        self.flights.remove(&(slot, direction));
        let outcome =
            match answer.map_err(Refusal::from).and_then(|fetched| self.judge(fetched, flight, slot, direction)) {
                Ok(None) => Outcome::Ignored,
                Ok(Some(fetched)) => {
                    let (lane, context) = self.lane_in_context(slot, direction);
                    if lane.receive(fetched, flight.at, context) {
                        self.changed.insert(slot);
                    }
                    Outcome::Taken
                }
                Err(refusal) => {
                    let (lane, context) = self.lane_in_context(slot, direction);
                    refusal.trouble(lane, context);
                    Outcome::Failed
                }
            };
        self.refresh(slot);
        outcome
    }

    /// The peers whose keys are others than when this was last asked. One update publishes them all.
    pub fn changed(&mut self, now: UnixNanos) -> Vec<PeerKey> {
        self.advance(now);
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().filter_map(|slot| Some(self.peers.get(slot)?.key)).collect()
    }

    /// The keys of a peer, ready for the workers; none if there is no such peer.
    pub fn key_set(&self, peer: PeerKey, now: UnixNanos) -> KeySet {
        let Some(found) = self.slots.get(&peer).and_then(|slot| self.peers.get(*slot)) else {
            return KeySet::default();
        };
        let [[inbound, inbound_old], [outbound, outbound_old]] = Direction::BOTH.map(|direction| {
            let context = Context { pace: &self.pace, peer, direction, now };
            found.lanes[direction as usize].expanded(context)
        });
        let apart = |old: Option<AsAsKey>| old.map(Box::new);
        KeySet { inbound, inbound_old: apart(inbound_old), outbound, outbound_old: apart(outbound_old) }
    }

    /// When there is something to do next if nothing happens until then.
    pub fn next_wake(&self) -> Option<UnixNanos> {
        self.wakes.first().map(|(wake, _)| *wake)
    }

    /// Fetches a peer's next keys now, and at once what failed before. Returns whether there is such a peer.
    pub fn prefetch(&mut self, peer: PeerKey, now: UnixNanos) -> bool {
        self.advance(now);
        let Some(&slot) = self.slots.get(&peer) else { return false };
        for direction in Direction::BOTH {
            let lane = self.lane(slot, direction);
            lane.by_hand = lane.last_own().is_none_or(|last| last.epoch.contains(now));
            if let Some(trouble) = &mut lane.trouble {
                trouble.next_attempt = now;
            }
        }
        self.refresh(slot);
        true
    }

    /// Lets go of all keys of a peer, or those of one direction, and has new ones fetched. Those revoked are not accepted again,
    /// even if the peer is removed meanwhile or the filter is restarted with what [`KeyManager::revoked`] tells.
    pub fn revoke(&mut self, peer: PeerKey, only: Option<Direction>, now: UnixNanos) -> Vec<(Direction, Epoch)> {
        self.advance(now);
        let Some(&slot) = self.slots.get(&peer) else { return Vec::new() };
        let mut revoked = Vec::new();
        for direction in Direction::BOTH.into_iter().filter(|direction| only.is_none_or(|only| only == *direction)) {
            self.flights.remove(&(slot, direction));
            for Taken { key, epoch } in self.lane(slot, direction).empty() {
                self.remember(RevokedKey { peer, direction, key, epoch });
                revoked.push((direction, epoch));
            }
        }
        self.changed.insert(slot);
        self.refresh(slot);
        revoked
    }

    /// Takes up what was revoked before a restart. To be called before peers are added.
    pub fn restore_revoked(&mut self, revoked: impl IntoIterator<Item = RevokedKey>) {
        for key in revoked {
            self.remember(key);
        }
    }

    /// The keys that must not be used any more, for as long as they otherwise could, whatever the clock does.
    pub fn revoked(&self) -> impl Iterator<Item = &RevokedKey> {
        let valid = |key: &&RevokedKey| self.now < self.pace.refused_until(key.epoch);
        self.revoked.values().flatten().filter(valid)
    }

    /// The keys of all peers that have any.
    pub(super) fn held(&self) -> impl Iterator<Item = (PeerKey, Vec<HeldRef<'_>>)> {
        let peers = self.slots.iter().filter_map(|(key, slot)| Some((*key, self.peers.get(*slot)?.held())));
        peers.filter(|(_, keys)| !keys.is_empty())
    }

    /// What is to be told about a peer.
    pub fn view(&self, peer: PeerKey, now: UnixNanos) -> Option<PeerView> {
        let slot = *self.slots.get(&peer)?;
        let found = self.peers.get(slot)?;
        let mut view = PeerView::default();
        for direction in Direction::BOTH {
            let lane = &found.lanes[direction as usize];
            let context = Context { pace: &self.pace, peer, direction, now };
            let epochs = lane.containers().map(|held| held.map(|held| held.epoch));
            match direction {
                Direction::Inbound => [view.inbound, view.inbound_old] = epochs,
                Direction::Outbound => [view.outbound, view.outbound_old] = epochs,
            }
            let is_in_flight = self.flights.contains_key(&(slot, direction));
            let due = lane.want(context).filter(|_| !is_in_flight).map(|want| want.due.max(now));
            view.next_fetch = [view.next_fetch, due].into_iter().flatten().min();
            let degraded = lane.trouble.as_deref().map(|trouble| Degraded {
                reason: format!("{direction} key: {}", trouble.reason),
                since: trouble.since,
                attempts: trouble.attempts,
                next_attempt: due,
                dark_at: trouble.dark_at,
                is_dark: !found.has_keys(&self.pace, now),
            });
            view.degraded = [view.degraded, degraded].into_iter().flatten().min_by_key(|degraded| degraded.dark_at);
        }
        Some(view)
    }

    /// All peers in numbers, as of the last time of day we were told.
    pub fn summary(&self) -> PeerSummary {
        let total = self.slots.len();
        let dark = total - self.with_keys;
        PeerSummary { total, with_keys: self.with_keys, degraded: self.degraded.len(), dark }
    }

    /// The peers whose next key could not be fetched, those that are dark or go dark first in front.
    pub fn degraded(&self) -> impl ExactSizeIterator<Item = PeerKey> {
        self.degraded.iter().map(|(_, peer)| *peer)
    }

    /// How many fetches have been handed out and not answered.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }
}

#[cfg(test)]
mod tests;
