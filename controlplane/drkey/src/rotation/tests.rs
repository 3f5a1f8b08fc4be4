//! The schedule by example, and by properties over random secrets and times in units so small that every edge occurs.

use photongate_crypto::{Key, Schedule};
use photongate_wire::{EpochNanos, Nanos};
use proptest::prelude::*;

use super::*;
use crate::derivation::shared_secret_input;
use crate::epoch::Epoch;
use crate::shared_secret::SharedSecret;

#[test]
fn nothing_is_held_until_the_first_key_is_prefetched() {
    let rotation = seconds(&[1_000]);
    assert_eq!(inbound(&rotation, at(969)), [None, None]);
    assert_eq!(rotation.next_change(at(0)), Some(at(970)));
    assert_eq!(inbound(&rotation, at(970)), [Some(1_000), None]);
    assert!(rotation.key_set(at(999)).outbound(at(999)).is_none());
    assert_eq!(rotation.next_change(at(970)), Some(at(1_000)));
    assert!(rotation.key_set(at(1_000)).outbound(at(1_000)).is_some());
}

#[test]
fn around_the_end_of_an_epoch_both_keys_are_held_from_prefetch_to_grace_and_threshold() {
    let rotation = seconds(&[1_000]);
    for (now, held, change) in [
        (1_069, [Some(1_000), None], 1_070),
        (1_070, [Some(1_100), Some(1_000)], 1_100),
        (1_100, [Some(1_100), Some(1_000)], 1_103),
        (1_103, [Some(1_100), None], 1_170),
    ] {
        assert_eq!(inbound(&rotation, at(now)), held, "at {now}");
        assert_eq!(rotation.next_change(at(now)), Some(at(change)), "after {now}");
    }
}

#[test]
fn the_key_to_send_with_changes_at_the_end_of_the_epoch_also_for_whoever_read_the_clock_before_it() {
    let rotation = seconds(&[1_000]);
    let before = rotation.key_set(at(1_099));
    assert_eq!(before.outbound(at(1_099)).unwrap().epoch.start, at(1_000));
    assert_eq!(before.outbound(at(1_100)).unwrap().epoch.start, at(1_100));
    let after = rotation.key_set(at(1_100));
    assert_eq!(after.outbound(at(1_099)).unwrap().epoch.start, at(1_000));
    assert_eq!(after.outbound(at(1_100)).unwrap().epoch.start, at(1_100));
    assert!(rotation.key_set(at(1_103)).outbound_old.is_none());
}

#[test]
fn a_secret_that_comes_into_use_within_an_epoch_waits_for_its_end_and_then_counts_from_its_own_beginning() {
    let rotation = seconds(&[1_000, 1_240]);
    assert_eq!(sending(&rotation, at(1_299)), Some((at(1_200), 0)));
    assert_eq!(sending(&rotation, at(1_300)), Some((at(1_240), 1)));
    assert_eq!(sending(&rotation, at(1_340)), Some((at(1_340), 1)));
}

#[test]
fn a_key_of_a_new_secret_is_accepted_from_the_beginning_of_its_own_epoch() {
    let rotation = seconds(&[1_000, 1_240]);
    assert_eq!(inbound(&rotation, at(1_209)), [Some(1_200), None]);
    assert_eq!(inbound(&rotation, at(1_210)), [Some(1_240), Some(1_200)]);
}

#[test]
fn a_new_secret_that_begins_where_an_epoch_ends_follows_without_a_seam() {
    let rotation = seconds(&[1_000, 1_300]);
    assert_eq!(sending(&rotation, at(1_299)), Some((at(1_200), 0)));
    assert_eq!(sending(&rotation, at(1_300)), Some((at(1_300), 1)));
}

#[test]
fn of_two_secrets_that_come_into_use_in_one_epoch_only_the_newer_is_used() {
    let rotation = seconds(&[1_000, 1_220, 1_240]);
    assert_eq!(sending(&rotation, at(1_300)), Some((at(1_240), 2)));
}

#[test]
fn a_host_that_no_longer_has_an_old_secret_agrees_once_that_is_out_of_force() {
    let both = rotation(local(), peer(), &[at(1_000), at(1_240)], times());
    let newer = Rotation::new(local(), peer(), SharedSecrets::new(vec![secret(1, at(1_240))]), times()).unwrap();
    for now in [1_300, 1_339, 1_340, 5_555] {
        assert_eq!(sending(&both, at(now)), sending(&newer, at(now)), "at {now}");
    }
}

#[test]
fn a_secret_that_begins_just_after_an_epoch_is_refused_with_the_two_ways_out() {
    let error = Rotation::new(local(), peer(), secrets(&[at(1_000), at(1_201)]), times()).unwrap_err();
    let expected = RotationError::SecretTooEarly {
        not_before: at(1_201),
        in_force: Nanos::from_secs(1),
        least: Nanos::from_secs(4),
    };
    assert_eq!(error, expected);
    assert_eq!(
        error.to_string(),
        "the shared secret with not_before 1970-01-01T00:20:01Z begins too soon after an epoch of the one before it: its \
         first key would be used for 1s, and must be for 4s; set not_before 1s earlier, or at least 3s later"
    );
    for not_before in [1_200, 1_204] {
        assert!(Rotation::new(local(), peer(), secrets(&[at(1_000), at(not_before)]), times()).is_ok());
    }
}

#[test]
fn times_that_leave_no_room_for_one_another_are_refused() {
    let times = KeyTimes { epoch: Nanos::from_secs(32), ..times() };
    let error = Rotation::new(local(), peer(), secrets(&[at(1_000)]), times).unwrap_err();
    assert!(matches!(error, RotationError::EpochTooShort(_)));
}

#[test]
fn without_secrets_nothing_is_ever_held() {
    let rotation = seconds(&[]);
    assert_eq!(inbound(&rotation, at(1_000)), [None, None]);
    assert_eq!(rotation.next_change(at(0)), None);
}

#[test]
fn the_schedule_ends_with_the_clock() {
    let rotation = seconds(&[1_000, u64::MAX / 1_000_000_000]);
    let end = UnixNanos(u64::MAX);
    assert_eq!(rotation.next_change(end), None);
    assert!(rotation.key_set(end).inbound.is_some());
}

#[test]
fn each_direction_has_the_receiver_as_its_fast_side() {
    let here = seconds(&[1_000]).key_set(at(1_000));
    let there = rotation(peer(), local(), &[at(1_000)], times()).key_set(at(1_000));
    let bytes = |key: &Option<AsAsKey>| *key.as_ref().unwrap().key.as_bytes();
    assert_eq!(bytes(&here.inbound), bytes(&there.outbound));
    assert_eq!(bytes(&here.outbound), bytes(&there.inbound));
    assert_ne!(bytes(&here.inbound), bytes(&here.outbound));
    let pair = AsPair { fast: local(), slow: peer() };
    let expected = Schedule::new(secret(0, at(0)).secret()).derive(&shared_secret_input(pair, at(1_000)));
    assert_eq!(bytes(&here.inbound), *expected.as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_a_peer_sends_is_accepted_whatever_its_clock(
        plan in plan(), moment in moment(), skew in any::<prop::sample::Index>(), peer_is_ahead in any::<bool>()
    ) {
        let here = plan.rotation(local(), peer());
        let there = plan.rotation(peer(), local());
        let sent = moment.of(&there);
        let skew = Nanos(skew.index(plan.times.time_threshold.0 as usize + 1) as u64);
        let now = if peer_is_ahead { sent.saturating_sub(skew) } else { sent.saturating_add(skew) };

        let keys = there.key_set(sent);
        let key = keys.outbound(sent);
        prop_assert_eq!(key.is_some(), there.terms.first().is_some_and(|first| first <= sent));
        if let Some(key) = key {
            let timestamp = sent.since_epoch(key.epoch.start).unwrap();
            let keys = here.key_set(now);
            let (accepted, believed) = keys.inbound_for(timestamp, now, &plan.times).unwrap();
            prop_assert_eq!(believed, sent);
            prop_assert_eq!(accepted.epoch, key.epoch);
            prop_assert_eq!(accepted.key.as_bytes(), key.key.as_bytes());
        }
    }

    #[test]
    fn the_key_to_send_with_is_that_of_a_lightning_filter_running_since_the_first_secret(
        plan in plan(), moment in moment()
    ) {
        let rotation = plan.rotation(local(), peer());
        let now = moment.of(&rotation);
        prop_assert_eq!(sending(&rotation, now), LightningFilter::running(&plan, now));
    }

    #[test]
    fn a_key_is_held_for_as_long_as_a_packet_may_have_it(plan in plan(), moment in moment()) {
        let rotation = plan.rotation(local(), peer());
        let now = moment.of(&rotation);
        let held = inbound_epochs(&rotation, now);
        // A packet may be of any key in force from one threshold after now to one threshold and grace before.
        let earliest = now.0.saturating_sub(plan.times.tail().0);
        for at in earliest..=now.0 + plan.times.time_threshold.0 {
            if let Some(term) = rotation.terms.at(UnixNanos(at)) {
                prop_assert!(held.contains(&Some(term.epoch)), "{} of {at} at {}: {held:?}", term.epoch, now.0);
            }
        }
    }

    #[test]
    fn the_keys_held_change_only_when_announced(plan in plan(), moment in moment()) {
        let rotation = plan.rotation(local(), peer());
        let now = moment.of(&rotation);
        let held = (inbound_epochs(&rotation, now), outbound_epochs(&rotation, now));
        let change = rotation.next_change(now).unwrap();
        prop_assert!(change > now);
        for at in now.0..change.0 {
            let at = UnixNanos(at);
            prop_assert_eq!((inbound_epochs(&rotation, at), outbound_epochs(&rotation, at)), held);
        }
    }

    #[test]
    fn no_packet_is_believed_to_be_sent_later_than_its_keys_grace(
        plan in plan(), moment in moment(), timestamp in 0..10_000_u64
    ) {
        let rotation = plan.rotation(local(), peer());
        let now = moment.of(&rotation);
        let keys = rotation.key_set(now);
        if let Ok((key, sent)) = keys.inbound_for(EpochNanos(timestamp), now, &plan.times) {
            prop_assert!(key.epoch.start <= sent);
            prop_assert!(sent <= key.epoch.end.saturating_add(plan.times.grace));
        }
    }
}

/// LightningFilter's key manager, step by step: a key is fetched at the start and whenever one ends.
struct LightningFilter;

impl LightningFilter {
    fn running(plan: &Plan, now: UnixNanos) -> Option<(UnixNanos, u8)> {
        let mut fetched = *plan.not_before.iter().min()?;
        if now < fetched {
            return None;
        }
        loop {
            let newest = plan.not_before.iter().filter(|not_before| **not_before <= fetched).max()?;
            let epoch = Epoch::counted_from(*newest, fetched, plan.times.epoch)?;
            if now < epoch.end {
                let number = plan.not_before.iter().rposition(|not_before| not_before == newest)?;
                return Some((epoch.start, number as u8));
            }
            fetched = epoch.end;
        }
    }
}

/// Times and secrets for one peer, with a schedule.
#[derive(Clone, Debug)]
struct Plan {
    times: KeyTimes,
    not_before: Vec<UnixNanos>,
}

impl Plan {
    fn rotation(&self, local: IsdAs, peer: IsdAs) -> Rotation {
        rotation(local, peer, &self.not_before, self.times)
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let times = (0..30_u64, 0..20_u64, 0..10_u64, 0..100_u64).prop_map(|(prefetch, grace, time_threshold, spare)| {
        let [prefetch, grace, time_threshold] = [prefetch, grace, time_threshold].map(Nanos);
        let times = KeyTimes { epoch: Nanos(0), prefetch, grace, time_threshold };
        KeyTimes { epoch: times.validate().unwrap_err().least.saturating_add(Nanos(spare)), ..times }
    });
    let not_before = prop::collection::vec((1_000..2_000_u64).prop_map(UnixNanos), 1..5);
    (times, not_before).prop_filter_map("a secret too early", |(times, not_before)| {
        Rotation::new(local(), peer(), secrets(&not_before), times).ok()?;
        Some(Plan { times, not_before })
    })
}

/// An instant near one of the first changes of a schedule, where mistakes would show.
#[derive(Clone, Debug)]
struct Moment {
    change: usize,
    offset: i64,
}

impl Moment {
    fn of(&self, rotation: &Rotation) -> UnixNanos {
        let mut at = UnixNanos(0);
        for _ in 0..self.change {
            at = rotation.next_change(at).unwrap();
        }
        UnixNanos(at.0.saturating_add_signed(self.offset))
    }
}

fn moment() -> impl Strategy<Value = Moment> {
    (0..60_usize, -40..40_i64).prop_map(|(change, offset)| Moment { change, offset })
}

/// A schedule with epochs of 100 s and otherwise the default times, for secrets that come into use at these seconds.
fn seconds(not_before: &[u64]) -> Rotation {
    let not_before: Vec<_> = not_before.iter().copied().map(at).collect();
    rotation(local(), peer(), &not_before, times())
}

fn times() -> KeyTimes {
    KeyTimes { epoch: Nanos::from_secs(100), ..KeyTimes::default() }
}

fn rotation(local: IsdAs, peer: IsdAs, not_before: &[UnixNanos], times: KeyTimes) -> Rotation {
    Rotation::new(local, peer, secrets(not_before), times).unwrap()
}

/// One secret for each instant, numbered in the order given.
fn secrets(not_before: &[UnixNanos]) -> SharedSecrets {
    let numbered = (0..).zip(not_before);
    SharedSecrets::new(numbered.map(|(number, not_before)| secret(number, *not_before)).collect())
}

fn secret(number: u8, not_before: UnixNanos) -> SharedSecret {
    SharedSecret::new(Key::from_bytes([number + 1; 16]), not_before).unwrap()
}

/// The epoch and the number of the secret of the key to send with.
fn sending(rotation: &Rotation, now: UnixNanos) -> Option<(UnixNanos, u8)> {
    let keys = rotation.key_set(now);
    let key = keys.outbound(now)?;
    let pair = AsPair { fast: rotation.peer, slow: rotation.local };
    let number = (0..8).find(|number| {
        let expected = Schedule::new(secret(*number, now).secret()).derive(&shared_secret_input(pair, key.epoch.start));
        expected.as_bytes() == key.key.as_bytes()
    })?;
    Some((key.epoch.start, number))
}

fn inbound(rotation: &Rotation, now: UnixNanos) -> [Option<u64>; 2] {
    inbound_epochs(rotation, now).map(|epoch| Some(epoch?.start.0 / 1_000_000_000))
}

fn inbound_epochs(rotation: &Rotation, now: UnixNanos) -> [Option<Epoch>; 2] {
    let keys = rotation.key_set(now);
    keys.inbound_containers().map(|key| Some(key?.epoch))
}

fn outbound_epochs(rotation: &Rotation, now: UnixNanos) -> [Option<Epoch>; 2] {
    let keys = rotation.key_set(now);
    keys.outbound_containers().map(|key| Some(key?.epoch))
}

fn at(secs: u64) -> UnixNanos {
    UnixNanos(secs * 1_000_000_000)
}

fn local() -> IsdAs {
    "1-ff00:0:111".parse().unwrap()
}

fn peer() -> IsdAs {
    "20-ff00:0:112".parse().unwrap()
}
