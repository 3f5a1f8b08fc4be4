//! Many peers at once.

use super::*;

#[test]
fn a_hundred_thousand_peers_whose_keys_end_together_rotate_smoothly() {
    const PEERS: u64 = 100_000;
    const PLACES: usize = 64;
    let times = KeyTimes { epoch: Nanos::from_secs(7_200), prefetch: Nanos::from_secs(600), ..KeyTimes::default() };
    let mut manager = KeyManager::new(times, 1);
    let begin = at(7_200);
    for number in 0..PEERS {
        manager.add(peer(number), held_since(number, begin), begin);
    }
    confirm(&mut manager, begin);
    assert_eq!(manager.changed(begin).len(), PEERS as usize, "one update for all");

    // Each fetch takes 50 ms. The control plane publishes once a second.
    let end = at(14_400);
    let mut now = end.saturating_sub(times.prefetch);
    let mut answers: VecDeque<(UnixNanos, Fetch)> = VecDeque::new();
    let mut begun = vec![0; 600];
    let mut batches = Vec::new();
    let mut most_in_flight = 0;
    while now < end.saturating_sub(times.time_threshold) {
        while let Some((_, fetch)) = answers.pop_front_if(|(due, _)| *due <= now) {
            let answer = Ok(key_of_epoch(fetch.request));
            assert_eq!(manager.on_fetched(fetch.id, answer, now), Outcome::Taken);
        }
        for fetch in manager.due_fetches(now, PLACES - manager.in_flight()) {
            begun[(600 - end.distance(now).0.div_ceil(at(1).0)) as usize] += 1;
            answers.push_back((now.saturating_add(Nanos::from_millis(50)), fetch));
        }
        most_in_flight = most_in_flight.max(manager.in_flight());
        if now.0.is_multiple_of(at(1).0) {
            batches.push(manager.changed(now).len());
        }
        now = now.saturating_add(Nanos::from_millis(10));
    }
    manager.changed(now);

    assert_eq!(begun.iter().sum::<u64>(), 2 * PEERS);
    let mean = 2 * PEERS / 300;
    assert!(begun[..300].iter().all(|fetches| *fetches < 2 * mean), "{begun:?}");
    assert!(begun[301..].iter().all(|fetches| *fetches == 0), "all in the first half: {begun:?}");
    assert!(most_in_flight <= PLACES);
    let published = batches.iter().filter(|batch| **batch > 0).count();
    assert!((290..310).contains(&published), "many in one update: {batches:?}");
    for number in 0..PEERS {
        let view = manager.view(peer(number), now).unwrap();
        assert_eq!((view.inbound.unwrap().start, view.outbound.unwrap().start), (end, end), "{number}");
    }
    assert_eq!(manager.changed(end), [], "both keys are there when they change places");
    let gone = end.saturating_add(times.tail());
    assert_eq!(manager.changed(gone).len(), PEERS as usize, "all let go of the old ones in one update");
    assert_eq!(manager.summary(), PeerSummary { total: 100_000, with_keys: 100_000, degraded: 0, dark: 0 });
}

#[test]
fn sources_that_hang_for_half_of_the_peers_leave_the_others_their_places() {
    const PEERS: u64 = 200;
    const PLACES: usize = 4;
    let times = KeyTimes { epoch: Nanos::from_secs(200), ..KeyTimes::default() };
    let mut manager = KeyManager::new(times, 1);
    for number in 0..PEERS {
        manager.add(peer(number), HeldKeys::default(), at(200));
    }
    // Those with odd numbers hang, and are given up after the time that a fetch may take; the others take a tick.
    let tick = Nanos::from_millis(100);
    let mut answers: Vec<(UnixNanos, Fetch)> = Vec::new();
    let mut now = at(200);
    while now < at(2_000) {
        answers.retain(|(due, fetch)| {
            let is_due = *due <= now;
            if is_due {
                let hangs = fetch.request.peer.isd_as.bits() % 2 == 1;
                let timed_out = FetchError::TimedOut(fetch_timeout(&times));
                let answer = if hangs { Err(timed_out) } else { Ok(key_of_epoch_of(times.epoch, fetch.request)) };
                manager.on_fetched(fetch.id, answer, now);
            }
            !is_due
        });
        for fetch in manager.due_fetches(now, PLACES - answers.len()) {
            let hangs = fetch.request.peer.isd_as.bits() % 2 == 1;
            answers.push((now.saturating_add(if hangs { fetch_timeout(&times) } else { tick }), fetch));
        }
        // The first round, in which nobody knows who hangs, takes 200 lanes of 7.5 s in 4 places.
        if now > at(600) {
            assert_eq!(manager.summary().with_keys, PEERS as usize / 2, "at {now:?}");
        }
        now = now.saturating_add(tick);
    }
    assert_eq!(manager.summary(), PeerSummary { total: 200, with_keys: 100, degraded: 100, dark: 100 });
}

#[test]
fn a_peer_takes_little_memory() {
    // Beside it: 36 bytes to find it, 27 in the queue of wake times.
    assert!(size_of::<Peer>() <= 280, "{} bytes", size_of::<Peer>());
}

/// What peer `number` held in the epoch that began at `start`.
fn held_since(number: u64, start: UnixNanos) -> HeldKeys {
    let key = |direction| {
        let FetchedKey { key, epoch, .. } = key_of_epoch(KeyRequest { peer: peer(number), direction, at: start });
        HeldKey { direction, key, epoch, handover: epoch.end }
    };
    HeldKeys(Direction::BOTH.map(key).into())
}

fn confirm(manager: &mut KeyManager, now: UnixNanos) {
    loop {
        let fetches = manager.due_fetches(now, 1_000);
        if fetches.is_empty() {
            return;
        }
        for fetch in fetches {
            manager.on_fetched(fetch.id, Ok(key_of_epoch(fetch.request)), now);
        }
    }
}

fn key_of_epoch(request: KeyRequest) -> FetchedKey {
    key_of_epoch_of(Nanos::from_secs(7_200), request)
}

fn key_of_epoch_of(length: Nanos, request: KeyRequest) -> FetchedKey {
    let epoch = Epoch::counted_from(UnixNanos(0), request.at, length).unwrap();
    FetchedKey { key: key_of(request.peer, request.direction, epoch, 0), epoch, successor_from: None }
}
