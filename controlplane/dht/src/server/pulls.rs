//! How many announced values are fetched at a time.
//!
//! Anybody may announce values, and send them as slowly as is just borne. So there are only so many places, and of these nobody has more
//! than a quarter: what one node announced waits for others of its own, and not those of others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::node::Who;

/// The places for fetching what was announced.
#[derive(Debug)]
pub(super) struct Pulls {
    all: Arc<Semaphore>,
    /// Those that one node may have.
    share: usize,
    /// Of nodes from which something is fetched, or waits to be.
    by_node: Mutex<HashMap<Who, Arc<Semaphore>>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_node: OwnedSemaphorePermit,
}

impl Pulls {
    /// So many places.
    pub(super) fn new(most: usize) -> Self {
        let all = Arc::new(Semaphore::new(most.max(1)));
        Self { all, share: most.div_ceil(4).max(1), by_node: Mutex::default() }
    }

    /// Waits for a place to fetch something from this node.
    pub(super) async fn place(&self, from: Who) -> Place {
        let of_node = {
            let mut by_node = self.by_node.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever has or awaits a place keeps a reference.
            by_node.retain(|_, places| Arc::strong_count(places) > 1);
            Arc::clone(by_node.entry(from).or_insert_with(|| Arc::new(Semaphore::new(self.share))))
        };
        let of_node = of_node.acquire_owned().await.expect("nobody closes it");
        let of_all = Arc::clone(&self.all).acquire_owned().await.expect("nobody closes it");
        Place { _of_all: of_all, _of_node: of_node }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn what_one_node_announced_leaves_places_for_what_others_announced() {
        let pulls = Pulls::new(8);
        let slow: Vec<_> = (0..2).map(|_| now(pulls.place(node(1))).unwrap()).collect();
        assert!(now(pulls.place(node(1))).is_none(), "a quarter is enough for one");
        let others: Vec<_> =
            (2..5).flat_map(|number| [number, number]).map(|number| now(pulls.place(node(number)))).collect();
        assert!(others.iter().all(Option::is_some));
        assert!(now(pulls.place(node(9))).is_none(), "there are no more than eight");
        drop(slow);
        assert!(now(pulls.place(node(9))).is_some());
    }

    #[test]
    fn nodes_from_which_nothing_is_fetched_any_more_are_forgotten() {
        let pulls = Pulls::new(4);
        for number in 0..50 {
            now(pulls.place(node(number))).unwrap();
        }
        assert_eq!(pulls.by_node.lock().unwrap().len(), 1);
    }

    /// What comes of it without waiting.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ready) => Some(ready),
            Poll::Pending => None,
        }
    }

    fn node(number: u8) -> Who {
        Who::Node(crate::Id([number; 32]))
    }
}
