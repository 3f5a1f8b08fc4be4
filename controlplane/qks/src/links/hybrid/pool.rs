//! Blocks of one source that wait for those of the other. No I/O; the time is passed in.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::super::Block;
use crate::stock::{BlockName, Piece};

/// Blocks of one source, in the order in which they came.
#[derive(Default)]
pub(super) struct Pool {
    blocks: VecDeque<Waiting>,
    /// What only the other end has, and since when that is known.
    missing: Vec<(BlockName, Instant)>,
}

struct Waiting {
    name: BlockName,
    bytes: Zeroizing<Vec<u8>>,
    /// So many bytes were used already.
    used: u32,
    since: Instant,
    kept: Option<oneshot::Sender<()>>,
}

/// A block that waits at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    #[serde(flatten)]
    pub(super) name: BlockName,
    pub(super) used: u32,
    pub(super) length: u32,
}

/// Bytes that were taken out, and who wants to know when what they became is kept.
pub(super) struct Taken {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) kept: Vec<oneshot::Sender<()>>,
}

impl Pool {
    /// Whether it takes one more block.
    pub(super) fn has_room(&self) -> bool {
        self.blocks.len() < MOST_BLOCKS
    }

    /// Takes a block in. One of more than 4 GiB is none.
    pub(super) fn add(&mut self, block: Block, now: Instant) {
        let name = BlockName { stream: block.stream, number: block.number };
        if u32::try_from(block.bytes.len()).is_ok_and(|length| length > 0) {
            self.missing.retain(|(missing, _)| *missing != name);
            self.blocks.push_back(Waiting { name, bytes: block.bytes, used: 0, since: now, kept: block.kept });
        }
    }

    /// What waits.
    pub(super) fn held(&self) -> Vec<Held> {
        let held = |waiting: &Waiting| Held { name: waiting.name, used: waiting.used, length: waiting.length() };
        self.blocks.iter().map(held).collect()
    }

    /// What waits at both ends, in this end's order.
    pub(super) fn common(&self, theirs: &[Held]) -> Vec<Piece> {
        let piece = |waiting: &Waiting| {
            let held = theirs.iter().find(|held| waiting.is(held))?;
            let offset = held.used.max(waiting.used);
            (offset < held.length).then(|| Piece { block: held.name, offset, length: held.length - offset })
        };
        self.blocks.iter().filter_map(piece).collect()
    }

    /// Whether all the pieces are there, each of another block.
    pub(super) fn has(&self, pieces: &[Piece]) -> bool {
        let is_there = |piece: &Piece| {
            let waiting = self.blocks.iter().find(|waiting| waiting.name == piece.block);
            let to = piece.offset.checked_add(piece.length);
            let fits = |waiting: &Waiting| piece.offset >= waiting.used && to.is_some_and(|to| to <= waiting.length());
            piece.length > 0 && waiting.is_some_and(fits)
        };
        let is_first = |index: usize| pieces[..index].iter().all(|before| before.block != pieces[index].block);
        pieces.iter().all(is_there) && (0..pieces.len()).all(is_first)
    }

    /// Takes out pieces that are [there](Self::has). What lies before them in their blocks is lost.
    pub(super) fn take(&mut self, pieces: &[Piece]) -> Taken {
        let mut taken = Taken { bytes: Zeroizing::new(Vec::with_capacity(length(pieces))), kept: Vec::new() };
        for piece in pieces {
            let Some(waiting) = self.blocks.iter_mut().find(|waiting| waiting.name == piece.block) else { continue };
            waiting.used = piece.offset + piece.length;
            taken.bytes.extend_from_slice(&waiting.bytes[piece.offset as usize..waiting.used as usize]);
            if waiting.used == waiting.length() {
                taken.kept.extend(waiting.kept.take());
            }
        }
        self.blocks.retain(|waiting| waiting.used < waiting.length());
        taken
    }

    /// Throws away what the other end does not have and will not get, and says what the other end had better throw away.
    ///
    /// A block may come later at one end. It is given up after a time, if the other end could have taken it in, or if otherwise nothing
    /// would ever go on.
    pub(super) fn reconcile(&mut self, theirs: &[Held], now: Instant) -> Vec<BlockName> {
        let is_stuck = self.common(theirs).is_empty();
        let they_had_room = theirs.len() < MOST_BLOCKS || is_stuck;
        let we_had_room = self.has_room() || is_stuck;
        let is_theirs = |waiting: &Waiting| theirs.iter().any(|held| waiting.is(held));
        self.blocks.retain(|waiting| is_theirs(waiting) || !they_had_room || now.duration_since(waiting.since) < GRACE);
        let is_ours = |name: BlockName| self.blocks.iter().any(|waiting| waiting.name == name);
        let known = std::mem::take(&mut self.missing);
        let since = |name| known.iter().find(|(missing, _)| *missing == name).map_or(now, |(_, since)| *since);
        let missing = theirs.iter().map(|held| held.name).filter(|name| !is_ours(*name));
        self.missing = missing.map(|name| (name, since(name))).collect();
        let over = self.missing.iter().filter(|(_, since)| we_had_room && now.duration_since(*since) >= GRACE);
        over.map(|(name, _)| *name).collect()
    }

    /// Throws a block away.
    pub(super) fn drop(&mut self, name: BlockName) {
        self.blocks.retain(|waiting| waiting.name != name);
    }
}

impl Waiting {
    fn is(&self, held: &Held) -> bool {
        self.name == held.name && self.length() == held.length
    }

    fn length(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("longer blocks are not taken in")
    }
}

/// The first `most` bytes of pieces.
pub(super) fn first_bytes(pieces: &[Piece], most: usize) -> Vec<Piece> {
    let mut left = u32::try_from(most).unwrap_or(u32::MAX);
    let mut first = Vec::new();
    for piece in pieces {
        let length = piece.length.min(left);
        left -= length;
        if length > 0 {
            first.push(Piece { length, ..*piece });
        }
    }
    first
}

/// How many bytes pieces have.
pub(super) fn length(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| piece.length as usize).sum()
}

/// Blocks of one source that wait.
pub(super) const MOST_BLOCKS: usize = 16;

/// How much later a block may come at one end than at the other.
pub(super) const GRACE: Duration = Duration::from_secs(60);
