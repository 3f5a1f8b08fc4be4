//! The thread that writes batches, beside the loop: while it waits for the disk, the loop goes on.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Board;
use crate::node::BatchId;
use crate::storage::Operation;
use crate::store::{Store, StoreError};

/// The way to the disk, and back.
#[derive(Debug)]
pub(super) struct Disk {
    batches: mpsc::UnboundedSender<(BatchId, Vec<Operation>)>,
    written: mpsc::UnboundedReceiver<Result<BatchId, StoreError>>,
    /// The batch that is under way, and since when.
    under_way: Option<(BatchId, Instant)>,
}

impl Disk {
    /// Starts the thread. It ends with this, or with the first error.
    pub(super) fn start(mut store: Store, board: Arc<Board>) -> std::io::Result<Self> {
        // Bounded all the same: the core has one batch under way at a time.
        let (batches, mut to_write) = mpsc::unbounded_channel::<(BatchId, Vec<Operation>)>();
        let (tell, written) = mpsc::unbounded_channel();
        thread::Builder::new().name("disk".to_owned()).spawn(move || {
            while let Some((batch, operations)) = to_write.blocking_recv() {
                let begun = Instant::now();
                let outcome = store.write(&operations);
                board.fsync.note(begun.elapsed());
                board.batches.add(1);
                let is_over = outcome.is_err();
                if tell.send(outcome.map(|()| batch)).is_err() || is_over {
                    return;
                }
            }
        })?;
        Ok(Self { batches, written, under_way: None })
    }

    /// Has a batch written. `false` if the thread has ended.
    pub(super) fn write(&mut self, batch: BatchId, operations: Vec<Operation>) -> bool {
        self.under_way = Some((batch, Instant::now()));
        self.batches.send((batch, operations)).is_ok()
    }

    /// Waits until a batch, and all before it, is on disk. `None` if the thread has ended.
    pub(super) async fn written(&mut self) -> Option<Result<BatchId, StoreError>> {
        let written = self.written.recv().await;
        if let Some(Ok(batch)) = written {
            self.under_way.take_if(|(under_way, _)| *under_way == batch);
        }
        written
    }

    /// How long the batch that is under way takes by now.
    pub(super) fn busy_for(&self) -> Duration {
        self.under_way.map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }
}
