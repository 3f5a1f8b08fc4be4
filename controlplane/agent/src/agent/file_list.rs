//! The file of an AS list: read, and watched for changes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Tells when a file may have changed. Without a file, never.
pub(super) struct ListWatch {
    changes: Arc<Notify>,
    /// When a change that was noticed is to be told.
    settled: Option<Instant>,
    /// Watches as long as it lives.
    _watcher: Option<RecommendedWatcher>,
}

impl ListWatch {
    /// Watches for nothing.
    pub(super) fn none() -> Self {
        Self { changes: Arc::default(), settled: None, _watcher: None }
    }

    /// Watches the file at `path`.
    ///
    /// # Errors
    /// What the operating system says. The file is then read again only on request.
    pub(super) fn start(path: &Path) -> notify::Result<Self> {
        let changes: Arc<Notify> = Arc::default();
        let changed = Arc::clone(&changes);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // What was lost or cannot be told may have been a change. Reading, as we do ourselves, is none.
            if event.as_ref().map_or(true, |event| !event.kind.is_access()) {
                changed.notify_one();
            }
        })?;
        // Editors and configuration managers replace files, and a watch would stay with the old one: so the folder is watched.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(Self { changes, settled: None, _watcher: Some(watcher) })
    }

    /// Waits until the file may have changed, and then for a moment. May be cancelled: nothing is forgotten, and the moment does not
    /// begin anew.
    pub(super) async fn changed(&mut self) {
        let settled = match self.settled {
            Some(settled) => settled,
            None => {
                self.changes.notified().await;
                *self.settled.insert(Instant::now() + SETTLE)
            }
        };
        sleep_until(settled).await;
        self.settled = None;
    }
}

/// Files are often written in several steps.
const SETTLE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_file_that_is_written_or_replaced_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("as-list.toml");
        fs::write(&path, "old").unwrap();
        let mut watch = ListWatch::start(&path).unwrap();
        fs::write(&path, "new").unwrap();
        timeout(SOON, watch.changed()).await.expect("a change in place is noticed");
        let replacement = folder.path().join("replacement");
        fs::write(&replacement, "newer").unwrap();
        timeout(SOON, watch.changed()).await.expect("a new file beside it may be meant");
        fs::rename(&replacement, &path).unwrap();
        timeout(SOON, watch.changed()).await.expect("a replacement is noticed");
    }

    #[tokio::test]
    async fn a_change_is_not_forgotten_when_the_wait_is_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("as-list.toml");
        let mut watch = ListWatch::start(&path).unwrap();
        fs::write(&path, "new").unwrap();
        let cancelled = timeout(SETTLE / 4, watch.changed()).await;
        assert!(cancelled.is_err(), "the file was not left alone for long enough");
        timeout(SOON, watch.changed()).await.expect("the change is still to be told");
    }
}
