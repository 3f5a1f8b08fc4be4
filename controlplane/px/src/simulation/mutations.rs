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
    assert_found_out_from(31_400, Mutation::ReplacedDiskVotes);
}

#[test]
fn a_read_without_a_barrier_is_found_out() {
    assert_found_out(Mutation::ReadWithoutBarrier);
}

#[test]
fn a_promise_that_is_forgotten_with_a_state_taken_over_is_found_out() {
    assert_found_out_from(3_000, Mutation::CatchUpForgetsPromise);
}

#[test]
fn a_promise_that_leaves_before_it_is_on_disk_is_found_out() {
    assert_found_out_from(26_600, Mutation::PromiseBeforeDisk);
}

#[test]
fn messages_that_are_taken_in_when_they_come_again_are_found_out() {
    assert_found_out_from(15_000, Mutation::RepeatsTakenIn);
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
            let seeds: Vec<_> = failures.iter().take(SHOWN).map(|(seed, _)| seed.to_string()).collect();
            // As in the table of the documentation, in one go: tests run beside each other.
            eprint!("\n| {} | {} |\n", sentence(mutation), seeds.join(", "));
            eprintln!("{mutation:?}, seed {}: {:.300}", seeds[0], failures[0].1.0);
            return;
        }
    }
    panic!("{mutation:?} is found by none of {MAX_SEEDS} seeds");
}

/// What the mistake is called in the documentation.
fn sentence(mutation: Mutation) -> &'static str {
    match mutation {
        Mutation::NothingWaitsForDisk => "everything is sent before the disk has it",
        Mutation::AcceptedBeforeDisk => "an entry is called accepted before it is on disk",
        Mutation::OwnVoteBeforeDisk => "a leader counts its own vote before it is on disk",
        Mutation::PromiseBeforeDisk => "a promise is given before it is on disk",
        Mutation::RepeatsTakenIn => "messages are taken in when they come again",
        Mutation::PromiseNotWritten => "promised ballots are never written",
        Mutation::AnswerBeforeQuorum => "answers are given without a majority",
        Mutation::SessionsNotWritten => "clients are not written with the state",
        Mutation::ReplacedDiskVotes => "a replaced disk votes for the old one",
        Mutation::ReadWithoutBarrier => "reads are answered without a barrier",
        Mutation::CatchUpForgetsPromise => "promises are forgotten when a state is taken over",
    }
}

/// So many of the seeds that find a mistake are shown.
const SHOWN: usize = 3;

/// So many seeds must be enough to find a mistake.
const MAX_SEEDS: u64 = 10_000;
const CHUNK: usize = 200;
