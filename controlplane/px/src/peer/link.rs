//! What both connections between this node and one other have in common.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use photongate_net::NodeAddress;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, watch};

use super::outbox::Outbox;
use super::{LONGEST_MESSAGE, PeerEvent, PeerOptions, PeerStatus, Pings};
use crate::config::ServerConfig;

/// One other node.
#[derive(Debug)]
pub(super) struct Link<M> {
    pub(super) name: Arc<str>,
    pub(super) address: NodeAddress,
    pub(super) options: PeerOptions,
    pub(super) outbox: Outbox,
    pub(super) events: mpsc::Sender<PeerEvent<M>>,
    /// Makes our connection to it anew.
    pub(super) renew: Notify,
    /// It is there: to wait before connecting to it is needless.
    pub(super) seen: Notify,
    /// It is being looked up whether anybody listens there.
    pub(super) probing: AtomicBool,
    /// Messages went through since somebody took note of that.
    pub(super) proven: AtomicBool,
    /// The number of its connection to us that counts: the last one. Those before it end.
    pub(super) incoming: watch::Sender<u64>,
    pub(super) counters: Counters,
    state: Mutex<State>,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) connects: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) bad_messages: AtomicU64,
}

#[derive(Debug)]
struct State {
    pings: Pings,
    /// Pings from this number on were sent when both connections were there.
    since: u64,
    /// Such a ping was answered.
    up: bool,
    reason: Option<String>,
    /// Where our last connection led.
    remote: Option<SocketAddr>,
    /// Which run of the peer our connection leads to, as far as it has said.
    incarnation: Option<u64>,
}

/// What links send each other themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Beat {
    /// To be answered at once.
    Ping {
        /// Which one.
        id: u64,
        /// Which run of the sender.
        incarnation: u64,
    },
    /// The answer.
    Pong {
        /// To which one.
        id: u64,
    },
}

impl<M> Link<M> {
    pub(super) fn new(server: &ServerConfig, options: &PeerOptions, events: mpsc::Sender<PeerEvent<M>>) -> Self {
        let pings = Pings::new(options.silence);
        let reason = Some("not connected yet".to_owned());
        Self {
            name: server.server_name.as_str().into(),
            address: server.addr.clone(),
            options: options.clone(),
            outbox: Outbox::new(options.queue_bytes, LONGEST_MESSAGE),
            events,
            renew: Notify::new(),
            seen: Notify::new(),
            probing: AtomicBool::new(false),
            proven: AtomicBool::new(false),
            incoming: watch::Sender::new(0),
            counters: Counters::default(),
            state: Mutex::new(State { pings, since: 1, up: false, reason, remote: None, incarnation: None }),
        }
    }

    /// Sends a ping, if there is a connection.
    pub(super) fn ping(&self) {
        let (id, figures) = {
            let mut state = self.state();
            (state.pings.send(Instant::now()), state.pings.figures())
        };
        if id.is_multiple_of(TOLD_EVERY) {
            let (rtt_us, jitter_us) = (figures.rtt_us.map(f64::round), figures.jitter_us.round());
            tracing::info!(peer = %self.name, rtt_us, jitter_us, loss = figures.loss, "round trips");
        }
        self.outbox.push(&Beat::Ping { id, incarnation: self.options.incarnation });
    }

    /// One of the two connections is new: only a round trip over both will tell that messages go through.
    pub(super) async fn begin(&self) {
        let was_up = {
            let mut state = self.state();
            state.since = state.pings.next_number();
            std::mem::take(&mut state.up)
        };
        self.ping();
        if was_up {
            self.tell(PeerEvent::Down(Arc::clone(&self.name))).await;
        }
    }

    /// One of the two connections is gone.
    pub(super) async fn lose(&self, reason: String) {
        let was_up = {
            let mut state = self.state();
            state.since = u64::MAX;
            state.reason = Some(reason);
            state.pings.give_up();
            std::mem::take(&mut state.up)
        };
        if was_up {
            self.tell(PeerEvent::Down(Arc::clone(&self.name))).await;
        }
    }

    /// A message of the link itself came in.
    pub(super) async fn beat(&self, beat: Beat) {
        match beat {
            Beat::Ping { id, incarnation } => {
                self.outbox.push(&Beat::Pong { id });
                let before = self.state().incarnation.replace(incarnation);
                if before.is_some_and(|before| before != incarnation) {
                    // It has started anew, so nobody is there any more where our connection leads.
                    self.renew.notify_one();
                }
            }
            Beat::Pong { id } => {
                let (trip, is_up_now) = {
                    let mut state = self.state();
                    let trip = state.pings.answer(id, Instant::now());
                    let is_up_now = trip.is_some() && id >= state.since && !state.up;
                    if is_up_now {
                        (state.up, state.reason) = (true, None);
                    }
                    (trip, is_up_now)
                };
                tracing::debug!(peer = %self.name, id, ?trip, "a ping is answered");
                if is_up_now {
                    self.proven.store(true, Ordering::Relaxed);
                    tracing::info!(peer = %self.name, round_trip = ?trip.unwrap_or_default(), "connected");
                    self.tell(PeerEvent::Up(Arc::clone(&self.name))).await;
                }
            }
        }
    }

    /// Where our last connection to it led.
    pub(super) fn remote(&self) -> Option<SocketAddr> {
        self.state().remote
    }

    /// Our connection leads there.
    pub(super) fn leads_to(&self, remote: SocketAddr) {
        self.state().remote = Some(remote);
    }

    /// Whether pings go unanswered for longer than is borne.
    pub(super) fn is_silent(&self) -> bool {
        self.state().pings.waiting_for(Instant::now()) >= self.options.silence
    }

    /// Why the last attempt failed. `true` if it was for another reason before.
    pub(super) fn failed(&self, reason: &str) -> bool {
        let mut state = self.state();
        let is_news = state.reason.as_deref() != Some(reason);
        state.reason = Some(reason.to_owned());
        is_news
    }

    /// It is no node of ours any more: its connection to us ends.
    pub(super) fn end(&self) {
        self.incoming.send_modify(|number| *number += 1);
        self.outbox.close();
    }

    pub(super) async fn tell(&self, event: PeerEvent<M>) {
        // Without a listener the node stops, and its connections with it.
        let _ = self.events.send(event).await;
    }

    pub(super) fn status(&self) -> PeerStatus {
        let state = self.state();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PeerStatus {
            name: self.name.to_string(),
            address: self.address.to_string(),
            up: state.up,
            reason: state.reason.clone(),
            ping: state.pings.figures(),
            queued_bytes: self.outbox.waiting(),
            connects: count(&self.counters.connects),
            received: count(&self.counters.received),
            bad_messages: count(&self.counters.bad_messages),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// After so many pings, ten minutes of them by default, the log tells what they have shown.
const TOLD_EVERY: u64 = 600;
