//! The keys of one peer in one direction, and the rules by which they come and go.

use std::borrow::Borrow;

use photongate_crypto::Key;
use photongate_drkey::{AsAsKey, Epoch};
use photongate_wire::{Nanos, UnixNanos};

use super::pace::Pace;
use crate::keys::{Direction, FetchedKey};

/// One direction of a peer. Moves nothing by itself: [`Lane::advance`] brings it to an instant.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The two containers, as in a `KeySet`. If there is one key only, which is most of the time, it is in `new`.
    new: Option<Held>,
    old: Option<Box<Held>>,
    /// A key that was fetched while both containers were in use.
    waiting: Option<Box<Held>>,
    /// What went wrong since the last key was fetched.
    pub(super) trouble: Option<Box<Trouble>>,
    /// The next key was asked for by hand.
    pub(super) by_hand: bool,
    /// In which queue the lane waits for its key to be fetched.
    pub(super) queued: Option<Class>,
}

/// A key as it is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) key: Key,
    pub(super) epoch: Epoch,
    /// The start of its successor's epoch, as far as is known: usually the end of its own.
    pub(super) handover: UnixNanos,
    /// It comes from before the source was replaced, or from the cache, and the source has not confirmed it.
    pub(super) former: bool,
    /// The source says that there is none before it.
    pub(super) first: bool,
    /// How long after the start of its epoch it is known to be the one to send with, in seconds, rounded up: the epoch of a new
    /// secret may begin when another key is still in use.
    pub(super) known_after: u32,
}

/// A key that was taken out.
pub(super) struct Taken {
    pub(super) key: Key,
    pub(super) epoch: Epoch,
}

/// Why a lane has not the key it should have.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) reason: Box<str>,
    pub(super) since: UnixNanos,
    pub(super) attempts: u32,
    pub(super) next_attempt: UnixNanos,
    /// From when on the source may have a key, if it said so.
    pub(super) until: Option<UnixNanos>,
    /// When the last key held is gone, or was gone.
    pub(super) dark_at: Option<UnixNanos>,
}

/// Whose key is fetched first when more are due than can be fetched at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Packets flow, and the key that protects them ends soon.
    Rotate,
    /// There is no key.
    Missing,
    /// There is a key that the source has yet to confirm.
    Confirm,
    /// It has failed before, and may again take long.
    Retry,
}

/// A key that a lane wants to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// An instant that its epoch is to contain.
    pub(super) at: UnixNanos,
    /// When it is time to fetch it.
    pub(super) due: UnixNanos,
    /// Whether it is to follow the last key held.
    pub(super) successor: bool,
    pub(super) class: Class,
}

/// What rules depend on besides the keys.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) pace: &'c Pace,
    pub(super) peer: photongate_pipeline::PeerKey,
    pub(super) direction: Direction,
    pub(super) now: UnixNanos,
}

impl Context<'_> {
    fn is_gone(&self, epoch: Epoch) -> bool {
        self.pace.gone(epoch) <= self.now
    }

    /// Whether a packet may have the key already. What is sent has the key that we choose.
    fn may_be_met(&self, epoch: Epoch) -> bool {
        self.direction == Direction::Inbound && self.pace.met_from(epoch) <= self.now
    }

    pub(super) fn fetch_at(&self, handover: UnixNanos) -> UnixNanos {
        self.pace.fetch_at(handover, self.peer, self.direction)
    }
}

impl Lane {
    /// Lets go of what is over and puts a waiting key into the place that became free. Returns whether a container changed.
    pub(super) fn advance(&mut self, context: Context<'_>) -> bool {
        self.note_darkness(context);
        let mut changed = false;
        changed |= take_if(&mut self.old, |held| context.is_gone(held.epoch));
        changed |= take_if(&mut self.new, |held| context.is_gone(held.epoch));
        if self.waiting.as_ref().is_some_and(|held| context.is_gone(held.epoch)) {
            self.waiting = None;
        }
        self.close_gap();
        changed | self.place_waiting(context)
    }

    /// After the clock was set back: lets go of keys that are not to be held yet, so that those of the present can be fetched.
    /// Returns whether a container changed.
    pub(super) fn set_back(&mut self, context: Context<'_>) -> bool {
        if let Some(trouble) = &mut self.trouble {
            trouble.since = trouble.since.min(context.now);
            trouble.next_attempt = trouble.next_attempt.min(context.now.saturating_add(context.pace.last_retry()));
        }
        let known_from = |held: &Held| held.epoch.start.saturating_add(Nanos::from_secs(held.known_after.into()));
        if self.held().any(|held| known_from(held) <= context.now && held.epoch.contains(context.now)) {
            return false;
        }
        let early = |held: &Held| held.epoch.start > context.now.saturating_add(context.pace.ahead);
        if self.waiting.as_deref().is_some_and(early) {
            self.waiting = None;
        }
        let changed = take_if(&mut self.old, early) | take_if(&mut self.new, early);
        self.close_gap();
        for held in self.held_mut() {
            held.former |= context.now < known_from(held);
        }
        changed
    }

    /// Takes over the key that the source has for the instant `at`. Returns whether a container changed.
    pub(super) fn receive(&mut self, fetched: FetchedKey, at: UnixNanos, context: Context<'_>) -> bool {
        let first = self.trouble.as_ref().is_some_and(|trouble| trouble.until.is_some_and(|until| context.now < until));
        let FetchedKey { key, epoch, successor_from } = fetched;
        let handover = successor_from.filter(|from| epoch.contains(*from)).unwrap_or(epoch.end);
        let known_after = u32::try_from(epoch.start.distance(at).0.div_ceil(SECOND.0)).unwrap_or(u32::MAX);
        self.trouble = None;
        self.by_hand = false;
        if let Some(held) = self.held_mut().find(|held| held.epoch == epoch && held.key.matches(&key)) {
            held.former = false;
            held.handover = handover;
            held.known_after = known_after;
            return false;
        }
        let mut changed = false;
        if context.direction == Direction::Outbound && epoch.contains(context.now) {
            // The source has another key for the present than the one that is sent with.
            let replaced = |held: &Held| held.former && held.epoch.contains(context.now);
            changed = take_if(&mut self.old, replaced) | take_if(&mut self.new, replaced);
            self.close_gap();
        }
        self.waiting = Some(Box::new(Held { key, epoch, handover, former: false, first, known_after }));
        changed | self.place_waiting(context)
    }

    /// Takes up a key that was held before the filter was restarted, if there is room for it.
    pub(super) fn restore(&mut self, held: Held, context: Context<'_>) {
        let twice = self.held().any(|other| other.epoch == held.epoch);
        if !context.is_gone(held.epoch) && !twice && (self.new.is_none() || self.old.is_none()) {
            self.insert(held);
        }
    }

    /// The source was replaced: what is held stays until it is known what the new one says.
    pub(super) fn distrust(&mut self) {
        self.waiting = None;
        self.trouble = None;
        self.by_hand = false;
        for held in self.held_mut() {
            held.former = true;
        }
    }

    /// Takes out all keys, also one that waits.
    pub(super) fn empty(&mut self) -> Vec<Taken> {
        self.trouble = None;
        self.by_hand = false;
        let taken = self.held().map(|held| Taken { key: duplicate(&held.key), epoch: held.epoch }).collect();
        (self.new, self.old, self.waiting) = (None, None, None);
        taken
    }

    /// The key to fetch next, and when.
    pub(super) fn want(&self, context: Context<'_>) -> Option<Want> {
        let now = context.now;
        if self.waiting.is_some() {
            return None;
        }
        let own = || self.held().filter(|held| !held.former);
        let last = own().max_by_key(|held| held.epoch.start);
        let in_force = own().any(|held| held.epoch.contains(now));
        let retry = self.trouble.as_ref().map(|trouble| trouble.next_attempt);
        match last {
            Some(last) if in_force => {
                let unconfirmed = self.held().any(|held| held.former && held.epoch.start > last.epoch.start);
                let by_hand = self.by_hand && last.epoch.contains(now);
                let regular = if unconfirmed || by_hand { now } else { context.fetch_at(last.handover) };
                let class = if retry.is_some() { Class::Retry } else { Class::Rotate };
                let want = Want { at: last.epoch.end, due: retry.unwrap_or(regular), successor: true, class };
                // Beyond the end of all clocks there is nothing to ask for.
                (last.epoch.end.0 < u64::MAX).then_some(want)
            }
            // Its epoch begins in a moment.
            Some(last) if now < last.epoch.start && last.first => None,
            _ => {
                let until = self.trouble.as_ref().and_then(|trouble| trouble.until);
                let at = until.filter(|until| context.fetch_at(*until) <= now).map_or(now, |until| until.max(now));
                let class = match retry {
                    Some(_) => Class::Retry,
                    None if self.is_usable(context) => Class::Confirm,
                    None => Class::Missing,
                };
                Some(Want { at, due: retry.unwrap_or(now), successor: false, class })
            }
        }
    }

    /// The first instant after now at which something happens to the keys held.
    pub(super) fn next_boundary(&self, context: Context<'_>) -> Option<UnixNanos> {
        let boundaries = |held: &Held| {
            let Epoch { start, end } = held.epoch;
            [start, end, context.pace.gone(held.epoch), context.pace.met_from(held.epoch)]
        };
        self.held().flat_map(boundaries).filter(|boundary| context.now < *boundary).min()
    }

    /// Whether packets can be protected at this instant.
    pub(super) fn is_usable(&self, context: Context<'_>) -> bool {
        let Context { direction, now, .. } = context;
        let usable = |held: &Held| match direction {
            Direction::Inbound => held.epoch.start <= now && !context.is_gone(held.epoch),
            Direction::Outbound => held.epoch.contains(now),
        };
        self.containers().into_iter().flatten().any(usable)
    }

    /// The key that the next one is to follow.
    pub(super) fn last_own(&self) -> Option<&Held> {
        self.held().filter(|held| !held.former).max_by_key(|held| held.epoch.start)
    }

    /// All keys, also one that waits.
    pub(super) fn held(&self) -> impl Iterator<Item = &Held> {
        self.old.as_deref().into_iter().chain(&self.new).chain(self.waiting.as_deref())
    }

    /// The containers, the new one first.
    pub(super) fn containers(&self) -> [Option<&Held>; 2] {
        [self.new.as_ref(), self.old.as_deref()]
    }

    /// The containers as workers get them, without what is over.
    pub(super) fn expanded(&self, context: Context<'_>) -> [Option<AsAsKey>; 2] {
        let valid = |held: &&Held| !context.is_gone(held.epoch);
        self.containers().map(|held| held.filter(valid).map(|held| AsAsKey::new(&held.key, held.epoch)))
    }

    /// Remembers when the last key will be of no use, for as long as there is one.
    pub(super) fn note_darkness(&mut self, context: Context<'_>) {
        let last = self.held().map(|held| context.pace.of_no_use(context.direction, held.epoch)).max();
        if let (Some(trouble), Some(last)) = (&mut self.trouble, last) {
            trouble.dark_at = Some(last);
        }
    }

    fn held_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        self.old.as_deref_mut().into_iter().chain(&mut self.new).chain(self.waiting.as_deref_mut())
    }

    fn place_waiting(&mut self, context: Context<'_>) -> bool {
        let Some(waiting) = &self.waiting else { return false };
        if self.old.is_some() && !self.make_room(waiting.epoch, context) {
            return false;
        }
        if let Some(waiting) = self.waiting.take() {
            self.insert(Held { key: duplicate(&waiting.key), ..*waiting });
        }
        true
    }

    /// Lets a key of the former source go if it stands in the way: one that is in nobody's hands yet, or any as soon as the
    /// key that waits may be in a peer's hands.
    fn make_room(&mut self, waiting: Epoch, context: Context<'_>) -> bool {
        let needed = context.may_be_met(waiting) || context.direction == Direction::Outbound;
        let unmet = |held: &Held| held.former && !context.may_be_met(held.epoch);
        let late = |held: &Held| held.epoch.start > waiting.start && context.pace.met_from(held.epoch) > context.now;
        let made = take_if(&mut self.new, |held| unmet(held) || late(held))
            || take_if(&mut self.old, unmet)
            || needed && (take_if(&mut self.old, |held| held.former) || take_if(&mut self.new, |held| held.former));
        self.close_gap();
        made
    }

    /// Puts a key into the free container, in the order of their epochs.
    fn insert(&mut self, held: Held) {
        match &self.new {
            None => self.new = Some(held),
            Some(new) if (held.epoch.start, !held.former) < (new.epoch.start, !new.former) => {
                self.old = Some(Box::new(held));
            }
            Some(_) => {
                self.old = take(&mut self.new).map(Box::new);
                self.new = Some(held);
            }
        }
    }

    fn close_gap(&mut self) {
        if self.new.is_none() {
            self.new = take(&mut self.old);
        }
    }
}

/// A second copy, for those moves that must wipe the place they move from.
fn duplicate(key: &Key) -> Key {
    Key::from_bytes(*key.as_bytes())
}

/// Takes a key out and wipes the place where it was.
fn take<H: Borrow<Held>>(container: &mut Option<H>) -> Option<Held> {
    let taken = container.as_ref().map(Borrow::borrow).map(|held| Held { key: duplicate(&held.key), ..*held });
    *container = None;
    taken
}

/// Empties a container in place, which wipes it, if `leave` says so. Returns whether it did.
fn take_if<H: Borrow<Held>>(container: &mut Option<H>, leave: impl FnOnce(&Held) -> bool) -> bool {
    let leaves = container.as_ref().map(Borrow::borrow).is_some_and(leave);
    if leaves {
        *container = None;
    }
    leaves
}

const SECOND: Nanos = Nanos::from_secs(1);
