//! The simulation judged: nodes that make a mistake on purpose must be found out.

use super::seeds;
use crate::node::Mutation;

#[test]
fn a_node_that_sends_before_the_disk_has_it_is_found_out() {
    assert_found_out(Mutation::NothingWaitsForDisk);
}

#[test]
fn an_entry_that_is_called_accepted_before_it_is_on_disk_is_found_out() {
    assert_found_out(Mutation::AcceptedBeforeDisk);
}

#[test]
fn a_leader_that_counts_its_vote_before_it_is_on_disk_is_found_out() {
    assert_found_out(Mutation::OwnVoteBeforeDisk);
}

#[test]
fn a_promise_that_is_never_written_is_found_out() {
    assert_found_out(Mutation::PromiseNotWritten);
}

#[test]
fn an_answer_without_a_majority_is_found_out() {
    assert_found_out(Mutation::AnswerBeforeQuorum);
}

#[test]
fn clients_that_are_forgotten_with_the_memory_are_found_out() {
    assert_found_out(Mutation::SessionsNotWritten);
}

#[test]
fn a_replaced_disk_that_votes_is_found_out() {
    assert_found_out_from(2_800, Mutation::ReplacedDiskVotes);
}

#[test]
fn a_read_without_a_barrier_is_found_out() {
    assert_found_out(Mutation::ReadWithoutBarrier);
}

#[test]
fn a_promise_that_is_forgotten_with_a_state_taken_over_is_found_out() {
    assert_found_out_from(800, Mutation::CatchUpForgetsPromise);
}

/// Runs seeds until some have found the mistake; shows them. Fails if too many find nothing.
fn assert_found_out(mutation: Mutation) {
    assert_found_out_from(0, mutation);
}

/// Begins with a seed shortly before one that is known to find it.
fn assert_found_out_from(start: u64, mutation: Mutation) {
    for first in (start..start + MAX_SEEDS).step_by(CHUNK) {
        let (_, failures) = seeds::run_all(first..first + CHUNK as u64, Some(mutation));
        if !failures.is_empty() {
            let seeds: Vec<_> = failures.iter().map(|(seed, _)| seed).collect();
            eprintln!("{mutation:?} is found by the seeds {seeds:?}; the first one by: {:.300}", failures[0].1.0);
            return;
        }
    }
    panic!("{mutation:?} is found by none of {MAX_SEEDS} seeds");
}

/// So many seeds must be enough to find a mistake.
const MAX_SEEDS: u64 = 10_000;
const CHUNK: usize = 200;
