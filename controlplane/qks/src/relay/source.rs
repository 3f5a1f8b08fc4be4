//! What a server remembers of the payloads that it sent and that are not yet known to have arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use photongate_wire::Nanos;
use serde::{Deserialize, Serialize};

use super::envelope::{self, Journey, Proof, ProofKeys};
use super::frame::{Arrived, Header};
use super::plan::{NoPlan, Plan, Wish};
use super::{Fill, Kind, LARGEST_PAYLOAD, RelayId, Secret};
use crate::ids::QksId;
use crate::routing::Routes;

/// The payloads under way from this server.
///
/// A payload is *held* once its destination proved to have it, whole and unchanged; only then may it be released to whom it is for.
/// It *fails* if no attempt brought that about: then it must never be used, and the destination is told so.
#[derive(Debug)]
pub struct Source {
    local: QksId,
    settings: Settings,
    open: BTreeMap<RelayId, Outgoing>,
}

/// How much and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an attempt may take.
    pub patience: Nanos,
    /// How many attempts there are, the first one counted.
    pub most_attempts: u8,
    /// Payloads under way at a time.
    pub most_open: usize,
}

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    /// Seal this share for [its first hop](Arrived::first_hop) and send it there.
    Depart(Arrived),
    /// The destination holds the payload: release it.
    Held(RelayId),
    /// The payload did not arrive, as far as is known: forget it.
    Failed {
        /// Which one.
        id: RelayId,
        /// Why.
        why: Failure,
    },
    /// Tell the destination that the payload is not to be used, along any of the paths. It may get lost: the destination also
    /// forgets by itself what nobody asks for.
    Void {
        /// What to tell.
        void: Void,
        /// The ways there.
        paths: Vec<Vec<QksId>>,
    },
}

/// Why a payload did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No attempt was answered in time, or all were disturbed.
    #[error("no attempt brought the payload there")]
    Attempts,
    /// The destination has no room, or refuses for another reason of its own.
    #[error("the destination refuses it")]
    Refused,
    /// It was given up here.
    #[error("it was given up")]
    GivenUp,
}

/// Why a payload cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBegun {
    /// There is no suitable path.
    #[error(transparent)]
    NoPlan(#[from] NoPlan),
    /// Too many are under way.
    #[error("too many payloads are under way")]
    Full,
    /// It is too large.
    #[error("a payload has at most {LARGEST_PAYLOAD} bytes")]
    TooLarge,
    /// The id is taken.
    #[error("a payload of this id is under way")]
    Taken,
}

/// What the destination says to a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Which payload.
    pub journey: Journey,
    /// Which attempt.
    pub attempt: u8,
    /// Which share.
    pub share: u8,
    /// What it says.
    pub outcome: Outcome,
}

/// What the destination says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has this share and waits for others, or for its store.
    Waiting,
    /// It has the payload, and kept it.
    Held(Proof),
    /// All shares came, but what they make was changed on the way.
    Changed,
    /// It does not take the payload.
    Refused,
}

/// The source's word that a payload is not to be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Void {
    /// Which payload.
    pub journey: Journey,
    /// That the word is the source's.
    pub proof: Proof,
}

/// What an attempt needs from outside.
pub struct Means<'m> {
    /// The ways as they are now.
    pub routes: &'m Routes,
    /// Secret random bytes.
    pub fill: &'m mut Fill<'m>,
    /// The time on this server's monotonic clock.
    pub now: Nanos,
}

struct Outgoing {
    journey: Journey,
    envelope: Secret,
    keys: ProofKeys,
    wish: Wish,
    /// Relays that disturbed an attempt, or may have.
    suspects: BTreeSet<QksId>,
    attempt: u8,
    paths: Vec<Vec<QksId>>,
    /// The shares of this attempt that the destination has.
    arrived: BTreeSet<u8>,
    deadline: Nanos,
}

impl Default for Settings {
    fn default() -> Self {
        Self { patience: Nanos::from_secs(3), most_attempts: 3, most_open: 4096 }
    }
}

impl Source {
    /// Begins with nothing under way.
    pub const fn new(local: QksId, settings: Settings) -> Self {
        Self { local, settings, open: BTreeMap::new() }
    }

    /// Sends a payload. `id` is random and was never used before.
    ///
    /// # Errors
    /// Why it cannot be sent. Then nothing was sent and nothing is remembered.
    pub fn begin(
        &mut self,
        id: RelayId,
        kind: Kind,
        destination: &QksId,
        payload: &[u8],
        wish: Wish,
        means: &mut Means<'_>,
    ) -> Result<Vec<Action>, NotBegun> {
        if payload.len() > LARGEST_PAYLOAD {
            return Err(NotBegun::TooLarge);
        }
        if self.open.len() >= self.settings.most_open {
            return Err(NotBegun::Full);
        }
        if self.open.contains_key(&id) {
            return Err(NotBegun::Taken);
        }
        let plan = Plan::make(means.routes, destination, &wish)?;
        let journey = Journey { source: self.local.clone(), id, kind, destination: destination.clone() };
        let (envelope, keys) = envelope::wrap(&journey, payload, means.fill);
        let mut outgoing = Outgoing {
            journey,
            envelope,
            keys,
            wish,
            suspects: BTreeSet::new(),
            attempt: 0,
            paths: Vec::new(),
            arrived: BTreeSet::new(),
            deadline: means.now,
        };
        let actions = outgoing.depart(plan, &self.settings, means);
        self.open.insert(id, outgoing);
        Ok(actions)
    }

    /// The destination, or somebody who speaks for it, answered.
    pub fn on_answer(&mut self, answer: &Answer, means: &mut Means<'_>) -> Vec<Action> {
        let id = answer.journey.id;
        let Some(outgoing) = self.open.get_mut(&id).filter(|outgoing| outgoing.journey == answer.journey) else {
            return Vec::new();
        };
        let current = outgoing.attempt == answer.attempt;
        match &answer.outcome {
            // Whichever attempt it answers: the payload is there.
            Outcome::Held(proof) if outgoing.keys.is_held(proof) => {
                self.open.remove(&id);
                vec![Action::Held(id)]
            }
            // Somebody on the way made it up. The true answer may still come.
            Outcome::Held(_) => Vec::new(),
            Outcome::Waiting => {
                if current {
                    outgoing.arrived.insert(answer.share);
                }
                Vec::new()
            }
            Outcome::Changed if current => {
                // One of the relays did it: there is no telling which.
                outgoing.suspects.extend(outgoing.paths.iter().flat_map(|path| relays(path)).cloned());
                self.try_again(id, means)
            }
            Outcome::Refused if current => self.fail(id, Failure::Refused),
            Outcome::Changed | Outcome::Refused => Vec::new(),
        }
    }

    /// A share did not get on: a server on its path, `at` if that is known, cannot be reached or has no key material.
    pub fn on_trouble(
        &mut self,
        id: RelayId,
        attempt: u8,
        share: u8,
        at: Option<&QksId>,
        means: &mut Means<'_>,
    ) -> Vec<Action> {
        let Some(outgoing) = self.open.get_mut(&id).filter(|outgoing| outgoing.attempt == attempt) else {
            return Vec::new();
        };
        let Some(path) = outgoing.paths.get(usize::from(share)) else { return Vec::new() };
        let relays = relays(path);
        // It can only be one of those that the share was given to.
        match at.filter(|at| relays.contains(at)) {
            Some(at) => outgoing.suspects.extend([at.clone()]),
            None => outgoing.suspects.extend(relays.iter().cloned()),
        }
        self.try_again(id, means)
    }

    /// Gives a payload up.
    pub fn give_up(&mut self, id: RelayId) -> Vec<Action> {
        if self.open.contains_key(&id) { self.fail(id, Failure::GivenUp) } else { Vec::new() }
    }

    /// Time went by: what was not answered is tried again, or fails.
    pub fn on_tick(&mut self, means: &mut Means<'_>) -> Vec<Action> {
        let now = means.now;
        let late: Vec<RelayId> =
            self.open.iter().filter(|(_, outgoing)| outgoing.deadline <= now).map(|(id, _)| *id).collect();
        let mut actions = Vec::new();
        for id in late {
            let outgoing = self.open.get_mut(&id).expect("it was there");
            outgoing.suspect_the_silent();
            actions.extend(self.try_again(id, means));
        }
        actions
    }

    /// How many payloads are under way.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether no payload is under way.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Begins another attempt, if there is one left: around the suspects if possible, or else as if there were none.
    fn try_again(&mut self, id: RelayId, means: &mut Means<'_>) -> Vec<Action> {
        let outgoing = self.open.get_mut(&id).expect("callers have just seen it");
        if outgoing.attempt >= self.settings.most_attempts {
            return self.fail(id, Failure::Attempts);
        }
        let mut careful = outgoing.wish.clone();
        careful.avoid.extend(outgoing.suspects.iter().cloned());
        let destination = &outgoing.journey.destination;
        let plan = Plan::make(means.routes, destination, &careful)
            .or_else(|_| Plan::make(means.routes, destination, &outgoing.wish));
        match plan {
            Ok(plan) => outgoing.depart(plan, &self.settings, means),
            Err(_) => self.fail(id, Failure::Attempts),
        }
    }

    fn fail(&mut self, id: RelayId, why: Failure) -> Vec<Action> {
        let outgoing = self.open.remove(&id).expect("callers have just seen it");
        let void = Void { proof: outgoing.keys.void(), journey: outgoing.journey };
        vec![Action::Failed { id, why }, Action::Void { void, paths: outgoing.paths }]
    }
}

impl Outgoing {
    /// Every attempt is shared anew: if a share went another way than before, a relay could otherwise see two of one attempt.
    fn depart(&mut self, plan: Plan, settings: &Settings, means: &mut Means<'_>) -> Vec<Action> {
        self.attempt += 1;
        self.paths = plan.paths;
        self.arrived.clear();
        self.deadline = means.now.saturating_add(settings.patience);
        let shares = envelope::split(&self.envelope, self.paths.len(), means.fill);
        let count = u8::try_from(shares.len()).expect("there are few shares");
        let header = |(share, path): (u8, &Vec<QksId>)| Header {
            id: self.journey.id,
            kind: self.journey.kind,
            attempt: self.attempt,
            share,
            shares: count,
            path: path.clone(),
            hop: 1,
        };
        let headers = (0..count).zip(&self.paths).map(header);
        headers.zip(shares).map(|(header, share)| Action::Depart(Arrived::at_source(header, share))).collect()
    }

    fn suspect_the_silent(&mut self) {
        for (share, path) in (0..).zip(&self.paths) {
            if !self.arrived.contains(&share) {
                self.suspects.extend(relays(path).iter().cloned());
            }
        }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, attempt {}", self.journey, self.attempt)
    }
}

impl fmt::Debug for Means<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Means({})", self.now)
    }
}

/// The servers between.
fn relays(path: &[QksId]) -> &[QksId] {
    &path[1..path.len() - 1]
}
