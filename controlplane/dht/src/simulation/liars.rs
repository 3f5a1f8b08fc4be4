//! Nodes that lie together. They join and ping like all others, so they are known to everybody. But when they are asked for nodes they
//! name only each other, or nodes that do not exist, close by what is looked for, or those that should be found, but each at a wrong
//! address or under a wrong id; they claim to keep what they are offered, to have whatever is looked for, and that others of them have it, too.

use proptest::prelude::{Rng, RngExt};

use super::{Network, network::address};
use crate::{
    contact::Contact,
    id::Id,
    message::{Answer, Known, Message, Question, Stored},
};

impl Network {
    /// What a liar says instead of `message`.
    pub(super) fn twisted(&mut self, liar: usize, message: Message) -> Message {
        let Message::Answer(answer) = message else { return message };
        let (target, is_value) = match self.hosts[liar].asked.remove(&answer.magic) {
            Some(Question::FindNode(target)) => (target, false),
            Some(Question::FindValue(target)) => (target, true),
            Some(Question::StoreValue { .. }) => {
                return Message::Answer(Answer { stored: Some(Stored::Kept), ..answer });
            }
            Some(Question::Ping) | None => return Message::Answer(answer),
        };
        let nodes = match self.random.random_range(0..3) {
            0 => nearest(&self.liars, &target),
            1 => (0..NAMED).map(|_| self.invention(&target)).collect(),
            _ => self.slander(&target),
        };
        let providers = vec![self.hosts[liar].contact, nodes[0]];
        let value = is_value.then_some(Known { providers, count: 2, data: None });
        Message::Answer(Answer { nodes, value, ..answer })
    }

    fn invention(&mut self, target: &Id) -> Contact {
        let mut id = *target;
        self.random.fill_bytes(&mut id.0[8..]);
        Contact { id, address: address(NOBODY + self.random.random_range(0..1_000_000)) }
    }

    /// The honest nodes that are nearest: every other one where nobody is, the rest where they are, but with ids that are nearer.
    fn slander(&mut self, target: &Id) -> Vec<Contact> {
        if self.slandered.is_empty() {
            let honest = self.hosts.iter().filter(|host| !host.is_liar && host.node.is_some());
            self.slandered = honest.map(|host| host.contact).collect();
            self.slandered.sort_by_key(|contact| contact.id);
        }
        let mut named = nearest(&self.slandered, target);
        for (at, contact) in named.iter_mut().enumerate() {
            let invention = self.invention(target);
            if at % 2 == 0 { contact.address = invention.address } else { contact.id = invention.id }
        }
        named
    }
}

/// Those that are nearest to `target` of some, which are in the order of their ids.
fn nearest(sorted: &[Contact], target: &Id) -> Vec<Contact> {
    let at = sorted.partition_point(|contact| contact.id < *target);
    let around = at.saturating_sub(16)..sorted.len().min(at + 16);
    let mut nearest = sorted[around].to_vec();
    nearest.sort_by_key(|contact| contact.id.distance(target));
    nearest.truncate(NAMED);
    nearest
}

/// Contacts that an answer names.
const NAMED: usize = 7;
/// Hosts from here on do not exist.
const NOBODY: usize = 10_000_000;
