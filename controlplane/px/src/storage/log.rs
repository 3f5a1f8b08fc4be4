//! The log in memory.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use omnipaxos::{
    ballot_leader_election::Ballot,
    storage::{self, NoSnapshot, StopSign, Storage, StorageOp, StorageResult},
};

use super::Operation;
use crate::command::Entry;

impl storage::Entry for Entry {
    // Nodes that lag far behind get the state from a peer, in parts: see `node::catch_up`.
    type Snapshot = NoSnapshot;
}

/// What an acceptor of one configuration has to keep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Acceptor {
    /// No proposal of a smaller ballot is accepted.
    pub promise: Option<Ballot>,
    /// The ballot in which the log was accepted last.
    pub accepted_round: Option<Ballot>,
    /// So many places are decided.
    pub decided: u64,
    /// The place of the first entry.
    pub start: u64,
    /// What was accepted.
    pub entries: VecDeque<Entry>,
    /// The stop-sign behind the last entry.
    pub stop_sign: Option<StopSign>,
}

impl Acceptor {
    /// The acceptor of a configuration in which everything up to `start` is known through the state alone.
    #[must_use]
    pub fn beginning_at(start: u64) -> Self {
        Self { decided: start, start, ..Self::default() }
    }

    /// The place behind the last entry; where a stop-sign is, if there is one.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + self.entries.len() as u64
    }

    /// How many places were accepted, the stop-sign's included.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.end() + u64::from(self.stop_sign.is_some())
    }

    /// The stop-sign, once it is decided.
    #[must_use]
    pub fn decided_stop_sign(&self) -> Option<&StopSign> {
        self.stop_sign.as_ref().filter(|_| self.decided == self.accepted())
    }

    /// The entry at this place, if it is still or already there.
    #[must_use]
    pub fn entry(&self, place: u64) -> Option<&Entry> {
        let offset = place.checked_sub(self.start)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// Does what an operation says, as far as it concerns the acceptor.
    pub fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Append { index, entries } => self.append(*index, entries.clone()),
            Operation::Promise(ballot) => self.promise = Some(*ballot),
            Operation::AcceptedRound(ballot) => self.accepted_round = Some(*ballot),
            Operation::Decided(places) => self.decided = *places,
            Operation::StopSign(stop_sign) => self.stop_sign.clone_from(stop_sign),
            Operation::Trim(place) => self.trim(*place),
            Operation::Begin(place) => *self = Self::beginning_at(*place),
            Operation::Changes(_) | Operation::Replace(_) => {}
        }
    }

    fn append(&mut self, index: u64, entries: Vec<Entry>) {
        let keep = index.checked_sub(self.start).expect("what the state has is never overwritten");
        let keep = usize::try_from(keep).expect("the log fits into memory");
        assert!(keep <= self.entries.len(), "the log has no holes");
        self.entries.truncate(keep);
        self.entries.extend(entries);
    }

    /// Forgets what is before `place`. If the log does not reach so far, it begins anew there.
    fn trim(&mut self, place: u64) {
        if self.stop_sign.is_some() && place > self.end() {
            self.stop_sign = None;
        }
        let gone = place.saturating_sub(self.start).min(self.entries.len() as u64);
        self.entries.drain(..usize::try_from(gone).expect("not more than there are"));
        self.start = self.start.max(place);
        self.decided = self.decided.max(place);
    }
}

/// The acceptor that OmniPaxos reads and writes, and the operations that the disk still lacks. Clones share it: OmniPaxos owns one.
#[derive(Clone, Debug)]
pub struct Log(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    acceptor: Acceptor,
    operations: Vec<Operation>,
    urgent: bool,
    weight: usize,
}

impl Log {
    /// A log with what was found on disk.
    #[must_use]
    pub fn new(acceptor: Acceptor) -> Self {
        let weight = acceptor.entries.iter().map(Entry::weight).sum();
        Self(Arc::new(Mutex::new(Inner { acceptor, operations: Vec::new(), urgent: false, weight })))
    }

    /// Looks at the acceptor.
    pub fn read<T>(&self, look: impl FnOnce(&Acceptor) -> T) -> T {
        look(&self.lock().acceptor)
    }

    /// Does `operation` in memory, and remembers it for the disk.
    pub fn write(&self, operation: Operation) {
        self.lock().write(operation);
    }

    /// About how many bytes the entries take.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.lock().weight
    }

    /// Whether something waits for the disk that a promise may depend on.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.lock().urgent
    }

    /// What the disk lacks since the last call.
    #[must_use]
    pub fn take_operations(&self) -> Vec<Operation> {
        let mut inner = self.lock();
        inner.urgent = false;
        std::mem::take(&mut inner.operations)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics with the log in hand and lives on")
    }
}

impl Inner {
    fn write(&mut self, operation: Operation) {
        let before = self.acceptor.entries.len();
        match &operation {
            Operation::Append { index, entries } if *index == self.acceptor.end() => {
                self.weight += entries.iter().map(Entry::weight).sum::<usize>();
                self.acceptor.apply(&operation);
            }
            Operation::Trim(place) => {
                let gone = place.saturating_sub(self.acceptor.start).min(before as u64);
                let gone = usize::try_from(gone).expect("not more than there are");
                self.weight -= self.acceptor.entries.iter().take(gone).map(Entry::weight).sum::<usize>();
                self.acceptor.apply(&operation);
            }
            Operation::Append { .. } | Operation::Begin(_) => {
                self.acceptor.apply(&operation);
                self.weight = self.acceptor.entries.iter().map(Entry::weight).sum();
            }
            _ => self.acceptor.apply(&operation),
        }
        self.urgent |= operation.is_urgent();
        self.remember(operation);
    }

    /// Puts an operation to the others; what only repeats or continues the last one is merged with it.
    fn remember(&mut self, operation: Operation) {
        match (self.operations.last_mut(), operation) {
            (Some(Operation::Decided(places)), Operation::Decided(more)) => *places = more,
            (Some(Operation::Append { index, entries }), Operation::Append { index: next, entries: more })
                if *index + entries.len() as u64 == next =>
            {
                entries.extend(more);
            }
            (_, operation) => self.operations.push(operation),
        }
    }
}

impl Storage<Entry> for Log {
    fn write_atomically(&mut self, operations: Vec<StorageOp<Entry>>) -> StorageResult<()> {
        operations.into_iter().try_for_each(|operation| match operation {
            StorageOp::AppendEntry(entry) => self.append_entry(entry),
            StorageOp::AppendEntries(entries) => self.append_entries(entries),
            StorageOp::AppendOnPrefix(from, entries) => self.append_on_prefix(from, entries),
            StorageOp::SetPromise(ballot) => self.set_promise(ballot),
            StorageOp::SetDecidedIndex(places) => self.set_decided_idx(places),
            StorageOp::SetAcceptedRound(ballot) => self.set_accepted_round(ballot),
            StorageOp::SetStopsign(stop_sign) => self.set_stopsign(stop_sign),
            StorageOp::SetCompactedIdx(place) => self.set_compacted_idx(place),
            StorageOp::Trim(place) => self.trim(place),
            StorageOp::SetSnapshot(snapshot) => self.set_snapshot(snapshot),
        })
    }

    fn append_entry(&mut self, entry: Entry) -> StorageResult<()> {
        self.append_entries(vec![entry])
    }

    fn append_entries(&mut self, entries: Vec<Entry>) -> StorageResult<()> {
        if !entries.is_empty() {
            let mut inner = self.lock();
            let index = inner.acceptor.end();
            inner.write(Operation::Append { index, entries });
        }
        Ok(())
    }

    fn append_on_prefix(&mut self, from_idx: usize, entries: Vec<Entry>) -> StorageResult<()> {
        self.write(Operation::Append { index: from_idx as u64, entries });
        Ok(())
    }

    fn set_promise(&mut self, ballot: Ballot) -> StorageResult<()> {
        // OmniPaxos sets what it has just read when it starts; the default stands for none.
        let known = self.read(|acceptor| acceptor.promise.unwrap_or_default() == ballot);
        if !known {
            self.write(Operation::Promise(ballot));
        }
        Ok(())
    }

    fn set_decided_idx(&mut self, places: usize) -> StorageResult<()> {
        self.write(Operation::Decided(places as u64));
        Ok(())
    }

    fn get_decided_idx(&self) -> StorageResult<usize> {
        Ok(self.read(|acceptor| length(acceptor.decided)))
    }

    fn set_accepted_round(&mut self, ballot: Ballot) -> StorageResult<()> {
        self.write(Operation::AcceptedRound(ballot));
        Ok(())
    }

    fn get_accepted_round(&self) -> StorageResult<Option<Ballot>> {
        Ok(self.read(|acceptor| acceptor.accepted_round))
    }

    fn get_entries(&self, from: usize, to: usize) -> StorageResult<Vec<Entry>> {
        Ok(self.read(|acceptor| acceptor.range(from, to)))
    }

    fn get_log_len(&self) -> StorageResult<usize> {
        Ok(self.read(|acceptor| acceptor.entries.len()))
    }

    fn get_suffix(&self, from: usize) -> StorageResult<Vec<Entry>> {
        Ok(self.read(|acceptor| acceptor.range(from, length(acceptor.end()))))
    }

    fn get_promise(&self) -> StorageResult<Option<Ballot>> {
        Ok(self.read(|acceptor| acceptor.promise))
    }

    fn set_stopsign(&mut self, stop_sign: Option<StopSign>) -> StorageResult<()> {
        self.write(Operation::StopSign(stop_sign));
        Ok(())
    }

    fn get_stopsign(&self) -> StorageResult<Option<StopSign>> {
        Ok(self.read(|acceptor| acceptor.stop_sign.clone()))
    }

    // The log is compacted by the node, which has the state; OmniPaxos is never asked to.
    fn trim(&mut self, _: usize) -> StorageResult<()> {
        Err("only the node trims the log".into())
    }

    fn set_compacted_idx(&mut self, _: usize) -> StorageResult<()> {
        Err("only the node trims the log".into())
    }

    fn get_compacted_idx(&self) -> StorageResult<usize> {
        Ok(self.read(|acceptor| length(acceptor.start)))
    }

    fn set_snapshot(&mut self, _: Option<NoSnapshot>) -> StorageResult<()> {
        Err("only the node takes snapshots".into())
    }

    fn get_snapshot(&self) -> StorageResult<Option<NoSnapshot>> {
        Ok(None)
    }
}

impl Acceptor {
    /// The entries from one place to another, as OmniPaxos counts.
    ///
    /// # Panics
    /// If some were trimmed. The node answers who lacks them itself, before OmniPaxos hears of it: an incomplete answer would be taken
    /// for a shorter log, and lose what was decided.
    fn range(&self, from: usize, to: usize) -> Vec<Entry> {
        let start = length(self.start);
        assert!(from >= start, "the log begins at {start}, and is asked for {from}");
        let end = to.min(length(self.end()));
        self.entries.range(from.min(end) - start..end - start).cloned().collect()
    }
}

fn length(places: u64) -> usize {
    usize::try_from(places).expect("OmniPaxos counts in words of the machine; ours have 64 bits")
}
