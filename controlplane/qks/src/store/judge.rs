//! What a batch of reservations and requests does to the rows that it is about. Pure: the database only reads and writes them.

use std::collections::{BTreeMap, BTreeSet};

use photongate_wire::UnixNanos;
use serde::{Deserialize, Serialize};

use super::backend::{Batch, Giver};
use super::rows::{Answer, Assignment, KeyRows, Material, RowOfKeys, Take};
use crate::ids::SaeId;
use crate::key_id::AssignmentId;
use crate::stock::{BlockName, Mark};

/// Why pieces cannot be reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum ReserveRefusal {
    /// A block is not there, or not the caller's to give out.
    #[error("block {} of stream {} is not there, or is not the caller's to give out", block.number, block.stream)]
    NoBlock {
        /// Which.
        block: BlockName,
    },
    /// Some of the bytes were given out before.
    #[error("block {} of stream {} is given out up to byte {}", mark.block.number, mark.block.stream, mark.used)]
    Gone {
        /// How far the block is given out here.
        mark: Mark,
    },
}

/// Why keys are not handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakeRefusal {
    /// One is not there: it never was, was fetched, or is over, or another application asked for it first.
    #[error("one or more keys specified are not found on KME")]
    NotFound,
    /// One is there, for others.
    #[error("the caller is not named for one of the keys")]
    NotEntitled,
}

/// A block's row, as far as reservations change it.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockRow {
    pub(super) length: u32,
    pub(super) used: u32,
    pub(super) is_mine: bool,
}

/// What an assignment's row holds beside its id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AssignmentRow {
    pub(super) master: SaeId,
    /// Who may fetch the keys, with one bit for each that was.
    pub(super) takers: Vec<(SaeId, Vec<u64>)>,
    pub(super) material: Material,
    /// In nanoseconds since 1970.
    pub(super) expires_at: u64,
}

/// Material that is given out, and the row that says who may fetch it, if anybody.
#[derive(Debug)]
pub struct Use {
    pub(super) material: Material,
    pub(super) expires_at: UnixNanos,
    pub(super) keys: Option<(AssignmentId, AssignmentRow)>,
}

/// The rows of assignments that a batch is about, by id, and which of them are other than they were.
#[derive(Debug, Default)]
pub(super) struct AssignmentRows {
    rows: BTreeMap<AssignmentId, AssignmentRow>,
    changed: BTreeSet<AssignmentId>,
}

/// What a batch comes to.
#[derive(Debug)]
pub(super) struct Judged {
    /// The neighbour's blocks whose marks move.
    pub(super) moved: BTreeMap<BlockName, Moved>,
    /// Assignments that come.
    pub(super) new: BTreeMap<AssignmentId, AssignmentRow>,
    /// Assignments that were there, or have come, after keys were taken out.
    pub(super) assignments: AssignmentRows,
    pub(super) reservations: Vec<Result<(), ReserveRefusal>>,
    pub(super) takes: Vec<Result<KeyRows, TakeRefusal>>,
    /// Answers that those who took keys may ask for again.
    pub(super) to_remember: Vec<Answer>,
}

/// Where the mark of a block is to be, and how long the block is to be kept at least.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) used: u32,
    pub(super) kept_until: UnixNanos,
}

/// Judges the reservations and the requests of a batch, after its marks are moved. `blocks` and `assignments` are the rows that they
/// are about, as they are before.
pub(super) fn judge(
    batch: &Batch,
    mut blocks: BTreeMap<BlockName, BlockRow>,
    mut assignments: AssignmentRows,
) -> Judged {
    for (mark, giver) in &batch.marks {
        if let (Giver::Neighbour, Some(row)) = (giver, blocks.get_mut(&mark.block))
            && !row.is_mine
        {
            row.used = row.used.max(mark.used);
        }
    }
    for name in &batch.removed {
        blocks.remove(name);
    }
    let asked_for: BTreeSet<_> = batch.takes.iter().flat_map(|take| take.keys.iter().map(|(id, _)| *id)).collect();
    let mut moved = BTreeMap::new();
    let mut new = BTreeMap::new();
    let mut reserve_one = |wanted: &Use| {
        for (name, used) in reserve(wanted, &mut blocks)? {
            let kept_until = wanted.expires_at;
            let row = moved.entry(name).or_insert(Moved { used, kept_until });
            *row = Moved { used, kept_until: row.kept_until.max(kept_until) };
        }
        if let Some((id, row)) = &wanted.keys {
            if asked_for.contains(id) {
                assignments.rows.entry(*id).or_insert_with(|| row.clone());
            }
            new.entry(*id).or_insert_with(|| row.clone());
        }
        Ok(())
    };
    let reservations = batch.reservations.iter().map(&mut reserve_one).collect();
    let mut to_remember = Vec::new();
    let mut take_one = |take: &Take| {
        let rows = assignments.take(take)?;
        if let Some(answer) = &take.remember {
            to_remember.push(Answer { rows: rows.clone(), ..answer.clone() });
        }
        Ok(rows)
    };
    let takes = batch.takes.iter().map(&mut take_one).collect();
    Judged { moved, new, assignments, reservations, takes, to_remember }
}

/// Judges one reservation, and moves the marks of its blocks if it is taken. Returns where they are then.
fn reserve(
    wanted: &Use,
    blocks: &mut BTreeMap<BlockName, BlockRow>,
) -> Result<BTreeMap<BlockName, u32>, ReserveRefusal> {
    let mut after = BTreeMap::new();
    for piece in &wanted.material.pieces {
        let block = piece.block;
        let row = blocks.get(&block).filter(|row| !row.is_mine).ok_or(ReserveRefusal::NoBlock { block })?;
        let used = after.get(&block).copied().unwrap_or(row.used);
        let end = piece.offset.checked_add(piece.length).filter(|end| *end <= row.length && piece.length > 0);
        let end = end.ok_or(ReserveRefusal::NoBlock { block })?;
        if piece.offset < used {
            return Err(ReserveRefusal::Gone { mark: Mark { block, used } });
        }
        after.insert(block, end);
    }
    for (name, used) in &after {
        blocks.entry(*name).and_modify(|row| row.used = *used);
    }
    Ok(after)
}

impl Use {
    /// What both servers use for themselves. Its bytes stay until `expires_at`.
    pub const fn up(material: Material, expires_at: UnixNanos) -> Self {
        Self { material, expires_at, keys: None }
    }

    /// Keys that their takers can fetch.
    pub fn of(assignment: Assignment) -> Self {
        let (material, expires_at) = (assignment.material.clone(), assignment.expires_at);
        Self { material, expires_at, keys: Some((assignment.id, AssignmentRow::of(assignment))) }
    }
}

impl AssignmentRow {
    fn of(assignment: Assignment) -> Self {
        let Assignment { master, takers, material, expires_at, .. } = assignment;
        let takers = takers.into_iter().map(|taker| (taker, Vec::new())).collect();
        Self { master, takers, material, expires_at: expires_at.0 }
    }

    /// Whether everybody has fetched everything.
    fn is_empty(&self) -> bool {
        let count = u32::from(self.material.count);
        self.takers.iter().all(|(_, bits)| bits.iter().map(|word| word.count_ones()).sum::<u32>() == count)
    }
}

impl AssignmentRows {
    pub(super) const fn new(rows: BTreeMap<AssignmentId, AssignmentRow>) -> Self {
        Self { rows, changed: BTreeSet::new() }
    }

    /// Those that are other than they were, and those that are over.
    pub(super) fn changes(&self) -> (Vec<(&AssignmentId, &AssignmentRow)>, Vec<AssignmentId>) {
        let replaced = self.changed.iter().filter_map(|id| self.rows.get_key_value(id)).collect();
        let gone = self.changed.iter().filter(|id| !self.rows.contains_key(id)).copied().collect();
        (replaced, gone)
    }

    /// Takes keys out of the rows: all that are asked for, or none.
    fn take(&mut self, take: &Take) -> Result<KeyRows, TakeRefusal> {
        let mut taken = KeyRows { rows: Vec::new(), keys: Vec::with_capacity(take.keys.len()) };
        let mut places = BTreeMap::new();
        // For each row where the taker stands in it, if it does, and the keys that it has had then.
        let mut after: Vec<(Option<usize>, Vec<u64>)> = Vec::new();
        for (id, index) in &take.keys {
            let place = *places.entry(*id).or_insert(taken.rows.len());
            if place == taken.rows.len() {
                let found = self.rows.get(id);
                let found = found.filter(|row| row.master == take.master && take.now < UnixNanos(row.expires_at));
                let row = found.ok_or(TakeRefusal::NotFound)?;
                let taker = row.takers.iter().position(|(taker, _)| *taker == take.taker);
                after.push((taker, taker.map(|taker| row.takers[taker].1.clone()).unwrap_or_default()));
                taken.rows.push(RowOfKeys { id: *id, material: row.material.clone() });
            }
            let (_, bits) = &mut after[place];
            if *index >= taken.rows[place].material.count || is_set(bits, *index) {
                return Err(TakeRefusal::NotFound);
            }
            set(bits, *index);
            taken.keys.push((place, *index));
        }
        if after.iter().any(|(taker, _)| taker.is_none()) {
            return Err(TakeRefusal::NotEntitled);
        }
        for (RowOfKeys { id, .. }, (taker, bits)) in taken.rows.iter().zip(after) {
            self.changed.insert(*id);
            let row = self.rows.get_mut(id).expect("it was found above");
            row.takers[taker.expect("all are there")].1 = bits;
            if row.is_empty() {
                self.rows.remove(id);
            }
        }
        Ok(taken)
    }
}

fn is_set(bits: &[u64], index: u16) -> bool {
    bits.get(usize::from(index) / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
}

fn set(bits: &mut Vec<u64>, index: u16) {
    let word = usize::from(index) / 64;
    if bits.len() <= word {
        bits.resize(word + 1, 0);
    }
    bits[word] |= 1 << (index % 64);
}
