//! The key manager by example. Its properties are in the modules below.

mod crowd;
mod model;
mod properties;
mod rotation;
mod world;

use photongate_crypto::Key;
use photongate_drkey::{AsAsKey, Protocol};
use photongate_wire::{IsdAs, Nanos};

use super::*;

#[test]
fn a_new_peer_gets_a_key_for_each_direction_at_once() {
    let mut bench = Bench::new();
    bench.manager.add(peer(1), HeldKeys::default(), at(1_010));
    assert_eq!(bench.manager.changed(at(1_010)), [peer(1)], "so that it is known");
    assert_eq!(bench.manager.summary(), PeerSummary { total: 1, with_keys: 0, degraded: 0, dark: 1 });
    bench.serve(at(1_010));
    assert_eq!(bench.manager.changed(at(1_010)), [peer(1)]);
    assert_eq!(bench.epochs(at(1_010)), [Some(1_000), None, Some(1_000), None]);
    assert_eq!(bench.manager.summary(), PeerSummary { total: 1, with_keys: 1, degraded: 0, dark: 0 });
    assert!(bench.manager.changed(at(1_010)).is_empty());
}

#[test]
fn around_the_end_of_an_epoch_two_keys_a_direction_are_held() {
    let mut bench = Bench::with_peer(at(1_010));
    for (now, expected) in [
        (1_069, [Some(1_000), None, Some(1_000), None]),
        (1_085, [Some(1_100), Some(1_000), Some(1_100), Some(1_000)]),
        (1_099, [Some(1_100), Some(1_000), Some(1_100), Some(1_000)]),
        (1_102, [Some(1_100), Some(1_000), Some(1_100), Some(1_000)]),
        (1_103, [Some(1_100), None, Some(1_100), None]),
    ] {
        bench.run_to(at(now));
        assert_eq!(bench.epochs(at(now)), expected, "at {now}");
    }
}

#[test]
fn the_next_key_is_fetched_in_the_first_half_of_the_prefetch_period() {
    let mut bench = Bench::with_peer(at(1_010));
    bench.run_to(at(1_300));
    for fetch in bench.fetched.iter().filter(|fetch| fetch.begun > at(1_010)) {
        let before = fetch.request.at.distance(fetch.begun);
        assert!(before <= Nanos::from_secs(30) && before >= Nanos::from_secs(15), "{fetch:?}");
    }
}

#[test]
fn a_peer_whose_source_fails_keeps_its_keys_until_they_end_and_says_when_it_goes_dark() {
    let mut bench = Bench::with_peer(at(1_010));
    bench.down = Some("the key server is on fire");
    bench.run_to(at(1_095));
    let degraded = bench.manager.view(peer(1), at(1_095)).unwrap().degraded.unwrap();
    assert_eq!(degraded.reason, "outbound key: the key server is on fire");
    assert_eq!((degraded.dark_at, degraded.is_dark), (Some(at(1_100)), false));
    assert!(
        degraded.attempts > 3 && degraded.since < at(1_086) && degraded.next_attempt > Some(at(1_095)),
        "{degraded:?}"
    );
    assert_eq!(bench.manager.degraded().collect::<Vec<_>>(), [peer(1)]);
    assert_eq!(bench.manager.summary(), PeerSummary { total: 1, with_keys: 1, degraded: 1, dark: 0 });

    bench.run_to(at(1_102));
    assert_eq!(bench.epochs(at(1_102)), [Some(1_000), None, Some(1_000), None], "packets may still be on their way");
    assert_eq!(bench.manager.summary(), PeerSummary { total: 1, with_keys: 0, degraded: 1, dark: 1 });
    bench.run_to(at(1_103));
    assert_eq!(bench.epochs(at(1_103)), [None; 4]);
    let degraded = bench.manager.view(peer(1), at(1_103)).unwrap().degraded.unwrap();
    assert_eq!((degraded.dark_at, degraded.is_dark), (Some(at(1_100)), true));

    bench.down = None;
    bench.run_to(at(1_111));
    assert_eq!(bench.epochs(at(1_111)), [Some(1_100), None, Some(1_100), None]);
    assert_eq!(bench.manager.view(peer(1), at(1_111)).unwrap().degraded, None);
    assert_eq!(bench.manager.degraded().len(), 0);
}

#[test]
fn a_revoked_key_is_gone_at_once_and_refused_until_the_next_one_comes() {
    let mut bench = Bench::with_peer(at(1_010));
    bench.manager.changed(at(1_010));
    let revoked = bench.manager.revoke(peer(1), None, at(1_020));
    let epoch = Epoch { start: at(1_000), end: at(1_100) };
    assert_eq!(revoked, [(Direction::Inbound, epoch), (Direction::Outbound, epoch)]);
    assert_eq!(bench.manager.changed(at(1_020)), [peer(1)]);
    assert_eq!(bench.epochs(at(1_020)), [None; 4]);

    bench.run_to(at(1_060));
    assert_eq!(bench.epochs(at(1_060)), [None; 4]);
    let degraded = bench.manager.view(peer(1), at(1_060)).unwrap().degraded.unwrap();
    assert!(degraded.reason.contains("still gives the one that was revoked"), "{degraded:?}");
    bench.run_to(at(1_099));
    assert_eq!(bench.epochs(at(1_099)), [Some(1_100), None, Some(1_100), None], "held before it begins");
    assert!(bench.manager.key_set(peer(1), at(1_099)).outbound(at(1_099)).is_none());
    bench.run_to(at(1_100));
    assert_eq!(bench.manager.summary(), PeerSummary { total: 1, with_keys: 1, degraded: 0, dark: 0 });
}

#[test]
fn one_direction_can_be_revoked_alone() {
    let mut bench = Bench::with_peer(at(1_010));
    assert_eq!(bench.manager.revoke(peer(1), Some(Direction::Outbound), at(1_020)).len(), 1);
    assert_eq!(bench.epochs(at(1_020)), [Some(1_000), None, None, None]);
}

#[test]
fn a_revoked_key_stays_revoked_when_the_peer_is_removed_and_added_again() {
    let mut bench = Bench::with_peer(at(1_010));
    bench.manager.revoke(peer(1), Some(Direction::Inbound), at(1_020));
    assert!(bench.manager.remove(peer(1)));
    assert!(!bench.manager.remove(peer(1)));
    bench.manager.add(peer(1), HeldKeys::default(), at(1_021));
    bench.serve(at(1_021));
    assert_eq!(bench.epochs(at(1_021)), [None, None, Some(1_000), None]);
}

#[test]
fn a_revoked_key_stays_revoked_when_the_clock_is_set_back_from_after_its_end() {
    let mut bench = Bench::with_peer(at(1_010));
    bench.manager.revoke(peer(1), None, at(1_020));
    bench.run_to(at(1_250));
    // The list of what was revoked is looked through on this occasion.
    bench.manager.revoke(peer(1), None, at(1_250));
    bench.run_to(at(1_050));
    assert_eq!(bench.epochs(at(1_050)), [None; 4]);
}

#[test]
fn the_next_key_can_be_fetched_by_hand_and_is_sent_with_when_the_old_one_ends() {
    let mut bench = Bench::with_peer(at(1_010));
    assert!(bench.manager.prefetch(peer(1), at(1_011)));
    assert!(!bench.manager.prefetch(peer(2), at(1_011)));
    bench.serve(at(1_011));
    assert_eq!(bench.epochs(at(1_011)), [Some(1_100), Some(1_000), Some(1_100), Some(1_000)]);
    let keys = bench.manager.key_set(peer(1), at(1_011));
    assert_eq!(keys.outbound(at(1_011)).unwrap().epoch.start, at(1_000));
    assert_eq!(keys.outbound(at(1_100)).unwrap().epoch.start, at(1_100));
}

#[test]
fn answers_to_fetches_of_a_former_life_are_ignored() {
    let mut bench = Bench::new();
    bench.manager.add(peer(1), HeldKeys::default(), at(1_010));
    let before = bench.manager.due_fetches(at(1_010), 10);
    bench.manager.remove(peer(1));
    bench.manager.add(peer(1), HeldKeys::default(), at(1_011));
    for fetch in before {
        let answer = bench.answer(fetch.request);
        assert_eq!(bench.manager.on_fetched(fetch.id, answer, at(1_012)), Outcome::Ignored);
    }
    assert_eq!(bench.epochs(at(1_012)), [None; 4]);
    let replaced = bench.manager.due_fetches(at(1_012), 10);
    bench.manager.replace_source(peer(1), at(1_013));
    let answer = bench.answer(replaced[0].request);
    assert_eq!(bench.manager.on_fetched(replaced[0].id, answer, at(1_014)), Outcome::Ignored);
}

#[test]
fn a_source_that_is_replaced_by_one_with_the_same_keys_changes_nothing() {
    let mut bench = Bench::with_peer(at(1_010));
    bench.manager.changed(at(1_010));
    bench.manager.replace_source(peer(1), at(1_020));
    bench.serve(at(1_020));
    assert!(bench.manager.changed(at(1_020)).is_empty());
    bench.run_to(at(1_110));
    assert_eq!(bench.epochs(at(1_110)), [Some(1_100), None, Some(1_100), None]);
}

#[test]
fn a_source_with_other_keys_is_sent_with_at_once_while_the_former_key_is_still_accepted() {
    let mut bench = Bench::with_peer(at(1_010));
    bench.down = Some("nobody home");
    bench.manager.replace_source(peer(1), at(1_020));
    bench.run_to(at(1_021));
    assert_eq!(bench.epochs(at(1_021)), [Some(1_000), None, Some(1_000), None], "until the new one answers");
    (bench.down, bench.generation) = (None, 1);
    bench.run_to(at(1_025));
    assert_eq!(bench.epochs(at(1_025)), [Some(1_000), Some(1_000), Some(1_000), None]);
    let keys = bench.manager.key_set(peer(1), at(1_025));
    let new = |direction| *bench.answer(KeyRequest { peer: peer(1), direction, at: at(1_025) }).unwrap().key.as_bytes();
    assert_eq!(*keys.inbound.unwrap().key.as_bytes(), new(Direction::Inbound));
    assert_eq!(*keys.outbound.unwrap().key.as_bytes(), new(Direction::Outbound));
    bench.run_to(at(1_110));
    assert_eq!(bench.epochs(at(1_110)), [Some(1_100), None, Some(1_100), None]);
}

#[test]
fn keys_that_were_held_before_are_used_until_the_source_says_otherwise() {
    let mut bench = Bench::new();
    bench.down = Some("nobody home");
    let held = |direction| {
        let request = KeyRequest { peer: peer(1), direction, at: at(1_050) };
        let FetchedKey { key, epoch, .. } = Bench::new().answer(request).unwrap();
        HeldKey { direction, key, epoch, handover: epoch.end }
    };
    bench.manager.add(peer(1), HeldKeys(Direction::BOTH.map(held).into()), at(1_060));
    bench.run_to(at(1_062));
    assert_eq!(bench.epochs(at(1_062)), [Some(1_000), None, Some(1_000), None]);
    assert_eq!(bench.manager.summary(), PeerSummary { total: 1, with_keys: 1, degraded: 1, dark: 0 });
    bench.down = None;
    bench.run_to(at(1_086));
    assert_eq!(bench.epochs(at(1_086)), [Some(1_100), Some(1_000), Some(1_100), Some(1_000)]);
}

#[test]
fn a_revoked_key_does_not_come_back_from_the_cache() {
    let mut bench = Bench::with_peer(at(1_010));
    bench.manager.revoke(peer(1), None, at(1_020));
    let revoked: Vec<_> = bench.manager.revoked().map(copy_of_revoked).collect();
    assert_eq!(revoked.len(), 2);
    let mut restarted = Bench::new();
    restarted.manager.restore_revoked(revoked);
    let FetchedKey { key, epoch, .. } =
        bench.answer(KeyRequest { peer: peer(1), direction: Direction::Inbound, at: at(1_020) }).unwrap();
    let held = HeldKeys(vec![HeldKey { direction: Direction::Inbound, key, epoch, handover: epoch.end }]);
    restarted.manager.add(peer(1), held, at(1_030));
    restarted.serve(at(1_030));
    assert_eq!(restarted.epochs(at(1_030)), [None; 4]);
}

#[test]
fn a_clock_that_is_set_back_gets_the_keys_of_the_time_it_shows() {
    let mut bench = Bench::with_peer(at(10_010));
    bench.run_to(at(10_095));
    bench.run_to(at(2_050));
    assert_eq!(bench.epochs(at(2_050)), [Some(2_000), None, Some(2_000), None]);
    bench.run_to(at(2_110));
    assert_eq!(bench.epochs(at(2_110)), [Some(2_100), None, Some(2_100), None]);
}

#[test]
fn a_clock_that_jumps_ahead_gets_the_keys_of_the_time_it_shows() {
    let mut bench = Bench::with_peer(at(1_010));
    bench.run_to(at(9_050));
    assert_eq!(bench.epochs(at(9_050)), [Some(9_000), None, Some(9_000), None]);
}

#[test]
fn lanes_that_failed_get_at_most_half_of_the_places() {
    let mut bench = Bench::new();
    bench.down = Some("nobody home");
    for number in 0..20 {
        bench.manager.add(peer(number), HeldKeys::default(), at(1_010));
    }
    bench.serve(at(1_010));
    let retries = bench.manager.due_fetches(at(1_020), 8);
    assert_eq!(retries.len(), 4);
    bench.manager.add(peer(100), HeldKeys::default(), at(1_020));
    let fetches = bench.manager.due_fetches(at(1_020), 4);
    assert!(fetches[..2].iter().all(|fetch| fetch.request.peer == peer(100)), "{fetches:?}");
}

#[test]
fn the_first_key_is_asked_for_at_once_when_the_source_says_that_it_begins_in_a_moment() {
    let begins = at(1_000);
    let just_before = UnixNanos(begins.0 - 1_000_000);
    let mut manager = KeyManager::new(times(), 1);
    manager.add(peer(1), HeldKeys::default(), just_before);
    let none_yet = || FetchError::NoKey { reason: "not yet".to_owned(), until: Some(begins) };
    for attempt in [just_before, begins] {
        let fetches = manager.due_fetches(just_before, 4);
        assert_eq!(fetches.iter().map(|fetch| fetch.request.at).collect::<Vec<_>>(), [attempt; 2]);
        for fetch in fetches {
            assert_eq!(manager.on_fetched(fetch.id, Err(none_yet()), just_before), Outcome::Failed);
        }
    }
    assert_eq!(manager.due_fetches(just_before, 4), [], "it is asked at once only once");
}

#[test]
fn answers_that_do_not_fit_are_refused() {
    let refusal = |answer: fn(FetchedKey) -> FetchedKey| {
        let mut bench = Bench::with_peer(at(1_010));
        bench.manager.prefetch(peer(1), at(1_020));
        for fetch in bench.manager.due_fetches(at(1_020), 2) {
            let answer = answer(bench.answer(fetch.request).unwrap());
            assert_eq!(bench.manager.on_fetched(fetch.id, Ok(answer), at(1_020)), Outcome::Failed);
        }
        assert_eq!(bench.epochs(at(1_020)), [Some(1_000), None, Some(1_000), None]);
        bench.manager.view(peer(1), at(1_020)).unwrap().degraded.unwrap().reason
    };
    assert!(
        refusal(|key| FetchedKey { epoch: Epoch { start: at(1_101), end: at(1_201) }, ..key })
            .contains("for 1970-01-01T00:18:20Z")
    );
    assert!(
        refusal(|key| FetchedKey { epoch: Epoch { start: at(1_090), end: at(1_110) }, ..key }).contains("too short")
    );
    assert!(refusal(|key| FetchedKey { epoch: Epoch { start: at(999), end: at(1_200) }, ..key }).contains("to follow"));
    assert!(refusal(|key| FetchedKey { key: Key::from_bytes([0; 16]), ..key }).contains("all zeroes"));
}

#[test]
fn the_key_that_is_held_already_is_no_successor() {
    let mut bench = Bench::with_peer(at(1_010));
    bench.manager.prefetch(peer(1), at(1_020));
    let fetch = bench.manager.due_fetches(at(1_020), 1)[0];
    let held = bench.answer(KeyRequest { at: at(1_020), ..fetch.request }).unwrap();
    let next = bench.answer(fetch.request).unwrap();
    let answer = Ok(FetchedKey { key: held.key, ..next });
    assert_eq!(bench.manager.on_fetched(fetch.id, answer, at(1_020)), Outcome::Failed);
    let reason = bench.manager.view(peer(1), at(1_020)).unwrap().degraded.unwrap().reason;
    assert!(reason.starts_with("inbound key: the source gave that of 1970-01-01T00:16:40Z to"), "{reason}");
}

/// A manager, and a source of keys for all peers with epochs of 100 s.
struct Bench {
    manager: KeyManager,
    down: Option<&'static str>,
    generation: u8,
    fetched: Vec<Begun>,
}

/// When a fetch was begun.
#[derive(Debug)]
struct Begun {
    begun: UnixNanos,
    request: KeyRequest,
}

impl Bench {
    fn new() -> Self {
        Self { manager: KeyManager::new(times(), 1), down: None, generation: 0, fetched: Vec::new() }
    }

    fn with_peer(now: UnixNanos) -> Self {
        let mut bench = Self::new();
        bench.manager.add(peer(1), HeldKeys::default(), now);
        bench.serve(now);
        bench
    }

    /// Answers all fetches that are due, at once.
    fn serve(&mut self, now: UnixNanos) {
        loop {
            let fetches = self.manager.due_fetches(now, 1_000);
            if fetches.is_empty() {
                return;
            }
            for fetch in fetches {
                self.fetched.push(Begun { begun: now, request: fetch.request });
                let answer = self.answer(fetch.request);
                self.manager.on_fetched(fetch.id, answer, now);
            }
        }
    }

    /// Lets the time pass, doing what is due when it is due.
    fn run_to(&mut self, end: UnixNanos) {
        while let Some(wake) = self.manager.next_wake().filter(|wake| *wake <= end) {
            self.serve(wake);
        }
        self.serve(end);
    }

    fn answer(&self, request: KeyRequest) -> Result<FetchedKey, FetchError> {
        if let Some(reason) = self.down {
            return Err(FetchError::Unavailable(reason.to_owned()));
        }
        let epoch = Epoch::counted_from(UnixNanos(0), request.at, times().epoch).unwrap();
        let key = key_of(request.peer, request.direction, epoch, self.generation);
        Ok(FetchedKey { key, epoch, successor_from: None })
    }

    /// The starts of the epochs of inbound, old inbound, outbound and old outbound of the first peer, in seconds.
    fn epochs(&self, now: UnixNanos) -> [Option<u64>; 4] {
        let keys = self.manager.key_set(peer(1), now);
        let ([inbound, inbound_old], [outbound, outbound_old]) =
            (keys.inbound_containers(), keys.outbound_containers());
        [inbound, inbound_old, outbound, outbound_old].map(|key| Some(key?.epoch.start.0 / at(1).0))
    }
}

fn key_of(peer: PeerKey, direction: Direction, epoch: Epoch, generation: u8) -> Key {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&peer.isd_as.to_be_bytes());
    bytes[8..].copy_from_slice(&epoch.start.0.to_be_bytes());
    bytes[0] = 1 + direction as u8;
    bytes[1] = generation;
    Key::from_bytes(bytes)
}

fn copy_of_revoked(key: &RevokedKey) -> RevokedKey {
    RevokedKey { key: Key::from_bytes(*key.key.as_bytes()), ..*key }
}

fn times() -> KeyTimes {
    KeyTimes { epoch: Nanos::from_secs(100), ..KeyTimes::default() }
}

fn peer(number: u64) -> PeerKey {
    PeerKey { isd_as: IsdAs::from_bits(number), protocol: Protocol(3) }
}

fn at(seconds: u64) -> UnixNanos {
    UnixNanos(seconds * 1_000_000_000)
}
