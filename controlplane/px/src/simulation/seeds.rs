//! Thousands of seeds, on all processors. `PHOTONGATE_PX_SEED` runs one with a trace, `PHOTONGATE_PX_SEEDS` says how many to run.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::{Failure, Report, World};
use crate::node::Mutation;

#[test]
fn no_fault_makes_the_cluster_lose_or_repeat_or_reorder_anything() {
    if let Some(seed) = number("PHOTONGATE_PX_SEED") {
        let report = run(seed, None, true).unwrap_or_else(|failure| panic!("seed {seed}: {}", failure.0));
        eprintln!("{report:?}");
        return;
    }
    let seeds = number("PHOTONGATE_PX_SEEDS").unwrap_or(SEEDS);
    let (report, failures) = run_all(0..seeds, None);
    for (seed, failure) in failures.iter().skip(1).take(10) {
        eprintln!("seed {seed} fails by: {:.200}", failure.0);
    }
    if let Some((seed, failure)) = failures.first() {
        panic!(
            "{} of {seeds} seeds fail; the first, {seed}, by: {}\nto see it: PHOTONGATE_PX_SEED={seed} cargo test -p photongate-px no_fault -- --nocapture",
            failures.len(),
            failure.0
        );
    }
    // What never happens proves nothing.
    assert!(
        report.crashes > 0
            && report.replaced > 0
            && report.configurations > 0
            && report.caught_up > 0
            && report.vacancies > 0,
        "{report:?}"
    );
    eprintln!("{seeds} seeds: {report:?}");
}

/// Runs a seed. A panic in the node is a failure, too.
pub(super) fn run(seed: u64, mutation: Option<Mutation>, trace: bool) -> Result<Report, Failure> {
    let result = panic::catch_unwind(AssertUnwindSafe(|| World::new(seed, mutation, trace).run()));
    result.unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
        Err(Failure(format!("panic: {}", text.unwrap_or("without a message"))))
    })
}

/// Runs seeds on all processors. Says what they came to together, and which failed, in their order.
pub(super) fn run_all(seeds: std::ops::Range<u64>, mutation: Option<Mutation>) -> (Report, Vec<(u64, Failure)>) {
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new((Report::default(), Vec::new()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let result = run(seed, mutation, false);
                    let mut total = total.lock().expect("panics are caught");
                    match result {
                        Ok(report) => total.0.add(&report),
                        Err(failure) => total.1.push((seed, failure)),
                    }
                }
            });
        }
    });
    let (report, mut failures) = total.into_inner().expect("panics are caught");
    failures.sort_by_key(|(seed, _)| *seed);
    (report, failures)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

/// How many seeds a test run takes.
const SEEDS: u64 = 10_000;
