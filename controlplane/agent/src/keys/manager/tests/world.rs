//! A world for the key manager: sources that fail, hang and change their mind, operators, and a clock that jumps; in ticks.

use proptest::prelude::*;

use super::model::{Model, ModelKey};
use super::*;

/// What happens to the manager besides the passing of time.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// So many ticks pass.
    Wait(u64),
    Add(usize),
    Remove(usize),
    Prefetch(usize),
    Revoke(usize, Option<Direction>),
    /// The source of a peer is replaced, by one with the same keys or with others.
    Replace(usize, bool),
    /// For so many ticks the source of a lane gives no key.
    Fail(usize, Direction, u64),
    /// For so many ticks it does not answer at all.
    Hang(usize, Direction, u64),
    /// The next answer of a lane's source is a wrong one.
    Lie(usize, Direction, Lie),
    /// The clock is set by so many seconds.
    Step(i64),
}

/// A wrong answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lie {
    AnotherEpoch,
    TooShort,
    Zeroes,
}

/// All peers, their sources, and what is known of them.
pub(super) struct World {
    pub(super) times: KeyTimes,
    pub(super) manager: KeyManager,
    pub(super) now: UnixNanos,
    pub(super) lanes: Vec<[LaneWorld; 2]>,
    pub(super) listed: [bool; PEERS],
    answers: Vec<Pending>,
    /// Ticks since the beginning. Goes on when the clock is set.
    ticks: u64,
}

/// One lane's source, and the reference model of its containers.
pub(super) struct LaneWorld {
    pub(super) model: Model,
    /// Epochs begin this much before their predecessors end.
    overlap: Nanos,
    length: Nanos,
    generation: u8,
    pub(super) revoked: Vec<ModelKey>,
    fails_until: u64,
    hangs_until: u64,
    lie: Option<Lie>,
    /// The last tick at which anything went otherwise than it should.
    pub(super) disturbed: u64,
    /// Whether its keys may be held earlier than usual, because somebody asked for them or set the clock.
    pub(super) was_meddled_with: bool,
}

struct Pending {
    due: u64,
    fetch: Fetch,
    answer: Result<FetchedKey, FetchError>,
}

pub(super) const PEERS: usize = 3;
pub(super) const PLACES: usize = 4;
pub(super) const TICK: Nanos = Nanos::from_millis(250);

impl World {
    pub(super) fn new(times: KeyTimes, shapes: &[[(u64, u64); 2]; PEERS], seed: u64) -> Self {
        let lane = |(overlap, more): (u64, u64)| LaneWorld {
            model: Model::default(),
            overlap: Nanos::from_secs(overlap),
            length: times.epoch.saturating_add(Nanos::from_secs(overlap + more)),
            generation: 0,
            revoked: Vec::new(),
            fails_until: 0,
            hangs_until: 0,
            lie: None,
            disturbed: 0,
            was_meddled_with: false,
        };
        Self {
            times,
            manager: KeyManager::new(times, seed),
            now: at(1_000_000),
            lanes: shapes.iter().map(|shapes| shapes.map(lane)).collect(),
            listed: [false; PEERS],
            answers: Vec::new(),
            ticks: 0,
        }
    }

    pub(super) fn happen(&mut self, event: &Event) {
        match *event {
            Event::Wait(ticks) => (0..ticks).for_each(|_| self.tick()),
            Event::Add(number) => {
                self.manager.add(peer(number as u64), HeldKeys::default(), self.now);
                if !self.listed[number] {
                    self.listed[number] = true;
                    self.disturb(number, |lane| lane.model = Model::default());
                }
            }
            Event::Remove(number) => {
                assert_eq!(self.manager.remove(peer(number as u64)), self.listed[number]);
                self.listed[number] = false;
            }
            Event::Prefetch(number) => {
                assert_eq!(self.manager.prefetch(peer(number as u64), self.now), self.listed[number]);
                self.lanes[number].iter_mut().for_each(|lane| lane.was_meddled_with = true);
            }
            Event::Revoke(number, only) => self.revoke(number, only),
            Event::Replace(number, changes) => {
                self.manager.replace_source(peer(number as u64), self.now);
                self.disturb(number, |lane| {
                    lane.generation += u8::from(changes);
                    lane.model.distrust();
                });
            }
            Event::Fail(number, direction, ticks) => {
                self.lanes[number][direction as usize].fails_until = self.ticks + ticks;
            }
            Event::Hang(number, direction, ticks) => {
                self.lanes[number][direction as usize].hangs_until = self.ticks + ticks;
            }
            Event::Lie(number, direction, lie) => self.lanes[number][direction as usize].lie = Some(lie),
            Event::Step(seconds) => {
                let stepped = self.now.0.saturating_add_signed(seconds * at(1).0 as i64);
                let back = stepped < self.now.0;
                self.now = UnixNanos(stepped);
                let (now, ahead) = (self.now, self.ahead());
                for number in 0..PEERS {
                    self.disturb(number, |lane| {
                        lane.was_meddled_with = true;
                        if back {
                            lane.model.set_back(now, ahead);
                        }
                    });
                }
            }
        }
        self.settle();
    }

    /// Brings the manager and the models to the present.
    fn settle(&mut self) {
        self.manager.changed(self.now);
        for (direction, lane) in self.lanes.iter_mut().flat_map(|lanes| Direction::BOTH.into_iter().zip(lanes)) {
            lane.model.advance(direction, self.now, &self.times);
        }
    }

    /// How long before its predecessor ends a key is fetched at the earliest.
    pub(super) fn ahead(&self) -> Nanos {
        Pace::new(self.times, 0).ahead
    }

    /// How long it takes at most, in ticks, until a lane has its key when its source works again: the longest wait for another attempt,
    /// a fetch that hangs, and the same for the one after it.
    pub(super) fn patience(&self) -> u64 {
        let pace = Pace::new(self.times, 0);
        2 * ((pace.last_retry().0 + fetch_timeout(&self.times).0) / TICK.0 + 2)
    }

    pub(super) fn calm_for(&self, lane: &LaneWorld) -> u64 {
        self.ticks - lane.disturbed
    }

    /// The key that the source has for an instant.
    pub(super) fn truth(&self, number: usize, direction: Direction, at: UnixNanos) -> ModelKey {
        let lane = &self.lanes[number][direction as usize];
        let term = Nanos(lane.length.0 - lane.overlap.0);
        let counted = Epoch::counted_from(UnixNanos(0), at, term).unwrap();
        let epoch = Epoch { start: counted.start.saturating_sub(lane.overlap), ..counted };
        let id = key_of(peer(number as u64), direction, epoch, lane.generation);
        let handover = epoch.end.saturating_sub(lane.overlap);
        ModelKey { id: *id.as_bytes(), epoch, handover, former: false, known: at }
    }

    fn tick(&mut self) {
        self.ticks += 1;
        self.now = self.now.saturating_add(TICK);
        self.settle();
        let (due, later) = std::mem::take(&mut self.answers).into_iter().partition(|answer| answer.due <= self.ticks);
        self.answers = later;
        for Pending { fetch, answer, .. } in due {
            self.deliver(fetch, answer);
        }
        let fetches = self.manager.due_fetches(self.now, PLACES - self.answers.len());
        assert!(fetches.len() + self.answers.len() <= PLACES);
        for fetch in fetches {
            let pending = self.ask(fetch);
            self.answers.push(pending);
        }
    }

    /// What the source does about a fetch.
    fn ask(&mut self, fetch: Fetch) -> Pending {
        let KeyRequest { peer, direction, at } = fetch.request;
        let number = peer.isd_as.bits() as usize;
        let ModelKey { id, epoch, handover, .. } = self.truth(number, direction, at);
        let (ticks, timeout) = (self.ticks, fetch_timeout(&self.times));
        let lane = &mut self.lanes[number][direction as usize];
        let mut key = FetchedKey { key: Key::from_bytes(id), epoch, successor_from: Some(handover) };
        if ticks < lane.hangs_until {
            return Pending {
                due: ticks + timeout.0.div_ceil(TICK.0),
                fetch,
                answer: Err(FetchError::TimedOut(timeout)),
            };
        }
        if ticks < lane.fails_until {
            return Pending { due: ticks + 1, fetch, answer: Err(FetchError::Unavailable("down".to_owned())) };
        }
        match lane.lie.take() {
            Some(Lie::AnotherEpoch) => {
                key.epoch = Epoch { start: epoch.end, end: epoch.end.saturating_add(lane.length) }
            }
            Some(Lie::TooShort) => key.epoch = Epoch { start: at, end: at.saturating_add(Nanos::from_secs(1)) },
            Some(Lie::Zeroes) => key.key = Key::from_bytes([0; 16]),
            None => {}
        }
        Pending { due: ticks + 1, fetch, answer: Ok(key) }
    }

    fn deliver(&mut self, fetch: Fetch, answer: Result<FetchedKey, FetchError>) {
        let KeyRequest { peer, direction, at: asked } = fetch.request;
        let (number, now, times, ticks) = (peer.isd_as.bits() as usize, self.now, self.times, self.ticks);
        let given = answer.as_ref().ok().map(|key| ModelKey {
            id: *key.key.as_bytes(),
            epoch: key.epoch,
            handover: key.successor_from.filter(|from| key.epoch.contains(*from)).unwrap_or(key.epoch.end),
            former: false,
            known: key
                .epoch
                .start
                .saturating_add(Nanos(key.epoch.start.distance(asked.max(key.epoch.start)).0.next_multiple_of(SECOND))),
        });
        let outcome = self.manager.on_fetched(fetch.id, answer, now);
        let lane = &mut self.lanes[number][direction as usize];
        match (outcome, given) {
            (Outcome::Taken, Some(key)) => {
                assert!(self.listed[number] && key.epoch.contains(asked), "{key:?} for {asked:?}");
                assert!(lane.revoked.iter().all(|revoked| revoked.id != key.id), "revoked: {key:?}");
                assert_ne!(key.id, [0; 16]);
                lane.model.receive(key, direction, now, &times);
            }
            (Outcome::Taken, None) => panic!("an error is no key"),
            (Outcome::Ignored | Outcome::Failed, _) => lane.disturbed = ticks,
        }
    }

    fn revoke(&mut self, number: usize, only: Option<Direction>) {
        let revoked = self.manager.revoke(peer(number as u64), only, self.now);
        let mut expected = Vec::new();
        if self.listed[number] {
            for direction in Direction::BOTH.into_iter().filter(|direction| only.is_none_or(|only| only == *direction))
            {
                let lane = &mut self.lanes[number][direction as usize];
                lane.disturbed = self.ticks;
                for key in lane.model.empty() {
                    expected.push((direction, key.epoch));
                    lane.revoked.push(key);
                }
            }
        }
        let order = |(direction, epoch): &(Direction, Epoch)| (*direction, epoch.start, epoch.end);
        let sorted = |mut keys: Vec<(Direction, Epoch)>| {
            keys.sort_by_key(order);
            keys
        };
        assert_eq!(sorted(revoked), sorted(expected));
    }

    fn disturb(&mut self, number: usize, mut change: impl FnMut(&mut LaneWorld)) {
        for lane in &mut self.lanes[number] {
            lane.disturbed = self.ticks;
            change(lane);
        }
    }
}

/// Times in which everything happens often, and that leave room for one another.
pub(super) fn times_of_seconds() -> impl Strategy<Value = KeyTimes> {
    (4..16_u64, 0..4_u64, 0..4_u64, 0..20_u64).prop_map(|(prefetch, grace, time_threshold, spare)| {
        let [prefetch, grace, time_threshold] = [prefetch, grace, time_threshold].map(Nanos::from_secs);
        let times = KeyTimes { epoch: Nanos(0), prefetch, grace, time_threshold };
        KeyTimes { epoch: times.validate().unwrap_err().least.saturating_add(Nanos::from_secs(spare + 4)), ..times }
    })
}

pub(super) fn events() -> impl Strategy<Value = Vec<Event>> {
    let number = || 0..PEERS;
    let direction = || prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)];
    let lie = prop_oneof![Just(Lie::AnotherEpoch), Just(Lie::TooShort), Just(Lie::Zeroes)];
    let event = prop_oneof![
        12 => (1..120_u64).prop_map(Event::Wait),
        3 => number().prop_map(Event::Add),
        1 => number().prop_map(Event::Remove),
        1 => number().prop_map(Event::Prefetch),
        1 => (number(), prop::option::of(direction())).prop_map(|(number, only)| Event::Revoke(number, only)),
        1 => (number(), any::<bool>()).prop_map(|(number, changes)| Event::Replace(number, changes)),
        2 => (number(), direction(), 1..200_u64).prop_map(|(number, direction, ticks)| Event::Fail(number, direction, ticks)),
        1 => (number(), direction(), 1..200_u64).prop_map(|(number, direction, ticks)| Event::Hang(number, direction, ticks)),
        1 => (number(), direction(), lie).prop_map(|(number, direction, lie)| Event::Lie(number, direction, lie)),
        1 => prop_oneof![-20_000..20_000_i64, -30..30_i64].prop_map(Event::Step),
    ];
    prop::collection::vec(event, 1..60)
}

const SECOND: u64 = 1_000_000_000;
