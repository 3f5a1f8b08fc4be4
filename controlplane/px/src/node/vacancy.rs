//! A leader whose process has ended is replaced sooner than one that is merely silent.
//!
//! Silence proves little: whoever has no processor for a while is silent, too. So an election because of it takes its time (the heartbeats
//! inside OmniPaxos). Where a process has ended, though, its machine says so if it is asked: nobody listens there any more. So a leader
//! that owes an answer is looked for ([`Output::Probe`]), and who is told that nobody is there ([`Input::Gone`](super::Input::Gone)) tells the
//! other members, who look for themselves. Once a majority was told so, they do not wait: one of them asks for promises at once, the
//! others in turn if nothing came of that.
//!
//! It takes a majority because one may be told so of a leader that is well, as by a firewall between the two, and would then take from it
//! what it leads the others in. A report that is wrong costs an election, and nothing else: who may lead is decided by promises, as always.

use std::collections::BTreeSet;

use super::{Node, message::PeerMessage, output::Output};
use crate::membership::NodeName;

/// A leader of which it is said that nobody runs there.
#[derive(Default)]
pub(super) struct Vacancy {
    /// Members whose question its machine has answered so.
    told: BTreeSet<NodeName>,
    /// Since when these are a majority, in ticks.
    since: Option<u64>,
}

impl Node {
    /// Has the leader looked for if it owes an answer; campaigns for its place if it is vacant and this node's turn has come.
    pub(super) fn tick_vacancy(&mut self) {
        self.campaign();
        let is_vacant = self.vacancy.as_ref().is_some_and(|vacancy| vacancy.since.is_some());
        if let Some(leader) = self.other_leader()
            && !is_vacant
            && self.links.owes_an_answer(&leader, self.ticks)
        {
            self.outbox.outputs.push(Output::Probe { peer: leader });
        }
    }

    /// The machine of `peer` says that nothing runs there any more.
    pub(super) fn gone(&mut self, peer: &NodeName) {
        let is_missed = self.links.owes_an_answer(peer, self.ticks) || self.vacancy.is_some();
        if self.other_leader().as_ref() != Some(peer) || !is_missed {
            return;
        }
        for other in self.links.connected_peers() {
            if other != *peer && self.member(&other).is_some() {
                self.send(&other, PeerMessage::Gone { leader: peer.clone() });
            }
        }
        self.note_told(self.settings.name.clone());
    }

    /// Another member was told so of its leader.
    pub(super) fn heard_gone(&mut self, peer: &NodeName, leader: &NodeName) {
        if self.other_leader().as_ref() != Some(leader) || peer == leader || self.member(peer).is_none() {
            return;
        }
        self.note_told(peer.clone());
        let told = self.vacancy.as_ref().map(|vacancy| &vacancy.told);
        if told.is_some_and(|told| !told.contains(&self.settings.name)) {
            self.outbox.outputs.push(Output::Probe { peer: leader.clone() });
        }
    }

    /// The leader is heard: it lives.
    pub(super) fn heard_leader(&mut self, peer: &NodeName) {
        if self.leader.as_ref() == Some(peer) {
            self.vacancy = None;
        }
    }

    /// Whether the leader may turn out to be missing at the next tick.
    pub(super) fn waits_for_leader(&self) -> bool {
        let leader = self.other_leader();
        leader.is_none_or(|leader| self.links.owes_an_answer(&leader, self.ticks + 1)) && !self.leads()
    }

    fn other_leader(&self) -> Option<NodeName> {
        self.leader.clone().filter(|leader| *leader != self.settings.name)
    }

    fn note_told(&mut self, member: NodeName) {
        let Some(cluster) = &self.cluster else { return };
        let vacancy = self.vacancy.get_or_insert_default();
        vacancy.told.insert(member);
        if 2 * vacancy.told.len() > cluster.membership.members.len() {
            vacancy.since.get_or_insert(self.ticks);
            self.campaign();
        }
    }

    /// Asks for promises, if the leader's place is vacant and it is this node's turn. Two that do so at the same time would hold each other
    /// up.
    fn campaign(&mut self) {
        let since = self.vacancy.as_ref().and_then(|vacancy| vacancy.since);
        let (Some(since), Some(leader), None) = (since, self.other_leader(), self.hand_over_since) else { return };
        if self.ticks >= since + self.turn(&leader) * TURN_TICKS
            && let Some(instance) = self.instance()
        {
            instance.take_the_lead();
            self.vacancy = None;
        }
    }

    /// How many members come before this one: those with a larger number that are there. Of two ballots that are otherwise alike the one of
    /// the larger number wins.
    fn turn(&self, leader: &NodeName) -> u64 {
        let Some(cluster) = &self.cluster else { return 0 };
        let me = cluster.membership.member(&self.settings.name).map(|member| member.pid);
        let comes_first = cluster.membership.members.iter().filter(|member| {
            Some(member.pid) > me && member.name != *leader && !self.links.owes_an_answer(&member.name, self.ticks)
        });
        comes_first.count() as u64
    }
}

/// So many ticks a candidate is given before the next one tries.
const TURN_TICKS: u64 = 2;
