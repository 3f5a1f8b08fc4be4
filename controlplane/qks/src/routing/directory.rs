//! Which server applications and autonomous systems are attached to.

use std::collections::{BTreeMap, BTreeSet};

use photongate_wire::{IsdAs, Nanos};

use crate::ids::{QksId, SaeId};

/// What is attached where, as the servers say.
///
/// Two servers may say that they have the same application: by mistake, or because one of them lies. Then it is with
/// the server that said so first, as seen from here; claims that came at the same time go by the servers' names; and
/// what is attached here is here whatever others say. So a server that comes later can take nothing away from one that lives.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    pub(super) saes: Claims<SaeId>,
    pub(super) ases: Claims<IsdAs>,
}

/// Who says to have what.
#[derive(Clone, Debug)]
pub(super) struct Claims<T> {
    /// The first claim is the one that counts.
    by_thing: BTreeMap<T, Vec<Claim>>,
    by_server: BTreeMap<QksId, BTreeSet<T>>,
    /// What more than one server says to have.
    contested: BTreeSet<T>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    remote: bool,
    since: Nanos,
    server: QksId,
}

/// Two servers say that they have the same thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// What.
    pub about: Claimed,
    /// Where it is taken to be.
    pub holder: QksId,
    /// The servers that are not believed.
    pub others: Vec<QksId>,
}

/// What may be attached to a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claimed {
    /// An application.
    Sae(SaeId),
    /// An autonomous system whose DRKeys a server makes.
    As(IsdAs),
}

impl Directory {
    /// All conflicts there are.
    pub(super) fn conflicts(&self) -> impl Iterator<Item = Conflict> {
        let saes = self.saes.conflicts().map(|(sae, holder, others)| (Claimed::Sae(sae.clone()), holder, others));
        let ases = self.ases.conflicts().map(|(isd_as, holder, others)| (Claimed::As(*isd_as), holder, others));
        saes.chain(ases).map(|(about, holder, others)| Conflict { about, holder, others })
    }
}

impl<T: Ord + Clone> Claims<T> {
    /// The server that a thing is attached to.
    pub(super) fn holder(&self, thing: &T) -> Option<&QksId> {
        self.by_thing.get(thing).map(|claims| &claims[0].server)
    }

    /// What a server says to have.
    pub(super) fn of(&self, server: &QksId) -> Option<&BTreeSet<T>> {
        self.by_server.get(server)
    }

    /// `server` has `things` now, and nothing else. Claims that it made before keep their time. Returns whether anything
    /// changed.
    pub(super) fn replace(&mut self, server: &QksId, things: BTreeSet<T>, remote: bool, since: Nanos) -> bool {
        let before = self.by_server.remove(server).unwrap_or_default();
        before.difference(&things).for_each(|thing| self.withdraw(server, thing));
        for thing in things.difference(&before) {
            let claims = self.by_thing.entry(thing.clone()).or_default();
            let claim = Claim { remote, since, server: server.clone() };
            let place = claims.partition_point(|other| *other < claim);
            claims.insert(place, claim);
            if claims.len() > 1 {
                self.contested.insert(thing.clone());
            }
        }
        let changed = before != things;
        if !things.is_empty() {
            self.by_server.insert(server.clone(), things);
        }
        changed
    }

    fn withdraw(&mut self, server: &QksId, thing: &T) {
        let claims = self.by_thing.get_mut(thing).expect("what a server has is in both maps");
        claims.retain(|claim| claim.server != *server);
        if claims.len() < 2 {
            self.contested.remove(thing);
        }
        if claims.is_empty() {
            self.by_thing.remove(thing);
        }
    }

    fn conflicts(&self) -> impl Iterator<Item = (&T, QksId, Vec<QksId>)> {
        self.contested.iter().map(|thing| {
            let claims = &self.by_thing[thing];
            let others = claims[1..].iter().map(|claim| claim.server.clone()).collect();
            (thing, claims[0].server.clone(), others)
        })
    }
}

impl<T> Default for Claims<T> {
    fn default() -> Self {
        Self { by_thing: BTreeMap::new(), by_server: BTreeMap::new(), contested: BTreeSet::new() }
    }
}
