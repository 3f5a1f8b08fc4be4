use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[test]
fn pieces_are_asked_of_several_nodes_and_not_all_of_one() {
    let mut schedule = schedule(6, ["a", "b", "c"]);
    let asked = asks(&schedule.decide(NOW));
    for peer in ["a", "b", "c"] {
        assert_eq!(asked.iter().filter(|(_, asked)| *asked == peer).count(), 2, "{asked:?}");
    }
}

#[test]
fn two_nodes_that_fetch_the_same_file_ask_for_different_pieces_first() {
    let first = |seed| {
        let mut schedule = Schedule::new(SETTINGS, 100, 0..100, ["a"], seed);
        asks(&schedule.decide(NOW)).into_iter().map(|(piece, _)| piece).collect::<Vec<_>>()
    };
    assert_ne!(first(1), first(2));
}

#[test]
fn a_piece_that_many_want_is_not_asked_of_the_same_node_by_all() {
    let first = |seed| asks(&Schedule::new(SETTINGS, 1, [0], ["a", "b", "c", "d"], seed).decide(NOW))[0].1;
    let asked: BTreeSet<_> = (0..40).map(first).collect();
    assert_eq!(asked.len(), 4);
}

#[test]
fn a_node_that_sends_something_else_is_never_asked_again() {
    let mut schedule = schedule(3, ["liar"]);
    let (piece, peer) = asks(&schedule.decide(NOW))[0];
    schedule.failed(piece, peer, Failure::Wrong, NOW);
    assert_eq!(asks(&schedule.decide(at(100))), []);
}

#[test]
fn a_node_that_fails_rests_and_is_left_in_the_end() {
    let mut schedule = schedule(1, ["dead"]);
    for rest_s in [1, 2] {
        let now = at(10 * rest_s);
        assert_eq!(asks(&schedule.decide(now)), [(0, "dead")]);
        schedule.failed(0, "dead", Failure::Unreachable, now);
        assert_eq!(asks(&schedule.decide(now)), []);
        assert_eq!(asks(&schedule.clone().decide(now + SETTINGS.rest * rest_s as u32)), [(0, "dead")]);
    }
    assert_eq!(asks(&schedule.decide(at(30))), [(0, "dead")]);
    schedule.failed(0, "dead", Failure::Unreachable, at(30));
    assert_eq!(asks(&schedule.decide(at(1_000))), []);
}

#[test]
fn a_piece_that_takes_too_long_is_asked_of_a_second_node_and_the_first_answer_counts() {
    let mut schedule = schedule(1, ["slow", "fast"]);
    let (_, first) = asks(&schedule.decide(NOW))[0];
    assert_eq!(schedule.next_time(NOW), Some(SETTINGS.late));
    let (_, second) = asks(&schedule.decide(SETTINGS.late))[0];
    assert_ne!(first, second);
    assert_eq!(asks(&schedule.decide(at(100))), []);
    assert!(schedule.got(0, second, at(100)));
    assert!(schedule.is_done());
    assert!(!schedule.got(0, first, at(100)));
}

#[test]
fn after_one_that_is_not_there_a_piece_is_asked_of_one_that_is() {
    for invented in ["nobody 1", "nobody 2", "nobody 3"] {
        let mut schedule = schedule(1, ["nobody 1", "nobody 2", "nobody 3"]);
        let (_, first) = asks(&schedule.decide(NOW))[0];
        schedule.looked_up(0, ["holder", invented], NOW);
        schedule.met(["holder"]);
        assert_eq!(asks(&schedule.clone().decide(SETTINGS.late)), [(0, "holder")], "beside one that is late");
        schedule.failed(0, first, Failure::Unreachable, NOW);
        assert_eq!(asks(&schedule.decide(NOW)), [(0, "holder")], "after one that failed");
    }
}

#[test]
fn a_piece_that_the_swarm_does_not_have_is_asked_of_those_who_hold_it() {
    let mut schedule = schedule(1, ["swarm"]);
    assert_eq!(schedule.decide(NOW), [Action::LookUp { piece: 0 }, Action::Ask { piece: 0, peer: "swarm" }]);
    schedule.failed(0, "swarm", Failure::Miss, NOW);
    assert_eq!(schedule.decide(NOW), []);
    schedule.looked_up(0, ["holder"], NOW);
    assert_eq!(asks(&schedule.decide(NOW)), [(0, "holder")]);
}

#[test]
fn one_of_the_swarm_who_had_a_piece_not_may_have_it_later() {
    let mut schedule = schedule(1, ["swarm"]);
    schedule.decide(NOW);
    schedule.failed(0, "swarm", Failure::Miss, NOW);
    assert_eq!(schedule.next_time(NOW), Some(SETTINGS.rest));
    assert_eq!(asks(&schedule.decide(SETTINGS.rest)), [(0, "swarm")]);
}

#[test]
fn where_all_pieces_take_long_none_is_asked_twice_too_soon() {
    let mut schedule = schedule(2, ["a", "b"]);
    let first = asks(&schedule.decide(NOW));
    assert!(schedule.got(first[0].0, first[0].1, at(9)));
    let (piece, _) = first[1];
    assert_eq!(asks(&schedule.decide(at(4))), []);
    let late = asks(&schedule.decide(at(5)));
    assert_eq!(late.iter().map(|(late, _)| *late).collect::<Vec<_>>(), [piece], "but it is in the end");
}

#[test]
fn a_piece_that_nobody_has_is_hopeless_after_some_look_ups() {
    let mut schedule = schedule(2, ["swarm"]);
    let mut now = NOW;
    for _ in 0..1_000 {
        for action in schedule.decide(now) {
            match action {
                Action::Ask { piece: 0, peer } => assert!(schedule.got(0, peer, NOW)),
                Action::Ask { piece, peer } => schedule.failed(piece, peer, Failure::Miss, now),
                Action::LookUp { piece } => schedule.looked_up(piece, [], now),
            }
        }
        match schedule.next_time(now) {
            Some(next) if schedule.hopeless().is_empty() => now = next,
            _ => break,
        }
    }
    assert_eq!((schedule.hopeless(), schedule.missing()), (vec![1], 1));
    assert!(now < at(60), "{now:?}");
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Good { takes: u64 },
    Lies,
    Dead,
    Stalls,
    Lacks,
}

proptest! {
    /// A model of nodes around the schedule: whatever they do, a fetch with one good node ends with all pieces, each counted once, and
    /// bounds are kept on the way.
    #[test]
    fn with_one_good_node_every_fetch_ends_whole(
        kinds in vec(any_kind(), 0..8),
        takes in 1..3_000_u64,
        good_is_found_by_looking_up: bool,
        pieces in 1..40_usize,
        seed: u64,
    ) {
        let mut peers = kinds;
        peers.push(Kind::Good { takes });
        let good = peers.len() - 1;
        let swarm = 0..if good_is_found_by_looking_up { good } else { good + 1 };
        let mut schedule = Schedule::new(SETTINGS, pieces, 0..pieces, swarm, seed);
        let mut under_way: Vec<(Duration, Event)> = Vec::new();
        let (mut now, mut arrived, mut liars) = (NOW, vec![0; pieces], BTreeSet::new());
        while !schedule.is_done() {
            for action in schedule.decide(now) {
                under_way.push(match action {
                    Action::LookUp { piece } => (now + Duration::from_millis(50), Event::Found { piece }),
                    Action::Ask { piece, peer } => {
                        prop_assert!(!liars.contains(&peer), "a liar is asked again");
                        let (takes, outcome) = match peers[peer] {
                            Kind::Good { takes } => (takes, Ok(())),
                            Kind::Lies => (20, Err(Failure::Wrong)),
                            Kind::Dead => (10, Err(Failure::Unreachable)),
                            Kind::Stalls => (5_000, Err(Failure::Unreachable)),
                            Kind::Lacks => (5, Err(Failure::Miss)),
                        };
                        (now + Duration::from_millis(takes), Event::Answered { piece, peer, outcome })
                    }
                });
            }
            let asked: Vec<_> = under_way.iter().filter_map(|(_, event)| event.peer()).collect();
            prop_assert!(asked.len() <= SETTINGS.at_once);
            prop_assert!(asked.iter().all(|peer| asked.iter().filter(|other| *other == peer).count() <= SETTINGS.at_once_per_peer));
            let first = under_way.iter().map(|(time, _)| *time).chain(schedule.next_time(now)).min();
            prop_assert!(first.is_some(), "nothing is under way and nothing ever will be");
            now = first.unwrap().max(now);
            let (due, later) = under_way.into_iter().partition(|(time, _)| *time <= now);
            under_way = later;
            for (_, event) in due {
                match event {
                    Event::Found { piece } => schedule.looked_up(piece, [good], now),
                    Event::Answered { piece, peer, outcome: Ok(()) } => arrived[piece] += u32::from(schedule.got(piece, peer, now)),
                    Event::Answered { piece, peer, outcome: Err(why) } => {
                        if why == Failure::Wrong {
                            liars.insert(peer);
                        }
                        schedule.failed(piece, peer, why, now);
                    }
                }
            }
            prop_assert!(now < at(3_600), "{} pieces are missing after an hour", schedule.missing());
            prop_assert!(schedule.hopeless().is_empty());
        }
        prop_assert_eq!(arrived, vec![1; pieces]);
    }
}

#[derive(Debug)]
enum Event {
    Found { piece: usize },
    Answered { piece: usize, peer: usize, outcome: Result<(), Failure> },
}

impl Event {
    fn peer(&self) -> Option<usize> {
        match self {
            Self::Answered { peer, .. } => Some(*peer),
            Self::Found { .. } => None,
        }
    }
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (1..3_000_u64).prop_map(|takes| Kind::Good { takes }),
        Just(Kind::Lies),
        Just(Kind::Dead),
        Just(Kind::Stalls),
        Just(Kind::Lacks),
    ]
}

fn schedule<const N: usize>(pieces: usize, swarm: [&'static str; N]) -> Schedule<&'static str> {
    Schedule::new(SETTINGS, pieces, 0..pieces, swarm, 1)
}

fn asks<P: Copy>(actions: &[Action<P>]) -> Vec<(usize, P)> {
    let asked = actions.iter().filter_map(|action| match action {
        Action::Ask { piece, peer } => Some((*piece, *peer)),
        Action::LookUp { .. } => None,
    });
    asked.collect()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const NOW: Duration = Duration::ZERO;
const SETTINGS: Settings = Settings {
    at_once: 16,
    at_once_per_peer: 3,
    look_ups_at_once: 8,
    look_ups: 4,
    late: Duration::from_secs(2),
    rest: Duration::from_secs(1),
    strikes: 3,
};
