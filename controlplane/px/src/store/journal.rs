//! The journal: a file with the batches since the database was last written, one after the other.
//!
//! To make a batch durable takes one write and one sync of data that are there already: the file is filled with zeros ahead of what is
//! written, and used again from its beginning whenever the database has everything. Neither its length nor where its blocks are changes
//! then, so the file system has nothing else to sync.
//!
//! A batch begins on a page of its own: no write touches a page that an earlier batch is on. It carries its number and a checksum. As a
//! batch is begun only when the one before is on disk, a crash can tear no other than the last. So what cannot be read is where the
//! journal ends, unless a batch with a larger number is found behind it: then the disk has lost something, and the store is refused.

use std::borrow::Cow;

use omnipaxos::{ballot_leader_election::Ballot, storage::StopSign};
use redb::StorageBackend;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::{command::Entry, digest::Fnv128, storage::Operation};

/// The file, and how far it is written.
#[derive(Debug)]
pub(super) struct Journal {
    file: Box<dyn StorageBackend>,
    key: u128,
    /// The number of the last batch.
    last: u64,
    /// Where the next one begins.
    position: u64,
    /// How long the file is.
    length: u64,
    /// Kept for its room.
    buffer: Vec<u8>,
}

/// An operation as it stands in the journal. Others are for the database.
#[derive(Serialize, Deserialize)]
enum Written<'o> {
    Append { index: u64, entries: Cow<'o, [Entry]> },
    Promise(Ballot),
    AcceptedRound(Ballot),
    Decided(u64),
    StopSign(Cow<'o, Option<StopSign>>),
}

impl Journal {
    /// Opens the journal behind the batch `last`, which the database has, and reads what it has lacked since then. `key` is random, and
    /// the same each time: without it nobody can make the bytes of a document look like a batch. `is_new` says that there was no state yet.
    pub(super) fn open(
        file: impl StorageBackend,
        key: u128,
        last: u64,
        is_new: bool,
    ) -> Result<(Self, Vec<Vec<Operation>>), StoreError> {
        let length = file.len()?;
        if length == 0 && !is_new {
            return Err(StoreError::Damaged { what: "the journal is gone" });
        }
        let mut bytes = vec![0; usize::try_from(length).expect("a file that fits into memory")];
        file.read(0, &mut bytes)?;
        let mut journal = Self { file: Box::new(file), key, last, position: 0, length, buffer: Vec::new() };
        let mut batches = Vec::new();
        while let Some((number, payload)) = journal.batch(&bytes, journal.position)
            && number == journal.last + 1
        {
            let written: Vec<Written<'_>> = postcard::from_bytes(payload)
                .map_err(|_| StoreError::Damaged { what: "a batch of the journal makes no sense" })?;
            batches.push(written.into_iter().map(Operation::from).collect());
            journal.last = number;
            journal.position += pages(HEADER + payload.len());
        }
        let behind = (journal.position..length).step_by(PAGE).skip(1);
        if behind.filter_map(|position| journal.batch(&bytes, position)).any(|(number, _)| number > journal.last) {
            return Err(StoreError::Damaged { what: "a batch in the middle of the journal cannot be read" });
        }
        if length == 0 {
            // From now on it is never empty, so that a lost one is noticed.
            journal.make_room(1)?;
            journal.file.sync_data()?;
        }
        Ok((journal, batches))
    }

    /// Whether the operations are of those that stand in the journal.
    pub(super) fn takes(operations: &[Operation]) -> bool {
        operations.iter().all(|operation| Written::of(operation).is_some())
    }

    /// The number of the last batch.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Whether the database should be written, so that the journal can begin anew.
    pub(super) fn is_full(&self) -> bool {
        self.position >= FULL
    }

    /// Writes a batch, and returns when it is on disk. Nobody knows what is there if that fails.
    pub(super) fn append(&mut self, operations: &[Operation]) -> Result<(), StoreError> {
        let written: Vec<_> = operations.iter().filter_map(Written::of).collect();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.resize(HEADER, 0);
        let mut buffer = postcard::to_extend(&written, buffer).expect("what is written can be written as bytes");
        let number = self.last + 1;
        let (header, payload) = buffer.split_at_mut(HEADER);
        let length = u32::try_from(payload.len()).expect("a batch is smaller than the log may be");
        header[CHECKSUM..NUMBER].copy_from_slice(&self.checksum(number, payload).to_be_bytes());
        header[NUMBER..LENGTH].copy_from_slice(&number.to_be_bytes());
        header[LENGTH..].copy_from_slice(&length.to_be_bytes());
        self.make_room(pages(buffer.len()))?;
        self.file.write(self.position, &buffer)?;
        self.file.sync_data()?;
        self.position += pages(buffer.len());
        self.last = number;
        // What one large batch needed is not kept for ever.
        buffer.truncate(KEPT);
        buffer.shrink_to(KEPT);
        self.buffer = buffer;
        Ok(())
    }

    /// The database has all batches: the next one goes to the beginning.
    pub(super) fn restart(&mut self) {
        self.position = 0;
    }

    /// Makes the file long enough for so many more bytes.
    fn make_room(&mut self, bytes: u64) -> Result<(), StoreError> {
        let missing = (self.position + bytes).saturating_sub(self.length);
        if missing > 0 {
            let more = missing.next_multiple_of(GROWS_BY);
            self.file.set_len(self.length + more)?;
            self.file.write(self.length, &vec![0; usize::try_from(more).expect("about as much as a batch")])?;
            self.length += more;
        }
        Ok(())
    }

    /// The number and the payload of the batch that begins at `position`, if one does.
    fn batch<'b>(&self, bytes: &'b [u8], position: u64) -> Option<(u64, &'b [u8])> {
        let bytes = bytes.get(usize::try_from(position).ok()?..)?;
        let (header, rest) = bytes.split_at_checked(HEADER)?;
        let checksum = u128::from_be_bytes(header[CHECKSUM..NUMBER].try_into().expect("16 bytes"));
        let number = u64::from_be_bytes(header[NUMBER..LENGTH].try_into().expect("8 bytes"));
        let length = u32::from_be_bytes(header[LENGTH..].try_into().expect("4 bytes"));
        let payload = rest.get(..length as usize)?;
        (number > 0 && self.checksum(number, payload) == checksum).then_some((number, payload))
    }

    fn checksum(&self, number: u64, payload: &[u8]) -> u128 {
        Fnv128::new().bytes(&self.key.to_be_bytes()).number(number).bytes(payload).finish()
    }
}

impl<'o> Written<'o> {
    fn of(operation: &'o Operation) -> Option<Self> {
        Some(match operation {
            Operation::Append { index, entries } => Self::Append { index: *index, entries: entries.into() },
            Operation::Promise(ballot) => Self::Promise(*ballot),
            Operation::AcceptedRound(ballot) => Self::AcceptedRound(*ballot),
            Operation::Decided(places) => Self::Decided(*places),
            Operation::StopSign(stop_sign) => Self::StopSign(Cow::Borrowed(stop_sign)),
            Operation::Trim(_) | Operation::Changes(_) | Operation::Replace(_) | Operation::Begin(_) => return None,
        })
    }
}

impl From<Written<'_>> for Operation {
    fn from(written: Written<'_>) -> Self {
        match written {
            Written::Append { index, entries } => Self::Append { index, entries: entries.into_owned() },
            Written::Promise(ballot) => Self::Promise(ballot),
            Written::AcceptedRound(ballot) => Self::AcceptedRound(ballot),
            Written::Decided(places) => Self::Decided(places),
            Written::StopSign(stop_sign) => Self::StopSign(stop_sign.into_owned()),
        }
    }
}

/// So many bytes take up so many, in whole pages.
fn pages(bytes: usize) -> u64 {
    bytes.next_multiple_of(PAGE) as u64
}

/// What is in front of a batch, and where in it.
const CHECKSUM: usize = 0;
const NUMBER: usize = 16;
const LENGTH: usize = 24;
const HEADER: usize = 28;

/// What disks write whole, or a multiple of it.
const PAGE: usize = 4_096;

/// So many zeros are written at a time.
const GROWS_BY: u64 = 1 << 20;

/// Where the database is written although no state has to be: as when a node without a majority promises one ballot after the other.
const FULL: u64 = if cfg!(test) { 512 << 10 } else { 64 << 20 };

/// Room that is kept for the next batch.
const KEPT: usize = 1 << 20;
