//! How a node gets what it cannot get from the log: its first configuration, or the state of a node that is far ahead.
//!
//! A cluster is founded when a node has met every configured server, all want the same ones, and none has a past. All who do so found the same one. A node that
//! comes later, was away for long, or has another disk asks a peer for the state ([`Fetch`]), part by part. It is given to members only;
//! whoever is none waits until an operator adds or replaces it.
//!
//! Taking over a state leaves alone what this node has promised, and what it has accepted behind it: others may rely on that.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Mutation, Node,
    message::{Fetch, Part, PeerMessage},
    output::{Notice, Output},
};
use crate::{
    command::{ClientId, Document, Generation, Name, Revision},
    membership::{Membership, NodeName},
    state::{Header, Session, Snapshot, State},
    storage::{Acceptor, Log, Operation},
};

/// A state that comes in parts.
pub(super) struct Fetching {
    from: NodeName,
    transfer: u64,
    next_part: u64,
    collected: Option<Snapshot>,
    asked_at: u64,
}

/// A state that goes out in parts.
pub(super) struct Serving {
    transfer: u64,
    header: Header,
    documents: std::iter::Peekable<std::collections::btree_map::IntoIter<Name, Arc<Document>>>,
    sessions: std::iter::Peekable<std::collections::btree_map::IntoIter<ClientId, Session>>,
    last: Option<Part>,
    asked_at: u64,
}

impl Node {
    /// Founds the cluster, if all configured servers are there and none has a past.
    pub(super) fn found(&mut self) {
        if self.cluster.is_some() {
            return;
        }
        let founders = self.founders();
        let mut servers = vec![(self.settings.name.clone(), self.store)];
        for name in &self.settings.servers {
            match self.links.hello(name) {
                Some(hello) if hello.cluster.is_none() && hello.servers == founders => {
                    servers.push((name.clone(), hello.store));
                }
                _ => return,
            }
        }
        let membership = match Membership::founding(servers) {
            Ok(membership) => membership,
            Err(bad) => return self.notice(Notice::CannotFound(bad)),
        };
        let header = Header { membership: membership.clone(), revision: Revision(0), floor: Generation::ABSENT };
        self.notice(Notice::Founded(membership));
        self.take_over(Snapshot { header, documents: BTreeMap::new(), sessions: BTreeMap::new() });
    }

    /// Asks `peer` for the state, unless another one is being fetched.
    pub(super) fn fetch_from(&mut self, peer: &NodeName) {
        if self.fetching.is_some() {
            return;
        }
        let transfer = self.ticks;
        self.fetching =
            Some(Fetching { from: peer.clone(), transfer, next_part: 0, collected: None, asked_at: self.ticks });
        self.ask_for_part();
    }

    /// Hands out a part of the state to a member that is behind.
    pub(super) fn serve(&mut self, peer: &NodeName, fetch: Fetch) {
        let Some(cluster) = &mut self.cluster else { return };
        let Some(store) = self.links.hello(peer).map(|hello| hello.store) else { return };
        match cluster.membership.member(peer) {
            Some(member) if member.store == store || self.mutations.has(Mutation::ReplacedDiskVotes) => {}
            other => {
                let replaced = other.is_some();
                return self.send(peer, PeerMessage::NotAMember { replaced });
            }
        }
        let known = self.serving.get(peer).is_some_and(|serving| serving.transfer == fetch.transfer);
        if fetch.part == 0 && !known {
            if cluster.state.revision() < fetch.have {
                return;
            }
            let snapshot = cluster.state.snapshot(&cluster.membership);
            self.serving.insert(peer.clone(), Serving::new(fetch.transfer, snapshot, self.ticks));
        }
        let Some(serving) = self.serving.get_mut(peer).filter(|serving| serving.transfer == fetch.transfer) else {
            return;
        };
        serving.asked_at = self.ticks;
        if let Some(part) = serving.part(fetch.part, self.settings.limits.part_bytes) {
            self.send(peer, PeerMessage::Part(Box::new(part)));
        }
    }

    /// Takes in a part of the state; with the last one, takes the state over.
    pub(super) fn heard_part(&mut self, peer: &NodeName, part: Part) {
        let Some(fetching) = &mut self.fetching else { return };
        let expected = fetching.from == *peer && fetching.transfer == part.transfer && fetching.next_part == part.part;
        if !expected {
            return;
        }
        let fits = fetching.collected.as_ref().is_none_or(|collected| collected.header == part.header);
        if !fits {
            // The other node began anew: parts of two states make none.
            self.fetching = None;
            return;
        }
        let collected = fetching.collected.get_or_insert_with(|| Snapshot {
            header: part.header,
            documents: BTreeMap::new(),
            sessions: BTreeMap::new(),
        });
        collected.documents.extend(part.documents);
        collected.sessions.extend(part.sessions);
        fetching.next_part += 1;
        if !part.last {
            return self.ask_for_part();
        }
        let snapshot = self.fetching.take().and_then(|fetching| fetching.collected).expect("a part was just put in");
        if self.is_news(&snapshot.header) {
            let revision = snapshot.header.revision;
            self.take_over(snapshot);
            self.notice(Notice::CaughtUp { from: peer.clone(), revision });
        }
    }

    pub(super) fn heard_not_a_member(&mut self, peer: &NodeName, replaced: bool) {
        self.fetching = None;
        self.notice(Notice::WaitsForMembership { peer: peer.clone(), replaced });
    }

    pub(super) fn tick_catch_up(&mut self) {
        let (tick, wait) = (self.ticks, self.settings.timing.fetch_ticks);
        self.serving.retain(|_, serving| serving.asked_at + 4 * wait > tick);
        // Whoever spoke of what is missing will speak again, and another one may answer.
        self.fetching.take_if(|fetching| fetching.asked_at + wait <= tick);
        if self.cluster.is_none() && tick.is_multiple_of(4 * wait) {
            let peers = self.links.connected_peers();
            let peer = peers.iter().find(|peer| self.links.hello(peer).is_some_and(|hello| hello.cluster.is_some()));
            if let Some(peer) = peer {
                self.fetch_from(peer);
            }
        }
    }

    fn ask_for_part(&mut self) {
        let have = self.cluster.as_ref().map_or(Revision(0), |cluster| cluster.state.revision());
        let Some(fetching) = &mut self.fetching else { return };
        fetching.asked_at = self.ticks;
        let fetch = Fetch { transfer: fetching.transfer, part: fetching.next_part, have };
        let peer = fetching.from.clone();
        self.send(&peer, PeerMessage::Fetch(fetch));
    }

    fn is_news(&self, header: &Header) -> bool {
        self.cluster.as_ref().is_none_or(|cluster| {
            cluster.membership.cluster == header.membership.cluster
                && (header.membership.configuration, header.revision)
                    > (cluster.membership.configuration, cluster.state.revision())
        })
    }

    fn take_over(&mut self, snapshot: Snapshot) {
        let membership = snapshot.header.membership.clone();
        let place = snapshot.header.revision.0 - membership.base.0;
        let log = match &self.cluster {
            Some(cluster) => cluster.log.clone(),
            None => Log::new(Acceptor::default()),
        };
        log.write(Operation::Replace(snapshot.clone()));
        let same =
            self.cluster.as_ref().map(|cluster| cluster.membership.configuration) == Some(membership.configuration);
        if same && !self.mutations.has(Mutation::CatchUpForgetsPromise) {
            log.write(Operation::Trim(place));
        } else {
            log.write(Operation::Begin(place));
        }
        let before = self.cluster.as_ref().map(|cluster| cluster.membership.clone());
        let revision = snapshot.header.revision;
        let state = State::from_snapshot(snapshot, self.settings.limits.clients);
        self.join(membership.clone(), state, log);
        self.outbox.outputs.push(Output::Replaced(revision));
        if before.as_ref() != Some(&membership) {
            if let Some(from) = before {
                self.notice(Notice::MembersChanged { from, to: membership });
            }
            self.say_hello_again();
        }
    }
}

impl Serving {
    fn new(transfer: u64, snapshot: Snapshot, asked_at: u64) -> Self {
        Self {
            transfer,
            header: snapshot.header,
            documents: snapshot.documents.into_iter().peekable(),
            sessions: snapshot.sessions.into_iter().peekable(),
            last: None,
            asked_at,
        }
    }

    /// The part of this number, if it is the next one or the one that was given last.
    fn part(&mut self, number: u64, bytes: usize) -> Option<Part> {
        match &self.last {
            Some(last) if last.part == number => return Some(last.clone()),
            Some(last) if last.part + 1 != number || last.last => return None,
            None if number != 0 => return None,
            _ => {}
        }
        let mut weight = 0;
        let mut documents = Vec::new();
        while weight < bytes
            && let Some((name, document)) = self.documents.next()
        {
            weight += FIXED_WEIGHT + name.as_str().len() + document.value.len();
            documents.push((name, document));
        }
        let mut sessions = Vec::new();
        while weight < bytes
            && let Some(session) = self.sessions.next()
        {
            weight += FIXED_WEIGHT;
            sessions.push(session);
        }
        let last = self.documents.peek().is_none() && self.sessions.peek().is_none();
        let header = self.header.clone();
        let part = Part { transfer: self.transfer, part: number, header, documents, sessions, last };
        self.last = Some(part.clone());
        Some(part)
    }
}

/// About what a document or a client takes beside its name and value.
const FIXED_WEIGHT: usize = 128;
