//! The advertisements that a server knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use photongate_wire::Nanos;

use super::advertisement::{Adjacent, Attached, Content, Key, Kind, Signed, Stamp};
use super::message::{BUCKETS, Flooded, Heading};
use crate::ids::QksId;

/// The newest advertisements of every origin.
///
/// An advertisement whose time is over says nothing more, but is kept for some time after: by it an origin that lost count
/// learns what to begin after, and what it replaced cannot come back.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Database {
    origins: BTreeMap<QksId, Origin>,
    limits: Limits,
    /// Nothing ends before this.
    next_end: Nanos,
    /// Hashes over the names of what is alive, for comparison with neighbours.
    summary: Vec<u64>,
    /// The origins in each bucket.
    buckets: Vec<BTreeSet<QksId>>,
}

/// How much and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_age: Nanos,
    pub(super) most_origins: usize,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Origin {
    bucket: usize,
    attached: Option<Generation>,
    adjacent: Option<Generation>,
    /// Until when the last complete list of what is attached counts.
    attached_until: Option<Nanos>,
}

/// All pages of one kind and stamp.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Generation {
    stamp: Stamp,
    pages: Vec<Option<Arc<Signed>>>,
    /// When its time is over, by the first page whose is.
    until: Nanos,
    alive: bool,
}

/// What an advertisement is to one who has a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is to be verified and stored.
    News,
    /// It is the one that is known, but its sender has a better idea of its age.
    Younger,
    /// It is known.
    Known,
    /// Something newer is known.
    Outdated,
    /// It is over, or about somebody of whom there is no room to know.
    Useless,
}

/// What is no longer true.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) origin: QksId,
    pub(super) kind: Kind,
}

impl Database {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            origins: BTreeMap::new(),
            limits,
            next_end: Nanos(u64::MAX),
            summary: vec![0; BUCKETS],
            buckets: vec![BTreeSet::new(); BUCKETS],
        }
    }

    /// What is to be done with an advertisement that keeps to the bounds. Its signature need not have been verified.
    pub(super) fn judge(&self, flooded: &Flooded, now: Nanos) -> Judgement {
        let advertisement = &flooded.signed.advertisement;
        let until = self.until(flooded, now);
        let Some(origin) = self.origins.get(&advertisement.origin) else {
            let room = self.origins.len() < self.limits.most_origins;
            return if room && until > now { Judgement::News } else { Judgement::Useless };
        };
        let Some(generation) = origin.generation(advertisement.kind()) else {
            return if until > now { Judgement::News } else { Judgement::Useless };
        };
        if advertisement.stamp != generation.stamp {
            return if advertisement.stamp > generation.stamp { Judgement::News } else { Judgement::Outdated };
        }
        match generation.pages.get(usize::from(advertisement.page())) {
            None => Judgement::Useless,
            Some(None) if usize::from(advertisement.pages()) == generation.pages.len() => Judgement::News,
            Some(None) => Judgement::Useless,
            // Whoever lies about an age can make it older only until somebody comes who does not.
            Some(Some(known)) => {
                let younger = until > generation.until.saturating_add(AGE_MARGIN) && generation.pages.len() == 1;
                if younger && **known == *flooded.signed { Judgement::Younger } else { Judgement::Known }
            }
        }
    }

    /// Keeps what [`judge`](Self::judge) called news, now that its signature was verified. Returns whether anything may have changed
    /// in what is known of the origin: for the last missing page of what is attached, and for all key links.
    pub(super) fn store(&mut self, flooded: &Flooded, now: Nanos) -> bool {
        let (until, advertisement) = (self.until(flooded, now), &flooded.signed.advertisement);
        let alive = until > now;
        let origin = self.origins.entry(advertisement.origin.clone()).or_insert_with(|| {
            let origin = Origin::new(&advertisement.origin);
            self.buckets[origin.bucket].insert(advertisement.origin.clone());
            origin
        });
        let bucket = &mut self.summary[origin.bucket];
        let place = origin.generation_mut(advertisement.kind());
        if place.as_ref().is_none_or(|generation| generation.stamp != advertisement.stamp) {
            if let Some(before) = place.as_ref().filter(|generation| generation.alive) {
                *bucket ^= before.hash();
            }
            *place = Some(Generation::new(advertisement.stamp, advertisement.pages(), until));
        }
        let generation = place.as_mut().expect("it was put there");
        if generation.alive {
            *bucket ^= generation.hash();
        }
        generation.pages[usize::from(advertisement.page())] = Some(Arc::clone(&flooded.signed));
        generation.until = generation.until.min(until);
        generation.alive = generation.until > now;
        if generation.alive {
            *bucket ^= generation.hash();
        }
        self.next_end = self.next_end.min(generation.until);
        let complete = !generation.pages.contains(&None);
        let end = generation.until;
        if advertisement.kind() == Kind::Attached && (complete || !alive) {
            origin.attached_until = alive.then_some(end);
        }
        complete || !alive
    }

    /// Takes over the age of what [`judge`](Self::judge) called younger. Returns whether it lives again.
    pub(super) fn rejuvenate(&mut self, flooded: &Flooded, now: Nanos) -> bool {
        let (until, advertisement) = (self.until(flooded, now), &flooded.signed.advertisement);
        let Some(origin) = self.origins.get_mut(&advertisement.origin) else { return false };
        let bucket = &mut self.summary[origin.bucket];
        let Some(generation) = origin.generation_mut(advertisement.kind()) else { return false };
        let revived = !generation.alive && until > now;
        generation.until = until;
        if revived {
            generation.alive = true;
            *bucket ^= generation.hash();
        }
        self.next_end = self.next_end.min(until);
        if advertisement.kind() == Kind::Attached {
            origin.attached_until = Some(until);
        }
        revived
    }

    /// Ends what was not refreshed in time, but for what is from `local`, and forgets what ended long ago.
    pub(super) fn expire(&mut self, local: &QksId, now: Nanos) -> Vec<Ended> {
        if now < self.next_end {
            return Vec::new();
        }
        let mut ended = Vec::new();
        self.next_end = Nanos(u64::MAX);
        let forget_after = Nanos(self.limits.max_age.0.saturating_mul(REMEMBERED_AGES));
        for (name, origin) in self.origins.iter_mut().filter(|(name, _)| *name != local) {
            if origin.attached_until.is_some_and(|until| until <= now) {
                origin.attached_until = None;
                ended.push(Ended { origin: name.clone(), kind: Kind::Attached });
            }
            for kind in [Kind::Attached, Kind::Adjacent] {
                let bucket = origin.bucket;
                let place = origin.generation_mut(kind);
                let Some(generation) = place else { continue };
                if generation.alive && generation.until <= now {
                    generation.alive = false;
                    self.summary[bucket] ^= generation.hash();
                    if kind == Kind::Adjacent {
                        ended.push(Ended { origin: name.clone(), kind });
                    }
                }
                let next =
                    if generation.alive { generation.until } else { generation.until.saturating_add(forget_after) };
                if next <= now {
                    *place = None;
                } else {
                    self.next_end = self.next_end.min(next);
                }
            }
            self.next_end = self.next_end.min(origin.attached_until.unwrap_or(Nanos(u64::MAX)));
        }
        self.origins.retain(|name, origin| {
            let known = origin.attached.is_some() || origin.adjacent.is_some();
            if !known {
                self.buckets[origin.bucket].remove(name);
            }
            known
        });
        ended
    }

    /// The advertisement of that key, and the age that it is to be passed on with.
    pub(super) fn flooded(&self, key: &Key, now: Nanos) -> Option<Flooded> {
        let generation = self.origins.get(&key.origin)?.generation(key.kind)?;
        let signed = Arc::clone(generation.pages.get(usize::from(key.page))?.as_ref()?);
        let left = generation.until.0.saturating_sub(now.0);
        let age = self.limits.max_age.0.saturating_sub(left);
        Some(Flooded { signed, age_millis: age.div_ceil(NANOS_PER_MILLI) })
    }

    /// The stamp of the newest advertisement of that key.
    pub(super) fn stamp(&self, key: &Key) -> Option<Stamp> {
        let generation = self.origins.get(&key.origin)?.generation(key.kind)?;
        generation.pages.get(usize::from(key.page))?.as_ref().map(|_| generation.stamp)
    }

    /// The stamp and about how many bytes it takes in a message.
    pub(super) fn weight(&self, key: &Key) -> Option<(Stamp, usize)> {
        let generation = self.origins.get(&key.origin)?.generation(key.kind)?;
        let signed = generation.pages.get(usize::from(key.page))?.as_ref()?;
        Some((generation.stamp, signed.advertisement.weight() + signed.seal.weight()))
    }

    /// The keys of all known pages of one kind.
    pub(super) fn keys(&self, origin: &QksId, kind: Kind) -> Vec<Key> {
        let generation = self.origins.get(origin).and_then(|known| known.generation(kind));
        generation
            .map(|generation| generation.headings(origin, kind).map(|heading| heading.key).collect())
            .unwrap_or_default()
    }

    /// What is known of every server's key links, in the order of their names.
    pub(super) fn adjacent(&self) -> impl Iterator<Item = (&QksId, &Adjacent)> {
        self.origins.iter().filter_map(|(name, origin)| {
            let generation = origin.adjacent.as_ref().filter(|generation| generation.alive)?;
            match &generation.pages[0].as_ref()?.advertisement.content {
                Content::Adjacent(adjacent) => Some((name, adjacent)),
                Content::Attached(_) => None,
            }
        })
    }

    /// What is known of one server's key links.
    pub(super) fn adjacent_of(&self, origin: &QksId) -> Option<&Adjacent> {
        let generation = self.origins.get(origin)?.adjacent.as_ref().filter(|generation| generation.alive)?;
        match &generation.pages[0].as_ref()?.advertisement.content {
            Content::Adjacent(adjacent) => Some(adjacent),
            Content::Attached(_) => None,
        }
    }

    /// All pages of what is attached to a server, if all are there and alive.
    pub(super) fn attached_of(&self, origin: &QksId) -> Option<Vec<&Attached>> {
        let generation = self.origins.get(origin)?.attached.as_ref().filter(|generation| generation.alive)?;
        let page = |page: &'_ Option<Arc<Signed>>| page.is_some();
        generation.pages.iter().all(page).then_some(())?;
        let attached = generation.pages.iter().flatten().filter_map(|signed| match &signed.advertisement.content {
            Content::Attached(attached) => Some(attached),
            Content::Adjacent(_) => None,
        });
        Some(attached.collect())
    }

    /// A hash over each bucket.
    pub(super) fn summary(&self) -> &[u64] {
        &self.summary
    }

    /// The names of all that is alive in one bucket.
    pub(super) fn bucket(&self, bucket: usize) -> Vec<Heading> {
        let headings = self.buckets[bucket].iter().flat_map(|name| {
            let origin = &self.origins[name];
            [Kind::Attached, Kind::Adjacent].into_iter().flat_map(move |kind| {
                let alive = origin.generation(kind).filter(|generation| generation.alive);
                alive.into_iter().flat_map(move |generation| generation.headings(name, kind))
            })
        });
        headings.collect()
    }

    /// How many servers are known.
    pub(super) fn len(&self) -> usize {
        self.origins.len()
    }

    fn until(&self, flooded: &Flooded, now: Nanos) -> Nanos {
        let age = flooded.age_millis.saturating_mul(NANOS_PER_MILLI);
        now.saturating_add(Nanos(self.limits.max_age.0.saturating_sub(age)))
    }
}

impl Origin {
    fn new(name: &QksId) -> Self {
        Self { bucket: bucket_of(name), attached: None, adjacent: None, attached_until: None }
    }

    const fn generation(&self, kind: Kind) -> Option<&Generation> {
        match kind {
            Kind::Attached => self.attached.as_ref(),
            Kind::Adjacent => self.adjacent.as_ref(),
        }
    }

    const fn generation_mut(&mut self, kind: Kind) -> &mut Option<Generation> {
        match kind {
            Kind::Attached => &mut self.attached,
            Kind::Adjacent => &mut self.adjacent,
        }
    }
}

impl Generation {
    fn new(stamp: Stamp, pages: u16, until: Nanos) -> Self {
        Self { stamp, pages: vec![None; usize::from(pages)], until, alive: false }
    }

    fn headings(&self, origin: &QksId, kind: Kind) -> impl Iterator<Item = Heading> {
        let there = (0..).zip(&self.pages).filter(|(_, signed)| signed.is_some());
        let (origin, stamp) = (origin.clone(), self.stamp);
        there.map(move |(page, _)| Heading { key: Key { origin: origin.clone(), kind, page }, stamp })
    }

    /// Of the names of its pages. All zeros for none.
    fn hash(&self) -> u64 {
        let Some(first) = self.pages.iter().flatten().next() else { return 0 };
        let mut bytes = vec![0; self.pages.len()];
        bytes.iter_mut().zip(&self.pages).for_each(|(there, page)| *there = u8::from(page.is_some()));
        bytes.push(first.advertisement.kind() as u8);
        bytes.extend(self.stamp.boot.to_be_bytes());
        bytes.extend(self.stamp.sequence.to_be_bytes());
        bytes.extend(first.advertisement.origin.as_str().as_bytes());
        short_hash(&bytes)
    }
}

/// The bucket that a server's advertisements are compared in.
pub(super) fn bucket_of(origin: &QksId) -> usize {
    usize::try_from(short_hash(origin.as_str().as_bytes()) % BUCKETS as u64).expect("there are few buckets")
}

fn short_hash(bytes: &[u8]) -> u64 {
    let hash = digest(&SHA256, bytes);
    u64::from_be_bytes(*hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes"))
}

const NANOS_PER_MILLI: u64 = 1_000_000;
/// Two honest servers' ideas of an advertisement's age differ by what it took to pass it on, which is not worth a correction.
const AGE_MARGIN: Nanos = Nanos::from_secs(1);
/// How many times its greatest age an advertisement is remembered after its time was over.
const REMEMBERED_AGES: u64 = 4;
