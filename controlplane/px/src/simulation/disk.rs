//! A disk that keeps what was synced. What was not is lost in a crash: some of it, from the end, batch by batch.

use std::collections::VecDeque;

use crate::testing::random::Random;
use crate::{
    membership::StoreId,
    node::BatchId,
    storage::{Operation, Recovered, image::Image},
};

pub(crate) struct Disk {
    store: StoreId,
    boot: u64,
    image: Image,
    writing: VecDeque<(BatchId, Vec<Operation>)>,
}

impl Disk {
    pub(crate) fn new(store: StoreId) -> Self {
        Self { store, boot: 0, image: Image::default(), writing: VecDeque::new() }
    }

    pub(crate) fn store(&self) -> StoreId {
        self.store
    }

    pub(crate) fn write(&mut self, batch: BatchId, operations: Vec<Operation>) {
        self.writing.push_back((batch, operations));
    }

    /// Everything up to this batch is on disk now.
    pub(crate) fn synced(&mut self, batch: BatchId) {
        while self.writing.front().is_some_and(|(written, _)| *written <= batch) {
            let (_, operations) = self.writing.pop_front().expect("one was just looked at");
            operations.iter().for_each(|operation| self.image.apply(operation));
        }
    }

    /// The machine dies. A batch that was being written may be there, or not at all: a torn one is found by its checksum and dropped.
    pub(crate) fn crash(&mut self, random: &mut Random) {
        let kept = random.index(self.writing.len() + 1);
        if let Some((batch, _)) = kept.checked_sub(1).and_then(|last| self.writing.get(last)) {
            let batch = *batch;
            self.synced(batch);
        }
        self.writing.clear();
    }

    pub(crate) fn start(&mut self) -> Recovered {
        self.boot += 1;
        Recovered { store: self.store, boot: self.boot, cluster: self.image.recover() }
    }
}
