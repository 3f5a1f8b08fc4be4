//! With keys of shared secrets, the manager holds what [`Rotation`] says.
//!
//! Two things differ on purpose. A manager that starts does not fetch a key whose epoch is over, for packets sent before the start are
//! refused anyway. And the next key is not there at the first instant of the prefetch period but somewhat later, though always
//! before a peer whose clock is ahead may use it; where that period is shorter than a fetch may take, it is there somewhat earlier.

use futures_util::FutureExt;
use photongate_drkey::{Rotation, SharedSecret, SharedSecrets};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::keys::KeySource;
use crate::keys::shared_secret::{Secret, SecretMaterial, SharedSecretSource};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_sent_has_the_key_of_the_schedule(plan in plan(), start in any::<Index>(), moments in moments()) {
        let rotation = plan.rotation(local(), remote());
        let mut run = Run::new(&plan, start);
        for now in run.instants(&moments) {
            run.to(now);
            let [ours, expected] = [run.keys(), rotation.key_set(now)].map(|keys| keys.outbound(now).map(identity));
            prop_assert_eq!(ours, expected, "at {:?}", now);
        }
    }

    #[test]
    fn the_keys_accepted_are_those_of_the_schedule(plan in plan(), start in any::<Index>(), moments in moments()) {
        let rotation = plan.rotation(local(), remote());
        let mut run = Run::new(&plan, start);
        for now in run.instants(&moments) {
            run.to(now);
            let keys = run.keys();
            let held: Vec<_> = keys.inbound_containers().into_iter().flatten().map(identity).collect();
            // Everything that a peer may use between a threshold after now and, if we ran then, grace and threshold before.
            let earliest = now.saturating_sub(plan.times.tail()).max(run.began);
            let latest = now.saturating_add(plan.times.time_threshold);
            for at in (earliest.0..latest.0).step_by(at(1).0 as usize).map(UnixNanos).chain([earliest, now, latest]) {
                if let Some(key) = rotation.key_set(at).outbound(at) {
                    let is_held = held.iter().any(|(epoch, _)| *epoch == key.epoch);
                    prop_assert!(is_held, "{} of {:?} at {:?}: {:?}", key.epoch, at, now, held);
                }
            }
            // And nothing else than what is in force, was, or will be soon.
            let ahead = now.saturating_add(Pace::new(plan.times, 1).ahead);
            for (epoch, _) in held {
                prop_assert!(epoch.start <= ahead && now < epoch.end.saturating_add(plan.times.tail()), "{} at {:?}", epoch, now);
            }
        }
    }

    #[test]
    fn what_a_peer_sends_is_accepted_whatever_its_clock(
        plan in plan(), start in any::<Index>(), moments in moments(), skew in any::<Index>(), peer_is_ahead in any::<bool>()
    ) {
        let there = plan.rotation(remote(), local());
        let mut run = Run::new(&plan, start);
        let skew = Nanos(skew.index(plan.times.time_threshold.0 as usize + 1) as u64);
        for now in run.instants(&moments) {
            run.to(now);
            let sent = if peer_is_ahead { now.saturating_add(skew) } else { now.saturating_sub(skew) };
            let theirs = there.key_set(sent);
            if let Some(key) = theirs.outbound(sent).filter(|_| run.began <= sent) {
                let keys = run.keys();
                let (accepted, believed) = keys.inbound_for(sent.since_epoch(key.epoch.start).unwrap(), now, &plan.times).unwrap();
                prop_assert_eq!((identity(accepted), believed), (identity(key), sent));
            }
        }
    }
}

/// A manager fed from a source that answers at once.
struct Run {
    manager: KeyManager,
    source: SharedSecretSource,
    began: UnixNanos,
    now: UnixNanos,
    last: UnixNanos,
}

impl Run {
    fn new(plan: &Plan, start: Index) -> Self {
        let secrets = plan
            .secrets()
            .map(|(material, not_before)| Secret { material: SecretMaterial::Inline(material), not_before });
        let source = SharedSecretSource::new(local(), remote(), plan.times, secrets.collect()).unwrap();
        let began = at(900 + start.index(600) as u64);
        let mut manager = KeyManager::new(plan.times, 1);
        manager.add(key(), HeldKeys::default(), began);
        let last = plan.not_before.iter().max().unwrap().saturating_add(Nanos(plan.times.epoch.0 * 3));
        let mut run = Self { manager, source, began, now: began, last };
        run.to(began);
        run
    }

    /// Instants in ascending order between the beginning and some epochs after the last secret, many of them near a change.
    fn instants(&self, moments: &[(Index, i64)]) -> Vec<UnixNanos> {
        let span = self.last.0.saturating_sub(self.began.0) / at(1).0 + 1;
        let instant = |(index, offset): &(Index, i64)| {
            UnixNanos((self.began.0 + at(index.index(span as usize) as u64).0).saturating_add_signed(*offset))
                .max(self.began)
        };
        let mut instants: Vec<_> = moments.iter().map(instant).collect();
        instants.sort_unstable();
        instants
    }

    fn to(&mut self, now: UnixNanos) {
        while let Some(wake) = self.manager.next_wake().filter(|wake| *wake <= now) {
            self.serve(wake);
        }
        self.serve(now);
        self.now = now;
    }

    fn serve(&mut self, now: UnixNanos) {
        loop {
            let fetches = self.manager.due_fetches(now, 2);
            if fetches.is_empty() {
                return;
            }
            for fetch in fetches {
                let answer =
                    self.source.fetch(fetch.request).now_or_never().expect("secrets in memory are there at once");
                let expected = if answer.is_ok() { Outcome::Taken } else { Outcome::Failed };
                assert_eq!(self.manager.on_fetched(fetch.id, answer, now), expected);
            }
        }
    }

    fn keys(&self) -> KeySet {
        self.manager.key_set(key(), self.now)
    }
}

/// Times and secrets.
#[derive(Clone, Debug)]
struct Plan {
    times: KeyTimes,
    not_before: Vec<UnixNanos>,
}

impl Plan {
    fn rotation(&self, here: IsdAs, there: IsdAs) -> Rotation {
        let secrets = self.secrets().map(|(key, not_before)| SharedSecret::new(key, not_before).unwrap());
        Rotation::new(here, there, SharedSecrets::new(secrets.collect()), self.times).unwrap()
    }

    fn secrets(&self) -> impl Iterator<Item = (Key, UnixNanos)> {
        (1..).zip(&self.not_before).map(|(byte, not_before)| (Key::from_bytes([byte; 16]), *not_before))
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let times = (0..30_u64, 0..10_u64, 0..10_u64, 0..100_u64).prop_map(|(prefetch, grace, time_threshold, spare)| {
        let [prefetch, grace, time_threshold] = [prefetch, grace, time_threshold].map(Nanos::from_secs);
        let times = KeyTimes { epoch: Nanos(0), prefetch, grace, time_threshold };
        KeyTimes { epoch: times.validate().unwrap_err().least.saturating_add(Nanos::from_secs(spare + 1)), ..times }
    });
    let not_before = prop::collection::vec((1_000..2_000_u64).prop_map(at), 1..5);
    (times, not_before).prop_filter_map("a secret too early", |(times, not_before)| {
        photongate_drkey::Terms::new(not_before.iter().copied(), times).ok()?;
        Some(Plan { times, not_before })
    })
}

fn moments() -> impl Strategy<Value = Vec<(Index, i64)>> {
    let offset = prop_oneof![Just(0), -3..3_i64, -2_000_000_000..2_000_000_000_i64];
    prop::collection::vec((any::<Index>(), offset), 1..40)
}

fn identity(key: &AsAsKey) -> (Epoch, [u8; 16]) {
    (key.epoch, *key.key.as_bytes())
}

fn key() -> PeerKey {
    PeerKey { isd_as: remote(), protocol: Protocol(3) }
}

fn local() -> IsdAs {
    "1-ff00:0:111".parse().unwrap()
}

fn remote() -> IsdAs {
    "20-ff00:0:112".parse().unwrap()
}
