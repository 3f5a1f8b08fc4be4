//! What the node answers to the queries of others.

use super::{Held, IdRule, Node, Output, Source};
use crate::{
    contact::Contact,
    id::Id,
    message::{Answer, Complaint, DATA_FIELD, ErrorReply, Known, Message, Query, Question, Stored},
};

impl Node {
    /// Answers a query of `bytes` bytes, and takes note of who asks.
    pub(super) fn query(&mut self, from: &Source, bytes: usize, query: Query) {
        let asks = self.requestor(from, &query);
        if asks.id == self.me.id {
            return;
        }
        let magic = query.magic;
        let is_proven = from.proven.is_some() || query.token.is_some_and(|token| self.tokens.is_valid(&token, from));
        let room = if is_proven { self.settings.limits.datagram } else { self.settings.limits.datagram.min(3 * bytes) };
        let bare = Answer { magic, id: self.me.id, nodes: Vec::new(), token: None, value: None, stored: None };
        let answered = match query.question {
            _ if !self.may_have_id(from, asks.id) => Err(Complaint::Id),
            Question::Ping => Ok((bare, None)),
            Question::FindNode(target) => Ok((self.nodes_near(&target, &asks, from, room, bare), None)),
            Question::FindValue(key) => Ok(self.who_has(&key, &asks, from, room, bare)),
            Question::StoreValue { .. } if !is_proven => Err(Complaint::Token),
            Question::StoreValue { key, size, data } => {
                self.offered(key, size, data, asks).map(|stored| (Answer { stored: Some(stored), ..bare }, None))
            }
        };
        let (message, attach) = match answered {
            Ok((answer, attach)) => (Message::Answer(answer), attach),
            Err(complaint) => (Message::Error(ErrorReply { magic: Some(magic), complaint }), None),
        };
        let is_heard = !matches!(message, Message::Error(_)) && !self.bans.is_banned(from.who(), self.now);
        self.outbox.push(Output::Send { to: from.address, message, attach });
        if is_heard && is_proven && self.table.knows(&asks) {
            self.heard(asks);
        } else if is_heard {
            self.met(asks);
        }
    }

    /// Somebody claims to be there: it is pinged if there is a place for it.
    pub(super) fn met(&mut self, contact: Contact) {
        if self.is_plausible(&contact, contact.address) && self.table.should_ping(contact) {
            self.ping(contact);
        }
    }

    /// Who asks. Its address is where the query came from, but with certificates the port is the one where it says it listens: it may
    /// have asked from another.
    fn requestor(&self, from: &Source, query: &Query) -> Contact {
        let mut address = from.address;
        if self.settings.ids == IdRule::Certificate {
            address.set_port(query.requestor.address.port());
        }
        Contact { id: query.requestor.id, address }
    }

    fn nodes_near(&self, target: &Id, asks: &Contact, from: &Source, room: usize, bare: Answer) -> Answer {
        let mut nodes = self.table.nearest(target, MOST_NODES + 1);
        nodes.retain(|contact| contact.id != asks.id);
        nodes.truncate(MOST_NODES);
        let mut answer = Answer { nodes, token: Some(self.tokens.give(from)), ..bare };
        while answer.most_bytes() > room && answer.nodes.pop().is_some() {}
        answer
    }

    /// Who has the value, as far as this node knows; with the key of the value if it is here and small enough to go along.
    fn who_has(&mut self, key: &Id, asks: &Contact, from: &Source, room: usize, bare: Answer) -> (Answer, Option<Id>) {
        let held = self.providers.held(key).copied();
        let anywhere = self.random_word() as usize;
        let (mut providers, others) = self.providers.others(key, MOST_PROVIDERS, anywhere);
        let count = u32::try_from(others + usize::from(held.is_some())).unwrap_or(u32::MAX);
        if count == 0 {
            return (self.nodes_near(key, asks, from, room, bare), None);
        }
        if let Some(Held { size, .. }) = held {
            let known = Known { providers: vec![self.me], count, data: None };
            let small = Answer { token: Some(self.tokens.give(from)), value: Some(known), ..bare.clone() };
            let message = Message::Answer(small);
            if self.fits(&message, size, room)
                && let Message::Answer(small) = message
            {
                return (small, Some(*key));
            }
            providers.insert(0, self.me);
        }
        providers.retain(|contact| contact.id != asks.id);
        providers.truncate(MOST_PROVIDERS);
        (
            self.nodes_near(
                key,
                asks,
                from,
                room,
                Answer { value: Some(Known { providers, count, data: None }), ..bare },
            ),
            None,
        )
    }

    /// Somebody has a value and thinks it should be here, too.
    fn offered(&mut self, key: Id, size: u64, data: Option<Vec<u8>>, by: Contact) -> Result<Stored, Complaint> {
        if size > self.settings.limits.value {
            return Err(Complaint::TooLarge);
        }
        if data.as_ref().is_some_and(|data| data.len() as u64 != size || Id::of(data) != key) {
            self.ban(self.settings.ids.source(&by));
            return Err(Complaint::WrongHash);
        }
        let expires = self.now.saturating_add(self.settings.timing.expiry);
        let share = self.settings.ids.source(&by).who();
        self.providers.announced(key, by, share, expires).map_err(|_| Complaint::Quota)?;
        if let Some(Held { is_origin, .. }) = self.providers.held(&key).copied() {
            // Another one just announced it to all, so this node need not for a while. And it is thought to be near: so it should again.
            let due = self.republish_at(is_origin);
            if let Some(held) = self.providers.held_mut(&key).filter(|held| !held.is_origin) {
                held.due = Some(due);
            }
            return Ok(Stored::Kept);
        }
        if self.arriving.contains_key(&key) {
            return Ok(Stored::Pull);
        }
        if self.arriving.len() >= self.settings.limits.pulls || !self.is_near(&key) {
            return Ok(Stored::Noted);
        }
        self.providers.charge(&key, &by, share, size).map_err(|_| Complaint::Quota)?;
        self.arriving.insert(key, self.now);
        Ok(match data {
            Some(data) => {
                self.outbox.push(Output::Store { key, data });
                Stored::Kept
            }
            None => {
                self.outbox.push(Output::Pull { key, size, from: by, share });
                Stored::Pull
            }
        })
    }

    /// Whether this node may be among the nearest to a key. Those who announce may know others, so it takes that not too strictly.
    fn is_near(&self, key: &Id) -> bool {
        let nearest = self.table.nearest(key, 2 * self.settings.replicas);
        let distance = self.me.id.distance(key);
        nearest.len() < 2 * self.settings.replicas
            || nearest.last().is_some_and(|contact| contact.id.distance(key) > distance)
    }

    /// Whether a value of `size` bytes finds room in a message beside what is there.
    pub(super) fn fits(&self, message: &Message, size: u64, room: usize) -> bool {
        let base64 = size.div_ceil(3).saturating_mul(4);
        let left = room.checked_sub(message.encode().len() + DATA_FIELD);
        left.is_some_and(|left| base64 <= left as u64)
    }
}

/// Nodes in an answer.
const MOST_NODES: usize = 7;
/// Providers in an answer.
const MOST_PROVIDERS: usize = 4;
