//! The key dictionary under workers that look up while it changes.

mod support;

use photongate_filter::Dictionary;
use photongate_pipeline::limits::Limit;
use photongate_pipeline::{Entry, KeyDictionary, PeerKey, PeerState};
use photongate_wire::{IsdAs, Nanos};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{LOCAL, TIMES, now, peer_key, rotation};

#[test]
fn workers_always_find_whole_entries_of_the_right_peer_while_keys_are_replaced() {
    let (dictionary, mut writer) = Dictionary::create(PEERS as u32 + 1, 2).unwrap();
    let peers: Vec<_> = (0..PEERS).map(|n| Arc::new(PeerState::new(key(n), Limit::UNLIMITED, 2))).collect();
    let rotations: Vec<_> = (0..PEERS).map(|n| rotation(LOCAL, &key(n).isd_as.to_string(), TIMES)).collect();
    let start = now();
    let entry = |n: usize, round: u64| {
        let at = start.saturating_add(Nanos(TIMES.epoch.0 * round));
        Entry::new(Arc::clone(&peers[n]), rotations[n].key_set(at))
    };
    for n in 0..PEERS {
        writer.publish(entry(n, 0)).unwrap();
    }
    let is_over = AtomicBool::new(false);

    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let mut reader = dictionary.reader().unwrap();
                let is_over = &is_over;
                scope.spawn(move || {
                    let keys: Vec<PeerKey> = (0..PEERS).map(key).collect();
                    let mut rounds = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        let mut entries = [None; PEERS];
                        reader.look_up(&keys, &mut entries);
                        for (key, entry) in keys.iter().zip(entries) {
                            let entry: &Entry = entry.expect("replaced, never taken out");
                            assert_eq!(entry.peer.key, *key);
                            let (inbound, outbound) = (&entry.keys.inbound, &entry.keys.outbound);
                            assert_eq!(inbound.as_ref().unwrap().epoch, outbound.as_ref().unwrap().epoch);
                        }
                        reader.quiesce();
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        let writes = EndOf(&is_over);
        for round in 1..=ROUNDS {
            // Readers that wait for a processor hold all places there are before long, so the writer waits for them then.
            for n in 0..PEERS {
                support::wait_until(|| writer.publish(entry(n, round)).is_ok());
            }
            // One more comes and goes, in a slot that must become free again each time.
            let peer = Arc::new(PeerState::new(passing(round), Limit::UNLIMITED, 2));
            let entry = || Entry::new(Arc::clone(&peer), rotations[0].key_set(start));
            support::wait_until(|| writer.publish(entry()).is_ok());
            assert!(writer.remove(peer.key));
            writer.reclaim();
        }
        drop(writes);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
    });
    support::wait_until(|| {
        writer.reclaim();
        writer.retired() == 0
    });
    assert_eq!(writer.len(), PEERS);
}

#[test]
fn what_is_replaced_is_kept_until_no_worker_can_hold_it() {
    let (dictionary, mut writer) = Dictionary::create(4, 1).unwrap();
    let mut reader = dictionary.reader().unwrap();
    let (peer, rotation) =
        (Arc::new(PeerState::new(peer_key(LOCAL), Limit::UNLIMITED, 1)), rotation(LOCAL, LOCAL, TIMES));
    let entry = || Entry::new(Arc::clone(&peer), rotation.key_set(now()));
    writer.publish(entry()).unwrap();

    let mut found = [None];
    reader.look_up(&[peer.key], &mut found);
    writer.publish(entry()).unwrap();
    writer.reclaim();
    assert_eq!(writer.retired(), 1);
    assert_eq!(found[0].unwrap().peer.key, peer.key);
    assert_eq!(Arc::strong_count(&peer), 3);

    reader.quiesce();
    writer.reclaim();
    assert_eq!(writer.retired(), 0);
    assert_eq!(Arc::strong_count(&peer), 2);
}

#[test]
fn a_worker_that_rests_delays_nothing() {
    let (dictionary, mut writer) = Dictionary::create(4, 1).unwrap();
    let mut reader = dictionary.reader().unwrap();
    let (peer, rotation) =
        (Arc::new(PeerState::new(peer_key(LOCAL), Limit::UNLIMITED, 1)), rotation(LOCAL, LOCAL, TIMES));
    writer.publish(Entry::new(Arc::clone(&peer), rotation.key_set(now()))).unwrap();
    reader.offline(|| {
        assert!(writer.remove(peer.key));
        writer.reclaim();
        assert_eq!((writer.len(), writer.retired()), (0, 0));
    });
}

#[test]
fn an_unknown_peer_has_no_entry_not_even_the_one_whose_key_is_all_zeroes() {
    let (dictionary, _writer) = Dictionary::create(4, 1).unwrap();
    let reader = dictionary.reader().unwrap();
    let zero = PeerKey { isd_as: IsdAs::from_bits(0), protocol: photongate_drkey::Protocol(0) };
    let mut entries = [None, None];
    reader.look_up(&[zero, key(1)], &mut entries);
    assert!(entries.iter().all(Option::is_none));
}

/// Sets the flag at its end, also when a test fails: readers that nobody stops would keep it from ending.
struct EndOf<'f>(&'f AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn key(n: usize) -> PeerKey {
    PeerKey { isd_as: IsdAs::from_bits((1 << 48) + n as u64 + 1), protocol: photongate_drkey::Protocol(3) }
}

fn passing(round: u64) -> PeerKey {
    PeerKey { isd_as: IsdAs::from_bits((2 << 48) + round), protocol: photongate_drkey::Protocol(3) }
}

const PEERS: usize = 100;
const ROUNDS: u64 = 300;
