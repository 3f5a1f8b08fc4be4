//! A leader whose process has ended is replaced sooner than one that is merely silent.
//!
//! Silence proves little: whoever has no processor for a while is silent, too. So an election because of it takes its time (the heartbeats
//! inside OmniPaxos). Where a process has ended, though, its machine says so if it is asked: nobody listens there any more. So a leader
//! that owes an answer is looked for ([`Output::Probe`]). If nobody is there ([`Input::Gone`](super::Input::Gone)), its followers do not
//! wait: one of them asks for promises at once, the others in turn if nothing came of that.
//!
//! A report that is wrong costs an election, and nothing else: who may lead is decided by promises, as always.

use super::{Node, output::Output};
use crate::membership::NodeName;

impl Node {
    /// Has the leader looked for if it owes an answer; campaigns for its place if it is vacant and this node's turn has come.
    pub(super) fn tick_vacancy(&mut self) {
        let Some(leader) = self.missing_leader() else {
            self.vacant_since = None;
            return;
        };
        if self.vacant_since.is_some() {
            self.campaign(&leader);
        } else {
            self.outbox.outputs.push(Output::Probe { peer: leader });
        }
    }

    /// Nothing runs any more where `peer` was.
    pub(super) fn gone(&mut self, peer: &NodeName) {
        if self.missing_leader().as_ref() == Some(peer) && self.vacant_since.is_none() {
            self.vacant_since = Some(self.ticks);
            self.campaign(peer);
        }
    }

    /// The leader, if it is another node and owes an answer.
    fn missing_leader(&self) -> Option<NodeName> {
        let leader = self.leader.as_ref().filter(|leader| **leader != self.settings.name)?;
        self.links.owes_an_answer(leader, self.ticks).then(|| leader.clone())
    }

    /// Whether the leader may turn out to be missing at the next tick.
    pub(super) fn waits_for_leader(&self) -> bool {
        let leader = self.leader.as_ref().filter(|leader| **leader != self.settings.name);
        leader.is_none_or(|leader| self.links.owes_an_answer(leader, self.ticks + 1)) && !self.leads()
    }

    /// Asks for promises, if it is this node's turn. Two that do so at the same time would hold each other up.
    fn campaign(&mut self, leader: &NodeName) {
        let (Some(since), None) = (self.vacant_since, self.hand_over_since) else { return };
        if self.ticks >= since + self.turn(leader) * TURN_TICKS
            && let Some(instance) = self.instance()
        {
            instance.take_the_lead();
            self.vacant_since = None;
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
