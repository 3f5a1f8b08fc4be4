//! An iterative look-up: whom to ask next, and what has been found.
//!
//! The candidates are shared out among several *paths*. A path asks the nearest candidate of its own, one at a time, and gets those that
//! the answers name; no node belongs to two. So a node that leads astray leads one path astray. When the paths have come to their ends,
//! the nearest nodes of all are asked that are left. A node that lets a query wait is passed over, but may still answer.
//!
//! Nor does one path's word hide a node from the others: where one is told of an id at another address, or of an address under another id,
//! both are tried. Who answers is believed about itself, under whichever id it was asked.
//!
//! The end is reached when the nearest candidates that are not silent have all answered. Are those much farther from the target than nodes
//! usually are from each other, somebody conceals nearer ones: then more are asked. So they are if too many of the nearest share a network,
//! where a value is to be stored.

#[cfg(test)]
mod tests;

use crate::{
    contact::Contact,
    id::{Distance, Id},
    message::{Answer, Token},
    node::{Found, Settings, Wanted},
    table::prefix,
};

/// A look-up under way.
pub(crate) struct Lookup {
    wanted: Wanted,
    /// Nearest first.
    candidates: Vec<Candidate>,
    paths: usize,
    /// How many of the nearest must have answered.
    width: usize,
    /// On how many nodes a value is stored.
    copies: usize,
    /// How many nodes of one network may store a value.
    of_one_prefix: Option<usize>,
    most_queries: u32,
    /// How far apart nodes usually are: the upper half of the distance, divided by the number of nodes within it.
    spacing: Option<u128>,
    providers: Vec<Contact>,
    claim: Vec<Contact>,
    gave: Vec<Contact>,
    /// How many answers named providers.
    witnesses: usize,
    count: u32,
    data: Option<Vec<u8>>,
    hops: Option<u32>,
    queries: u32,
}

struct Candidate {
    contact: Contact,
    distance: Distance,
    path: usize,
    /// Queries one after the other that lead to it, its own counted.
    depth: u32,
    state: State,
    token: Option<Token>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fresh,
    Asked,
    /// Asked, and waited for in vain so far.
    Slow,
    Answered,
    Failed,
}

impl Lookup {
    /// A look-up that begins with the contacts `start`. `spacing` is how far apart nodes usually are, if that is known.
    pub(crate) fn new(wanted: Wanted, settings: &Settings, start: Vec<Contact>, spacing: Option<u128>) -> Self {
        let mut lookup = Self {
            wanted,
            candidates: Vec::new(),
            paths: settings.paths,
            width: settings.replicas,
            copies: settings.replicas,
            of_one_prefix: settings.prefixes.bucket,
            most_queries: u32::try_from(settings.limits.queries).unwrap_or(u32::MAX),
            spacing,
            providers: Vec::new(),
            claim: Vec::new(),
            gave: Vec::new(),
            witnesses: 0,
            count: 0,
            data: None,
            hops: None,
            queries: 0,
        };
        for (at, contact) in start.into_iter().enumerate() {
            lookup.add(contact, at % settings.paths, 1);
        }
        lookup
    }

    pub(crate) fn target(&self) -> Id {
        self.wanted.target()
    }

    pub(crate) fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// Whom to ask next. To be asked until it says nobody.
    pub(crate) fn next(&mut self) -> Option<Contact> {
        let at = loop {
            if self.is_satisfied() || self.queries >= self.most_queries {
                return None;
            }
            let next = (0..self.paths).find_map(|path| self.next_of_path(path)).or_else(|| self.next_of_all());
            match next {
                Some(at) => break at,
                None if self.waits() || !self.should_widen() => return None,
                None => self.width *= 2,
            }
        };
        self.candidates[at].state = State::Asked;
        self.queries += 1;
        Some(self.candidates[at].contact)
    }

    /// The path's nearest that was not asked, unless the path waits for an answer or has come to its end.
    fn next_of_path(&self, path: usize) -> Option<usize> {
        let own = || self.candidates.iter().enumerate().filter(move |(_, candidate)| candidate.path == path);
        if own().any(|(_, candidate)| candidate.state == State::Asked) {
            return None;
        }
        let width = self.width.div_ceil(self.paths) + 1;
        let mut nearest = own().filter(|(_, candidate)| candidate.state != State::Failed).take(width);
        nearest.find(|(_, candidate)| candidate.state == State::Fresh).map(|(at, _)| at)
    }

    fn next_of_all(&self) -> Option<usize> {
        if self.candidates.iter().filter(|candidate| candidate.state == State::Asked).count() >= self.paths {
            return None;
        }
        let all = self.candidates.iter().enumerate();
        let mut nearest = all.filter(|(_, candidate)| candidate.state != State::Failed).take(self.width);
        nearest.find(|(_, candidate)| candidate.state == State::Fresh).map(|(at, _)| at)
    }

    /// Where `asked` should be, `contact` has answered, which is the same unless somebody told of a wrong id. Takes in what it names, if
    /// `is_plausible`.
    pub(crate) fn answered(
        &mut self,
        asked: &Contact,
        contact: &Contact,
        answer: Answer,
        is_plausible: impl Fn(&Contact) -> bool,
    ) {
        let Ok(at) = self.position(asked) else { return };
        let Candidate { path, depth, .. } = self.candidates[at];
        self.refute_others_at(contact);
        let at = self.position(contact).unwrap_or_else(|at| self.insert(at, *contact, path, depth));
        let candidate = &mut self.candidates[at];
        if candidate.state == State::Answered {
            return;
        }
        candidate.state = State::Answered;
        candidate.token = answer.token;
        if let Some(value) = answer.value {
            self.hops.get_or_insert(depth);
            self.witnesses += 1;
            self.count = self.count.max(value.count);
            let claims = value.providers.iter().any(|provider| provider.id == contact.id);
            self.claim.extend(claims.then_some(*contact));
            self.gave.extend(value.data.is_some().then_some(*contact));
            self.data = self.data.take().or(value.data);
            for provider in value.providers.into_iter().take(MOST_NAMED) {
                let provider = if provider.id == contact.id { *contact } else { provider };
                if self.providers.len() < MOST_PROVIDERS
                    && !self.providers.contains(&provider)
                    && is_plausible(&provider)
                {
                    self.providers.push(provider);
                }
            }
        }
        for named in answer.nodes.into_iter().take(MOST_NAMED).filter(is_plausible) {
            self.add(named, path, depth + 1);
        }
    }

    /// `contact` will not answer.
    pub(crate) fn failed(&mut self, contact: &Contact) {
        self.set(contact, State::Failed);
    }

    /// `contact` has not answered so far: somebody else may be asked meanwhile.
    pub(crate) fn slow(&mut self, contact: &Contact) {
        self.set(contact, State::Slow);
    }

    /// Whether nobody is left to wait for, once [`next`](Self::next) says nobody.
    pub(crate) fn is_done(&self) -> bool {
        self.is_satisfied() || !self.waits()
    }

    /// The nearest that answered, and what was found.
    pub(crate) fn into_found(self, nearest: usize) -> Found {
        let mut answered = self.candidates.iter().filter(|candidate| candidate.state == State::Answered).peekable();
        let hops = self.hops.or_else(|| answered.peek().map(|candidate| candidate.depth));
        Found {
            nearest: answered.map(|candidate| candidate.contact).take(nearest).collect(),
            hops: hops.unwrap_or(0),
            providers: self.providers,
            claim: self.claim,
            gave: self.gave,
            count: self.count,
            data: self.data,
            queries: self.queries,
        }
    }

    /// The `count` nearest that gave a token, but of one network no more than are allowed in a bucket.
    pub(crate) fn replicas(&self, count: usize) -> Vec<(Contact, Token)> {
        let mut replicas: Vec<(Contact, Token)> = Vec::with_capacity(count);
        for candidate in self.candidates.iter().filter(|candidate| candidate.state == State::Answered) {
            let network = |contact: &Contact| prefix(contact.address.ip());
            let alike = |(other, _): &&(Contact, Token)| network(other) == network(&candidate.contact);
            let is_diverse = self.of_one_prefix.is_none_or(|limit| replicas.iter().filter(alike).count() < limit);
            if let (Some(token), true, true) = (candidate.token, is_diverse, replicas.len() < count) {
                replicas.push((candidate.contact, token));
            }
        }
        replicas
    }

    /// Whether an answer is under way that counts.
    fn waits(&self) -> bool {
        let mut nearest = self.candidates.iter().filter(|candidate| candidate.state != State::Failed).take(self.width);
        let is_full = self.queries >= self.most_queries;
        self.candidates.iter().any(|candidate| candidate.state == State::Asked)
            || !is_full && nearest.any(|candidate| candidate.state == State::Slow)
    }

    fn is_satisfied(&self) -> bool {
        match self.wanted {
            Wanted::Nodes(_) => false,
            Wanted::Value { providers, .. } => self.data.is_some() || self.names(providers),
            Wanted::Holders { providers, .. } => self.names(providers),
        }
    }

    /// Whether so many are known to have the value.
    fn names(&self, providers: usize) -> bool {
        self.witnesses >= WITNESSES && self.providers.len() >= providers
    }

    /// Whether the answers so far are too few, or from too far away, to be all there is.
    fn should_widen(&self) -> bool {
        if self.width >= self.copies * WIDEST {
            return false;
        }
        let mut live = self.candidates.iter().filter(|candidate| candidate.state == State::Answered);
        let misses = !matches!(self.wanted, Wanted::Nodes(_)) && self.providers.is_empty();
        let is_sparse = live.nth(self.width - 1).zip(self.spacing).is_some_and(|(last, spacing)| {
            last.distance.high > spacing.saturating_mul((self.width * SUSPICIOUS) as u128)
        });
        misses || is_sparse || self.is_one_sided()
    }

    /// Whether those that could store a value are fewer than there would be if they were of several networks.
    fn is_one_sided(&self) -> bool {
        let is_for_nodes = matches!(self.wanted, Wanted::Nodes(_));
        is_for_nodes && self.of_one_prefix.is_some() && self.replicas(self.copies).len() < self.copies
    }

    /// Takes in somebody that was told of, unless the same path has told otherwise, or the one who is there.
    fn add(&mut self, contact: Contact, path: usize, depth: u32) {
        let Err(at) = self.position(&contact) else { return };
        let is_out = self.candidates.iter().any(|known| {
            let (has_id, is_there) = (known.contact.id == contact.id, known.contact.address == contact.address);
            is_there && known.state == State::Answered || (has_id || is_there) && known.path == path
        });
        if is_out {
            return;
        }
        if self.candidates.len() >= MOST_CANDIDATES {
            let last = self.candidates.iter().rposition(|candidate| candidate.state == State::Fresh);
            let Some(last) = last.filter(|last| *last >= at) else { return };
            self.candidates.remove(last);
        }
        self.insert(at, contact, path, depth);
    }

    fn insert(&mut self, at: usize, contact: Contact, path: usize, depth: u32) -> usize {
        let distance = contact.id.distance(&self.target());
        self.candidates.insert(at, Candidate { contact, distance, path, depth, state: State::Fresh, token: None });
        at
    }

    /// Nobody but `contact` is where it is.
    fn refute_others_at(&mut self, contact: &Contact) {
        let is_there = |candidate: &&mut Candidate| candidate.contact.address == contact.address;
        for other in self.candidates.iter_mut().filter(is_there).filter(|other| other.contact.id != contact.id) {
            other.state = State::Failed;
        }
    }

    fn set(&mut self, contact: &Contact, state: State) {
        if let Ok(at) = self.position(contact)
            && self.candidates[at].state != State::Answered
        {
            self.candidates[at].state = state;
        }
    }

    /// Where somebody is among the candidates, or would be.
    fn position(&self, contact: &Contact) -> Result<usize, usize> {
        let key = (contact.id.distance(&self.target()), contact.address);
        self.candidates.binary_search_by_key(&key, |candidate| (candidate.distance, candidate.contact.address))
    }
}

/// How many times as many nodes as store a value are asked, if need be.
const WIDEST: usize = 4;
/// Contacts of one answer that are looked at: more do not fit into a datagram anyway.
const MOST_NAMED: usize = 16;
/// Candidates that are remembered.
const MOST_CANDIDATES: usize = 256;
/// Providers that are remembered.
const MOST_PROVIDERS: usize = 128;
/// So many answers must name providers before that is enough: one could be a lie.
const WITNESSES: usize = 2;
/// The nearest nodes are suspiciously far if they are so many times as far as expected.
const SUSPICIOUS: usize = 4;
