//! Keeps the stock the same at both ends: which blocks both have, how far they are given out, and who gives them out.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use photongate_net::now;
use tokio::time::timeout;

use super::client::PeerError;
use super::neighbour::Neighbour;
use super::wire::{
    AnnounceAnswer, AnnounceRequest, Announced, HandoverAnswer, HandoverRequest, Known, MOST_ANNOUNCED, ReviewAnswer,
    ReviewRequest,
};
use crate::chair::Chair;
use crate::faults::point;
use crate::stock::{BlockName, Mark};
use crate::store::{Store, StoreError};

/// Talks to a neighbour whenever there is something to say, and every second to see whether it is there. Ends with the neighbour.
pub async fn keep_up(neighbour: Weak<Neighbour>, store: Store, chair: Chair) {
    let mut reviewed: Option<Instant> = None;
    loop {
        let Some(this) = neighbour.upgrade() else { return };
        expire(&this, &store).await;
        match announce(&this, &store).await {
            Ok(()) => {
                this.set_down(None);
                if chair.is_held() {
                    if let Err(error) = even_out(&this, &store).await {
                        tracing::warn!(neighbour = %this.id(), %error, "blocks are not handed over");
                        reviewed = None;
                    }
                    if reviewed.is_none_or(|at| at.elapsed() >= REVIEW) {
                        match review(&this, &store).await {
                            Ok(()) => reviewed = Some(Instant::now()),
                            Err(error) => tracing::warn!(neighbour = %this.id(), %error, "blocks are not reviewed"),
                        }
                    }
                }
            }
            Err(error) => {
                reviewed = None;
                this.set_down(Some(error.to_string()));
            }
        }
        // Elapsed or woken, there is something to do.
        let _ = timeout(PERIOD, this.news.notified()).await;
        if this.is_down().is_some() {
            tokio::time::sleep(PERIOD).await;
        }
    }
}

/// Why the stocks are not evened out.
#[derive(Debug, thiserror::Error)]
enum UpkeepError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks the neighbour to confirm the blocks that it has yet to confirm. Asks it for nothing if there are none, to see that it is there.
async fn announce(neighbour: &Neighbour, store: &Store) -> Result<(), UpkeepError> {
    let mut after = None;
    loop {
        let blocks: Vec<_> = {
            let stock = neighbour.stock();
            let unconfirmed = stock.unconfirmed(after, MOST_ANNOUNCED);
            let announced = unconfirmed.into_iter().filter_map(|mark| {
                let check = stock.get(mark.block)?.check;
                Some(Announced { block: mark.block, used: mark.used, check })
            });
            announced.collect()
        };
        let request = AnnounceRequest { blocks };
        point("blocks-announced");
        let answer: AnnounceAnswer = neighbour.client().post("peer/v1/blocks", &request, PATIENCE).await?;
        if answer.blocks.len() != request.blocks.len() {
            return Err(PeerError::Refused("it answers for other blocks".to_owned()).into());
        }
        let mut differing = Vec::new();
        {
            let mut stock = neighbour.stock();
            for (announced, known) in request.blocks.iter().zip(answer.blocks) {
                match known {
                    Known::Used(used) => stock.confirm(announced.block, used),
                    Known::Different => differing.push(announced.block),
                    Known::Unknown => {}
                }
            }
            for block in &differing {
                tracing::error!(neighbour = %neighbour.id(), ?block, "both ends have other bytes, or both give them out: they are thrown away");
                stock.remove(*block);
            }
        }
        if !differing.is_empty() {
            store.remove_blocks(differing).await?;
        }
        point("blocks-confirmed");
        after = request.blocks.last().map(|announced| announced.block);
        if request.blocks.len() < MOST_ANNOUNCED {
            return Ok(());
        }
    }
}

/// If this end is about to run out while the other has plenty, some of it changes hands.
async fn even_out(neighbour: &Neighbour, store: &Store) -> Result<(), UpkeepError> {
    let blocks = {
        let stock = neighbour.stock();
        let free = stock.free();
        if free.neighbours / 4 <= free.ready + free.unconfirmed {
            return Ok(());
        }
        stock.wanted(MOST_HANDED_OVER, now())
    };
    if blocks.is_empty() {
        return Ok(());
    }
    let asking = neighbour.asking.lock().await;
    let request = HandoverRequest { blocks };
    let answer: HandoverAnswer = neighbour.client().post("peer/v1/handover", &request, PATIENCE).await?;
    let handed: Vec<_> = answer.blocks.into_iter().filter(|block| request.blocks.contains(block)).collect();
    point("handover-answered");
    take_on(neighbour, store, &handed).await?;
    drop(asking);
    Ok(())
}

/// Asks of which of its blocks the neighbour will give nothing out. It says how far it is only with those that it gives something out of,
/// so what a crash burnt of the others would count as free here until they end; and of what it handed over the answer may be lost.
async fn review(neighbour: &Neighbour, store: &Store) -> Result<(), UpkeepError> {
    let mut after = None;
    loop {
        let blocks = neighbour.stock().neighbours(after, MOST_ANNOUNCED);
        if blocks.is_empty() {
            return Ok(());
        }
        after = blocks.last().copied();
        let asking = neighbour.asking.lock().await;
        let request = ReviewRequest { blocks };
        let mut answer: ReviewAnswer = neighbour.client().post("peer/v1/review", &request, PATIENCE).await?;
        answer.callers.retain(|block| request.blocks.contains(block));
        take_on(neighbour, store, &answer.callers).await?;
        drop(asking);
        let marks: Vec<_> = {
            let stock = neighbour.stock();
            let asked = answer.gone.into_iter().filter(|block| request.blocks.contains(block));
            let theirs =
                asked.filter_map(|block| Some((block, stock.get(block).filter(|state| !state.is_mine)?.length)));
            theirs.map(|(block, used)| Mark { block, used }).collect()
        };
        if !marks.is_empty() {
            store.advance(marks.clone()).await?;
            let mut stock = neighbour.stock();
            marks.into_iter().for_each(|mark| stock.advance(mark));
        }
    }
}

/// Gives out from now on what the neighbour handed over.
async fn take_on(neighbour: &Neighbour, store: &Store, blocks: &[BlockName]) -> Result<(), UpkeepError> {
    if blocks.is_empty() {
        return Ok(());
    }
    let _moving = neighbour.moving.lock().await;
    let taken = store.take_on(blocks).await?;
    point("handover-taken-on");
    let mut stock = neighbour.stock();
    for block in &taken {
        stock.set_owner(*block, true);
    }
    drop(stock);
    tracing::debug!(neighbour = %neighbour.id(), blocks = taken.len(), "blocks were handed over by the neighbour");
    neighbour.wake();
    Ok(())
}

async fn expire(neighbour: &Arc<Neighbour>, store: &Store) {
    let over = neighbour.stock().expire(now());
    if over.is_empty() {
        return;
    }
    tracing::info!(neighbour = %neighbour.id(), blocks = over.len(), "key material that nobody used is over");
    if let Err(error) = store.remove_blocks(over).await {
        tracing::warn!(%error, "blocks that are over are not removed yet");
    }
}

const PERIOD: Duration = Duration::from_secs(1);
/// How often blocks of the neighbour are reviewed that may be used up.
const REVIEW: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_HANDED_OVER: usize = 64;
