//! What is done for whom, and when: the part of the key manager that keeps it in step with the time.

use photongate_crypto::Key;
use photongate_pipeline::PeerKey;
use photongate_wire::UnixNanos;

use super::lane::{Class, Context, Held, Lane};
use super::pace::Pace;
use super::slots::Slot;
use super::{Fetch, FetchId, KeyManager};
use crate::keys::held::{HeldRef, RevokedKey};
use crate::keys::{Direction, KeyRequest};

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) key: PeerKey,
    /// By [`Direction`].
    pub(super) lanes: [Lane; 2],
    /// When something is to be done for it; [`NEVER`] if nothing is.
    pub(super) wake: UnixNanos,
    /// Its place among the degraded: when it goes dark, or [`NEVER`] if it is not degraded.
    pub(super) dark_order: UnixNanos,
    /// Whether there is a key for each direction.
    pub(super) with_keys: bool,
}

/// A fetch that has not been answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) serial: u64,
    pub(super) at: UnixNanos,
    /// Whether the key is to follow the last one held.
    pub(super) successor: bool,
    pub(super) class: Class,
}

/// After the end of all clocks.
pub(super) const NEVER: UnixNanos = UnixNanos(u64::MAX);

impl Peer {
    pub(super) fn new(key: PeerKey, lanes: [Lane; 2]) -> Self {
        Self { key, lanes, wake: NEVER, dark_order: NEVER, with_keys: false }
    }

    /// Its keys, also those that wait for a container.
    pub(super) fn held(&self) -> Vec<HeldRef<'_>> {
        let lanes = Direction::BOTH.into_iter().zip(&self.lanes);
        let held = lanes.flat_map(|(direction, lane)| lane.held().map(move |held| (direction, held)));
        held.map(|(direction, Held { key, epoch, handover, .. })| HeldRef {
            direction,
            key,
            epoch: *epoch,
            handover: *handover,
        })
        .collect()
    }

    /// Whether there is a key for each direction at this instant.
    pub(super) fn has_keys(&self, pace: &Pace, now: UnixNanos) -> bool {
        Direction::BOTH
            .into_iter()
            .all(|direction| self.lanes[direction as usize].is_usable(Context { pace, peer: self.key, direction, now }))
    }
}

impl KeyManager {
    /// Brings all peers to the instant `now`.
    pub(super) fn advance(&mut self, now: UnixNanos) {
        let was_set_back = now < self.now;
        self.now = now;
        if was_set_back {
            self.set_back();
        }
        while let Some((_, slot)) = self.wakes.first().copied().filter(|(wake, _)| *wake <= now) {
            self.refresh(slot);
        }
    }

    /// Looks at every peer again: what was settled for later may be due now, and keys of the future make way for those of the present.
    fn set_back(&mut self) {
        let slots: Vec<_> = self.slots.values().copied().collect();
        for slot in slots {
            for direction in Direction::BOTH {
                let (lane, context) = self.lane_in_context(slot, direction);
                if lane.set_back(context) {
                    self.changed.insert(slot);
                }
                let (lane, context) = self.lane_in_context(slot, direction);
                if !lane.is_usable(context) {
                    self.flights.remove(&(slot, direction));
                }
            }
            self.refresh(slot);
        }
    }

    /// Brings one peer to the present instant, and settles when to look at it again.
    pub(super) fn refresh(&mut self, slot: Slot) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let mut wake = NEVER;
        let mut dark_order = NEVER;
        for direction in Direction::BOTH {
            let context = Context { pace: &self.pace, peer: peer.key, direction, now };
            let lane = &mut peer.lanes[direction as usize];
            if lane.advance(context) {
                self.changed.insert(slot);
            }
            if lane.queued.is_none()
                && !self.flights.contains_key(&(slot, direction))
                && let Some(want) = lane.want(context)
            {
                if want.due <= now {
                    lane.queued = Some(want.class);
                    self.queues[want.class as usize].push_back((slot, direction));
                } else {
                    wake = wake.min(want.due);
                }
            }
            wake = wake.min(lane.next_boundary(context).unwrap_or(NEVER));
            if let Some(trouble) = &lane.trouble {
                dark_order = dark_order.min(trouble.dark_at.unwrap_or_default());
            }
        }
        if peer.wake != wake {
            self.wakes.remove(&(peer.wake, slot));
            peer.wake = wake;
            if wake != NEVER {
                self.wakes.insert((wake, slot));
            }
        }
        if peer.dark_order != dark_order {
            self.degraded.remove(&(peer.dark_order, peer.key));
            peer.dark_order = dark_order;
            if dark_order != NEVER {
                self.degraded.insert((dark_order, peer.key));
            }
        }
        let with_keys = peer.has_keys(&self.pace, now);
        self.with_keys = self.with_keys + usize::from(with_keys) - usize::from(peer.with_keys);
        peer.with_keys = with_keys;
    }

    /// Begins the fetch of a lane that waited in the queue of this class; `None` if it does not want one any more.
    pub(super) fn begin(&mut self, slot: Slot, direction: Direction, class: Class) -> Option<Fetch> {
        let now = self.now;
        let peer = self.peers.get_mut(slot)?;
        let lane = &mut peer.lanes[direction as usize];
        if lane.queued != Some(class) {
            return None;
        }
        lane.queued = None;
        let want = lane.want(Context { pace: &self.pace, peer: peer.key, direction, now });
        let Some(want) = want.filter(|want| want.due <= now) else {
            self.refresh(slot);
            return None;
        };
        let request = KeyRequest { peer: peer.key, direction, at: want.at };
        self.last_serial += 1;
        let serial = self.last_serial;
        self.flights.insert((slot, direction), Flight { serial, at: want.at, successor: want.successor, class });
        Some(Fetch { id: FetchId { slot, direction, serial }, request })
    }

    pub(super) fn lane(&mut self, slot: Slot, direction: Direction) -> &mut Lane {
        self.lane_in_context(slot, direction).0
    }

    /// A lane of a peer that is there, and what its rules depend on.
    pub(super) fn lane_in_context(&mut self, slot: Slot, direction: Direction) -> (&mut Lane, Context<'_>) {
        let peer = self.peers.get_mut(slot).expect("the slot is of a peer that is there");
        let context = Context { pace: &self.pace, peer: peer.key, direction, now: self.now };
        (&mut peer.lanes[direction as usize], context)
    }

    /// Refuses a key from now on. Those whose time is over are forgotten.
    pub(super) fn remember(&mut self, key: RevokedKey) {
        let (pace, now) = (&self.pace, self.now);
        let keys = self.revoked.entry(key.peer).or_default();
        keys.retain(|key| now < pace.refused_until(key.epoch));
        keys.push(key);
    }

    /// The revoked key of which this is a copy.
    pub(super) fn revocation(&self, peer: PeerKey, direction: Direction, key: &Key) -> Option<&RevokedKey> {
        let same = |revoked: &&RevokedKey| revoked.direction == direction && revoked.key.matches(key);
        self.revoked.get(&peer)?.iter().filter(|key| self.now < self.pace.refused_until(key.epoch)).find(same)
    }
}
