//! The pure node: it is told what happened and says what to do. It has no socket, disk, clock or randomness of its own.
//!
//! - `requests`: its own queries, matched to answers by magic and address, sent again, given up.
//! - `serving`: what it answers to the queries of others.
//! - `errands`: look-ups and announcements.
//! - `upkeep`: what is due from time to time.
//!
//! Around them: whom it knows (`table`), who has which value (`providers`), whom it does not hear (`bans`).

mod bans;
mod errands;
pub mod input;
pub mod output;
mod requests;
mod serving;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod upkeep;

use std::{collections::BTreeMap, net::SocketAddr};

use photongate_wire::Nanos;

pub use bans::Who;
pub use input::{Input, RequestId, Source, Wanted};
pub use output::{Announced, Found, Notice, Output};
pub use settings::{IdRule, Limits, PrefixLimits, Settings, Timing};
pub use status::Status;

use crate::{
    contact::Contact,
    id::Id,
    message::Message,
    providers::{Held, Providers},
    table::{Heard, Table},
    token::Tokens,
};
use bans::Bans;
use errands::{Errand, Errands};
use requests::{Purpose, Requests};

/// One node of the network.
pub struct Node {
    settings: Settings,
    me: Contact,
    random: Random,
    now: Nanos,
    table: Table,
    tokens: Tokens,
    providers: Providers,
    bans: Bans,
    requests: Requests,
    errands: Errands,
    /// Values that were announced and that are being fetched or stored, and since when.
    arriving: BTreeMap<Id, Nanos>,
    is_joined: bool,
    upkeep_at: Option<Nanos>,
    looked_around: Option<Nanos>,
    outbox: Vec<Output>,
}

impl Node {
    /// A node that knows nobody yet. `me` is what it says of itself; an address of all zeroes is understood as the one it sends from.
    #[must_use]
    pub fn new(settings: Settings, me: Contact, mut random: Random) -> Self {
        Self {
            settings,
            me,
            now: Nanos(0),
            table: Table::new(me.id, &settings),
            tokens: Tokens::new(&mut random),
            random,
            providers: Providers::new(settings.limits),
            bans: Bans::new(settings.limits.bans),
            requests: Requests::default(),
            errands: Errands::default(),
            arriving: BTreeMap::new(),
            is_joined: false,
            upkeep_at: None,
            looked_around: None,
            outbox: Vec::new(),
        }
    }

    /// Takes in what happened, and adds to `outputs` what is to be done about it. `now` counts from any moment, and never backwards.
    pub fn handle(&mut self, now: Nanos, input: Input, outputs: &mut Vec<Output>) {
        self.now = now.max(self.now);
        match input {
            Input::Message { from, bytes, message } => self.received(from, bytes, message),
            Input::Connected(contact) => self.met(contact),
            Input::Unreachable(address) => self.unreachable(address),
            Input::Bootstrap(addresses) => self.bootstrap(addresses),
            Input::Find { request, wanted } => self.begin(Errand::Find(request), wanted),
            Input::Announce { request, key } => self.announce(request, key),
            Input::Held { key, size, republish } => self.hold(key, size, republish),
            Input::Dropped(key) => {
                self.arriving.remove(&key);
                self.providers.drop_held(&key);
            }
            Input::Ban(source) => self.ban(source),
            Input::Wake => {}
        }
        self.time_out();
        self.look_after();
        outputs.append(&mut self.outbox);
    }

    /// When [`Input::Wake`] is due, if nothing happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Nanos> {
        self.requests.next_deadline().into_iter().chain(self.upkeep_at).min()
    }

    /// The nodes it knows and that were not silent, those farthest from it first: to be remembered for the next start.
    pub fn contacts(&self) -> impl Iterator<Item = Contact> {
        self.table.contacts()
    }

    fn received(&mut self, from: Source, bytes: usize, message: Message) {
        let from = Source { address: canonical(from.address), ..from };
        if self.bans.is_banned(from.who(), self.now) {
            return;
        }
        match message {
            Message::Query(query) => self.query(&from, bytes, query),
            Message::Answer(answer) => self.answer(&from, answer),
            Message::Error(error) => self.error(&from, error),
        }
    }

    fn bootstrap(&mut self, addresses: Vec<SocketAddr>) {
        let me = self.me.address;
        for address in addresses.into_iter().map(canonical).filter(|address| *address != me) {
            self.ask_stranger(address);
        }
    }

    fn hold(&mut self, key: Id, size: u64, republish: bool) {
        let was_announced = self.arriving.remove(&key).is_some();
        let is_origin = self.providers.held(&key).is_some_and(|held| held.is_origin);
        // What is there from an earlier run is announced at any time from now on, or all of it would be at once.
        let due =
            if was_announced { self.republish_at(is_origin) } else { self.within(self.settings.timing.republish) };
        self.providers.hold(key, Held { size, due: republish.then_some(due), is_origin });
    }

    fn ban(&mut self, source: Source) {
        let source = Source { address: canonical(source.address), ..source };
        let (who, ids) = (source.who(), self.settings.ids);
        self.bans.ban(who, self.now, self.now.saturating_add(self.settings.timing.ban));
        self.table.remove(|other| ids.source(other).who() == who);
        self.providers.remove(|other| ids.source(other).who() == who);
        self.notice(Notice::Banned(source));
    }

    fn is_banned(&self, contact: &Contact) -> bool {
        self.bans.is_banned(self.settings.ids.source(contact).who(), self.now)
    }

    /// A contact has answered from its address: it gets its place if there is one.
    fn heard(&mut self, contact: Contact) {
        match self.table.answered(contact, self.now) {
            Heard::Placed => {
                if !self.is_joined {
                    self.is_joined = true;
                    self.notice(Notice::Joined);
                    self.look_around();
                }
            }
            Heard::Waits { oldest, heard } => {
                if heard.saturating_add(self.settings.timing.stale) < self.now {
                    self.ping(oldest);
                }
            }
            Heard::Elsewhere(known) => self.ping(known),
            Heard::Refused => {}
        }
    }

    /// Whether what somebody says of a node can be true, and asking it can do no harm.
    fn is_plausible(&self, contact: &Contact, told_by: SocketAddr) -> bool {
        let ip = contact.address.ip();
        let fits = self.settings.ids != IdRule::Address || contact.id.fits(ip);
        // Nobody elsewhere can know who is on this machine.
        let is_reachable = !ip.is_unspecified() && !ip.is_multicast() && contact.address.port() != 0;
        let is_near_enough = !ip.is_loopback() || told_by.ip().is_loopback();
        let is_of_use = contact.id != self.me.id && !self.is_banned(contact);
        fits && is_reachable && is_near_enough && is_of_use
    }

    fn notice(&mut self, notice: Notice) {
        self.outbox.push(Output::Notice(notice));
    }

    /// When a value is to be announced again. Who put it into the network is first, so that the others need not.
    fn republish_at(&mut self, is_origin: bool) -> Nanos {
        let every = self.settings.timing.republish.0;
        let least = if is_origin { every / 10 * 8 } else { every };
        self.within(Nanos(every / 10)).saturating_add(Nanos(least))
    }

    /// Any moment within `span` from now.
    fn within(&mut self, span: Nanos) -> Nanos {
        let random = self.random_word();
        self.now.saturating_add(Nanos(random % span.0.max(1)))
    }

    fn random_word(&mut self) -> u64 {
        let mut bytes = [0; 8];
        (self.random)(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

#[cfg(test)]
impl Node {
    /// Makes it a node that has run for long: it knows `known`, each heard at that time, and looked around then.
    pub(crate) fn settle(&mut self, mut known: Vec<(Contact, Nanos)>, looked_around: Nanos, now: Nanos) {
        known.sort_by_key(|(_, heard)| *heard);
        for (contact, heard) in known {
            self.table.answered(contact, heard);
        }
        for index in 0..self.table.fill().count() {
            let ago = self.random_word() % self.settings.timing.refresh.0;
            self.table.touched_at(index, Nanos(now.0 - ago));
        }
        (self.now, self.looked_around, self.is_joined) = (now, Some(looked_around), true);
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.table.weight()
    }
}

/// An IPv4 address has one form only.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Fills a buffer with random bytes that nobody can guess: magics and the secret of the tokens come from it.
pub type Random = Box<dyn FnMut(&mut [u8]) + Send>;
