use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

#[test]
fn an_issuer_follows_the_clock() {
    let mut issuer = TimestampIssuer::new(1, 4, THRESHOLD);
    assert_eq!(issuer.issue(UnixNanos(1_000)), UnixNanos(1_001));
    assert_eq!(issuer.issue(UnixNanos(1_000)), UnixNanos(1_005));
    assert_eq!(issuer.issue(UnixNanos(2_001)), UnixNanos(2_001));
    assert_eq!(issuer.issue(UnixNanos(3_002)), UnixNanos(3_005));
}

#[test]
fn after_a_small_step_back_the_issuer_keeps_counting() {
    let mut issuer = TimestampIssuer::new(0, 2, THRESHOLD);
    let last = issuer.issue(UnixNanos(10 * THRESHOLD.0));
    assert_eq!(issuer.issue(UnixNanos(8 * THRESHOLD.0)), UnixNanos(last.0 + 2));
}

#[test]
fn after_a_large_step_back_the_issuer_follows_and_who_took_the_last_packet_takes_no_earlier_time() {
    let mut issuer = TimestampIssuer::new(0, 2, THRESHOLD);
    let last = issuer.issue(UnixNanos(10 * THRESHOLD.0));
    let stepped = issuer.issue(UnixNanos(8 * THRESHOLD.0 - 2));
    assert_eq!(stepped, UnixNanos(8 * THRESHOLD.0 - 2));
    let slowest_clock_that_took_the_last = last.saturating_sub(THRESHOLD);
    assert!(stepped.distance(slowest_clock_that_took_the_last) > THRESHOLD);
}

#[test]
fn the_end_of_time_does_not_panic() {
    let mut issuer = TimestampIssuer::new(2, 3, THRESHOLD);
    assert_eq!(issuer.issue(UnixNanos(u64::MAX)), UnixNanos(u64::MAX));
    assert_eq!(issuer.issue_burst(UnixNanos(u64::MAX), 2).count(), 2);
}

proptest! {
    #[test]
    fn no_two_workers_ever_issue_the_same_time(
        workers in 1..12_usize,
        calls in prop::collection::vec(any_call(), 1..200),
    ) {
        let mut issuers: Vec<_> = (0..workers).map(|worker| TimestampIssuer::new(worker, workers, THRESHOLD)).collect();
        let mut issued = HashSet::new();
        let mut last = vec![0; workers];
        let mut clock = 1_800_000_000_000_000_000;
        for (worker, elapsed, behind, count) in calls {
            let worker = worker.index(workers);
            clock += elapsed;
            let now = UnixNanos(clock - behind);
            for UnixNanos(time) in issuers[worker].issue_burst(now, count) {
                prop_assert!(issued.insert(time), "{time} was issued before");
                prop_assert_eq!(time % workers as u64, worker as u64);
                prop_assert!(time > last[worker] && time >= now.0);
                last[worker] = time;
            }
        }
    }

    #[test]
    fn a_time_leads_the_clock_by_no_more_than_a_step_back_left_over(
        workers in 1..64_usize,
        clocks in prop::collection::vec(0..20 * THRESHOLD.0, 1..200),
    ) {
        let mut issuer = TimestampIssuer::new(0, workers, THRESHOLD);
        for clock in clocks {
            let time = issuer.issue(UnixNanos(clock)).0;
            prop_assert!(time >= clock && time - clock <= 2 * THRESHOLD.0 + 2 * workers as u64);
        }
    }

    #[test]
    fn a_clock_that_outruns_the_packets_is_led_by_less_than_one_round(
        workers in 1..64_usize,
        pauses in prop::collection::vec(64..10_000_u64, 1..200),
    ) {
        let mut issuer = TimestampIssuer::new(workers / 2, workers, THRESHOLD);
        let mut clock = 0;
        for pause in pauses {
            clock += pause;
            prop_assert!(issuer.issue(UnixNanos(clock)).0 - clock < workers as u64);
        }
    }

    #[test]
    fn a_burst_is_as_many_single_times(
        start in 0..u64::MAX / 2,
        bursts in prop::collection::vec((0..10_000_u64, 0..70_usize), 1..20),
    ) {
        let mut one_by_one = TimestampIssuer::new(3, 5, THRESHOLD);
        let mut at_once = TimestampIssuer::new(3, 5, THRESHOLD);
        let mut now = UnixNanos(start);
        for (elapsed, count) in bursts {
            now = now.saturating_add(Nanos(elapsed));
            let singles: Vec<_> = (0..count).map(|_| one_by_one.issue(now)).collect();
            prop_assert_eq!(at_once.issue_burst(now, count).collect::<Vec<_>>(), singles);
        }
    }
}

/// Which worker, how much later, how far its clock is behind, and how many packets.
fn any_call() -> impl Strategy<Value = (prop::sample::Index, u64, u64, usize)> {
    // A millisecond less, for what the workers run ahead of the clock.
    let behind = 0..2 * THRESHOLD.0 - 1_000_000;
    (any::<prop::sample::Index>(), 0..2_000_u64, behind, 0..70_usize)
}

const THRESHOLD: Nanos = Nanos::from_millis(100);
