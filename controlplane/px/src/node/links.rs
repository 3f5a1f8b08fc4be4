//! Who is connected, who they are, and in which order their messages come.
//!
//! OmniPaxos takes for granted that the messages of one node to another come in order, each at most once, and that it is told when some
//! may have been lost. A message that comes a second time can make it forget what it has accepted. So every one has a [`Stamp`]: what
//! is not newer than what was heard before is passed over, and where some are missing, both ends are told.

use std::collections::BTreeMap;

use super::{
    Mutation, Node,
    instance::Heard,
    message::{Envelope, Hello, PeerMessage, Stamp},
    output::Notice,
};
use crate::{command::Pid, membership::NodeName};

/// The peers that ever said hello.
#[derive(Default)]
pub(super) struct Links {
    peers: BTreeMap<NodeName, Link>,
}

struct Link {
    hello: Hello,
    connected: bool,
    /// When it last said something of use, in ticks.
    heard_at: Option<u64>,
    /// Since when it owes the answer to a heartbeat, in ticks.
    asked_at: Option<u64>,
    /// Counts connections to it.
    link: u64,
    /// Counts the messages on this connection.
    number: u64,
    received: Option<Stamp>,
    /// When it was last told that it is behind, in ticks.
    told_behind_at: Option<u64>,
}

/// How a message comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// As the next one.
    InOrder,
    /// As the first one over a new connection.
    NewLink,
    /// Ones before it are missing.
    Gap,
    /// Again, or later than one that was sent after it.
    Late,
}

impl Links {
    fn connected(&mut self, peer: NodeName, hello: Hello) {
        let link = self.peers.entry(peer).or_insert_with(|| Link {
            hello: hello.clone(),
            connected: false,
            heard_at: None,
            asked_at: None,
            link: 0,
            number: 0,
            received: None,
            told_behind_at: None,
        });
        if link.hello.store != hello.store {
            // Another disk counts its starts anew.
            link.received = None;
        }
        link.hello = hello;
        link.connected = true;
        link.asked_at = None;
        link.link += 1;
        link.number = 0;
    }

    pub(super) fn disconnected(&mut self, peer: &NodeName) {
        if let Some(link) = self.peers.get_mut(peer) {
            link.connected = false;
        }
    }

    pub(super) fn is_connected(&self, peer: &NodeName) -> bool {
        self.peers.get(peer).is_some_and(|link| link.connected)
    }

    pub(super) fn connected_peers(&self) -> Vec<NodeName> {
        self.peers.iter().filter(|(_, link)| link.connected).map(|(peer, _)| peer.clone()).collect()
    }

    /// What a connected peer said it is.
    pub(super) fn hello(&self, peer: &NodeName) -> Option<&Hello> {
        self.peers.get(peer).filter(|link| link.connected).map(|link| &link.hello)
    }

    /// When the peer last said something of use, in ticks.
    pub(super) fn heard_at(&self, peer: &NodeName) -> Option<u64> {
        self.peers.get(peer)?.heard_at
    }

    /// A heartbeat of this node is on its way to the peer.
    pub(super) fn asks(&mut self, peer: &NodeName, tick: u64) {
        if let Some(link) = self.peers.get_mut(peer) {
            link.asked_at.get_or_insert(tick);
        }
    }

    /// Whether the peer is not there, or has not said anything for a tick although it should have.
    pub(super) fn owes_an_answer(&self, peer: &NodeName, tick: u64) -> bool {
        let link = self.peers.get(peer).filter(|link| link.connected);
        link.is_none_or(|link| link.asked_at.is_some_and(|asked| asked < tick))
    }

    /// The stamp of the next message to `peer`; none while it is not connected.
    pub(super) fn stamp(&mut self, peer: &NodeName, boot: u64) -> Option<Stamp> {
        let link = self.peers.get_mut(peer).filter(|link| link.connected)?;
        let stamp = Stamp { boot, link: link.link, number: link.number };
        link.number += 1;
        Some(stamp)
    }

    fn arrival(&mut self, peer: &NodeName, stamp: Stamp, tick: u64) -> Arrival {
        let Some(link) = self.peers.get_mut(peer) else { return Arrival::Late };
        link.heard_at = Some(tick);
        link.asked_at = None;
        let arrival = match link.received {
            Some(last) if stamp <= last => return Arrival::Late,
            Some(last) if (last.boot, last.link) == (stamp.boot, stamp.link) => {
                if stamp.number == last.number + 1 {
                    Arrival::InOrder
                } else {
                    Arrival::Gap
                }
            }
            _ if stamp.number == 0 => Arrival::NewLink,
            _ => Arrival::Gap,
        };
        link.received = Some(stamp);
        arrival
    }
}

impl Node {
    pub(super) fn connected(&mut self, peer: &NodeName, hello: Hello) {
        if *peer == self.settings.name {
            return;
        }
        self.links.connected(peer.clone(), hello);
        self.judge(peer);
        if let Some(pid) = self.member(peer)
            && let Some(instance) = self.instance()
        {
            instance.reconnected(pid);
        }
    }

    pub(super) fn heard(&mut self, peer: &NodeName, message: PeerMessage) {
        if !self.links.is_connected(peer) || self.is_of_other_cluster(peer) {
            if let PeerMessage::Hello(hello) = message {
                self.heard_hello(peer, hello);
            }
            return;
        }
        match message {
            PeerMessage::Hello(hello) => self.heard_hello(peer, hello),
            PeerMessage::Paxos(envelope) => self.heard_paxos(peer, *envelope),
            PeerMessage::Gap => {
                if let Some(pid) = self.member(peer)
                    && let Some(instance) = self.instance()
                {
                    instance.reconnected(pid);
                }
            }
            PeerMessage::Gone { leader } => self.heard_gone(peer, &leader),
            PeerMessage::Behind => self.fetch_from(peer),
            PeerMessage::Fetch(fetch) => self.serve(peer, fetch),
            PeerMessage::Part(part) => self.heard_part(peer, *part),
            PeerMessage::NotAMember { replaced } => self.heard_not_a_member(peer, replaced),
            PeerMessage::Lead => {
                let leads = self.leader.as_ref() == Some(peer);
                if let Some(instance) = self.instance().filter(|_| leads) {
                    instance.take_the_lead();
                }
            }
        }
    }

    /// The number under which a connected peer votes, if it is a member and has the disk of that member.
    pub(super) fn member(&self, peer: &NodeName) -> Option<Pid> {
        let member = self.cluster.as_ref()?.membership.member(peer)?;
        let hello = self.links.hello(peer)?;
        (hello.store == member.store || self.mutations.has(Mutation::ReplacedDiskVotes)).then_some(member.pid)
    }

    /// Tells a peer, not too often, that it lacks what is not in the log any more.
    fn tell_behind(&mut self, peer: &NodeName) {
        let (tick, wait) = (self.ticks, self.settings.timing.resend_ticks);
        let Some(link) = self.links.peers.get_mut(peer) else { return };
        if link.told_behind_at.is_none_or(|told| told + wait <= tick) {
            link.told_behind_at = Some(tick);
            self.send(peer, PeerMessage::Behind);
        }
    }

    fn heard_hello(&mut self, peer: &NodeName, hello: Hello) {
        if let Some(link) = self.links.peers.get_mut(peer) {
            link.hello = hello;
            self.judge(peer);
        }
    }

    /// Draws conclusions from what a peer says it is.
    fn judge(&mut self, peer: &NodeName) {
        let Some(hello) = self.links.hello(peer).cloned() else { return };
        if self.is_of_other_cluster(peer) {
            return self.notice(Notice::OtherCluster { peer: peer.clone() });
        }
        let Some(cluster) = &self.cluster else {
            if hello.cluster.is_some() {
                return self.fetch_from(peer);
            }
            if hello.servers != self.founders() {
                return self.notice(Notice::OtherServers { peer: peer.clone() });
            }
            return self.found();
        };
        let ahead = hello.cluster.is_some() && hello.configuration > cluster.membership.configuration;
        let replaced = cluster.membership.member(peer).is_some_and(|member| member.store != hello.store);
        if replaced {
            self.notice(Notice::DiskReplaced { peer: peer.clone(), store: hello.store });
        }
        if ahead {
            self.fetch_from(peer);
        }
    }

    fn is_of_other_cluster(&self, peer: &NodeName) -> bool {
        let own = self.cluster.as_ref().map(|cluster| cluster.membership.cluster);
        let theirs = self.links.hello(peer).and_then(|hello| hello.cluster);
        own.is_some() && theirs.is_some() && own != theirs
    }

    fn heard_paxos(&mut self, peer: &NodeName, envelope: Envelope) {
        let arrival = match self.links.arrival(peer, envelope.stamp, self.ticks) {
            Arrival::Late if self.mutations.has(Mutation::RepeatsTakenIn) => Arrival::InOrder,
            Arrival::Late => return,
            arrival => arrival,
        };
        self.heard_leader(peer);
        let limit = self.settings.limits.log_bytes;
        let Some(cluster) = &mut self.cluster else { return self.fetch_from(peer) };
        let own = cluster.membership.configuration;
        if envelope.configuration > own {
            return self.fetch_from(peer);
        }
        if envelope.configuration < own {
            return self.tell_behind(peer);
        }
        let Some(pid) = self.member(peer) else { return };
        let Some(instance) = self.instance() else { return };
        let message = envelope.message;
        if message.get_sender() != pid.0 || message.get_receiver() != instance.me().0 {
            return;
        }
        if arrival != Arrival::InOrder {
            instance.reconnected(pid);
        }
        let heard = instance.heard(message, limit);
        if arrival == Arrival::Gap {
            self.send(peer, PeerMessage::Gap);
        }
        if heard == Heard::PeerIsBehind {
            self.tell_behind(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::{ConfigurationId, StoreId};

    #[test]
    fn what_comes_twice_or_too_late_is_told_from_what_is_new() {
        let peer = NodeName::from("b");
        let hello = Hello {
            name: peer.clone(),
            store: StoreId(1),
            cluster: None,
            configuration: ConfigurationId(0),
            servers: [].into(),
        };
        let mut links = Links::default();
        links.connected(peer.clone(), hello);
        let mut arrive = |link, number| links.arrival(&peer, Stamp { boot: 1, link, number }, 0);
        assert_eq!(arrive(1, 0), Arrival::NewLink);
        assert_eq!(arrive(1, 1), Arrival::InOrder);
        assert_eq!(arrive(1, 1), Arrival::Late);
        assert_eq!(arrive(1, 3), Arrival::Gap);
        assert_eq!(arrive(1, 2), Arrival::Late);
        assert_eq!(arrive(1, 4), Arrival::InOrder);
        assert_eq!(arrive(3, 0), Arrival::NewLink);
        assert_eq!(arrive(1, 5), Arrival::Late);
        assert_eq!(arrive(4, 1), Arrival::Gap);
    }
}
