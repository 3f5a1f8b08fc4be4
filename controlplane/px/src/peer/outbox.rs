//! What waits to be sent to one other node: in order, and bounded.

use std::mem;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::Notify;

use crate::frame;

/// A queue of messages, already in their form on the stream, for one writer. Closed while there is no connection: what is put into it
/// then goes nowhere.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Bytes that may wait.
    limit: usize,
    longest_message: usize,
    state: Mutex<State>,
    filled: Notify,
    overflown: Notify,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    overflown: bool,
    waiting: Vec<u8>,
}

impl Outbox {
    /// A closed queue.
    pub(super) fn new(limit: usize, longest_message: usize) -> Self {
        Self { limit, longest_message, state: Mutex::default(), filled: Notify::new(), overflown: Notify::new() }
    }

    /// There is a connection: begins empty.
    pub(super) fn open(&self) {
        *self.state() = State { open: true, ..State::default() };
    }

    /// The connection is gone, and what waits for it.
    pub(super) fn close(&self) {
        *self.state() = State::default();
    }

    /// Puts a message behind all others. `false` if it goes nowhere: there is no connection, or no room.
    pub(super) fn push(&self, message: &impl Serialize) -> bool {
        let mut state = self.state();
        if !state.open || state.overflown {
            return false;
        }
        if let Err(error) = frame::append(&mut state.waiting, message, self.longest_message) {
            tracing::error!("not sent: {error}");
            return false;
        }
        if state.waiting.len() > self.limit {
            state.overflown = true;
            state.waiting = Vec::new();
        }
        let fits = !state.overflown;
        drop(state);
        let waiter = if fits { &self.filled } else { &self.overflown };
        waiter.notify_one();
        fits
    }

    /// Waits for something to send, and takes all of it.
    pub(super) async fn take(&self) -> Bytes {
        loop {
            let waiting = mem::take(&mut self.state().waiting);
            if !waiting.is_empty() {
                return waiting.into();
            }
            self.filled.notified().await;
        }
    }

    /// Waits until more was put in than may wait: nothing can be sent on this connection any more, as there would be a gap.
    pub(super) async fn overflow(&self) {
        while !self.state().overflown {
            self.overflown.notified().await;
        }
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_was_put_in_comes_out_in_order_and_at_once() {
        let outbox = Outbox::new(1_000, 100);
        outbox.open();
        assert!(outbox.push(&"a") && outbox.push(&"b"));
        assert_eq!(outbox.take().await, "\"a\"\r\"b\"\r".as_bytes());
        assert!(outbox.take().now_or_never().is_none());
    }

    #[tokio::test]
    async fn without_a_connection_messages_go_nowhere() {
        let outbox = Outbox::new(1_000, 100);
        assert!(!outbox.push(&"before"));
        outbox.open();
        outbox.push(&"old");
        outbox.close();
        outbox.open();
        assert_eq!(outbox.waiting(), 0);
    }

    #[tokio::test]
    async fn too_much_is_an_overflow_and_frees_the_memory() {
        let outbox = Outbox::new(20, 100);
        outbox.open();
        assert!(outbox.push(&"0123456789"));
        assert!(outbox.overflow().now_or_never().is_none());
        assert!(!outbox.push(&"0123456789"));
        outbox.overflow().await;
        assert_eq!(outbox.waiting(), 0);
        assert!(!outbox.push(&"a"), "there would be a gap");
    }

    #[tokio::test]
    async fn a_message_that_nobody_would_take_is_not_sent() {
        let outbox = Outbox::new(1_000, 5);
        outbox.open();
        assert!(!outbox.push(&"0123456789"));
        assert!(outbox.push(&"012"));
        assert_eq!(outbox.take().await, "\"012\"\r".as_bytes());
    }
}
