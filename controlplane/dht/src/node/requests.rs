//! The node's own queries: sent, sent again, answered, given up.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use photongate_wire::Nanos;

use super::{IdRule, Node, Output, Source};
use crate::{
    contact::Contact,
    id::Id,
    message::{Answer, ErrorReply, Magic, Message, Query, Question, Token},
};

/// The queries under way.
#[derive(Default)]
pub(super) struct Requests {
    pending: BTreeMap<Magic, Pending>,
    /// When to look at which. Of what was answered meanwhile it may have some, too, but never at the front.
    deadlines: VecDeque<(Nanos, Magic)>,
    pings: usize,
}

/// A query under way.
pub(super) struct Pending {
    pub(super) to: SocketAddr,
    /// Who should be there.
    pub(super) expected: Option<Id>,
    pub(super) purpose: Purpose,
    query: Query,
    attach: Option<Id>,
    sent: u32,
}

/// What a query is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To find out whether somebody is there, and who.
    Ping,
    /// For the look-up of that number.
    Lookup(u64),
    /// For the announcement of that number.
    Announcement(u64),
}

impl Pending {
    /// Who was asked, if that was known.
    pub(super) fn contact(&self) -> Option<Contact> {
        self.expected.map(|id| Contact { id, address: self.to })
    }
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        self.deadlines.front().map(|(at, _)| *at)
    }

    fn take(&mut self, magic: Magic, from: SocketAddr) -> Option<Pending> {
        self.pending.get(&magic).filter(|pending| pending.to == from)?;
        self.remove(magic)
    }

    fn remove(&mut self, magic: Magic) -> Option<Pending> {
        let pending = self.pending.remove(&magic)?;
        self.pings -= usize::from(pending.purpose == Purpose::Ping);
        while self.deadlines.front().is_some_and(|(_, magic)| !self.pending.contains_key(magic)) {
            self.deadlines.pop_front();
        }
        Some(pending)
    }
}

impl Node {
    /// Asks `contact`. Whether that is possible now.
    #[must_use]
    pub(super) fn ask(&mut self, contact: Contact, question: Question, token: Option<Token>, purpose: Purpose) -> bool {
        self.send_query(contact.address, Some(contact.id), question, token, purpose)
    }

    /// Asks whoever is at `address` who it is. If there is no room for that now it is as if nobody answered.
    pub(super) fn ask_stranger(&mut self, address: SocketAddr) {
        self.send_query(address, None, Question::Ping, None, Purpose::Ping);
    }

    /// Asks whether `contact` is there, unless many are asked just now: whoever is worth knowing comes again.
    pub(super) fn ping(&mut self, contact: Contact) {
        let is_asked = || self.requests.pending.values().any(|pending| pending.to == contact.address);
        if self.requests.pings < MOST_PINGS && !is_asked() {
            self.send_query(contact.address, Some(contact.id), Question::Ping, None, Purpose::Ping);
        }
    }

    fn send_query(
        &mut self,
        to: SocketAddr,
        expected: Option<Id>,
        question: Question,
        token: Option<Token>,
        purpose: Purpose,
    ) -> bool {
        // Who is a stranger still is known by its address at most.
        let proven = expected.filter(|_| self.settings.ids == IdRule::Certificate);
        let is_banned = self.bans.is_banned(Source { address: to, proven }.who(), self.now);
        if self.requests.pending.len() >= self.settings.limits.pending || is_banned {
            return false;
        }
        let magic = Magic(self.random_word());
        let padded = match question {
            Question::FindNode(_) | Question::FindValue(_) => self.settings.ids != IdRule::Certificate,
            Question::Ping | Question::StoreValue { .. } => false,
        };
        let query = Query { magic, requestor: self.me, question, token, padded };
        let attach = self.small_enough(&query);
        self.requests.pings += usize::from(purpose == Purpose::Ping);
        self.requests.deadlines.push_back((self.now.saturating_add(self.settings.timing.answer), magic));
        self.outbox.push(Output::Send { to, message: Message::Query(query.clone()), attach });
        self.requests.pending.insert(magic, Pending { to, expected, purpose, query, attach, sent: 1 });
        true
    }

    /// The key of the value that a `store_value` can carry.
    fn small_enough(&self, query: &Query) -> Option<Id> {
        let Question::StoreValue { key, size, .. } = query.question else { return None };
        self.fits(&Message::Query(query.clone()), size, self.settings.limits.datagram).then_some(key)
    }

    pub(super) fn answer(&mut self, from: &Source, answer: Answer) {
        let Some(pending) = self.requests.take(answer.magic, from.address) else { return };
        let contact = Contact { id: answer.id, address: pending.to };
        if !self.may_have_id(from, answer.id) || contact.id == self.me.id {
            self.failed(&pending);
            return;
        }
        let asked = pending.contact().unwrap_or(contact);
        let is_another = asked.id != contact.id;
        // Whoever is there now, it is not who should be; but it may be worth knowing.
        if is_another {
            self.is_gone(&asked);
            self.met(contact);
        } else {
            self.heard(contact);
        }
        match pending.purpose {
            Purpose::Ping => {}
            Purpose::Lookup(number) => self.lookup_answered(number, &asked, contact, answer),
            Purpose::Announcement(number) => {
                self.announcement_answered(number, asked, answer.stored.filter(|_| !is_another));
            }
        }
    }

    pub(super) fn error(&mut self, from: &Source, error: ErrorReply) {
        let Some(pending) = error.magic.and_then(|magic| self.requests.take(magic, from.address)) else { return };
        // Who refuses lives.
        match (pending.purpose, pending.contact()) {
            (Purpose::Lookup(number), Some(contact)) => self.lookup_failed(number, &contact),
            (Purpose::Announcement(number), Some(contact)) => self.announcement_answered(number, contact, None),
            (Purpose::Ping, _) | (_, None) => {}
        }
    }

    /// Sends again what was not answered in time, and gives up what was not answered then.
    pub(super) fn time_out(&mut self) {
        while let Some((_, magic)) = self.requests.deadlines.pop_front_if(|(at, _)| *at <= self.now) {
            let Some(pending) = self.requests.pending.get_mut(&magic) else { continue };
            if pending.sent >= self.settings.timing.attempts {
                let pending = self.requests.remove(magic).expect("it was just looked at");
                self.failed(&pending);
                continue;
            }
            pending.sent += 1;
            let message = Message::Query(pending.query.clone());
            self.outbox.push(Output::Send { to: pending.to, message, attach: pending.attach });
            self.requests.deadlines.push_back((self.now.saturating_add(self.settings.timing.answer), magic));
            let (purpose, contact) = (pending.purpose, pending.contact());
            if let (Purpose::Lookup(number), Some(contact)) = (purpose, contact) {
                self.lookup_waits(number, &contact);
            }
        }
    }

    pub(super) fn unreachable(&mut self, address: SocketAddr) {
        let address = super::canonical(address);
        let to_it = self.requests.pending.iter().filter(|(_, pending)| pending.to == address);
        let magics: Vec<_> = to_it.map(|(magic, _)| *magic).collect();
        for magic in magics {
            if let Some(pending) = self.requests.remove(magic) {
                self.failed(&pending);
            }
        }
    }

    fn failed(&mut self, pending: &Pending) {
        let Some(contact) = pending.contact() else { return };
        self.is_gone(&contact);
        match pending.purpose {
            Purpose::Ping => {}
            Purpose::Lookup(number) => self.lookup_failed(number, &contact),
            Purpose::Announcement(number) => self.announcement_answered(number, contact, None),
        }
    }

    fn is_gone(&mut self, contact: &Contact) {
        if let Some(waiting) = self.table.silent(contact) {
            self.ping(waiting);
        }
    }

    /// Whether who sent something may have the id that it claims.
    pub(super) fn may_have_id(&self, from: &Source, id: Id) -> bool {
        match self.settings.ids {
            IdRule::Free => true,
            IdRule::Address => id.fits(from.address.ip()),
            IdRule::Certificate => from.proven == Some(id),
        }
    }
}

/// Pings under way, so that nobody can make the node ping everybody.
const MOST_PINGS: usize = 32;
