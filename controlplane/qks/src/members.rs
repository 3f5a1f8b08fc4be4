//! This process among those that are one server: it says that it is there, takes the chair if nobody has it, and gets its share of
//! what there is to give out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;

use crate::chair::Chair;
use crate::peer::{Neighbour, Neighbours};
use crate::stock::{BlockName, Stock};
use crate::store::{LEASE, Standing, Store, StoreError, StoredBlock};

/// A process that has joined.
#[derive(Debug)]
pub struct Member {
    store: Store,
    neighbours: Arc<Neighbours>,
    chair: watch::Sender<bool>,
    /// When the database last said that this process counts.
    confirmed: Instant,
}

impl Member {
    /// Fills the stocks with what this process may give out. Returns whether it has the chair, too, which changes with time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn start(store: Store, neighbours: Arc<Neighbours>) -> Result<(Self, Chair), StoreError> {
        let (holding, chair) = Chair::new();
        let mut member = Self { store, neighbours, chair: holding, confirmed: Instant::now() };
        member.beat().await?;
        Ok((member, chair))
    }

    /// Goes on for ever.
    pub async fn run(mut self) {
        loop {
            sleep(BEAT).await;
            if let Err(error) = self.beat().await {
                tracing::warn!(%error, "other processes are not told that this one is there");
                if self.confirmed.elapsed() > LEASE && self.chair.send_replace(false) {
                    tracing::warn!("another process may have the chair now");
                }
            }
        }
    }

    async fn beat(&mut self) -> Result<(), StoreError> {
        let asked = Instant::now();
        let (has_chair, processes) = loop {
            match self.store.beat().await? {
                Standing::Member { has_chair, processes } => break (has_chair, processes),
                Standing::Expelled => self.join_anew().await?,
            }
        };
        self.confirmed = asked;
        if has_chair && !*self.chair.borrow() {
            // Before anybody is answered: what is not known is not the neighbour's.
            for neighbour in self.neighbours.all() {
                let _moving = neighbour.moving.lock().await;
                let blocks = self.store.neighbours_blocks(neighbour.id()).await?;
                neighbour.stock().forget_neighbours();
                add(&neighbour, blocks);
            }
            if self.store.is_shared() {
                tracing::info!("this process has the chair");
            }
        }
        self.chair.send_if_modified(|held| std::mem::replace(held, has_chair) != has_chair);
        for neighbour in self.neighbours.all() {
            self.share_out(&neighbour, processes).await?;
        }
        Ok(())
    }

    /// Another process has taken over what this one had, so nothing of it is given out here any more.
    async fn join_anew(&mut self) -> Result<(), StoreError> {
        tracing::warn!("this process was not heard of for too long: it begins anew");
        self.chair.send_replace(false);
        for neighbour in self.neighbours.all() {
            *neighbour.stock() = Stock::default();
        }
        self.store.join().await.map(drop)
    }

    /// Each process gets about the same of what there is. Whoever has more lets go of blocks that nothing was taken of.
    async fn share_out(&self, neighbour: &Neighbour, processes: u32) -> Result<(), StoreError> {
        let _moving = neighbour.moving.lock().await;
        let lost = neighbour.take_lost();
        if !lost.is_empty()
            && let Err(error) = self.find(neighbour, &lost).await
        {
            neighbour.lose(lost);
            return Err(error);
        }
        let own = {
            let free = neighbour.stock().free();
            free.ready + free.unconfirmed
        };
        let share = match processes {
            1 => u64::MAX,
            processes => self.store.own_bytes(neighbour.id()).await? / u64::from(processes),
        };
        let spared = neighbour.stock().spare(share);
        if !spared.is_empty() {
            tracing::debug!(neighbour = %neighbour.id(), blocks = spared.len(), "blocks are left to other processes");
            if let Err(error) = self.store.release(&spared).await {
                neighbour.lose(spared);
                return Err(error);
            }
        } else if own < share {
            let blocks = self.store.claim(neighbour.id(), share - own).await?;
            if !blocks.is_empty() {
                tracing::debug!(neighbour = %neighbour.id(), blocks = blocks.len(), "blocks are this process's now");
                add(neighbour, blocks);
                neighbour.wake();
            }
        }
        Ok(())
    }

    /// Blocks that were lost are claimed anew, or are the neighbour's.
    async fn find(&self, neighbour: &Neighbour, lost: &[BlockName]) -> Result<(), StoreError> {
        self.store.release(lost).await?;
        if *self.chair.borrow() {
            let mut blocks = self.store.neighbours_blocks(neighbour.id()).await?;
            blocks.retain(|block| lost.contains(&block.name));
            add(neighbour, blocks);
        }
        Ok(())
    }
}

fn add(neighbour: &Neighbour, blocks: Vec<StoredBlock>) {
    let mut stock = neighbour.stock();
    for block in blocks {
        // What the database says is newer.
        stock.remove(block.name);
        stock.add(block.name, block.state);
    }
}

/// Several times as often as [`LEASE`] ends.
const BEAT: Duration = Duration::from_secs(1);
