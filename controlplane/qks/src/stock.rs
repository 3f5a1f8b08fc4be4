//! Which key material a server shares with one neighbour, and which of it is still free. Pure.
//!
//! Material lies in blocks that both ends hold. Each block has one owner, who alone gives it out, from its beginning to its end, so
//! the two ends never give out the same bytes. The owner's *mark* says how far it has come. It is kept on disk a little ahead
//! of what is given out: a crash burns what lies between, and repeats nothing.

use std::collections::{BTreeMap, BTreeSet};

use photongate_wire::UnixNanos;
use serde::{Deserialize, Serialize};

use crate::ids::StreamId;
use crate::links::Origin;

/// A block's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockName {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Its place in the stream.
    pub number: u64,
}

/// Some bytes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "FlatPiece", into = "FlatPiece")]
pub struct Piece {
    /// Which block.
    pub block: BlockName,
    /// Where they begin.
    pub offset: u32,
    /// How many there are.
    pub length: u32,
}

/// A [`Piece`] as it is written. Serde could flatten the name by itself, but copies all that it reads then.
#[derive(Serialize, Deserialize)]
struct FlatPiece {
    stream: StreamId,
    number: u64,
    offset: u32,
    length: u32,
}

/// How far a block is given out: all bytes before the mark are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which block.
    #[serde(flatten)]
    pub block: BlockName,
    /// In bytes.
    pub used: u32,
}

/// A block as the stock sees it: not the bytes, but all that decides about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockState {
    /// In bytes.
    pub length: u32,
    /// How many bytes are gone.
    pub used: u32,
    /// Whether this end gives it out.
    pub is_mine: bool,
    /// What its secrecy rests on.
    pub origin: Origin,
    /// When it was made.
    pub made_at: UnixNanos,
    /// When it is thrown away.
    pub expires_at: UnixNanos,
    /// Tells whether both ends have the same bytes.
    pub check: Check,
}

/// Tells whether both ends have the same bytes under a name, and nothing else about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Check(pub [u8; 16]);

/// What material a request can do with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Only of this origin.
    pub origin: Option<Origin>,
    /// Only made at this instant or later.
    pub made_since: Option<UnixNanos>,
}

/// Material that was given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The bytes, in their order.
    pub pieces: Vec<Piece>,
    /// Marks that must be on disk before anybody gets a key made of the pieces. Empty most of the time.
    pub marks: Vec<Mark>,
}

/// The material shared with one neighbour.
#[derive(Debug, Default)]
pub struct Stock {
    blocks: BTreeMap<BlockName, Entry>,
    /// Blocks to give out, per origin; first those that end first.
    ready: [BTreeSet<(UnixNanos, BlockName)>; 3],
    /// By when they end.
    expiries: BTreeSet<(UnixNanos, BlockName)>,
    free: Free,
}

/// Free bytes of a stock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Free {
    /// What this end can give out now.
    pub ready: u64,
    /// What this end owns, but the neighbour has not confirmed.
    pub unconfirmed: u64,
    /// What the neighbour owns, as far as is known here.
    pub neighbours: u64,
}

#[derive(Debug)]
struct Entry {
    state: BlockState,
    /// The mark on disk, at or beyond `state.used`.
    durable: u32,
    is_confirmed: bool,
}

impl Stock {
    /// Adds a block whose mark on disk is `state.used`. It is given out once it is [confirmed](Self::confirm). Returns `false`, and changes
    /// nothing, if it is there already.
    pub fn add(&mut self, name: BlockName, state: BlockState) -> bool {
        if self.blocks.contains_key(&name) || state.used > state.length {
            return false;
        }
        self.expiries.insert((state.expires_at, name));
        let entry = Entry { state, durable: state.used, is_confirmed: false };
        self.free.add(&entry, u64::wrapping_add);
        self.blocks.insert(name, entry);
        true
    }

    /// The neighbour has the same bytes under this name, and considers all before `used` gone.
    pub fn confirm(&mut self, name: BlockName, used: u32) {
        self.recount(name, |entry| {
            entry.is_confirmed = true;
            entry.advance(used);
        });
    }

    /// The neighbour has to confirm all blocks anew: it may have been restarted, and may have lost some.
    pub fn doubt(&mut self) {
        let names: Vec<_> = self.blocks.keys().copied().collect();
        for name in names {
            self.recount(name, |entry| entry.is_confirmed = false);
        }
    }

    /// Moves a block's mark, never back.
    pub fn advance(&mut self, mark: Mark) {
        self.recount(mark.block, |entry| entry.advance(mark.used));
    }

    /// Says who gives a block out from now on.
    pub fn set_owner(&mut self, name: BlockName, is_mine: bool) {
        self.recount(name, |entry| entry.state.is_mine = is_mine);
    }

    /// Takes `bytes` out of blocks that fit the wish, those first that end first. `None`, and nothing is taken, if there are not so many.
    pub fn take(&mut self, bytes: u64, wish: Wish, now: UnixNanos) -> Option<Taken> {
        let mut missing = bytes;
        let mut pieces = Vec::with_capacity(1);
        let fitting = self.ready_blocks(wish.origin).filter(|(expires_at, _)| now < *expires_at);
        for (_, name) in fitting {
            if missing == 0 {
                break;
            }
            let state = self.blocks[&name].state;
            if wish.made_since.is_some_and(|since| state.made_at < since) {
                continue;
            }
            let length = u32::try_from(missing).unwrap_or(u32::MAX).min(state.length - state.used);
            pieces.push(Piece { block: name, offset: state.used, length });
            missing -= u64::from(length);
        }
        if missing > 0 {
            return None;
        }
        let ahead =
            u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(REQUESTS_AHEAD).clamp(LEAST_AHEAD, MOST_AHEAD);
        let mut marks = Vec::new();
        for piece in &pieces {
            self.recount(piece.block, |entry| {
                let BlockState { length, .. } = entry.state;
                entry.state.used = piece.offset + piece.length;
                if entry.state.used > entry.durable {
                    // What counts as used up on disk may be thrown away there: that waits until the last byte is taken.
                    let most = if entry.state.used == length { length } else { length - 1 };
                    entry.durable = entry.state.used.saturating_add(ahead).min(most);
                    marks.push(Mark { block: piece.block, used: entry.durable });
                }
            });
        }
        Some(Taken { pieces, marks })
    }

    /// Up to `most` blocks of the neighbour that nothing is known to be taken of, those that end last: what to ask for when this end runs
    /// short.
    pub fn wanted(&self, most: usize, now: UnixNanos) -> Vec<BlockName> {
        let last_first = self.expiries.iter().rev().take_while(|(end, _)| now < *end).map(|(_, name)| *name);
        let unused = |name: &BlockName| {
            let state = &self.blocks[name].state;
            !state.is_mine && state.used == 0
        };
        last_first.filter(unused).take(most).collect()
    }

    /// The neighbour asks for these blocks: those of them that are unused are not given out here any more. Returns which.
    pub fn hand_over(&mut self, names: &[BlockName]) -> Vec<BlockName> {
        let unused = |name: &BlockName| self.blocks.get(name).is_some_and(Entry::is_unused);
        let handed: Vec<_> = names.iter().copied().filter(unused).collect();
        handed.iter().for_each(|name| self.set_owner(*name, false));
        handed
    }

    /// Takes out unused blocks, those that end last, as long as `least` bytes are left that this end can give out.
    pub fn spare(&mut self, least: u64) -> Vec<BlockName> {
        let mut left = self.free.ready + self.free.unconfirmed;
        let mut spared = Vec::new();
        for (_, name) in self.expiries.iter().rev() {
            let entry = &self.blocks[name];
            if left < least.saturating_add(entry.state.free()) {
                continue;
            }
            if entry.is_unused() {
                left -= entry.state.free();
                spared.push(*name);
            }
        }
        for name in &spared {
            self.remove(*name);
        }
        spared
    }

    /// Takes out the neighbour's blocks.
    pub fn forget_neighbours(&mut self) {
        let names: Vec<_> =
            self.blocks.iter().filter(|(_, entry)| !entry.state.is_mine).map(|(name, _)| *name).collect();
        for name in names {
            self.remove(name);
        }
    }

    /// Takes out a block: it is used up, over, or not the same at both ends.
    pub fn remove(&mut self, name: BlockName) -> Option<BlockState> {
        self.recount(name, |entry| entry.state.used = entry.state.length);
        let entry = self.blocks.remove(&name)?;
        self.expiries.remove(&(entry.state.expires_at, name));
        Some(entry.state)
    }

    /// Takes out the blocks whose time is over.
    pub fn expire(&mut self, now: UnixNanos) -> Vec<BlockName> {
        let mut over = Vec::new();
        while let Some((_, name)) = self.expiries.first().copied().filter(|(end, _)| *end <= now) {
            self.remove(name);
            over.push(name);
        }
        over
    }

    /// How many bytes are free.
    pub fn free(&self) -> Free {
        self.free
    }

    /// The free bytes of one origin that this end can give out now.
    pub fn ready_of(&self, origin: Origin) -> u64 {
        self.ready[origin as usize].iter().map(|(_, name)| self.blocks[name].state.free()).sum()
    }

    /// A block.
    pub fn get(&self, name: BlockName) -> Option<&BlockState> {
        self.blocks.get(&name).map(|entry| &entry.state)
    }

    /// Up to `most` blocks of this end that the neighbour has yet to confirm, in their order, beginning behind `after`.
    pub fn unconfirmed(&self, after: Option<BlockName>, most: usize) -> Vec<Mark> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let entries = self.blocks.range((from, std::ops::Bound::Unbounded));
        let doubtful =
            entries.filter(|(_, entry)| entry.state.is_mine && !entry.is_confirmed && entry.state.free() > 0);
        doubtful.take(most).map(|(name, entry)| Mark { block: *name, used: entry.state.used }).collect()
    }

    /// Up to `most` blocks of the neighbour that count as not used up here, in their order, beginning behind `after`.
    pub fn neighbours(&self, after: Option<BlockName>, most: usize) -> Vec<BlockName> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let entries = self.blocks.range((from, std::ops::Bound::Unbounded));
        let open = entries.filter(|(_, entry)| !entry.state.is_mine && entry.state.free() > 0);
        open.take(most).map(|(name, _)| *name).collect()
    }

    /// How many blocks there are, used up or not.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there is no block.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    fn ready_blocks(&self, origin: Option<Origin>) -> impl Iterator<Item = (UnixNanos, BlockName)> + '_ {
        // An origin is better the more it rests on; what is asked for without a wish is taken from the best.
        let order = [Origin::Hybrid, Origin::Qkd, Origin::Pqc];
        let wanted = order.into_iter().filter(move |this| origin.is_none_or(|origin| origin == *this));
        wanted.flat_map(|origin| self.ready[origin as usize].iter().copied())
    }

    /// Changes a block, and keeps the sums and the queue in step.
    fn recount(&mut self, name: BlockName, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.blocks.get_mut(&name) else { return };
        self.free.add(entry, u64::wrapping_sub);
        let queue = (entry.state.expires_at, name);
        let origin = entry.state.origin as usize;
        change(entry);
        self.free.add(entry, u64::wrapping_add);
        if entry.is_ready() {
            self.ready[origin].insert(queue);
        } else {
            self.ready[origin].remove(&queue);
        }
    }
}

impl From<FlatPiece> for Piece {
    fn from(FlatPiece { stream, number, offset, length }: FlatPiece) -> Self {
        Self { block: BlockName { stream, number }, offset, length }
    }
}

impl From<Piece> for FlatPiece {
    fn from(Piece { block: BlockName { stream, number }, offset, length }: Piece) -> Self {
        Self { stream, number, offset, length }
    }
}

impl BlockState {
    /// How many bytes are not gone.
    pub fn free(&self) -> u64 {
        u64::from(self.length - self.used)
    }
}

impl Entry {
    fn advance(&mut self, used: u32) {
        self.state.used = self.state.used.max(used.min(self.state.length));
        self.durable = self.durable.max(self.state.used);
    }

    /// Whether nothing was given out, nor will count as given out after a crash.
    const fn is_unused(&self) -> bool {
        self.state.is_mine && self.durable == 0
    }

    fn is_ready(&self) -> bool {
        self.state.is_mine && self.is_confirmed && self.state.free() > 0
    }
}

impl Free {
    fn add(&mut self, entry: &Entry, operation: fn(u64, u64) -> u64) {
        let sum = match (entry.state.is_mine, entry.is_confirmed) {
            (true, true) => &mut self.ready,
            (true, false) => &mut self.unconfirmed,
            (false, _) => &mut self.neighbours,
        };
        *sum = operation(*sum, entry.state.free());
    }
}

/// How far marks on disk are ahead of what is given out: as much as that many requests like the last one, within these bounds, in bytes. The
/// lower one is 512 keys of 256 bits.
const REQUESTS_AHEAD: u32 = 32;
const LEAST_AHEAD: u32 = 16 * 1024;
const MOST_AHEAD: u32 = 256 * 1024;

#[cfg(test)]
mod tests;
