//! The loop: what has happened goes into the core, what the core wants is done.

mod clock;
mod notices;

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use photongate_net::NodeAddress;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use self::clock::Clock;
use super::disk::Disk;
use super::links::Links;
use super::{Board, Failed};
use crate::command::UnixMillis;
use crate::config::{PxConfig, ServerConfig};
use crate::handle::{Asked, Handle};
use crate::membership::Member;
use crate::node::{
    BatchId, Input, Limits, Node, Output, PeerMessage, Refusal, Reply, Request, RequestId, Settings, Timing,
};
use crate::peer::{PeerEvent, Peers};
use crate::storage::Recovered;
use crate::store::StoreError;

/// The core, and all that it needs.
pub(super) struct Turns {
    node: Node,
    /// What has happened since its last step.
    inputs: Vec<Input>,
    clock: Clock,
    looked_at: Instant,
    disk_patience: Duration,
    most_pending: usize,
    peers: Peers<PeerMessage>,
    /// Who the other nodes are by the configuration.
    configured: Vec<ServerConfig>,
    /// Those that are to join, and those that have left and may not know it.
    guests: VecDeque<ServerConfig>,
    disk: Disk,
    links: Links,
    asked: mpsc::Receiver<Asked>,
    events: mpsc::Receiver<PeerEvent<PeerMessage>>,
    pending: HashMap<RequestId, Pending>,
    next_request: u64,
    handle: Handle,
    board: Arc<Board>,
    ending: Option<Ending>,
}

/// The node hands its lead over, and ends.
#[derive(Debug)]
struct Ending {
    /// At the latest.
    at: tokio::time::Instant,
    /// Why, if nobody told it to.
    failed: Option<Failed>,
}

/// A request that the core has and has not answered.
#[derive(Debug)]
struct Pending {
    reply: oneshot::Sender<Reply>,
    asked_at: Instant,
    is_write: bool,
}

impl Turns {
    pub(super) fn new(
        config: &PxConfig,
        recovered: Recovered,
        peers: Peers<PeerMessage>,
        disk: Disk,
        asked: mpsc::Receiver<Asked>,
        events: mpsc::Receiver<PeerEvent<PeerMessage>>,
        handle: Handle,
    ) -> Self {
        let board = handle.share_board();
        let turns = Self {
            node: Node::new(settings(config), recovered),
            inputs: Vec::new(),
            clock: Clock::new(config.timing.tick),
            looked_at: Instant::now(),
            disk_patience: config.timing.disk,
            most_pending: config.limits.pending_commands,
            peers,
            configured: config.servers.clone(),
            guests: VecDeque::new(),
            disk,
            links: Links::default(),
            asked,
            events,
            pending: HashMap::new(),
            next_request: 1,
            handle,
            board,
            ending: None,
        };
        turns.set_peers();
        turns
    }

    /// Goes on until `shutdown` is over and the lead handed over, or something fails.
    pub(super) async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Failed> {
        self.look();
        let tick = sleep_until(self.clock.due());
        tokio::pin!(tick, shutdown);
        let (mut events, mut asked) = (Vec::new(), Vec::new());
        loop {
            self.clock.plan(tokio::time::Instant::now(), self.node.quiet_ticks());
            if tick.deadline() != self.clock.due() {
                tick.as_mut().reset(self.clock.due());
            }
            let mut ticks = 0;
            let deadline = self.ending.as_ref().map(|ending| ending.at);
            let is_over = async move {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                written = self.disk.written() => self.written(written)?,
                count = self.events.recv_many(&mut events, AT_ONCE) => {
                    if count == 0 {
                        return Err(Failed::Part("what listens to other nodes"));
                    }
                }
                _ = self.asked.recv_many(&mut asked, AT_ONCE) => {}
                () = &mut tick => ticks = self.clock.advance(tokio::time::Instant::now()),
                () = &mut shutdown, if deadline.is_none() => self.begin_to_end(None),
                () = is_over => return self.ended(),
            }
            // Whatever else is there goes into the same step.
            while events.len() < AT_ONCE
                && let Ok(event) = self.events.try_recv()
            {
                events.push(event);
            }
            while asked.len() < AT_ONCE
                && let Ok(request) = self.asked.try_recv()
            {
                asked.push(request);
            }
            events.drain(..).for_each(|event| self.heard(event));
            asked.drain(..).for_each(|request| self.ask(request));
            // Behind all that had come by then: they may be what ends a round of heartbeats.
            self.inputs.extend((0..ticks).map(|_| Input::Tick));
            let handed_over = self.act()?;
            if self.looked_at.elapsed() >= LOOK {
                self.look();
                self.look_at_the_disk();
            }
            if handed_over && self.ending.is_some() && self.pending.is_empty() {
                return self.ended();
            }
        }
    }

    /// A node whose disk never ends what it has begun gathers more and more, and is of no use to the others.
    fn look_at_the_disk(&mut self) {
        if self.ending.is_none() && self.disk.busy_for() > self.disk_patience {
            let failed = Failed::DiskHangs { patience: self.disk_patience };
            tracing::error!("{failed}");
            self.begin_to_end(Some(failed));
        }
    }

    fn begin_to_end(&mut self, failed: Option<Failed>) {
        self.inputs.push(Input::HandOver);
        self.ending = Some(Ending { at: tokio::time::Instant::now() + HAND_OVER, failed });
    }

    fn ended(self) -> Result<(), Failed> {
        self.ending.and_then(|ending| ending.failed).map_or(Ok(()), Err)
    }

    fn written(&mut self, written: Option<Result<BatchId, StoreError>>) -> Result<(), Failed> {
        let batch = written.ok_or(Failed::Part("the thread that writes"))?.map_err(Failed::Disk)?;
        self.inputs.push(Input::Persisted { batch });
        Ok(())
    }

    fn heard(&mut self, event: PeerEvent<PeerMessage>) {
        let consequence = self.links.take(event);
        if consequence.is_about_the_peer {
            let stores = self.links.hellos().map(|hello| (hello.name.clone(), hello.store)).collect();
            self.board.state().stores = stores;
        }
        if let Some(peer) = consequence.greet {
            self.peers.send(&peer, &PeerMessage::Hello(self.node.hello()));
        }
        if let Some(input) = consequence.input {
            self.inputs.push(input);
        }
    }

    fn ask(&mut self, asked: Asked) {
        let (request, reply) = match asked {
            Asked::Request { request, reply } => (request, reply),
            Asked::Meet(server) => return self.welcome([server]),
        };
        if self.pending.len() >= self.most_pending {
            self.board.refused.add(1);
            // Who does not wait for the answer any more needs none.
            let _ = reply.send(Reply::Refused(Refusal::Busy));
            return;
        }
        let id = RequestId(self.next_request);
        self.next_request += 1;
        let is_write = matches!(request, Request::Write { .. });
        self.pending.insert(id, Pending { reply, asked_at: Instant::now(), is_write });
        self.inputs.push(Input::Request { id, request });
    }

    /// Connects to nodes that are no members, until others come.
    fn welcome(&mut self, guests: impl IntoIterator<Item = ServerConfig>) {
        for guest in guests {
            self.guests.retain(|known| known.server_name != guest.server_name);
            self.guests.push_front(guest);
        }
        self.guests.truncate(GUESTS);
        self.set_peers();
    }

    /// Connects to all that this node is to know. What the configuration says of one counts before all else.
    fn set_peers(&self) {
        let membership = self.node.status().membership;
        let came_in = membership.iter().flat_map(|membership| &membership.members).filter_map(came_in_at);
        let mut servers = self.configured.clone();
        for server in came_in.chain(self.guests.iter().cloned()) {
            let is_known = |known: &ServerConfig| known.server_name == server.server_name;
            if server.server_name != self.board.name() && !servers.iter().any(is_known) {
                servers.push(server);
            }
        }
        self.peers.set(&servers);
    }

    /// Does what the core wants. `true` once it has handed the lead over.
    fn act(&mut self) -> Result<bool, Failed> {
        let (mut handed_over, mut is_noteworthy) = (false, false);
        for output in self.node.step(self.inputs.drain(..), now()) {
            match output {
                Output::Send { peer, message } => {
                    // What goes nowhere is made good when the connection is there again.
                    self.peers.send(peer.as_str(), &message);
                }
                Output::Probe { peer } => self.peers.probe(peer.as_str()),
                Output::Persist { batch, operations } => {
                    if !self.disk.write(batch, operations) {
                        return Err(Failed::Part("the thread that writes"));
                    }
                }
                Output::Reply { id, reply } => self.answer(id, reply),
                Output::Changed(changes) => self.handle.watches().publish(changes),
                Output::Replaced(revision) => self.handle.watches().skip_to(revision),
                Output::Notice(notice) => {
                    is_noteworthy = true;
                    self.note(notice);
                }
                Output::HandedOver => handed_over = true,
            }
        }
        if is_noteworthy {
            // Who has just changed the members sees the new ones when they ask.
            self.look();
        }
        Ok(handed_over)
    }

    fn answer(&mut self, id: RequestId, reply: Reply) {
        let Some(pending) = self.pending.remove(&id) else { return };
        match &reply {
            Reply::Done(_) if pending.is_write => {
                self.board.decided.add(1);
                self.board.commit.note(pending.asked_at.elapsed());
            }
            Reply::Refused(_) => self.board.refused.add(1),
            Reply::Done(_) | Reply::Read { .. } | Reply::MembersChanged(_) => {}
        }
        // Who does not wait for the answer any more needs none.
        let _ = pending.reply.send(reply);
    }

    /// Writes down what is looked at from outside.
    fn look(&mut self) {
        self.looked_at = Instant::now();
        let mut state = self.board.state();
        state.node = Some(self.node.status());
        state.waiting_requests = self.pending.len();
        state.peers = self.peers.status();
    }
}

/// A member as one to connect to, if it came in at an address.
fn came_in_at(member: &Member) -> Option<ServerConfig> {
    let addr = NodeAddress::parse(member.address.as_deref()?, None)?;
    Some(ServerConfig { addr, server_name: member.name.to_string() })
}

/// What the configuration means to the core, which counts in ticks.
fn settings(config: &PxConfig) -> Settings {
    let ticks =
        |span: Duration| u64::try_from(span.as_nanos().div_ceil(config.timing.tick.as_nanos())).unwrap_or(u64::MAX);
    let defaults = Limits::default();
    Settings {
        name: config.me.id.as_str().into(),
        servers: config.servers.iter().map(|server| server.server_name.as_str().into()).collect(),
        timing: Timing {
            election_ticks: ticks(config.timing.heartbeat),
            resend_ticks: ticks(RESEND),
            retry_ticks: ticks(RETRY),
            deadline_ticks: ticks(config.timing.command),
            fetch_ticks: ticks(FETCH),
        },
        limits: Limits {
            pending: config.limits.pending_commands,
            unwritten_entries: config.limits.snapshot_entries,
            ..defaults
        },
    }
}

fn now() -> UnixMillis {
    UnixMillis(photongate_net::now().0 / 1_000_000)
}

/// Until a message of the agreement that was not answered is sent again.
const RESEND: Duration = Duration::from_millis(200);

/// Until a command that the leader should have is sent to it again.
const RETRY: Duration = Duration::from_millis(500);

/// Until a part of the state that does not come is asked for elsewhere.
const FETCH: Duration = Duration::from_millis(500);

/// Nodes that are no members and connected to all the same.
const GUESTS: usize = 16;

/// How much of a kind one step takes.
const AT_ONCE: usize = 1_024;

/// How old the board may become before the next turn brings it up to date.
const LOOK: Duration = Duration::from_millis(200);

/// How long handing over may take. Then the others find out by themselves.
const HAND_OVER: Duration = Duration::from_secs(2);
