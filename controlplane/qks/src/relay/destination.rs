//! What a server remembers of the payloads that are on their way to it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use photongate_wire::Nanos;

use super::Secret;
use super::envelope::{self, Journey, ProofKeys};
use super::frame::{Arrived, Header, Share};
use super::source::{Answer, Outcome, Void};
use crate::ids::QksId;

/// The payloads on their way to this server, and for some time those that arrived.
///
/// A payload is stored once, however often its shares come; and whoever asks again gets the same answer.
#[derive(Debug)]
pub struct Destination {
    settings: Settings,
    journeys: BTreeMap<Journey, Incoming>,
    per_source: BTreeMap<QksId, usize>,
    /// Of all shares that wait for others.
    waiting_bytes: usize,
    /// When what is to be forgotten, in that order.
    ends: VecDeque<(Nanos, Journey)>,
}

/// How much and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a payload is remembered after the first of its shares came, and after it was stored.
    pub remember: Nanos,
    /// Payloads of one source that are remembered at a time.
    pub most_per_source: usize,
    /// Bytes of all shares that wait for others.
    pub most_waiting_bytes: usize,
}

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    /// Send this back to the source.
    Answer(Answer),
    /// Keep the payload, durably and once: it may have been kept before this process was started. Then tell
    /// [`Destination::on_stored`].
    Store {
        /// Whose it is; unique.
        journey: Journey,
        /// What to keep.
        payload: Secret,
    },
    /// Forget a payload that was kept. If it was not kept, there is nothing to do.
    Discard(Journey),
}

struct Incoming {
    attempt: u8,
    share: u8,
    state: State,
    end: Nanos,
}

enum State {
    /// Some shares of one attempt are there.
    Collecting(Vec<Option<Share>>),
    /// The payload is whole, and is being kept.
    Storing(ProofKeys),
    /// It is kept.
    Held(ProofKeys),
    /// Its source gave it up.
    Void,
}

impl Default for Settings {
    fn default() -> Self {
        Self { remember: Nanos::from_secs(300), most_per_source: 65_536, most_waiting_bytes: 64 * 1024 * 1024 }
    }
}

impl Destination {
    /// Begins with nothing on the way.
    pub const fn new(settings: Settings) -> Self {
        Self {
            settings,
            journeys: BTreeMap::new(),
            per_source: BTreeMap::new(),
            waiting_bytes: 0,
            ends: VecDeque::new(),
        }
    }

    /// A share arrived whose path ends here.
    pub fn on_share(&mut self, arrived: Arrived, now: Nanos) -> Action {
        let (header, share) = arrived.into_share();
        let journey = journey_of(&header);
        if !self.journeys.contains_key(&journey) && !self.admit(&journey, &header, now) {
            return answer(journey, &header, Outcome::Refused);
        }
        let incoming = self.journeys.get_mut(&journey).expect("it was admitted");
        let outcome = match &mut incoming.state {
            State::Held(keys) => Outcome::Held(keys.held()),
            State::Void => Outcome::Refused,
            State::Storing(_) => Outcome::Waiting,
            State::Collecting(_) if header.attempt < incoming.attempt => Outcome::Waiting,
            State::Collecting(shares) => {
                if header.attempt > incoming.attempt || shares.len() != usize::from(header.shares) {
                    // The source began anew, with other shares.
                    self.waiting_bytes -= bytes(shares);
                    *shares = none(&header);
                    incoming.attempt = header.attempt;
                }
                let place = &mut shares[usize::from(header.share)];
                let more = share.0.len();
                if place.is_none() && self.waiting_bytes + more > self.settings.most_waiting_bytes {
                    return answer(journey, &header, Outcome::Refused);
                }
                if place.is_none() {
                    self.waiting_bytes += more;
                    *place = Some(share);
                }
                if shares.iter().any(Option::is_none) {
                    Outcome::Waiting
                } else {
                    return self.open(journey, &header);
                }
            }
        };
        answer(journey, &header, outcome)
    }

    /// What [`Action::Store`] asked for was done: `kept` if the payload is there, now or from an earlier time, and `false` if it could
    /// not be kept.
    pub fn on_stored(&mut self, journey: &Journey, kept: bool, now: Nanos) -> Option<Action> {
        let incoming = self.journeys.get_mut(journey)?;
        let (attempt, share) = (incoming.attempt, incoming.share);
        let state = std::mem::replace(&mut incoming.state, State::Void);
        let outcome = match state {
            State::Storing(keys) | State::Held(keys) if kept => {
                let proof = keys.held();
                incoming.state = State::Held(keys);
                incoming.end = now.saturating_add(self.settings.remember);
                self.ends.push_back((incoming.end, journey.clone()));
                Outcome::Held(proof)
            }
            // It was given up in the meantime.
            State::Void if kept => return Some(Action::Discard(journey.clone())),
            State::Void => return None,
            other @ State::Collecting(_) => {
                incoming.state = other;
                return None;
            }
            State::Storing(_) | State::Held(_) => {
                incoming.state = State::Collecting(Vec::new());
                Outcome::Refused
            }
        };
        Some(Action::Answer(Answer { journey: journey.clone(), attempt, share, outcome }))
    }

    /// The source gave a payload up. Whoever brings it, the word is the source's, or it is dropped.
    pub fn on_void(&mut self, void: &Void) -> Option<Action> {
        let incoming = self.journeys.get_mut(&void.journey)?;
        match &incoming.state {
            State::Storing(keys) | State::Held(keys) if keys.is_void(&void.proof) => {
                incoming.state = State::Void;
                Some(Action::Discard(void.journey.clone()))
            }
            State::Storing(_) | State::Held(_) | State::Void | State::Collecting(_) => None,
        }
    }

    /// Time went by: what never became whole is forgotten, and later what did.
    pub fn on_tick(&mut self, now: Nanos) {
        while let Some((_, journey)) = self.ends.pop_front_if(|(end, _)| *end <= now) {
            if self.journeys.get(&journey).is_some_and(|incoming| incoming.end <= now) {
                self.forget(&journey);
            }
        }
    }

    /// How many payloads are remembered.
    pub fn len(&self) -> usize {
        self.journeys.len()
    }

    /// Whether no payload is remembered.
    pub fn is_empty(&self) -> bool {
        self.journeys.is_empty()
    }

    /// Makes room for another payload; `false` if its source has too many.
    fn admit(&mut self, journey: &Journey, header: &Header, now: Nanos) -> bool {
        let count = self.per_source.entry(journey.source.clone()).or_default();
        if *count >= self.settings.most_per_source {
            return false;
        }
        *count += 1;
        let end = now.saturating_add(self.settings.remember);
        let state = State::Collecting(none(header));
        let incoming = Incoming { attempt: header.attempt, share: header.share, state, end };
        self.journeys.insert(journey.clone(), incoming);
        self.ends.push_back((end, journey.clone()));
        true
    }

    /// All shares are there.
    fn open(&mut self, journey: Journey, header: &Header) -> Action {
        let incoming = self.journeys.get_mut(&journey).expect("its last share has just been put in");
        let State::Collecting(shares) = &mut incoming.state else { unreachable!("it was collecting") };
        let shares = std::mem::take(shares);
        self.waiting_bytes -= bytes(&shares);
        let whole = envelope::combine(shares.iter().flatten().map(|share| &share.0));
        let opened = whole.and_then(|whole| envelope::unwrap(&journey, &whole).ok());
        let Some((payload, keys)) = opened else {
            // It stays counted, so that nobody can fill this server's memory with payloads that are no good.
            incoming.state = State::Collecting(Vec::new());
            return answer(journey, header, Outcome::Changed);
        };
        incoming.state = State::Storing(keys);
        incoming.share = header.share;
        Action::Store { journey, payload }
    }

    fn forget(&mut self, journey: &Journey) {
        let Some(incoming) = self.journeys.remove(journey) else { return };
        if let State::Collecting(shares) = &incoming.state {
            self.waiting_bytes -= bytes(shares);
        }
        let count = self.per_source.get_mut(&journey.source).expect("every payload is counted");
        *count -= 1;
        if *count == 0 {
            self.per_source.remove(&journey.source);
        }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Collecting(_) => "collecting",
            State::Storing(_) => "storing",
            State::Held(_) => "held",
            State::Void => "void",
        };
        write!(f, "attempt {}, {state}", self.attempt)
    }
}

fn journey_of(header: &Header) -> Journey {
    Journey {
        source: header.source().clone(),
        id: header.id,
        kind: header.kind,
        destination: header.destination().clone(),
    }
}

fn answer(journey: Journey, header: &Header, outcome: Outcome) -> Action {
    Action::Answer(Answer { journey, attempt: header.attempt, share: header.share, outcome })
}

fn none(header: &Header) -> Vec<Option<Share>> {
    (0..header.shares).map(|_| None).collect()
}

fn bytes(shares: &[Option<Share>]) -> usize {
    shares.iter().flatten().map(|share| share.0.len()).sum()
}
