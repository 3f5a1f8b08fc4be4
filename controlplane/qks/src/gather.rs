//! Takes what waits in a queue, as much at a time as is worth it.
//!
//! Each batch costs something whatever is in it: a round trip, a wait for the disk. When a batch is done and all who wait for
//! it ask again, the first to come would go alone, and the others with the next one. So a batch waits a moment until there are
//! as many as went with those before. Who is alone never waits, as PostgreSQL does with `commit_delay` and `commit_siblings`.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// The end of a queue that is emptied in batches.
#[derive(Debug)]
pub(crate) struct Gather<T> {
    queue: mpsc::Receiver<T>,
    most: usize,
    /// How large the last two batches were.
    sizes: [usize; 2],
}

impl<T> Gather<T> {
    /// Takes up to `most` at a time out of `queue`.
    pub(crate) const fn new(queue: mpsc::Receiver<T>, most: usize) -> Self {
        Self { queue, most, sizes: [0; 2] }
    }

    /// Waits for the next batch, and adds it to `batch`, which is empty. Returns whether there is one: none comes any more if not.
    pub(crate) async fn next(&mut self, batch: &mut Vec<T>) -> bool {
        if self.queue.recv_many(batch, self.most).await == 0 {
            return false;
        }
        // Two, because while one batch is under way, those who come back from the one before gather for the next.
        let wanted = self.sizes.iter().sum::<usize>().div_ceil(2).min(self.most);
        let until = Instant::now() + LONGEST_WAIT;
        while batch.len() < wanted {
            let left = self.most - batch.len();
            if !timeout_at(until, self.queue.recv_many(batch, left)).await.is_ok_and(|came| came > 0) {
                break;
            }
        }
        self.sizes = [batch.len(), self.sizes[0]];
        true
    }
}

/// For others to come along.
const LONGEST_WAIT: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_alone_does_not_wait() {
        let (sender, mut gather) = queue();
        for _ in 0..3 {
            let begun = Instant::now();
            sender.send(1).await.unwrap();
            assert_eq!(batch(&mut gather).await, [1]);
            assert_eq!(begun.elapsed(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_first_waits_for_half_of_the_others() {
        let (sender, mut gather) = queue();
        (0..8).for_each(|n| sender.try_send(n).unwrap());
        assert_eq!(batch(&mut gather).await.len(), 8);
        let coming = tokio::spawn(async move {
            for n in 0..8 {
                sender.send(n).await.unwrap();
                yield_now().await;
            }
        });
        assert_eq!(batch(&mut gather).await, [0, 1, 2, 3]);
        coming.await.unwrap();
        assert_eq!(batch(&mut gather).await, [4, 5, 6, 7]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_for_those_who_do_not_come_back() {
        let (sender, mut gather) = queue();
        (0..8).for_each(|n| sender.try_send(n).unwrap());
        batch(&mut gather).await;
        let mut waited = Vec::new();
        for _ in 0..4 {
            let begun = Instant::now();
            sender.try_send(9).unwrap();
            assert_eq!(batch(&mut gather).await, [9]);
            waited.push(begun.elapsed());
        }
        assert_eq!(waited, [LONGEST_WAIT, LONGEST_WAIT, Duration::ZERO, Duration::ZERO]);
    }

    #[tokio::test]
    async fn a_batch_has_a_bound_and_the_last_one_is_not_lost() {
        let (sender, mut gather) = queue();
        (0..12).for_each(|n| sender.try_send(n).unwrap());
        drop(sender);
        assert_eq!(batch(&mut gather).await.len(), 10);
        assert_eq!(batch(&mut gather).await, [10, 11]);
        assert!(!gather.next(&mut Vec::new()).await);
    }

    fn queue() -> (mpsc::Sender<u32>, Gather<u32>) {
        let (sender, queue) = mpsc::channel(16);
        (sender, Gather::new(queue, 10))
    }

    async fn batch(gather: &mut Gather<u32>) -> Vec<u32> {
        let mut batch = Vec::new();
        assert!(gather.next(&mut batch).await);
        batch
    }
}
