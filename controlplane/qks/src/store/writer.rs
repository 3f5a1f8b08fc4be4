//! The task that writes: it collects what waits, commits it in one transaction, and tells everybody.

use photongate_wire::UnixNanos;
use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::backend::{Backend, Batch, Giver, Outcome, Writer};
use super::claims::Process;
use super::judge::Use;
use super::judge::{ReserveRefusal, TakeRefusal};
use super::rows::{Answer, KeyRows, NewBlock, Take};
use crate::faults::point;
use crate::key_id::AssignmentId;
use crate::stock::{BlockName, Mark};

/// A change, and where its outcome goes.
#[derive(Debug)]
pub(super) enum Command {
    AddBlocks(Vec<NewBlock>, Process, Done<Vec<BlockName>>),
    Advance(Vec<Mark>, Giver, Done<Vec<BlockName>>),
    RemoveBlocks(Vec<BlockName>, Done<()>),
    GiveOut(Vec<Use>, Done<Given>),
    Take(Take, Done<Result<KeyRows, TakeRefusal>>),
    Void(Vec<AssignmentId>, Done<()>),
    Remember(Answer, Done<Option<Answer>>),
    Sweep(UnixNanos, Done<()>),
}

type Done<T> = oneshot::Sender<Result<T, StoreError>>;

/// What became of several uses of material, in their order.
type Given = Vec<Result<(), ReserveRefusal>>;

/// Who waits for a batch, in the order of its parts.
#[derive(Default)]
struct Waiting {
    plain: Vec<Done<()>>,
    /// With the blocks that are new if they were added.
    blocks: Vec<(Vec<BlockName>, Done<Vec<BlockName>>)>,
    /// With the blocks that are not the process's any more if their marks were not moved.
    marks: Vec<(Vec<BlockName>, Done<Vec<BlockName>>)>,
    /// With how many uses each is about.
    uses: Vec<(usize, Done<Given>)>,
    takes: Vec<Done<Result<KeyRows, TakeRefusal>>>,
    answers: Vec<Done<Option<Answer>>>,
}

/// Writes until all stores are gone.
pub(super) async fn run(backend: Backend, mut commands: mpsc::Receiver<Command>) {
    let mut writer = Writer::new(backend);
    let mut collected = Vec::with_capacity(LARGEST_BATCH);
    while commands.recv_many(&mut collected, LARGEST_BATCH).await > 0 {
        let mut batch = Batch::default();
        let mut waiting = Waiting::default();
        for command in collected.drain(..) {
            match command {
                Command::AddBlocks(blocks, process, done) => {
                    waiting.blocks.push((blocks.iter().map(|block| block.name).collect(), done));
                    batch.blocks.extend(blocks.into_iter().map(|block| (block, process)));
                }
                Command::Advance(marks, giver, done) => {
                    waiting.marks.push((marks.iter().map(|mark| mark.block).collect(), done));
                    batch.marks.extend(marks.into_iter().map(|mark| (mark, giver)));
                }
                Command::RemoveBlocks(blocks, done) => {
                    batch.removed.extend(blocks);
                    waiting.plain.push(done);
                }
                Command::GiveOut(uses, done) => {
                    waiting.uses.push((uses.len(), done));
                    batch.reservations.extend(uses);
                }
                Command::Take(take, done) => {
                    batch.takes.push(take);
                    waiting.takes.push(done);
                }
                Command::Void(ids, done) => {
                    batch.voided.extend(ids);
                    waiting.plain.push(done);
                }
                Command::Remember(answer, done) => {
                    batch.answers.push(answer);
                    waiting.answers.push(done);
                }
                Command::Sweep(now, done) => {
                    batch.sweep = batch.sweep.max(Some(now));
                    waiting.plain.push(done);
                }
            }
        }
        point("batch-collected");
        let outcome = commit(&mut writer, &batch).await;
        point("batch-committed");
        waiting.tell(outcome);
    }
}

/// What stands in the way of others' changes is tried again: nothing of it was done.
async fn commit(writer: &mut Writer, batch: &Batch) -> Result<Outcome, StoreError> {
    for _ in 1..ATTEMPTS {
        match writer.commit(batch).await {
            Err(StoreError::Contended) => tracing::debug!("a transaction is tried again"),
            outcome => return outcome,
        }
    }
    writer.commit(batch).await
}

impl Waiting {
    /// Whoever has given up waiting is passed over.
    fn tell(self, outcome: Result<Outcome, StoreError>) {
        match outcome {
            Ok(outcome) => {
                self.plain.into_iter().for_each(|done| drop(done.send(Ok(()))));
                for (mut names, done) in self.blocks {
                    names.retain(|name| outcome.added.contains(name));
                    drop(done.send(Ok(names)));
                }
                for (mut names, done) in self.marks {
                    names.retain(|name| outcome.lost.contains(name));
                    drop(done.send(Ok(names)));
                }
                let mut outcomes = outcome.reservations.into_iter();
                for (count, done) in self.uses {
                    drop(done.send(Ok(outcomes.by_ref().take(count).collect())));
                }
                tell_each(self.takes, outcome.takes);
                tell_each(self.answers, outcome.answers);
            }
            Err(error) => {
                tracing::error!(%error, "a transaction failed");
                self.plain.into_iter().for_each(|done| drop(done.send(Err(error.clone()))));
                self.marks.into_iter().for_each(|(_, done)| drop(done.send(Err(error.clone()))));
                self.blocks.into_iter().for_each(|(_, done)| drop(done.send(Err(error.clone()))));
                self.uses.into_iter().for_each(|(_, done)| drop(done.send(Err(error.clone()))));
                self.takes.into_iter().for_each(|done| drop(done.send(Err(error.clone()))));
                self.answers.into_iter().for_each(|done| drop(done.send(Err(error.clone()))));
            }
        }
    }
}

fn tell_each<T>(waiting: Vec<Done<T>>, outcomes: Vec<T>) {
    for (done, outcome) in waiting.into_iter().zip(outcomes) {
        drop(done.send(Ok(outcome)));
    }
}

const LARGEST_BATCH: usize = 1_024;
const ATTEMPTS: u32 = 5;
