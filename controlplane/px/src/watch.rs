//! Who watches changes, from any revision that is remembered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::command::Revision;
use crate::node::Changed;

/// The last changes of documents, for those who watch. Clones are the same.
#[derive(Clone, Debug)]
pub struct Watches(Arc<Shared>);

/// One who watches: where it has come to.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    prefix: String,
    /// Everything up to here was seen.
    seen: Revision,
}

/// The changes that one wants to see are not remembered any more: read the documents as they are, and watch on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "changes up to revision {oldest} are not remembered any more: list the documents, and watch from the revision of the list"
)]
pub struct Compacted {
    /// The first revision to watch from.
    pub oldest: Revision,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    changes: Mutex<Changes>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Changes {
    recent: VecDeque<Changed>,
    /// All changes behind this revision are in `recent`.
    complete_behind: Revision,
    last: Revision,
}

impl Watches {
    /// Remembers up to `limit` changes behind `revision`.
    pub fn new(limit: usize, revision: Revision) -> Self {
        let changes = Changes { recent: VecDeque::new(), complete_behind: revision, last: revision };
        Self(Arc::new(Shared { limit, changes: Mutex::new(changes), news: Notify::new() }))
    }

    /// These changes happened, in this order.
    pub fn publish(&self, changed: Vec<Changed>) {
        let mut changes = self.0.lock();
        for change in changed {
            changes.last = change.revision;
            changes.recent.push_back(change);
            if changes.recent.len() > self.0.limit
                && let Some(gone) = changes.recent.pop_front()
            {
                changes.complete_behind = gone.revision;
            }
        }
        drop(changes);
        self.0.news.notify_waiters();
    }

    /// The state was replaced by that of a later revision: what happened in between nobody here knows.
    pub fn skip_to(&self, revision: Revision) {
        let mut changes = self.0.lock();
        changes.recent.clear();
        (changes.complete_behind, changes.last) = (revision, revision);
        drop(changes);
        self.0.news.notify_waiters();
    }

    /// Watches documents whose names begin with `prefix`, behind the revision `from`, or from now on.
    pub fn watch(&self, prefix: String, from: Option<Revision>) -> Watch {
        let seen = from.unwrap_or_else(|| self.0.lock().last);
        Watch { shared: Arc::clone(&self.0), prefix, seen }
    }
}

impl Watch {
    /// Waits for the next changes, at most so many.
    ///
    /// # Errors
    /// [`Compacted`] if the watcher was too slow, or began too far back.
    pub async fn next(&mut self, most: usize) -> Result<Vec<Changed>, Compacted> {
        let shared = Arc::clone(&self.shared);
        loop {
            let news = shared.news.notified();
            tokio::pin!(news);
            // From here on no change is missed.
            news.as_mut().enable();
            let found = self.take(most)?;
            if !found.is_empty() {
                return Ok(found);
            }
            news.await;
        }
    }

    fn take(&mut self, most: usize) -> Result<Vec<Changed>, Compacted> {
        let changes = self.shared.lock();
        if self.seen < changes.complete_behind {
            return Err(Compacted { oldest: changes.complete_behind });
        }
        let start = changes.recent.partition_point(|change| change.revision <= self.seen);
        let mut found = Vec::new();
        for change in changes.recent.range(start..) {
            if change.name.as_str().starts_with(&self.prefix) {
                if found.len() == most {
                    break;
                }
                found.push(change.clone());
            }
            self.seen = change.revision;
        }
        Ok(found)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_watch_sees_what_changes_from_now_on_and_by_its_names() {
        let watches = Watches::new(10, Revision(5));
        let mut watch = watches.watch("a/".to_owned(), None);
        assert!(watch.next(10).now_or_never().is_none());
        watches.publish(vec![changed(6, "a/1"), changed(7, "b/1"), changed(8, "a/2")]);
        assert_eq!(revisions(watch.next(1).await), [6]);
        assert_eq!(revisions(watch.next(10).await), [8]);
    }

    #[tokio::test]
    async fn a_watch_may_begin_in_the_past_as_far_as_it_is_remembered() {
        let watches = Watches::new(2, Revision(0));
        watches.publish((1..=4).map(|revision| changed(revision, "a")).collect());
        assert_eq!(revisions(watches.watch(String::new(), Some(Revision(2))).next(10).await), [3, 4]);
        let refused = watches.watch(String::new(), Some(Revision(1))).next(10).await;
        assert_eq!(refused, Err(Compacted { oldest: Revision(2) }));
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_so() {
        let watches = Watches::new(2, Revision(0));
        let mut watch = watches.watch(String::new(), None);
        watches.publish((1..=3).map(|revision| changed(revision, "a")).collect());
        assert_eq!(watch.next(10).await, Err(Compacted { oldest: Revision(1) }));
        let mut watch = watches.watch(String::new(), None);
        watches.skip_to(Revision(100));
        assert_eq!(watch.next(10).await, Err(Compacted { oldest: Revision(100) }));
    }

    #[tokio::test]
    async fn a_change_wakes_who_waits() {
        let watches = Watches::new(2, Revision(0));
        let mut watch = watches.watch(String::new(), None);
        let waiting = tokio::spawn(async move { revisions(watch.next(10).await) });
        tokio::task::yield_now().await;
        watches.publish(vec![changed(1, "a")]);
        assert_eq!(waiting.await.unwrap(), [1]);
    }

    fn changed(revision: u64, name: &str) -> Changed {
        Changed { revision: Revision(revision), name: name.parse().unwrap(), document: None }
    }

    fn revisions(changed: Result<Vec<Changed>, Compacted>) -> Vec<u64> {
        changed.unwrap().iter().map(|change| change.revision.0).collect()
    }
}
