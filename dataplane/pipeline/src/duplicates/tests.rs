use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

#[test]
fn the_second_copy_is_a_duplicate_whenever_it_arrives() {
    for delay in [0, 1, 500, 999, 1_000] {
        let mut filter = filter(1_000, 1e-6);
        filter.advance(at_millis(10_000));
        assert_eq!(filter.insert(&tag(1), at_millis(10_000)), Seen::Fresh);
        filter.advance(at_millis(10_000 + delay));
        assert_eq!(filter.contains(&tag(1), at_millis(10_000)), Seen::Duplicate);
        assert_eq!(filter.insert(&tag(1), at_millis(10_000)), Seen::Duplicate);
    }
}

#[test]
fn asking_does_not_record() {
    let mut filter = filter(1_000, 1e-6);
    filter.advance(at_millis(10_000));
    assert_eq!(filter.contains(&tag(1), at_millis(10_000)), Seen::Fresh);
    assert_eq!(filter.contains(&tag(1), at_millis(10_000)), Seen::Fresh);
}

#[test]
fn what_was_sent_outside_the_threshold_is_expired() {
    let mut filter = filter(1_000, 1e-6);
    filter.advance(at_millis(10_000));
    for sent in [8_999, 11_001, 0] {
        assert_eq!(filter.contains(&tag(1), at_millis(sent)), Seen::Expired, "sent at {sent} ms");
        assert_eq!(filter.insert(&tag(1), at_millis(sent)), Seen::Expired, "sent at {sent} ms");
    }
    for sent in [9_000, 11_000] {
        assert_eq!(filter.insert(&tag(1), at_millis(sent)), Seen::Fresh, "sent at {sent} ms");
    }
    filter.advance(UnixNanos(u64::MAX));
    assert_eq!(filter.insert(&tag(1), UnixNanos(u64::MAX)), Seen::Fresh);
}

#[test]
fn what_was_sent_before_the_filter_began_is_expired() {
    let mut filter = filter(1_000, 1e-6);
    filter.advance(at_millis(10_000));
    filter.refuse_before(at_millis(10_000));
    assert_eq!(filter.insert(&tag(1), at_millis(9_999)), Seen::Expired);
    assert_eq!(filter.insert(&tag(1), at_millis(10_000)), Seen::Fresh);
}

#[test]
fn a_filter_begun_with_a_clock_that_was_ahead_takes_packets_once_the_clock_is_right() {
    let mut filter = filter(1_000, 1e-6);
    filter.refuse_before(at_millis(3_600_000));
    filter.advance(at_millis(3_600_000));
    filter.advance(at_millis(10_000));
    assert_eq!(filter.insert(&tag(1), at_millis(9_999)), Seen::Expired, "it may have been accepted before the start");
    assert_eq!(filter.insert(&tag(1), at_millis(10_000)), Seen::Fresh);
    assert_eq!(filter.insert(&tag(1), at_millis(10_000)), Seen::Duplicate);
}

#[test]
fn a_generation_begins_empty_where_an_old_one_was() {
    let mut filter = filter(100_000, 1e-6);
    let ring = SPAN_MILLIS * GENERATIONS as u64;
    for round in 0..4 {
        let sent = at_millis(10_000 + round * ring);
        filter.advance(sent);
        for n in 0..20_000 {
            assert_eq!(filter.insert(&tag(n), sent), Seen::Fresh, "tag {n} in round {round}");
        }
    }
}

#[test]
fn a_clock_that_ran_ahead_and_came_back_has_forgotten_nothing() {
    let mut filter = filter(1_000, 1e-6);
    filter.advance(at_millis(10_000));
    assert_eq!(filter.insert(&tag(1), at_millis(10_000)), Seen::Fresh);
    filter.advance(at_millis(99_000_000));
    assert_eq!(filter.contains(&tag(1), at_millis(10_000)), Seen::Expired);
    filter.advance(at_millis(10_100));
    assert_eq!(filter.contains(&tag(1), at_millis(10_000)), Seen::Duplicate);
    assert_eq!(filter.insert(&tag(2), at_millis(10_100)), Seen::Fresh);
}

#[test]
fn after_a_step_back_what_may_have_been_forgotten_is_expired() {
    let mut filter = filter(1_000, 1e-6);
    filter.advance(at_millis(10_000));
    assert_eq!(filter.insert(&tag(1), at_millis(10_000)), Seen::Fresh);
    filter.advance(at_millis(20_000));
    assert_eq!(filter.insert(&tag(2), at_millis(20_000)), Seen::Fresh);
    filter.advance(at_millis(10_000));
    assert_eq!(filter.contains(&tag(1), at_millis(10_000)), Seen::Expired);
    assert_eq!(filter.insert(&tag(3), at_millis(10_000)), Seen::Expired);
}

#[test]
fn a_full_generation_mistakes_fresh_packets_about_as_often_as_was_asked() {
    for (target, keys, probes) in [(1e-2, 20_000, 100_000), (1e-3, 50_000, 300_000), (1e-4, 50_000, 1_500_000)] {
        let mut filter = filter(keys * 1_000 / SPAN_MILLIS, target);
        fill(&mut filter, keys);
        let mistaken = (keys..keys + probes).filter(|n| filter.contains(&tag(*n), NOW) == Seen::Duplicate).count();
        let measured = mistaken as f64 / probes as f64;
        assert!((target / 2.0..target * 2.0).contains(&measured), "{measured:e} instead of {target:e}");
    }
}

#[test]
fn which_packets_are_mistaken_depends_on_the_seed() {
    let sizing = sizing(80_000, 0.1);
    let mut filters = [[1, 2], [3, 4]].map(|seed| DuplicateFilter::new(&sizing, seed));
    filters.iter_mut().for_each(|filter| fill(filter, 20_000));
    let [one, other] = &filters;
    let mistaken_by = |filter: &DuplicateFilter, n: &u64| filter.contains(&tag(*n), NOW) == Seen::Duplicate;
    let by_one: Vec<u64> = (20_000..40_000).filter(|n| mistaken_by(one, n)).collect();
    let by_both = by_one.iter().filter(|n| mistaken_by(other, n)).count();
    assert!(by_one.len() > 1_000 && by_both < by_one.len() / 5, "{} by one, {by_both} by both", by_one.len());
}

#[test]
fn the_load_is_one_at_the_configured_rate() {
    let mut filter = filter(80_000, 1e-6);
    assert_eq!(filter.load(), 0.0);
    fill(&mut filter, 20_000);
    assert!((filter.load() - 1.0).abs() < 0.01, "{}", filter.load());
    // An idle ring later, the full generation still counts until its place is taken.
    let later = UnixNanos(NOW.0 + SPAN_MILLIS * GENERATIONS as u64 * 1_000_000);
    filter.advance(later);
    assert_eq!(filter.insert(&tag(0), later), Seen::Fresh);
    assert!(filter.load() < 0.01, "{}", filter.load());
}

#[test]
fn a_block_is_one_cache_line_and_the_filter_takes_the_memory_it_said() {
    assert_eq!((size_of::<Block>(), align_of::<Block>()), (64, 64));
    let sizing = sizing(1_000_000, 1e-6);
    let filter = DuplicateFilter::new(&sizing, SEED);
    assert_eq!(size_of_val(&*filter.blocks) as u64, sizing.memory_bytes_per_worker());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn however_the_clock_moves_no_replay_is_fresh(events in prop::collection::vec(event(), 1..400)) {
        let mut filter = filter(40, 0.05);
        let mut now = 1_000_000_000_000_u64;
        let mut accepted = HashSet::new();
        let mut history = Vec::new();
        for event in events {
            let packet = match event {
                Event::ClockMoves(by) => {
                    now = now.saturating_add_signed(by);
                    filter.advance(UnixNanos(now));
                    continue;
                }
                Event::Packet { tag, offset } => (tag, now.saturating_add_signed(offset)),
                Event::Replay(index) if history.is_empty() => { let _: prop::sample::Index = index; continue }
                Event::Replay(index) => *index.get(&history),
            };
            let (tag, sent) = (tag(packet.0), UnixNanos(packet.1));
            filter.prefetch(&filter.locate(&tag, sent));
            let asked = filter.contains(&tag, sent);
            prop_assert_eq!(filter.insert(&tag, sent), asked);
            let new = !accepted.contains(&packet);
            prop_assert!(new || asked != Seen::Fresh, "a replay of {packet:?} passed at {now}");
            if asked == Seen::Fresh {
                accepted.insert(packet);
                history.push(packet);
            }
        }
    }

    #[test]
    fn while_the_clock_runs_forward_nothing_inside_the_threshold_expires(
        start in 0..u64::MAX / 2,
        threshold in 1_000_000..5_000_000_000_u64,
        steps in prop::collection::vec((0..3_000_000_000_u64, -1.0..=1.0), 1..100),
    ) {
        let sizing = Sizing::new(100, 0.01, Nanos(threshold), 1 << 30, 1).unwrap();
        let mut filter = DuplicateFilter::new(&sizing, SEED);
        let mut now = start;
        for (n, (elapsed, offset)) in steps.into_iter().enumerate() {
            now += elapsed;
            filter.advance(UnixNanos(now));
            let sent = now.saturating_add_signed((threshold as f64 * offset) as i64);
            prop_assert_ne!(filter.insert(&tag(n as u64), UnixNanos(sent)), Seen::Expired);
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    ClockMoves(i64),
    Packet { tag: u64, offset: i64 },
    Replay(prop::sample::Index),
}

fn event() -> impl Strategy<Value = Event> {
    let (millisecond, second) = (1_000_000_i64, 1_000_000_000_i64);
    prop_oneof![
        3 => (0..300 * millisecond).prop_map(Event::ClockMoves),
        1 => (-3 * second..5 * second).prop_map(Event::ClockMoves),
        1 => (-90 * second..90 * second).prop_map(Event::ClockMoves),
        6 => (any::<u64>(), -1_200 * millisecond..1_200 * millisecond)
            .prop_map(|(tag, offset)| Event::Packet { tag, offset }),
        6 => any::<prop::sample::Index>().prop_map(Event::Replay),
    ]
}

/// Records the first `keys` tags, all sent now.
fn fill(filter: &mut DuplicateFilter, keys: u64) {
    filter.advance(NOW);
    for n in 0..keys {
        let _ = filter.insert(&tag(n), NOW);
    }
}

/// A filter for one worker and a threshold of one second.
fn filter(packets_per_second: u64, false_positive_rate: f64) -> DuplicateFilter {
    DuplicateFilter::new(&sizing(packets_per_second, false_positive_rate), SEED)
}

fn sizing(packets_per_second: u64, false_positive_rate: f64) -> Sizing {
    Sizing::new(packets_per_second, false_positive_rate, Nanos::from_secs(1), 1 << 30, 1).unwrap()
}

/// As random as an authentication tag, which counting numbers would not be.
fn tag(n: u64) -> [u8; 16] {
    let mut state = n;
    let mut word = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    (u128::from(word()) << 64 | u128::from(word())).to_le_bytes()
}

fn at_millis(millis: u64) -> UnixNanos {
    UnixNanos(millis * 1_000_000)
}

const NOW: UnixNanos = UnixNanos(1_800_000_000_000_000_000);
const SEED: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
const SPAN_MILLIS: u64 = 1_000 / SPANS_PER_THRESHOLD;
