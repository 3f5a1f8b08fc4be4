//! Keys on time: publishes each peer's keys when the filter starts, and anew whenever they change.
//!
//! When they change is a function of the time alone ([`Rotation`]); the thread here only keeps the dictionary in step with the
//! clock. It looks at the clock at least once a second, so that a step of it is noticed.

use crate::settings::Peer;
use photongate_drkey::Rotation;
use photongate_filter::Control;
use photongate_pipeline::limits::Limit;
use photongate_pipeline::{Entry, PeerState};
use photongate_wire::{Nanos, UnixNanos};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The thread that changes the dictionary. It ends when this is dropped.
pub(crate) struct KeyThread {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl KeyThread {
    /// Publishes the keys of the present, and starts the thread that replaces them from now on.
    ///
    /// # Errors
    /// What the operating system says when it refuses the thread.
    pub(crate) fn start(mut schedule: Schedule, mut dictionary: Control) -> io::Result<Self> {
        publish(&mut schedule, &mut dictionary);
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("keys".to_owned());
        let thread = thread.spawn(move || keep_in_step(schedule, dictionary, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Whether the thread runs. It ends by itself only if it panics.
    pub(crate) fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for KeyThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic has been printed, and there is nothing to undo.
            let _ = thread.join();
        }
    }
}

/// When whose keys change. Knows no clock: the time is handed in.
pub(crate) struct Schedule {
    peers: Vec<(Arc<PeerState>, Rotation)>,
    /// The next change of each peer that has one, soonest first.
    changes: BinaryHeap<Reverse<(UnixNanos, usize)>>,
    last: Option<UnixNanos>,
}

impl Schedule {
    /// The schedule of the keys of `peers`.
    pub(crate) fn new(peers: Vec<Peer>, control: &Control) -> Self {
        let start = control.clock().monotonic;
        let state = |Peer { key, limit, rotation }| {
            let limit = Limit::from_settings(&limit, start);
            (Arc::new(PeerState::new(key, limit, control.workers())), rotation)
        };
        Self::of(peers.into_iter().map(state).collect())
    }

    fn of(peers: Vec<(Arc<PeerState>, Rotation)>) -> Self {
        Self { peers, changes: BinaryHeap::new(), last: None }
    }

    /// Hands out the entries that are to be in force at `now` and may not be yet: at first, and when the clock was set back, all.
    pub(crate) fn due(&mut self, now: UnixNanos, mut publish: impl FnMut(Entry)) {
        if self.last.is_none_or(|last| now < last) {
            self.changes.clear();
            self.changes.extend((0..self.peers.len()).map(|index| Reverse((now, index))));
        }
        self.last = Some(now);
        while let Some(Reverse((_, index))) = self.changes.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.changes.pop();
            let (peer, rotation) = &self.peers[index];
            publish(Entry { peer: Arc::clone(peer), keys: rotation.key_set(now) });
            self.changes.extend(rotation.next_change(now).map(|next| Reverse((next, index))));
        }
    }

    /// When [`Schedule::due`] has something to hand out next, if the clock just runs on.
    pub(crate) fn next_change(&self) -> Option<UnixNanos> {
        self.changes.peek().map(|Reverse((at, _))| *at)
    }
}

fn keep_in_step(mut schedule: Schedule, mut dictionary: Control, stopped: &Receiver<()>) {
    loop {
        let now = dictionary.clock().unix;
        let until_change = schedule.next_change().map_or(LONGEST_WAIT, |next| Nanos(next.0.saturating_sub(now.0)));
        let wait = until_change.min(LONGEST_WAIT);
        match stopped.recv_timeout(Duration::from_nanos(wait.0)) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        publish(&mut schedule, &mut dictionary);
        let grace = dictionary.begin_grace();
        dictionary.is_over(grace);
    }
}

fn publish(schedule: &mut Schedule, dictionary: &mut Control) {
    let mut published = 0;
    schedule.due(dictionary.clock().unix, |entry| {
        let peer = entry.peer.key;
        match dictionary.publish(entry) {
            Ok(()) => published += 1,
            Err(error) => tracing::error!(%peer, "keys cannot be published: {error}; raise keys.max_peers"),
        }
    });
    if published > 0 {
        tracing::debug!(peers = published, "keys published");
    }
}

/// A clock that was set is noticed this fast.
const LONGEST_WAIT: Nanos = Nanos::from_secs(1);

#[cfg(test)]
mod tests;
