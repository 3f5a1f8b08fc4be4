//! A network of relays in one thread: whatever happens in it follows from a seed.

use std::collections::{BTreeMap, BTreeSet};

use photongate_wire::Nanos;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::destination::{self, Destination};
use super::envelope::Journey;
use super::frame::{Arrived, Cipher, Frame, HopKeyName, Role};
use super::plan::Wish;
use super::source::{self, Answer, Failure, Means, NotBegun, Source, Void};
use super::*;
use crate::ids::{QksId, StreamId};
use crate::routing::Routes;
use crate::routing::simulation::Random;
use crate::stock::{BlockName, Piece};

/// One source, one destination, and relays between. What goes wrong does so in percent of all cases.
pub(super) struct Network {
    pub(super) random: Random,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    /// How often the destination dies after it kept a payload, and before it could say so.
    pub(super) crashes: u64,
    /// Relays that change every share they see.
    pub(super) tampering: BTreeSet<QksId>,
    pub(super) dead: BTreeSet<QksId>,
    pub(super) routes: Routes,
    pub(super) source: Source,
    pub(super) destination: Destination,
    /// What the destination kept, durably. Nothing is ever put there twice.
    pub(super) store: BTreeMap<Journey, Vec<u8>>,
    pub(super) sent: BTreeMap<RelayId, Vec<u8>>,
    pub(super) held: Vec<RelayId>,
    pub(super) failed: Vec<(RelayId, Failure)>,
    /// The shares that every server saw in clear: of which journey, attempt and place.
    pub(super) seen: BTreeMap<QksId, BTreeSet<(RelayId, u8, u8)>>,
    /// The bytes of those shares.
    pub(super) seen_bytes: BTreeMap<QksId, Vec<Vec<u8>>>,
    keys: BTreeMap<u64, Vec<u8>>,
    under_way: Vec<Parcel>,
    now: Nanos,
}

enum Parcel {
    Frame { from: QksId, frame: Frame },
    Answer(Answer),
    Void(Void),
}

impl Network {
    /// From `a` to `z` over `b` to `e`, each alone; `f` and `g` make another way together.
    pub(super) fn new(seed: u64) -> Self {
        let links = ["b", "c", "d", "e"]
            .into_iter()
            .zip(10..)
            .flat_map(|(relay, cost)| [("a", relay, cost), (relay, "z", cost)]);
        let links: Vec<_> = links.chain([("a", "f", 9), ("f", "g", 9), ("g", "z", 9)]).collect();
        Self {
            random: Random(seed),
            lost: 0,
            doubled: 0,
            crashes: 0,
            tampering: BTreeSet::new(),
            dead: BTreeSet::new(),
            routes: Routes::of_links("a", &links),
            source: Source::new(id("a"), source::Settings { most_attempts: 8, ..source::Settings::default() }),
            destination: Destination::new(destination::Settings::default()),
            store: BTreeMap::new(),
            sent: BTreeMap::new(),
            held: Vec::new(),
            failed: Vec::new(),
            seen: BTreeMap::new(),
            seen_bytes: BTreeMap::new(),
            keys: BTreeMap::new(),
            under_way: Vec::new(),
            now: Nanos(0),
        }
    }

    pub(super) fn send(&mut self, payload: &[u8], shares: usize) -> Result<RelayId, NotBegun> {
        let id = RelayId(Uuid::from_u64_pair(self.random.next(), self.random.next()));
        let (routes, now) = (self.routes.clone(), self.now);
        let mut fill = |bytes: &mut [u8]| self.random.fill(bytes);
        let mut means = Means { routes: &routes, fill: &mut fill, now };
        let wish = Wish { shares, ..Wish::default() };
        let actions = self.source.begin(id, Kind::Keys, &"z".parse().unwrap(), payload, wish, &mut means)?;
        self.sent.insert(id, payload.to_vec());
        self.at_source(actions);
        Ok(id)
    }

    /// Delivers what is under way in random order, and lets time go by, until nothing is open.
    pub(super) fn run(&mut self) {
        while !self.source.is_empty() || !self.under_way.is_empty() {
            if self.under_way.is_empty() {
                self.now = self.now.saturating_add(Nanos::from_secs(1));
                self.with_means(Source::on_tick);
            } else {
                let parcel = self.under_way.swap_remove(self.random.below(self.under_way.len()));
                self.deliver(parcel);
            }
        }
    }

    fn with_means(&mut self, act: impl FnOnce(&mut Source, &mut Means<'_>) -> Vec<source::Action>) {
        let (routes, now) = (self.routes.clone(), self.now);
        let mut fill = |bytes: &mut [u8]| self.random.fill(bytes);
        let actions = act(&mut self.source, &mut Means { routes: &routes, fill: &mut fill, now });
        self.at_source(actions);
    }

    fn at_source(&mut self, actions: Vec<source::Action>) {
        for action in actions {
            match action {
                source::Action::Depart(arrived) => {
                    let (cipher, name, key) = self.hop_key(arrived.share_bytes());
                    let frame = arrived.depart(cipher, name, key).unwrap();
                    self.post_frame(&id("a"), &frame);
                }
                source::Action::Held(id) => self.held.push(id),
                source::Action::Failed { id, why } => self.failed.push((id, why)),
                source::Action::Void { void, .. } => self.post(|| Parcel::Void(void.clone())),
            }
        }
    }

    fn deliver(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Frame { from, frame } => self.on_frame(&from, frame),
            Parcel::Answer(answer) => self.with_means(|source, means| source.on_answer(&answer, means)),
            Parcel::Void(void) => {
                let action = self.destination.on_void(&void);
                self.at_destination(action);
            }
        }
    }

    fn on_frame(&mut self, from: &QksId, frame: Frame) {
        let local = frame.header.path[usize::from(frame.header.hop)].clone();
        if self.dead.contains(&local) {
            let header = &frame.header;
            let (id, attempt, share) = (header.id, header.attempt, header.share);
            return self.with_means(|source, means| source.on_trouble(id, attempt, share, Some(&local), means));
        }
        let role = frame.role(&local, from).unwrap();
        // A key that was used is gone: so the copy of a frame cannot be opened.
        let Some(key) = self.keys.remove(&frame.key.0[0].block.number) else { return };
        let arrived = frame.open(Zeroizing::new(key)).unwrap();
        match role {
            Role::Destination => {
                let action = self.destination.on_share(arrived, self.now);
                self.at_destination(Some(action));
            }
            Role::Relay { .. } => {
                let arrived = self.look_at(&local, arrived);
                let (cipher, name, key) = self.hop_key(arrived.share_bytes());
                let frame = arrived.forward(cipher, name, key).unwrap();
                self.post_frame(&local, &frame);
            }
        }
    }

    /// What a relay can do with a share.
    fn look_at(&mut self, relay: &QksId, arrived: Arrived) -> Arrived {
        let (header, mut share) = arrived.into_share();
        self.seen.entry(relay.clone()).or_default().insert((header.id, header.attempt, header.share));
        self.seen_bytes.entry(relay.clone()).or_default().push(share.0.to_vec());
        if self.tampering.contains(relay) {
            let place = self.random.below(share.0.len());
            share.0[place] ^= 1;
        }
        Arrived::at_source(header, share.0)
    }

    fn at_destination(&mut self, action: Option<destination::Action>) {
        match action {
            None => {}
            Some(destination::Action::Answer(answer)) => self.post(|| Parcel::Answer(answer.clone())),
            Some(destination::Action::Discard(journey)) => {
                self.store.remove(&journey);
            }
            Some(destination::Action::Store { journey, payload }) => {
                let kept = self.store.entry(journey.clone()).or_insert_with(|| payload.to_vec());
                assert_eq!(*kept, *payload, "the same journey brought two payloads");
                if self.random.percent(self.crashes) {
                    self.destination = Destination::new(destination::Settings::default());
                }
                let action = self.destination.on_stored(&journey, true, self.now);
                self.at_destination(action);
            }
        }
    }

    fn hop_key(&mut self, share_bytes: usize) -> (Cipher, HopKeyName, Secret) {
        let cipher = if self.random.percent(50) { Cipher::OneTimePad } else { Cipher::Aes256Gcm };
        let mut key = vec![0; cipher.key_bytes(share_bytes)];
        self.random.fill(&mut key);
        let number = self.keys.len() as u64 + self.random.next();
        self.keys.insert(number, key.clone());
        (cipher, key_name(number, key.len()), Zeroizing::new(key))
    }

    fn post_frame(&mut self, from: &QksId, frame: &Frame) {
        self.post(|| Parcel::Frame { from: from.clone(), frame: frame.clone() });
    }

    fn post(&mut self, parcel: impl Fn() -> Parcel) {
        for _ in 0..=u64::from(self.random.percent(self.doubled)) {
            if !self.random.percent(self.lost) {
                self.under_way.push(parcel());
            }
        }
    }
}

pub(super) fn key_name(number: u64, length: usize) -> HopKeyName {
    let block = BlockName { stream: StreamId(Uuid::nil()), number };
    HopKeyName(vec![Piece { block, offset: 0, length: u32::try_from(length).unwrap() }])
}

pub(super) fn id(name: &str) -> QksId {
    name.parse().unwrap()
}
