//! Which way keys travel: link state between key servers. Pure.
//!
//! Every server tells all others, in signed advertisements, what is attached to it (type S) and how its key links do (type K).
//! Advertisements are flooded from neighbour to neighbour until each has acknowledged them; neighbours also compare what
//! they know now and then, so nothing that got lost stays lost. From the same advertisements every server computes the same map.
//!
//! What is newer is told by the origin's own count of its starts and advertisements, never by a clock. Ages are measured by each
//! server's own monotonic clock, and added up on the way.

mod advertisement;
mod advertising;
mod cost;
mod database;
mod directory;
mod disjoint;
mod flooding;
mod graph;
mod message;
mod outbox;
mod own;
mod routes;
mod signature;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use photongate_wire::{IsdAs, Nanos};

pub use advertisement::{
    Adjacent, Advertisement, Attached, Content, Key, Kind, LONGEST_URL, MOST_NEIGHBOURS, MOST_PAGES, MOST_PER_PAGE,
    Malformed, Neighbour, Seal, Signed, Stamp,
};
pub use cost::{Cost, LinkStock, NotACost};
pub use directory::{Claimed, Conflict};
pub use message::{BUCKETS, Digest, Flooded, Heading, LARGEST_MESSAGE, Message};
pub use own::MOST_ATTACHED;
pub use routes::{Map, Route, Routes};
pub use signature::TlsSignatures;
pub(crate) use signature::is_server;

use crate::ids::{QksId, SaeId};
use database::{Database, Limits};
use directory::Directory;
use graph::Graph;
use outbox::Outbox;
use own::Own;

/// One server's part in the routing. It is told what happens and when, and says what is to be done.
///
/// Times are of one monotonic clock of this server. [`on_tick`](Self::on_tick) is to be called a few times a second.
#[derive(Debug)]
pub struct Routing {
    local: QksId,
    settings: Settings,
    signatures: Arc<dyn Signatures>,
    database: Database,
    directory: Arc<Directory>,
    own: Own,
    neighbours: BTreeMap<QksId, Peer>,
    /// `None` once they are no longer right.
    routes: Option<Routes>,
    conflicts: BTreeSet<Conflict>,
    /// Claims that come before are taken to have come then, all at once.
    settled_at: Nanos,
    actions: Vec<Action>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Bring a neighbour a message. It may get lost.
    Send {
        /// The neighbour.
        to: QksId,
        /// What to bring.
        message: Message,
    },
    /// What [`Routing::routes`] answers may have changed. Said once until it is asked.
    RoutesChanged,
    /// Two servers now say that they have the same thing: an operator should know.
    Conflict(Conflict),
    /// The last start of this server was not counted: keep this number of starts, and begin with a larger one next time.
    KeepBoot(u64),
    /// What a neighbour brought was refused: an operator should know.
    Refused {
        /// The neighbour, not the origin.
        from: QksId,
        /// Why.
        refusal: Refusal,
    },
    /// Nothing can be signed, so the others will forget this server.
    CannotSign,
}

/// Why something that a neighbour brought is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The message has more parts than are allowed.
    #[error("the message is too large")]
    TooLarge,
    /// An advertisement does not keep to the bounds.
    #[error("an advertisement of {origin} is malformed: {why}")]
    Malformed {
        /// Whom it names as its origin.
        origin: QksId,
        /// Which bound.
        why: Malformed,
    },
    /// An advertisement was not signed by whom it names.
    #[error("an advertisement of {origin} has a wrong signature")]
    Forged {
        /// Whom it names as its origin.
        origin: QksId,
    },
    /// More servers than are allowed.
    #[error("there is no room to know {origin}: there are more servers than the settings allow")]
    TooMany {
        /// The server that stays unknown.
        origin: QksId,
    },
}

/// Signs in this server's name, and tells whether others signed in theirs.
pub trait Signatures: fmt::Debug + Send + Sync {
    /// Signs bytes; `None` if the key is not at hand.
    fn sign(&self, bytes: &[u8]) -> Option<Seal>;

    /// Whether `origin` signed these bytes.
    fn verify(&self, origin: &QksId, bytes: &[u8], seal: &Seal) -> bool;
}

/// How much, how long, how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often a server advertises what has not changed.
    pub refresh: Nanos,
    /// After this long, an advertisement that was not refreshed counts no more. Several times `refresh`.
    pub max_age: Nanos,
    /// How long a server waits at least before it advertises a change after the last one.
    pub pause: Nanos,
    /// How long an acknowledgement is waited for at first.
    pub patience: Nanos,
    /// How often neighbours compare what they know.
    pub compare: Nanos,
    /// A cost that differs by less from the advertised one is not advertised.
    pub hysteresis: u8,
    /// How many servers there may be in the network.
    pub most_servers: usize,
    /// Claims that come within this long of the start all count as equally old, as then everything is news.
    pub settle: Nanos,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            refresh: Nanos::from_secs(60),
            max_age: Nanos::from_secs(200),
            pause: Nanos::from_millis(500),
            patience: Nanos::from_secs(1),
            compare: Nanos::from_secs(10),
            hysteresis: 5,
            most_servers: 4096,
            settle: Nanos::from_secs(60),
        }
    }
}

/// A server at the other end of a key link.
#[derive(Debug, Default)]
struct Peer {
    link: Option<Link>,
    live: Option<Live>,
}

/// A key link, as this end sees it.
#[derive(Debug)]
struct Link {
    stock: LinkStock,
    advertised: Cost,
}

/// A neighbour that answers.
#[derive(Debug)]
struct Live {
    outbox: Outbox,
    compare_at: Nanos,
}

impl Routing {
    /// Begins. `boot` is larger at every start of this server, and larger than the last [`Action::KeepBoot`]; should it not be, the
    /// others will say so, and the server jumps ahead. `seed` spreads timers.
    pub fn new(
        local: QksId,
        boot: u64,
        seed: u64,
        settings: Settings,
        signatures: Arc<dyn Signatures>,
        now: Nanos,
    ) -> Self {
        let limits = Limits { max_age: settings.max_age, most_origins: settings.most_servers };
        Self {
            local,
            settings,
            signatures,
            database: Database::new(limits),
            directory: Arc::default(),
            own: Own::new(boot, seed),
            neighbours: BTreeMap::new(),
            routes: None,
            conflicts: BTreeSet::new(),
            settled_at: now.saturating_add(settings.settle),
            actions: Vec::new(),
        }
    }

    /// What is attached to this server: applications, and autonomous systems whose DRKeys it makes. What goes beyond
    /// [`MOST_ATTACHED`] is known here and not advertised.
    pub fn set_attached(&mut self, saes: BTreeSet<SaeId>, ases: BTreeSet<IsdAs>, now: Nanos) -> Vec<Action> {
        if saes != self.own.saes || ases != self.own.ases {
            self.own.changed(Kind::Attached);
            let directory = Arc::make_mut(&mut self.directory);
            directory.saes.replace(&self.local, saes.clone(), false, now);
            directory.ases.replace(&self.local, ases.clone(), false, now);
            (self.own.saes, self.own.ases) = (saes, ases);
            self.directory_changed();
        }
        self.finish(now)
    }

    /// Where this server is reached by others than its neighbours, if it wants to be. What is no URL of https, or too long, is not
    /// advertised.
    pub fn set_url(&mut self, url: Option<String>, now: Nanos) -> Vec<Action> {
        let url = url.filter(|url| advertisement::is_url(url));
        if url != self.own.url {
            self.own.url = url;
            self.own.changed(Kind::Adjacent);
        }
        self.finish(now)
    }

    /// How the key link to a neighbour does. To be told at even intervals: the difference to the last time is the trend.
    ///
    /// A neighbour beyond [`MOST_NEIGHBOURS`] is not taken on.
    pub fn set_link(&mut self, neighbour: &QksId, stock: LinkStock, now: Nanos) -> Vec<Action> {
        let room = self.neighbours.len() < MOST_NEIGHBOURS || self.neighbours.contains_key(neighbour);
        if room && *neighbour != self.local {
            let peer = self.neighbours.entry(neighbour.clone()).or_default();
            let before = peer.link.as_ref();
            let old = before.map_or(stock.free_bits, |link| link.stock.free_bits);
            let cost = Cost::of(stock.free_bits, old, stock.capacity_bits);
            let emptied = (old == 0) != (stock.free_bits == 0);
            let kept = before.map(|link| link.advertised);
            let kept = kept.filter(|kept| !emptied && kept.distance(cost) < self.settings.hysteresis);
            peer.link = Some(Link { stock, advertised: kept.unwrap_or(cost) });
            if kept.is_none() && peer.live.is_some() {
                self.own.changed(Kind::Adjacent);
            }
        }
        self.finish(now)
    }

    /// There is no key link to this server any more.
    pub fn remove_link(&mut self, neighbour: &QksId, now: Nanos) -> Vec<Action> {
        if self.neighbours.remove(neighbour).is_some() {
            self.own.changed(Kind::Adjacent);
        }
        self.finish(now)
    }

    /// A neighbour answers. To be told of every new acquaintance, also when the neighbour was started anew.
    pub fn neighbour_up(&mut self, neighbour: &QksId, now: Nanos) -> Vec<Action> {
        if let Some(peer) = self.neighbours.get_mut(neighbour) {
            if peer.live.is_none() {
                self.own.changed(Kind::Adjacent);
            }
            peer.live = Some(Live { outbox: Outbox::new(self.settings.patience), compare_at: now });
        }
        self.finish(now)
    }

    /// A neighbour does not answer. Until it does, nothing is kept for it, and the link to it is not advertised.
    pub fn neighbour_down(&mut self, neighbour: &QksId, now: Nanos) -> Vec<Action> {
        if let Some(peer) = self.neighbours.get_mut(neighbour)
            && peer.live.take().is_some()
        {
            self.own.changed(Kind::Adjacent);
        }
        self.finish(now)
    }

    /// A neighbour brought a message; the channel proved that it is from that neighbour. One from anybody else, or from a
    /// neighbour that is not up, is dropped.
    pub fn on_message(&mut self, from: &QksId, message: Message, now: Nanos) -> Vec<Action> {
        if self.live(from).is_none() {
            return Vec::new();
        }
        if !message.is_small() {
            self.refuse(from, Refusal::TooLarge);
            return self.finish(now);
        }
        match message {
            Message::Summary(theirs) => self.compare(from, &theirs),
            Message::Digest(digest) => self.answer(from, digest),
            Message::Wanted(keys) => keys.into_iter().for_each(|key| self.put(from, key)),
            Message::Advertisements(advertisements) => {
                let headings = advertisements.iter().map(Flooded::heading).collect();
                self.actions.push(Action::Send { to: from.clone(), message: Message::Acknowledged(headings) });
                for flooded in advertisements {
                    self.on_advertisement(from, &flooded, now);
                }
            }
            Message::Acknowledged(headings) => self.acknowledged(from, &headings),
        }
        self.finish(now)
    }

    /// Time went by.
    pub fn on_tick(&mut self, now: Nanos) -> Vec<Action> {
        self.finish(now)
    }

    /// The ways from here to everybody else, by what is known now.
    pub fn routes(&mut self) -> Routes {
        let (local, database, directory) = (&self.local, &self.database, &self.directory);
        let routes = self.routes.get_or_insert_with(|| {
            let graph = Graph::join(database.adjacent().map(|(name, said)| (name, said.neighbours.as_slice())));
            let tree = graph.place(local).map(|root| graph.tree(root, |_| false)).unwrap_or_default();
            let url = |(name, said): (&QksId, &Adjacent)| Some((name.clone(), said.url.clone()?));
            Routes {
                local: local.clone(),
                graph: Arc::new(graph),
                tree: Arc::new(tree),
                urls: Arc::new(database.adjacent().filter_map(url).collect()),
                directory: Arc::clone(directory),
            }
        });
        routes.clone()
    }

    /// How many servers are known, this one too.
    pub fn servers(&self) -> usize {
        self.database.len()
    }

    /// Whether every neighbour that answers has acknowledged all there is.
    pub fn is_quiet(&self) -> bool {
        self.neighbours.values().filter_map(|peer| peer.live.as_ref()).all(|live| live.outbox.is_empty())
    }

    /// Does what is due, and says what is to be done.
    fn finish(&mut self, now: Nanos) -> Vec<Action> {
        for ended in self.database.expire(&self.local, now) {
            self.apply(&ended.origin, ended.kind, now);
        }
        for kind in [Kind::Attached, Kind::Adjacent] {
            if self.own.is_due(kind, self.settings.pause, now) {
                self.advertise(kind, now);
            }
        }
        self.send(now);
        std::mem::take(&mut self.actions)
    }
}

#[cfg(test)]
pub(crate) mod simulation;
#[cfg(test)]
mod tests;
