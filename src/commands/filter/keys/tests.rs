use super::*;
use photongate_crypto::Key;
use photongate_drkey::{KeyTimes, Protocol, SharedSecret, SharedSecrets};
use photongate_pipeline::PeerKey;
use photongate_pipeline::limits::Limit;
use photongate_wire::IsdAs;

#[test]
fn at_the_start_every_peer_is_published() {
    let mut schedule = Schedule::of(vec![peer(1), peer(2)]);
    assert_eq!(published(&mut schedule, seconds(5)), [1, 2]);
    assert_eq!(published(&mut schedule, seconds(6)), NOTHING);
}

#[test]
fn a_peer_is_published_again_when_its_keys_change_and_not_before() {
    let mut schedule = Schedule::of(vec![peer(1)]);
    published(&mut schedule, seconds(5));
    let change = schedule.next_change().unwrap();
    assert_eq!(change, EPOCH.saturating_sub(TIMES.prefetch));
    assert_eq!(published(&mut schedule, UnixNanos(change.0 - 1)), NOTHING);
    assert_eq!(published(&mut schedule, change), [1]);
}

#[test]
fn when_the_clock_leaps_over_changes_the_keys_of_the_present_are_published_once() {
    let mut schedule = Schedule::of(vec![peer(1)]);
    published(&mut schedule, seconds(5));
    assert_eq!(published(&mut schedule, seconds(1_005)), [1]);
    assert!(schedule.next_change().unwrap() > seconds(1_005));
}

#[test]
fn when_the_clock_is_set_back_every_peer_is_published_again() {
    let mut schedule = Schedule::of(vec![peer(1), peer(2)]);
    published(&mut schedule, seconds(1_000));
    assert_eq!(published(&mut schedule, seconds(5)), [1, 2]);
}

#[test]
fn what_is_published_holds_a_key_to_send_and_a_key_to_receive_with() {
    let mut schedule = Schedule::of(vec![peer(1)]);
    for now in (0..500).map(seconds) {
        schedule.due(now, |entry| {
            assert!(entry.keys.outbound(now).is_some());
            assert!(entry.keys.inbound.is_some());
        });
    }
}

/// The numbers of the peers that are published at `now`.
fn published(schedule: &mut Schedule, now: UnixNanos) -> Vec<u64> {
    let mut numbers = Vec::new();
    schedule.due(now, |entry| numbers.push(entry.peer.key.isd_as.asn()));
    numbers.sort_unstable();
    numbers
}

fn peer(number: u64) -> (Arc<PeerState>, Rotation) {
    let isd_as = IsdAs::from_bits(number);
    let secret = SharedSecret::new(Key::from_bytes([7; 16]), UnixNanos(0)).unwrap();
    let rotation = Rotation::new(IsdAs::from_bits(99), isd_as, SharedSecrets::new(vec![secret]), TIMES).unwrap();
    (Arc::new(PeerState::new(PeerKey { isd_as, protocol: Protocol(3) }, Limit::UNLIMITED, 1)), rotation)
}

const fn seconds(seconds: u64) -> UnixNanos {
    UnixNanos(seconds * 1_000_000_000)
}

const EPOCH: UnixNanos = seconds(100);

const TIMES: KeyTimes = KeyTimes {
    epoch: Nanos::from_secs(100),
    prefetch: Nanos::from_secs(30),
    grace: Nanos::from_secs(2),
    time_threshold: Nanos::from_secs(1),
};

const NOTHING: [u64; 0] = [];
