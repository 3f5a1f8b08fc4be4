//! What becomes of what neighbours bring: judged, kept, passed on, and put into effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use photongate_wire::Nanos;

use super::advertisement::{Key, Kind, Malformed, Stamp};
use super::database::Judgement;
use super::message::{BUCKETS, Digest, Flooded, Heading, MOST_HEADINGS, Message};
use super::{Action, Live, Refusal, Routing};
use crate::ids::QksId;

impl Routing {
    pub(super) fn on_advertisement(&mut self, from: &QksId, flooded: &Flooded, now: Nanos) {
        let advertisement = &flooded.signed.advertisement;
        let origin = &advertisement.origin;
        let small = if flooded.signed.seal.is_small() { advertisement.check() } else { Err(Malformed::TooLarge) };
        if let Err(why) = small {
            let refusal = Refusal::Malformed { origin: origin.clone(), why };
            return self.refuse(from, refusal);
        }
        let judgement = match *origin == self.local {
            true if advertisement.stamp > self.own.stamp => Judgement::News,
            true => Judgement::Known,
            false => self.database.judge(flooded, now),
        };
        match judgement {
            Judgement::Known => self.passed_on(from, flooded),
            Judgement::Useless if self.database.len() >= self.settings.most_servers => {
                let refusal = Refusal::TooMany { origin: origin.clone() };
                self.refuse(from, refusal);
            }
            Judgement::Useless => {}
            Judgement::Outdated => {
                let newer = self.database.keys(origin, advertisement.kind());
                newer.into_iter().for_each(|key| self.put(from, key));
            }
            Judgement::Younger => {
                if self.database.rejuvenate(flooded, now) {
                    self.learned(from, flooded, true, now);
                }
            }
            // The signature is the dearest of all checks, so it comes last; nothing was changed before it.
            Judgement::News if !self.is_genuine(flooded) => {
                let refusal = Refusal::Forged { origin: origin.clone() };
                self.refuse(from, refusal);
            }
            Judgement::News if *origin == self.local => self.jump_ahead(advertisement.stamp),
            Judgement::News => {
                let links = self.database.adjacent_of(origin).cloned();
                let complete = self.database.store(flooded, now);
                // Most advertisements only say again what was known.
                let same =
                    advertisement.kind() == Kind::Adjacent && self.database.adjacent_of(origin) == links.as_ref();
                self.learned(from, flooded, complete && !same, now);
            }
        }
    }

    fn is_genuine(&self, flooded: &Flooded) -> bool {
        let advertisement = &flooded.signed.advertisement;
        self.signatures.verify(&advertisement.origin, &advertisement.signed_bytes(), &flooded.signed.seal)
    }

    /// Somebody has an advertisement of this server that it does not remember: its count was lost. It goes on from there, and
    /// says everything again.
    fn jump_ahead(&mut self, theirs: Stamp) {
        if theirs.boot > self.own.stamp.boot {
            self.actions.push(Action::KeepBoot(theirs.boot));
        }
        self.own.stamp = theirs;
        self.own.changed(Kind::Attached);
        self.own.changed(Kind::Adjacent);
    }

    /// An advertisement was stored: it goes on to all neighbours but the one that brought it, and takes effect.
    fn learned(&mut self, from: &QksId, flooded: &Flooded, applies: bool, now: Nanos) {
        let key = flooded.signed.advertisement.key();
        self.passed_on(from, flooded);
        for live in
            self.neighbours.iter_mut().filter(|(name, _)| *name != from).filter_map(|(_, peer)| peer.live.as_mut())
        {
            live.outbox.put(key.clone());
        }
        if applies {
            self.apply(&key.origin, key.kind, now);
        }
    }

    /// A neighbour that sends an advertisement has it.
    fn passed_on(&mut self, from: &QksId, flooded: &Flooded) {
        self.acknowledged(from, &[flooded.heading()]);
    }

    /// What is known of an origin may have changed.
    pub(super) fn apply(&mut self, origin: &QksId, kind: Kind, now: Nanos) {
        match kind {
            Kind::Adjacent => self.routes_changed(),
            Kind::Attached => {
                let pages = self.database.attached_of(origin).unwrap_or_default();
                let saes = pages.iter().flat_map(|page| page.saes.iter().cloned()).collect();
                let ases = pages.iter().flat_map(|page| page.ases.iter().copied()).collect();
                let since = now.max(self.settled_at);
                let directory = Arc::make_mut(&mut self.directory);
                let saes = directory.saes.replace(origin, saes, true, since);
                let ases = directory.ases.replace(origin, ases, true, since);
                if saes || ases {
                    self.directory_changed();
                }
            }
        }
    }

    pub(super) fn directory_changed(&mut self) {
        let conflicts: BTreeSet<_> = self.directory.conflicts().collect();
        let new = conflicts.difference(&self.conflicts).cloned();
        self.actions.extend(new.map(Action::Conflict));
        self.conflicts = conflicts;
        if let Some(routes) = &mut self.routes {
            // The ways are the same as before.
            routes.directory = Arc::clone(&self.directory);
        }
        self.actions.push(Action::RoutesChanged);
    }

    pub(super) fn routes_changed(&mut self) {
        if self.routes.take().is_some() {
            self.actions.push(Action::RoutesChanged);
        }
    }

    pub(super) fn compare(&mut self, from: &QksId, theirs: &[u64]) {
        let differs = |bucket: &usize| self.database.summary()[*bucket] != theirs[*bucket];
        let mut digest = Digest { buckets: Vec::new(), headings: Vec::new() };
        for bucket in (0..BUCKETS).filter(differs) {
            let headings = self.database.bucket(bucket);
            if digest.buckets.is_empty() || digest.headings.len() + headings.len() <= MOST_HEADINGS {
                digest.buckets.push(u16::try_from(bucket).expect("there are few buckets"));
                digest.headings.extend(headings);
            }
        }
        digest.headings.truncate(MOST_HEADINGS);
        if !digest.buckets.is_empty() {
            self.actions.push(Action::Send { to: from.clone(), message: Message::Digest(digest) });
        }
    }

    /// Sends what the neighbour lacks, and asks for what it has and this server lacks.
    pub(super) fn answer(&mut self, from: &QksId, digest: Digest) {
        let theirs: BTreeMap<Key, Stamp> =
            digest.headings.into_iter().map(|heading| (heading.key, heading.stamp)).collect();
        let buckets: BTreeSet<_> =
            digest.buckets.into_iter().map(usize::from).filter(|bucket| *bucket < BUCKETS).collect();
        for heading in buckets.into_iter().flat_map(|bucket| self.database.bucket(bucket)).collect::<Vec<_>>() {
            if theirs.get(&heading.key).is_none_or(|stamp| *stamp < heading.stamp) {
                self.put(from, heading.key);
            }
        }
        let wanted =
            theirs.into_iter().filter(|(key, stamp)| self.database.stamp(key).is_none_or(|known| known < *stamp));
        let wanted: Vec<Key> = wanted.map(|(key, _)| key).collect();
        if !wanted.is_empty() {
            self.actions.push(Action::Send { to: from.clone(), message: Message::Wanted(wanted) });
        }
    }

    pub(super) fn acknowledged(&mut self, from: &QksId, headings: &[Heading]) {
        let Some(live) = self.neighbours.get_mut(from).and_then(|peer| peer.live.as_mut()) else { return };
        for heading in headings {
            live.outbox.acknowledge(&heading.key, heading.stamp, self.database.stamp(&heading.key));
        }
    }

    pub(super) fn put(&mut self, neighbour: &QksId, key: Key) {
        if self.database.stamp(&key).is_some()
            && let Some(live) = self.live(neighbour)
        {
            live.outbox.put(key);
        }
    }

    pub(super) fn live(&mut self, neighbour: &QksId) -> Option<&mut Live> {
        self.neighbours.get_mut(neighbour)?.live.as_mut()
    }

    pub(super) fn refuse(&mut self, from: &QksId, refusal: Refusal) {
        self.actions.push(Action::Refused { from: from.clone(), refusal });
    }
}
