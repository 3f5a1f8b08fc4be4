//! What all sources need to go on: to show how they are, and to try again, later each time.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::{Block, LinkEnd, Phase, Quality, SourceState};
use crate::ids::LinkId;

/// Shows operators how a source is, and says it in the log when that changes.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    state: watch::Sender<SourceState>,
    link: LinkId,
    kind: &'static str,
}

impl Progress {
    /// Shows how the source at this end is.
    pub(super) fn new(end: &LinkEnd, kind: &'static str) -> Self {
        Self { state: end.state.clone(), link: end.link.clone(), kind }
    }

    /// Keys come.
    pub(super) fn producing(&self) {
        self.producing_although(None);
    }

    /// Keys come, and yet something is not as it should be.
    pub(super) fn producing_although(&self, reason: Option<&str>) {
        if self.show(Phase::Producing, reason.map(str::to_owned)) {
            tracing::info!(link = %self.link, source = self.kind, reason, "keys come");
        }
    }

    /// Keys do not come for now.
    pub(super) fn waiting(&self, reason: impl Into<String>) {
        let reason = reason.into();
        if self.show(Phase::Waiting, Some(reason.clone())) {
            tracing::warn!(link = %self.link, source = self.kind, reason, "keys do not come");
        }
    }

    /// Somebody may be listening.
    pub(super) fn alarm(&self, reason: impl Into<String>) {
        let reason = reason.into();
        if self.show(Phase::Alarm, Some(reason.clone())) {
            tracing::error!(link = %self.link, source = self.kind, reason, "somebody may be listening");
        }
    }

    /// What a QKD source measures.
    pub(super) fn measured(&self, quality: Option<Quality>) {
        self.state.send_if_modified(|state| {
            let is_new = state.quality != quality;
            state.quality = quality;
            is_new
        });
    }

    /// Whether the phase is another now. A reason alone may change often, and would fill the log.
    fn show(&self, phase: Phase, reason: Option<String>) -> bool {
        let mut is_new = false;
        self.state.send_if_modified(|state| {
            is_new = state.phase != phase;
            let is_changed = is_new || state.reason != reason;
            (state.phase, state.reason) = (phase, reason);
            is_changed
        });
        is_new
    }
}

/// Waits for so long, or until nobody wants blocks any more.
pub(super) async fn rest(blocks: &mpsc::Sender<Block>, pause: Duration) {
    tokio::select! {
        () = sleep(pause) => {}
        () = blocks.closed() => {}
    }
}

/// How long to wait before the next attempt: twice as long after each failure, up to a bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackOff {
    next: Duration,
}

impl BackOff {
    /// The wait after a first failure.
    pub(super) const fn new() -> Self {
        Self { next: SHORTEST_WAIT }
    }

    /// How long to wait after one more failure.
    pub(super) fn after_failure(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST_WAIT);
        wait
    }

    /// It went well.
    pub(super) fn reset(&mut self) {
        self.next = SHORTEST_WAIT;
    }
}

const SHORTEST_WAIT: Duration = Duration::from_millis(250);
/// Long enough not to trouble a device that is down, short enough that nobody waits for keys once it is back.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
