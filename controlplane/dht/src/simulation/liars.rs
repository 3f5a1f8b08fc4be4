//! Nodes that lie together. They join and ping like all others, so they are known to everybody. But when they are asked for nodes they
//! name only each other, or nodes that do not exist, close by what is looked for; they claim to keep what they are offered, to have
//! whatever is looked for, and that others of them have it, too.

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
        let nodes = if self.random.random_bool(0.5) { self.nearest_liars(&target) } else { self.inventions(&target) };
        let providers = vec![self.hosts[liar].contact, nodes[0]];
        let value = is_value.then_some(Known { providers, count: 2, data: None });
        Message::Answer(Answer { nodes, value, ..answer })
    }

    fn nearest_liars(&self, target: &Id) -> Vec<Contact> {
        let at = self.liars.partition_point(|liar| liar.id < *target);
        let around = at.saturating_sub(16)..self.liars.len().min(at + 16);
        let mut nearest = self.liars[around].to_vec();
        nearest.sort_by_key(|liar| liar.id.distance(target));
        nearest.truncate(7);
        nearest
    }

    fn inventions(&mut self, target: &Id) -> Vec<Contact> {
        let mut invented = |_| {
            let mut id = *target;
            self.random.fill_bytes(&mut id.0[8..]);
            Contact { id, address: address(NOBODY + self.random.random_range(0..1_000_000)) }
        };
        (0..7).map(&mut invented).collect()
    }
}

/// Hosts from here on do not exist.
const NOBODY: usize = 10_000_000;
