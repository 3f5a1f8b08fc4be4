//! Which of the processes that are one server speaks for it, and takes in key material. A process alone has the chair.

use tokio::sync::watch;

/// Whether this process has the chair. Clones tell the same.
#[derive(Clone, Debug)]
pub struct Chair(watch::Receiver<bool>);

impl Chair {
    /// A chair that is not held, and what tells whether it is.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (holding, held) = watch::channel(false);
        (holding, Self(held))
    }

    /// Whether this process has it now.
    pub fn is_held(&self) -> bool {
        *self.0.borrow()
    }

    /// Begins the work whenever this process gets the chair, and drops it when it loses it. Ends with who tells.
    pub async fn while_held<F: Future<Output = ()>>(self, begin: impl FnMut() -> F) {
        self.during(true, begin).await;
    }

    /// Begins the work whenever another process has the chair, and drops it when this one gets it.
    pub async fn while_others_hold<F: Future<Output = ()>>(self, begin: impl FnMut() -> F) {
        self.during(false, begin).await;
    }

    async fn during<F: Future<Output = ()>>(mut self, wanted: bool, mut begin: impl FnMut() -> F) {
        while self.0.wait_for(|held| *held == wanted).await.is_ok() {
            let mut changes = self.0.clone();
            let work = async {
                begin().await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = work => {}
                ended = changes.wait_for(|held| *held != wanted) => if ended.is_err() { return },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_while_the_chair_is_held_and_begins_anew_with_it() {
        let (holding, chair) = Chair::new();
        let (begun, running) = (Arc::new(AtomicU32::new(0)), Arc::new(()));
        let (count, alive) = (Arc::clone(&begun), Arc::clone(&running));
        tokio::spawn(chair.while_held(move || {
            count.fetch_add(1, SeqCst);
            let alive = Arc::clone(&alive);
            async move {
                std::future::pending::<()>().await;
                drop(alive);
            }
        }));
        for (held, starts, alive) in [(false, 0, 2), (true, 1, 3), (true, 1, 3), (false, 1, 2), (true, 2, 3)] {
            holding.send_replace(held);
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!((begun.load(SeqCst), Arc::strong_count(&running)), (starts, alive), "held: {held}");
        }
    }
}
