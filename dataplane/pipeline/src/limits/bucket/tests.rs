use std::thread;

use proptest::prelude::*;

use super::*;

#[test]
fn a_new_bucket_holds_a_burst_and_then_fills_at_its_rate() {
    let bucket = Bucket::new(Rate::new(1_000, 10), START);
    assert_eq!(drain(&bucket, START), 10);
    assert_eq!(drain(&bucket, after(Nanos::from_millis(5))), 5);
    assert_eq!(drain(&bucket, after(Nanos::from_secs(3_600))), 10);
}

#[test]
fn all_of_an_amount_is_taken_or_nothing() {
    let bucket = Bucket::new(Rate::new(1_000, 10), START);
    assert!(bucket.take(7, START));
    assert!(!bucket.available(4, START) && !bucket.take(4, START));
    assert!(bucket.available(3, START) && bucket.take(3, START));
}

#[test]
fn an_amount_larger_than_the_burst_never_passes() {
    let bucket = Bucket::new(Rate::new(1_000, 10), START);
    assert!(!bucket.take(11, after(Nanos::from_secs(3_600))));
    assert!(!bucket.take(u64::MAX, after(Nanos::from_secs(3_600))));
}

#[test]
fn a_rate_of_zero_blocks_everything_for_ever() {
    let bucket = Bucket::new(Rate::new(0, 10), START);
    for now in [UnixNanos(0), START, after(Nanos::from_secs(1 << 30)), UnixNanos(u64::MAX)] {
        for amount in [0, 1] {
            assert!(!bucket.available(amount, now) && !bucket.take(amount, now));
        }
    }
}

#[test]
fn a_refund_makes_it_as_if_nothing_had_been_taken() {
    let bucket = Bucket::new(Rate::new(1_000, 10), START);
    assert!(bucket.take(4, START) && bucket.take(6, START));
    bucket.refund(6);
    assert_eq!(drain(&bucket, START), 6);
    // A full bucket does not overflow.
    let later = after(Nanos::from_secs(1));
    assert!(bucket.take(5, later));
    bucket.refund(5);
    assert_eq!(drain(&bucket, later), 10);
}

#[test]
fn after_a_step_back_of_an_hour_tokens_flow_again_at_once() {
    let bucket = Bucket::new(Rate::new(1_000, 10), START);
    assert_eq!(drain(&bucket, START), 10);
    let stepped = START.saturating_sub(Nanos::from_secs(3_600));
    assert!(bucket.available(1, stepped), "whoever asks first must be sent on to `take`");
    assert!(!bucket.take(1, stepped), "a burst appeared from nowhere");
    assert_eq!(drain(&bucket, stepped.saturating_add(Nanos::from_millis(5))), 5);
}

#[test]
fn a_step_back_of_up_to_a_second_creates_nothing() {
    let bucket = Bucket::new(Rate::new(1_000, 10), START);
    let mut taken = 0;
    for _ in 0..100 {
        taken += drain(&bucket, START);
        taken += drain(&bucket, START.saturating_sub(Nanos::from_secs(1)));
    }
    assert_eq!(taken, 10);
}

#[test]
fn small_packets_at_a_hundred_gigabits_are_counted_exactly() {
    let bucket = Bucket::new(Rate::of_bytes(100_000_000_000, 9_216), START);
    assert_eq!(drain(&bucket, START), 9_216);
    let mut passed = 0_u64;
    for nanos in 0..1_000_000 {
        passed += u64::from(bucket.take(64, after(Nanos(nanos))));
    }
    assert_eq!(passed, 999_999 * 125 / 10 / 64);
}

#[test]
fn workers_together_get_the_rate_however_skewed_their_shares_are() {
    let rate = Rate::of_bytes(100_000_000_000, 50_000);
    for turns in [[1, 1, 1, 1], [1_000, 10, 1, 1], [64, 64, 0, 1], [1, 0, 0, 0]] {
        let bucket = Bucket::new(rate, START);
        let clock = AtomicU64::new(0);
        let passed: u64 = thread::scope(|scope| {
            let workers = turns.map(|turn| {
                scope.spawn({
                    let (bucket, clock) = (&bucket, &clock);
                    move || offer(bucket, clock, turn)
                })
            });
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        let allowance = rate.burst + SIMULATED.0 * 125 / 10;
        let share = passed as f64 / allowance as f64;
        assert!((0.99..=1.0).contains(&share), "{share} of the allowance in turns of {turns:?}");
    }
}

#[test]
fn a_worker_that_lost_every_race_is_served_like_the_others() {
    let (raced, calm) = (Bucket::new(Rate::new(1_000, 100), START), Bucket::new(Rate::new(1_000, 100), START));
    for amount in [0, 30, 71, 60, 11, 0, 10, 1, 0] {
        let taken = raced.take_contended(amount, raced.tokens_until(START));
        assert_eq!(taken, calm.take(amount, START), "{amount} tokens");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn decisions_agree_with_exact_arithmetic(
        rate in any_rate(),
        start in 1_000_000_000..u64::MAX / 4,
        calls in prop::collection::vec((any_pause(), 0..900_000_000_u64, 0.0..1.2), 1..300),
    ) {
        let bucket = Bucket::new(rate, UnixNanos(start));
        let mut exact = Exact { rate, full_at: i128::from(start) * i128::from(rate.tokens) };
        let mut latest = start;
        for (pause, behind, size) in calls {
            latest += pause;
            // Workers look at the clock at different moments, and it makes small steps back.
            let now = UnixNanos(latest - behind);
            let amount = (size * rate.burst as f64) as u64;
            let needed = exact.spent_with(amount, now);
            let available = bucket.available(amount, now);
            prop_assert_eq!(bucket.take(amount, now), available);
            if available {
                prop_assert!(needed <= exact.tokens(rate.burst + ROUNDING), "{amount} tokens too many");
                exact.take(amount, now);
            } else {
                prop_assert!(needed > exact.tokens(rate.burst) - exact.tokens(ROUNDING), "{amount} tokens refused");
            }
        }
    }

    #[test]
    fn taking_and_refunding_changes_no_later_decision(
        rate in any_rate(),
        calls in prop::collection::vec((any_pause(), 0.0..1.2, any::<bool>()), 1..100),
    ) {
        let (bucket, undisturbed) = (Bucket::new(rate, START), Bucket::new(rate, START));
        let mut now = START;
        for (pause, size, undone) in calls {
            now = now.saturating_add(Nanos(pause));
            let amount = (size * rate.burst as f64) as u64;
            let taken = bucket.take(amount, now);
            if undone && taken {
                bucket.refund(amount);
            } else {
                prop_assert_eq!(undisturbed.take(amount, now), taken);
            }
        }
    }
}

/// The same algorithm in whole numbers of (tokens times `per`), in which nothing is rounded. It is told what was
/// decided.
struct Exact {
    rate: Rate,
    full_at: i128,
}

impl Exact {
    /// What would be gone from the bucket with `amount` more.
    fn spent_with(&self, amount: u64, now: UnixNanos) -> i128 {
        (self.full_at - self.at(now)).max(0) + self.tokens(amount)
    }

    fn take(&mut self, amount: u64, now: UnixNanos) {
        self.full_at = self.full_at.max(self.at(now)) + self.tokens(amount);
    }

    fn at(&self, now: UnixNanos) -> i128 {
        i128::from(now.0) * i128::from(self.rate.tokens)
    }

    fn tokens(&self, amount: u64) -> i128 {
        i128::from(amount) * i128::from(self.rate.per.0)
    }
}

/// From a hundred tokens a second to a hundred trillion in eight, at which the word wraps around every few days.
fn any_rate() -> impl Strategy<Value = Rate> {
    (2.0..14.0, 1.0..9.0, any::<bool>()).prop_map(|(tokens, burst, bytes)| {
        let (tokens, burst) = (10_f64.powf(tokens) as u64, 10_f64.powf(burst) as u64);
        if bytes { Rate::of_bytes(tokens, burst) } else { Rate::new(tokens, burst) }
    })
}

fn any_pause() -> impl Strategy<Value = u64> {
    prop_oneof![0..1_000_u64, 0..10_000_000_u64, 0..3_600_000_000_000_u64]
}

/// Offers packets of 1,500 bytes at six times the rate, `turn` at a time, until the simulated time is over. Returns the
/// bytes that passed.
fn offer(bucket: &Bucket, clock: &AtomicU64, turn: u32) -> u64 {
    let mut passed = 0;
    while turn > 0 && clock.load(Ordering::Relaxed) < SIMULATED.0 {
        for _ in 0..turn {
            let now = after(Nanos(clock.fetch_add(20, Ordering::Relaxed).min(SIMULATED.0)));
            passed += if bucket.take(1_500, now) { 1_500 } else { 0 };
        }
        thread::yield_now();
    }
    passed
}

/// Takes single tokens until there are none.
fn drain(bucket: &Bucket, now: UnixNanos) -> u64 {
    std::iter::repeat_with(|| bucket.take(1, now)).take_while(|taken| *taken).count() as u64
}

fn after(span: Nanos) -> UnixNanos {
    START.saturating_add(span)
}

const START: UnixNanos = UnixNanos(1_800_000_000_000_000_000);
const SIMULATED: Nanos = Nanos::from_millis(2);

/// The present is rounded down to a token, once when a packet passes and once when the next asks.
const ROUNDING: u64 = 2;
