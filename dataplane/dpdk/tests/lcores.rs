//! Work on lcores, and packets between them.

mod support;

use std::sync::mpsc;

use photongate_dpdk::eal::CpuSet;
use photongate_dpdk::lcore::LaunchError;
use photongate_dpdk::{Burst, Lcore, Mbuf, ring};
use support::{burst, eal, pool};

/// There is one worker, so what runs on it runs in one test.
#[test]
fn a_worker_runs_what_it_is_given_and_reports_how_it_ended() {
    let eal = eal();
    let worker = eal.workers().next().unwrap();
    assert_eq!(eal.workers().count(), 1);
    assert_ne!(worker, eal.main_lcore());

    let ran_on = eal.launch(worker, Lcore::current).unwrap().join().unwrap();
    assert_eq!(ran_on, Some(worker));

    let pinned_to = eal.launch(worker, CpuSet::usable).unwrap().join().unwrap();
    assert_eq!(pinned_to.iter().count(), 1);

    let panicked = eal.launch(worker, || -> u32 { panic!("no {}", "packets") }).unwrap().join().unwrap_err();
    assert_eq!((panicked.lcore, panicked.message.as_str()), (worker, "no packets"));

    let (go, wait) = mpsc::channel::<()>();
    let busy = eal.launch(worker, move || wait.recv().is_ok()).unwrap();
    assert!(!busy.is_finished());
    assert_eq!(eal.launch(worker, || ()).err(), Some(LaunchError::Busy { lcore: worker }));
    go.send(()).unwrap();
    assert!(busy.join().unwrap());
    assert!(eal.launch(worker, || ()).is_ok(), "a worker that was joined can be used again");
}

#[test]
fn the_main_lcore_is_no_worker() {
    let main = eal().main_lcore();
    assert_eq!(eal().launch(main, || ()).err(), Some(LaunchError::NotAWorker { lcore: main }));
}

#[test]
fn a_thread_that_dpdk_did_not_start_is_no_lcore() {
    eal();
    assert_eq!(std::thread::spawn(Lcore::current).join().unwrap(), None);
}

#[test]
fn packets_pass_a_ring_in_order_and_what_does_not_fit_stays() {
    let pool = pool(128);
    let (sender, mut receiver) = ring::create(eal(), 2, None).unwrap();
    let mut outgoing = burst(&pool, &[b"1", b"2", b"3"]);
    assert_eq!(sender.send(&mut outgoing), 2);
    assert_eq!((outgoing.len(), outgoing[0].data()), (1, &b"3"[..]));

    let mut incoming = Burst::<64>::new();
    assert_eq!(receiver.receive(&mut incoming), 2);
    assert_eq!(incoming.iter().map(Mbuf::data).collect::<Vec<_>>(), [b"1", b"2"]);
}

#[test]
fn packets_from_several_threads_all_arrive() {
    let pool = pool(128);
    let (sender, mut receiver) = ring::create(eal(), 255, None).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let sender = sender.clone();
            scope.spawn(move || assert_eq!(sender.send(&mut burst(&pool, &[b"a", b"b"])), 2));
        }
    });
    assert_eq!(receiver.receive(&mut Burst::<64>::new()), 8);
}

#[test]
fn packets_left_in_a_ring_are_freed_with_it() {
    let pool = pool(128);
    let (sender, receiver) = ring::create(eal(), 8, None).unwrap();
    sender.send(&mut burst(&pool, &[b"1", b"2"]));
    assert_eq!(pool.available(), 253);
    drop((sender, receiver));
    assert_eq!(pool.available(), 255);
}
