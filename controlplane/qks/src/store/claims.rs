//! Several processes that are one server together, on one database: which of them are there, and what each may give out.
//!
//! A process joins, and from then on says every second that it is there. One that has not been heard of for [`LEASE`] counts as dead;
//! others take over what it had. Should it come back, it finds itself expelled, and joins anew under another number. What it had
//! is safe meanwhile: a mark is moved only for the process that has claimed the block, and up to its last mark nobody else gives
//! anything out.

use std::time::Duration;

use photongate_net::now;

use super::{Store, StoreError};
use crate::ids::QksId;
use crate::stock::BlockName;

use super::rows::StoredBlock;

/// A process, by the number it got when it joined. No number is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub(super) i64);

/// What a process is told when it says that it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It counts.
    Member {
        /// Whether it has the chair: one process takes in key material and speaks for the server.
        has_chair: bool,
        /// How many processes there are.
        processes: u32,
    },
    /// It was not heard of for too long. Others may have what it had.
    Expelled,
}

impl Store {
    /// Joins the processes of this server. On SQLite there is one process, so what an earlier one had is this one's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn join(&self) -> Result<Process, StoreError> {
        let process = self.reader.join().await?;
        self.process.store(process.0, std::sync::atomic::Ordering::SeqCst);
        Ok(process)
    }

    /// The number under which this process joined last.
    pub fn process(&self) -> Process {
        Process(self.process.load(std::sync::atomic::Ordering::SeqCst))
    }

    /// Says that this process is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn beat(&self) -> Result<Standing, StoreError> {
        self.reader.beat(self.process()).await
    }

    /// Leaves in order, so that others need not wait until it counts as dead.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn leave(&self) -> Result<(), StoreError> {
        self.reader.leave(self.process()).await
    }

    /// Blocks that this end gives out and no process has: from now on this one has them. Together they have at most `most` bytes that are
    /// not given out, unless the first one alone has more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(&self, neighbour: &QksId, most: u64) -> Result<Vec<StoredBlock>, StoreError> {
        self.reader.claim(self.process(), neighbour, most, now()).await
    }

    /// Lets other processes have blocks that nothing was given out of.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release(&self, blocks: &[BlockName]) -> Result<(), StoreError> {
        self.reader.release(self.process(), blocks).await
    }

    /// Gives blocks to the neighbour that nothing was given out of: those that this process or none has. With `may_repeat` also those
    /// that are the neighbour's already, because it may not have learned so. Returns the blocks that the neighbour has now.
    ///
    /// # Errors
    /// [`StoreError`]. Nobody knows then who has them: they must not be given out here until they are claimed anew.
    pub async fn hand_over(&self, blocks: &[BlockName], may_repeat: bool) -> Result<Vec<BlockName>, StoreError> {
        self.reader.hand_over(self.process(), blocks, may_repeat).await
    }

    /// Blocks that the neighbour handed over become this process's, which must have the chair. Returns which did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_on(&self, blocks: &[BlockName]) -> Result<Vec<BlockName>, StoreError> {
        self.reader.take_on(self.process(), blocks).await
    }

    /// How many bytes this end can give out to share with a neighbour, all processes together.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn own_bytes(&self, neighbour: &QksId) -> Result<u64, StoreError> {
        self.reader.own_bytes(neighbour, now()).await
    }

    /// Whether other processes may use the same database.
    pub fn is_shared(&self) -> bool {
        self.reader.is_shared()
    }
}

/// After this long without a word, a process counts as dead.
pub const LEASE: Duration = Duration::from_secs(5);
