//! What holds at every instant, whatever happens.

use proptest::prelude::*;

use super::model::{ModelKey, gone};
use super::world::{Event, PEERS, TICK, World, events, times_of_seconds};
use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn at_every_instant_the_containers_hold_what_the_rules_say(
        times in times_of_seconds(), shapes in shapes(), events in events(), seed in any::<u64>()
    ) {
        let mut world = World::new(times, &shapes, seed);
        world.happen(&Event::Add(0));
        world.happen(&Event::Add(1));
        let mut before = Snapshot::of(&world);
        for event in events.iter().flat_map(in_ticks) {
            world.happen(&event);
            let after = Snapshot::of(&world);
            after.is_as_modelled(&world, &event)?;
            before.has_lost_nothing_valid(&after, &world, &event)?;
            after.has_what_it_should(&world)?;
            before = after;
        }
    }

    #[test]
    fn a_peer_whose_source_fails_or_hangs_does_not_delay_another(
        times in times_of_seconds(), shapes in shapes(), events in events(), seed in any::<u64>()
    ) {
        // The last peer has a quiet life, however the others fare.
        let quiet = PEERS - 1;
        let mut world = World::new(times, &shapes, seed);
        (0..PEERS).for_each(|number| world.happen(&Event::Add(number)));
        world.happen(&Event::Wait(8));
        for event in events.iter().filter(|event| concerns_only_others(event, quiet)).flat_map(in_ticks) {
            world.happen(&event);
            let after = Snapshot::of(&world);
            for direction in Direction::BOTH {
                after.has_the_present(&world, quiet, direction)?;
            }
        }
    }
}

/// The keys of all peers at one instant: by peer and direction, those that are let go first in front.
struct Snapshot {
    held: Vec<[Vec<Identity>; 2]>,
    /// Those among them that the present source has not confirmed.
    former: Vec<Identity>,
}

/// A key, by what it is and when it is used.
type Identity = (Epoch, [u8; 16]);

impl Snapshot {
    fn of(world: &World) -> Self {
        let identity = |key: Option<&AsAsKey>| key.map(|key| (key.epoch, *key.key.as_bytes()));
        let held = (0..PEERS as u64).map(|number| {
            let keys = world.manager.key_set(peer(number), world.now);
            [keys.inbound_containers(), keys.outbound_containers()]
                .map(|keys| keys.into_iter().rev().filter_map(identity).collect())
        });
        let models = world.lanes.iter().flatten().flat_map(|lane| &lane.model.containers);
        Self { held: held.collect(), former: models.filter(|key| key.former).map(|key| (key.epoch, key.id)).collect() }
    }

    fn is_as_modelled(&self, world: &World, event: &Event) -> Result<(), TestCaseError> {
        for (number, lanes) in world.lanes.iter().enumerate() {
            for (direction, lane) in Direction::BOTH.into_iter().zip(lanes) {
                let modelled = lane.model.containers.iter().filter(|_| world.listed[number]);
                let expected: Vec<_> = modelled.map(|key| (key.epoch, key.id)).collect();
                let held = &self.held[number][direction as usize];
                prop_assert_eq!(held, &expected, "{:?} of {} after {:?}", direction, number, event);
            }
        }
        Ok(())
    }

    /// A key that may be in use is let go only for one of the reasons that there are.
    fn has_lost_nothing_valid(&self, after: &Self, world: &World, event: &Event) -> Result<(), TestCaseError> {
        if let Event::Remove(_) | Event::Revoke(..) | Event::Step(_) = event {
            return Ok(());
        }
        for (number, (before, after)) in self.held.iter().zip(&after.held).enumerate() {
            for direction in Direction::BOTH {
                let [before, after] = [before, after].map(|lanes| &lanes[direction as usize]);
                for lost in before.iter().filter(|key| !after.contains(key) && !self.former.contains(key)) {
                    let may_be_met = lost.0.start <= world.now.saturating_add(world.times.time_threshold);
                    let is_over = gone(lost.0, &world.times) <= world.now;
                    prop_assert!(is_over || !may_be_met, "{} of {} after {:?}", lost.0, number, event);
                }
            }
        }
        Ok(())
    }

    /// When nothing went wrong for a while, the keys of the present are there, and nothing that is not due.
    fn has_what_it_should(&self, world: &World) -> Result<(), TestCaseError> {
        for (number, lanes) in world.lanes.iter().enumerate().filter(|(number, _)| world.listed[*number]) {
            for (direction, lane) in Direction::BOTH.into_iter().zip(lanes) {
                if world.calm_for(lane) > world.patience() {
                    self.has_the_present(world, number, direction)?;
                }
                for (epoch, id) in &self.held[number][direction as usize] {
                    prop_assert!(lane.revoked.iter().all(|revoked| revoked.id != *id), "{} is revoked", epoch);
                    let is_due = epoch.start <= world.now.saturating_add(world.ahead());
                    prop_assert!(is_due || lane.was_meddled_with, "{} at {:?}", epoch, world.now);
                }
            }
        }
        Ok(())
    }

    fn has_the_present(&self, world: &World, number: usize, direction: Direction) -> Result<(), TestCaseError> {
        // A peer whose clock is ahead may use the next key already. It may come a little later than that if it had to wait for
        // a place, and by the ticks in which time passes here.
        let delay = fetch_timeout(&world.times).saturating_add(Nanos(4 * TICK.0));
        let soon = world.now.saturating_add(Nanos(world.times.time_threshold.0.saturating_sub(delay.0)));
        let is_revoked =
            |key: &ModelKey| world.lanes[number][direction as usize].revoked.iter().any(|revoked| revoked.id == key.id);
        for at in [world.now, soon] {
            let truth = world.truth(number, direction, at);
            let held = &self.held[number][direction as usize];
            prop_assert!(is_revoked(&truth) || held.contains(&(truth.epoch, truth.id)), "{}: {:?}", truth.epoch, held);
        }
        let truth = world.truth(number, direction, world.now);
        if direction == Direction::Outbound && !is_revoked(&truth) {
            let keys = world.manager.key_set(peer(number as u64), world.now);
            let sent_with = keys.outbound(world.now).map(|key| *key.key.as_bytes());
            prop_assert_eq!(sent_with, Some(truth.id), "{} is not sent with", truth.epoch);
        }
        Ok(())
    }
}

/// An event, tick by tick.
fn in_ticks(event: &Event) -> Vec<Event> {
    match event {
        Event::Wait(ticks) => vec![Event::Wait(1); *ticks as usize],
        other => vec![other.clone()],
    }
}

fn concerns_only_others(event: &Event, quiet: usize) -> bool {
    match event {
        Event::Wait(_) => true,
        Event::Step(_) => false,
        Event::Add(number)
        | Event::Remove(number)
        | Event::Prefetch(number)
        | Event::Revoke(number, _)
        | Event::Replace(number, _)
        | Event::Fail(number, ..)
        | Event::Hang(number, ..)
        | Event::Lie(number, ..) => *number != quiet,
    }
}

/// For each lane how long before its predecessor's end an epoch begins, and how much longer it is than it must be; in seconds.
fn shapes() -> impl Strategy<Value = [[(u64, u64); 2]; PEERS]> {
    let shape = || (prop_oneof![Just(0), 0..10_u64], 0..30_u64);
    [[shape(), shape()], [shape(), shape()], [shape(), shape()]]
}
