//! The loop that owns the core: tells it what happens, one thing after the other, and does what comes out.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use photongate_wire::Nanos;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::known::KnownNodes;
use super::pulls::Pulls;
use crate::Id;
use crate::handle::{Handle, Told, blocking};
use crate::message::{Malformed, Message};
use crate::node::{Announced, Found, Input, Node, Notice, Output, RequestId, Source, Who};
use crate::store::Keep;
use crate::transfer::Refused;
use crate::transport::Event;

/// The core and what surrounds it.
pub(super) struct Turns {
    node: Node,
    began: Instant,
    events: mpsc::Receiver<Event>,
    told: mpsc::Receiver<Told>,
    handle: Handle,
    known: KnownNodes,
    pulls: Arc<Pulls>,
    /// How long a value is kept that nobody asks for.
    keep: Duration,
    requests: HashMap<RequestId, Waiting>,
    next_request: u64,
    outputs: Vec<Output>,
}

/// Who waits for what comes of a request, and since when.
#[derive(Debug)]
enum Waiting {
    Find(oneshot::Sender<Found>, Instant),
    Announce(oneshot::Sender<Announced>),
}

impl Turns {
    pub(super) fn new(
        node: Node,
        events: mpsc::Receiver<Event>,
        told: mpsc::Receiver<Told>,
        handle: Handle,
        known: KnownNodes,
        pulls: Pulls,
        keep: Duration,
    ) -> Self {
        Self {
            node,
            began: Instant::now(),
            events,
            told,
            handle,
            known,
            pulls: Arc::new(pulls),
            keep,
            requests: HashMap::new(),
            next_request: 0,
            outputs: Vec::new(),
        }
    }

    /// Turns until `shutdown` is over.
    pub(super) async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        self.board().state().is_first = self.known.is_first_node();
        self.tell_what_is_here().await;
        self.join();
        let mut upkeep = interval(UPKEEP);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = self.node.next_timeout().map_or_else(far, |next| self.began + Duration::from_nanos(next.0));
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(told) = self.told.recv() => self.take(told),
                Some(event) = self.events.recv() => self.happened(event),
                () = sleep_until(next) => self.tell(Input::Wake),
                _ = upkeep.tick() => self.look_after(),
            }
            // What has come in the meantime is taken at once, but never for so long that time stands still.
            for _ in 0..AT_ONCE {
                let Ok(event) = self.events.try_recv() else { break };
                self.happened(event);
            }
            self.board().state().contacts = self.node.contacts().count();
        }
        self.remember();
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Connected(contact) => self.tell(Input::Connected(contact)),
            Event::Unreachable(address) => self.tell(Input::Unreachable(address)),
            Event::Arrived { from, datagram } => match Message::decode(&datagram) {
                Ok(message) => self.tell(Input::Message { from, bytes: datagram.len(), message }),
                Err(Malformed::Refused(reply)) => {
                    self.board().malformed.add(1);
                    self.handle.transport().send(from.address, Message::Error(reply).encode());
                }
                Err(_) => self.board().malformed.add(1),
            },
        }
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Input(input) => self.tell(input),
            Told::Find(wanted, answer) => {
                let request = self.request(Waiting::Find(answer, Instant::now()));
                self.tell(Input::Find { request, wanted });
            }
            Told::Announce(key, answer) => {
                let request = self.request(Waiting::Announce(answer));
                self.tell(Input::Announce { request, key });
            }
            Told::Contacts(answer) => {
                // Who asked may have gone.
                let _ = answer.send(self.node.contacts().collect());
            }
        }
    }

    fn request(&mut self, waiting: Waiting) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.requests.insert(request, waiting);
        request
    }

    fn tell(&mut self, input: Input) {
        let now = self.now();
        self.node.handle(now, input, &mut self.outputs);
        let mut outputs = std::mem::take(&mut self.outputs);
        outputs.drain(..).for_each(|output| self.perform(output));
        self.outputs = outputs;
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { to, message, attach: None } => self.handle.transport().send(to, message.encode()),
            Output::Send { to, mut message, attach: Some(key) } => {
                let handle = self.handle.clone();
                tokio::spawn(async move {
                    if let Some(value) = handle.here(key).await {
                        message.attach(value.into());
                    }
                    handle.transport().send(to, message.encode());
                });
            }
            Output::Found { request, found } => {
                if let Some(Waiting::Find(answer, since)) = self.requests.remove(&request) {
                    let board = self.board();
                    board.look_ups.add(1);
                    board.hops.add(found.hops.into());
                    board.look_up.note(since.elapsed());
                    let _ = answer.send(found);
                }
            }
            Output::Announced { request, announced } => {
                if let Some(Waiting::Announce(answer)) = self.requests.remove(&request) {
                    self.board().announcements.add(1);
                    let _ = answer.send(announced);
                }
            }
            Output::Store { key, data } => {
                tokio::spawn(keep_announced(self.handle.clone(), key, data));
            }
            Output::Pull { key, size, from, share } => {
                let from = self.handle.transport().source(&from);
                tokio::spawn(pull(self.handle.clone(), Arc::clone(&self.pulls), key, size, from, share));
            }
            Output::Notice(notice) => self.notice(&notice),
        }
    }

    fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Joined => {
                self.board().state().is_joined = true;
                tracing::info!("in the network");
            }
            Notice::Alone => {
                let was_joined = std::mem::take(&mut self.board().state().is_joined);
                if was_joined {
                    tracing::warn!("no other node answers any more");
                }
            }
            Notice::Banned(Source { address, proven }) => {
                self.board().bans.add(1);
                let id = proven.map(tracing::field::display);
                tracing::warn!(%address, id, "banned for a while: it gave out wrong data");
            }
        }
    }

    /// Asks those who are known to begin with for the way into the network.
    fn join(&self) {
        let (known, handle) = (self.known.clone(), self.handle.clone());
        tokio::spawn(async move {
            let me = handle.me().address;
            let addresses: Vec<_> = known.addresses().await.into_iter().filter(|address| *address != me).collect();
            if !addresses.is_empty() {
                // A node that ends joins nothing.
                let _ = handle.tell(Input::Bootstrap(addresses)).await;
            }
        });
    }

    async fn tell_what_is_here(&mut self) {
        let store = self.handle.store().clone();
        for (key, size, keep) in blocking(move || store.all()).await {
            self.tell(Input::Held { key, size: size.into(), republish: keep.is_for_others() });
        }
    }

    /// What is due now and then.
    fn look_after(&mut self) {
        if self.node.contacts().next().is_none() {
            self.join();
        } else {
            self.remember();
        }
        let (handle, keep) = (self.handle.clone(), self.keep);
        tokio::spawn(drop_unused(handle, keep));
    }

    fn remember(&self) {
        let nodes: Vec<_> = self.node.contacts().map(|contact| contact.address).collect();
        self.known.remember(&nodes);
    }

    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.began.elapsed().as_nanos()).expect("centuries of nanoseconds fit"))
    }

    fn board(&self) -> &super::Board {
        self.handle.board()
    }
}

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turns").field("me", &self.handle.me()).finish_non_exhaustive()
    }
}

/// Stores a small value that came with its announcement.
async fn keep_announced(handle: Handle, key: Id, data: Vec<u8>) {
    if let Err(error) = handle.keep(data.into(), Keep::Held).await {
        tracing::debug!(%key, "an announced value is not kept: {error}");
        let _ = handle.tell(Input::Dropped(key)).await;
    }
}

/// Fetches a value that was announced.
async fn pull(handle: Handle, pulls: Arc<Pulls>, key: Id, size: u64, from: Source, share: Who) {
    let place = pulls.place(share).await;
    let here = handle.here(key).await;
    let fetched = match (here, u32::try_from(size)) {
        (Some(value), _) => Ok(value),
        (None, Ok(size)) => handle.transport().ask(from, key, Some(size)).await,
        (None, Err(_)) => Err(Refused::Wrong("no value is so long")),
    };
    let kept = match fetched {
        Ok(value) => handle.keep(value, Keep::Held).await.map_err(|error| error.to_string()),
        Err(refused) => {
            if matches!(refused, Refused::Wrong(_)) {
                handle.ban(from).await;
            }
            Err(refused.to_string())
        }
    };
    drop(place);
    match kept {
        Ok(_) => handle.board().pulled.add(1),
        Err(why) => {
            handle.board().not_pulled.add(1);
            tracing::debug!(%key, from = %from.address, "an announced value is not fetched: {why}");
            let _ = handle.tell(Input::Dropped(key)).await;
        }
    }
}

/// Drops values that nobody has asked for and nobody has stored again for so long.
async fn drop_unused(handle: Handle, keep: Duration) {
    let store = handle.store().clone();
    let old = blocking(move || {
        let old = store
            .held()
            .into_iter()
            .filter(|value| SystemTime::now().duration_since(value.since).is_ok_and(|unused| unused > keep));
        old.filter_map(|value| store.remove(value.key).is_ok().then_some(value.key)).collect::<Vec<_>>()
    });
    for key in old.await {
        handle.board().expired.add(1);
        let _ = handle.tell(Input::Dropped(key)).await;
    }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3_600)
}

/// How often the node looks after what nobody else does.
const UPKEEP: Duration = Duration::from_secs(30);

/// Events that are taken in a row.
const AT_ONCE: usize = 64;
