//! Look-ups and announcements: begun, led on by answers, ended.

use std::collections::{BTreeMap, VecDeque};

use super::{Announced, Node, Output, Purpose, RequestId, Wanted};
use crate::{
    contact::Contact,
    id::Id,
    lookup::Lookup,
    message::{Answer, Question, Stored},
};

/// What is under way, and what waits.
#[derive(Default)]
pub(super) struct Errands {
    running: BTreeMap<u64, (Errand, Lookup)>,
    announcing: BTreeMap<u64, Announcing>,
    waiting: VecDeque<(Errand, Wanted)>,
    next: u64,
}

/// What a look-up is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Somebody wants to know.
    Find(RequestId),
    /// A value is to be announced to those found; because somebody wants it, or because it is time.
    Announce(Option<RequestId>),
    /// To know whom there is.
    Refresh,
}

/// An announcement whose nodes are found.
struct Announcing {
    request: Option<RequestId>,
    open: usize,
    announced: Announced,
}

impl Errands {
    pub(super) fn len(&self) -> usize {
        self.running.len() + self.announcing.len()
    }

    pub(super) fn is_refreshing(&self) -> bool {
        self.running.values().any(|(errand, _)| *errand == Errand::Refresh)
    }
}

impl Node {
    /// Begins a look-up, or lets it wait.
    pub(super) fn begin(&mut self, errand: Errand, wanted: Wanted) {
        if self.errands.len() < self.settings.limits.lookups {
            self.start(errand, wanted);
        } else if self.errands.waiting.len() < self.settings.limits.waiting {
            self.errands.waiting.push_back((errand, wanted));
        } else {
            self.end(errand, Lookup::new(wanted, &self.settings, Vec::new(), None));
        }
    }

    /// Begins to announce a value that this node has. It is announced again from time to time, whoever else has it.
    pub(super) fn announce(&mut self, request: RequestId, key: Id) {
        if let Some(held) = self.providers.held_mut(&key) {
            held.is_origin = true;
        }
        self.begin(Errand::Announce(Some(request)), Wanted::Nodes(key));
    }

    fn start(&mut self, errand: Errand, wanted: Wanted) {
        let start = self.table.nearest(&wanted.target(), self.settings.bucket);
        let lookup = Lookup::new(wanted, &self.settings, start, self.table.spacing());
        self.table.touched(&wanted.target(), self.now);
        let number = self.errands.next;
        self.errands.next += 1;
        self.errands.running.insert(number, (errand, lookup));
        self.lead_on(number);
    }

    /// Asks whom the look-up wants to ask next, and ends it if there is nobody to ask or to wait for.
    fn lead_on(&mut self, number: u64) {
        while let Some((_, lookup)) = self.errands.running.get_mut(&number) {
            let question = match lookup.wanted() {
                Wanted::Nodes(id) => Question::FindNode(id),
                Wanted::Value { key, .. } | Wanted::Holders { key, .. } => Question::FindValue(key),
            };
            let Some(contact) = lookup.next() else { break };
            if !self.ask(contact, question, None, Purpose::Lookup(number)) {
                self.with_lookup(number, |lookup| lookup.failed(&contact));
            }
        }
        let is_done = self.errands.running.get(&number).is_some_and(|(_, lookup)| lookup.is_done());
        if is_done && let Some((errand, lookup)) = self.errands.running.remove(&number) {
            self.end(errand, lookup);
            self.start_waiting();
        }
    }

    fn start_waiting(&mut self) {
        if self.errands.len() < self.settings.limits.lookups
            && let Some((errand, wanted)) = self.errands.waiting.pop_front()
        {
            self.start(errand, wanted);
        }
    }

    /// `contact` has answered where `asked` should be.
    pub(super) fn lookup_answered(&mut self, number: u64, asked: &Contact, contact: Contact, mut answer: Answer) {
        let Some((errand, mut lookup)) = self.errands.running.remove(&number) else { return };
        let data = answer.value.as_ref().and_then(|value| value.data.as_ref());
        if data.is_some_and(|data| Id::of(data) != lookup.target()) {
            lookup.failed(asked);
            self.ban(self.settings.ids.source(&contact));
        } else {
            // Who gives the value has it, whether it says so or not.
            if let Some(value) = answer.value.as_mut().filter(|value| value.data.is_some()) {
                value.providers.push(contact);
            }
            lookup.answered(asked, &contact, answer, |named| self.is_plausible(named, contact.address));
        }
        self.errands.running.insert(number, (errand, lookup));
        self.lead_on(number);
    }

    pub(super) fn lookup_failed(&mut self, number: u64, contact: &Contact) {
        self.with_lookup(number, |lookup| lookup.failed(contact));
        self.lead_on(number);
    }

    pub(super) fn lookup_waits(&mut self, number: u64, contact: &Contact) {
        self.with_lookup(number, |lookup| lookup.slow(contact));
        self.lead_on(number);
    }

    fn with_lookup(&mut self, number: u64, change: impl FnOnce(&mut Lookup)) {
        if let Some((_, lookup)) = self.errands.running.get_mut(&number) {
            change(lookup);
        }
    }

    fn end(&mut self, errand: Errand, lookup: Lookup) {
        match errand {
            Errand::Find(request) => {
                let mut found = lookup.into_found(self.settings.replicas);
                // Some may have been found out meanwhile.
                for named in [&mut found.providers, &mut found.claim, &mut found.gave] {
                    named.retain(|contact| !self.is_banned(contact));
                }
                self.outbox.push(Output::Found { request, found });
            }
            Errand::Announce(request) => self.announce_to(request, &lookup),
            Errand::Refresh => self.look_into(None),
        }
    }

    /// Tells the nearest nodes that were found that this node has the value.
    fn announce_to(&mut self, request: Option<RequestId>, lookup: &Lookup) {
        let key = lookup.target();
        let replicas = lookup.replicas(self.settings.replicas);
        let size = self.reschedule(&key, &replicas.iter().map(|(contact, _)| *contact).collect::<Vec<_>>());
        let number = self.errands.next;
        self.errands.next += 1;
        let announcing = Announcing { request, open: 0, announced: Announced::default() };
        self.errands.announcing.insert(number, announcing);
        for (contact, token) in replicas.into_iter().filter(|_| size.is_some()) {
            let question = Question::StoreValue { key, size: size.unwrap_or_default(), data: None };
            let is_asked = self.ask(contact, question, Some(token), Purpose::Announcement(number));
            let announcing = self.errands.announcing.get_mut(&number).expect("it was just begun");
            announcing.open += usize::from(is_asked);
            announcing.announced.failed += u32::from(!is_asked);
        }
        self.end_announcement(number);
    }

    /// When the value is announced next, if it still is, and its size. None if it is not here any more.
    fn reschedule(&mut self, key: &Id, replicas: &[Contact]) -> Option<u64> {
        let held = *self.providers.held(key)?;
        let distance = self.me.id.distance(key);
        let is_near = replicas.len() < self.settings.replicas
            || replicas.iter().any(|contact| contact.id.distance(key) > distance);
        let due = (held.is_origin || is_near).then(|| self.republish_at(held.is_origin));
        self.providers.held_mut(key)?.due = held.due.and(due);
        Some(held.size)
    }

    /// What `contact` says to an announcement; `None` if it refuses or is silent.
    pub(super) fn announcement_answered(&mut self, number: u64, contact: Contact, stored: Option<Stored>) {
        let Some(announcing) = self.errands.announcing.get_mut(&number) else { return };
        announcing.open -= 1;
        match stored {
            Some(Stored::Kept | Stored::Pull) => announcing.announced.kept.push(contact),
            Some(Stored::Noted) => announcing.announced.noted.push(contact),
            None => announcing.announced.failed += 1,
        }
        self.end_announcement(number);
    }

    fn end_announcement(&mut self, number: u64) {
        if self.errands.announcing.get(&number).is_none_or(|announcing| announcing.open > 0) {
            return;
        }
        if let Some(Announcing { request: Some(request), announced, .. }) = self.errands.announcing.remove(&number) {
            self.outbox.push(Output::Announced { request, announced });
        }
        self.start_waiting();
    }
}
