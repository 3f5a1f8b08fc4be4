use super::*;
use crate::command::{Pid, Sequence, Ticket, UnixMillis};

#[test]
fn a_put_counts_the_generation_up_and_says_where_it_stands() {
    let mut state = State::new(10);
    let client = register(&mut state);
    assert_eq!(put(&mut state, client, 1, "a", None), written(1, 2));
    assert_eq!(put(&mut state, client, 2, "a", Some(1)), written(2, 3));
    assert_eq!(state.document(&name("a")).unwrap().revision, Revision(3));
}

#[test]
fn a_put_with_another_generation_changes_nothing() {
    let mut state = State::new(10);
    let client = register(&mut state);
    assert_eq!(put(&mut state, client, 1, "a", Some(1)), Outcome::Conflict { generation: Generation::ABSENT });
    put(&mut state, client, 2, "a", Some(0));
    assert_eq!(put(&mut state, client, 3, "a", Some(0)), Outcome::Conflict { generation: Generation(1) });
    assert_eq!(state.document(&name("a")).unwrap().revision, Revision(3));
}

#[test]
fn a_command_that_comes_again_is_answered_but_not_applied() {
    let mut state = State::new(10);
    let client = register(&mut state);
    let first = put(&mut state, client, 1, "a", None);
    assert_eq!(put(&mut state, client, 1, "a", None), first);
    assert_eq!(put(&mut state, client, 2, "a", None), written(2, 4));
    assert_eq!(put(&mut state, client, 1, "a", None), Outcome::Superseded);
    assert_eq!(state.document(&name("a")).unwrap().generation, Generation(2));
}

#[test]
fn a_removed_document_comes_back_with_a_generation_it_never_had() {
    let mut state = State::new(10);
    let client = register(&mut state);
    put(&mut state, client, 1, "a", None);
    put(&mut state, client, 2, "a", None);
    assert_eq!(delete(&mut state, client, 3, "a", Some(1)), Outcome::Conflict { generation: Generation(2) });
    assert_eq!(delete(&mut state, client, 4, "a", Some(2)), Outcome::Deleted { revision: Revision(5) });
    assert_eq!(put(&mut state, client, 5, "a", Some(0)), written(3, 6));
}

#[test]
fn the_client_whose_last_command_is_oldest_is_forgotten_first() {
    let mut state = State::new(2);
    let (first, second) = (register(&mut state), register(&mut state));
    put(&mut state, first, 1, "a", None);
    register(&mut state);
    assert_eq!(put(&mut state, second, 1, "a", None), Outcome::UnknownClient);
    assert_eq!(put(&mut state, first, 2, "a", None), written(2, 6));
    assert_eq!(state.clients(), 2);
}

#[test]
fn a_registration_that_comes_again_lets_nobody_in_twice() {
    let mut state = State::new(10);
    assert_ne!(register(&mut state), register(&mut state));
}

#[test]
fn the_changes_since_the_last_time_make_the_old_snapshot_the_new_one() {
    let mut state = State::new(2);
    let client = register(&mut state);
    put(&mut state, client, 1, "a", None);
    put(&mut state, client, 2, "b", None);
    state.take_changes(&membership());
    let mut snapshot = state.snapshot(&membership());
    let other = register(&mut state);
    delete(&mut state, other, 1, "a", None);
    put(&mut state, other, 2, "c", None);
    register(&mut state);

    let changes = state.take_changes(&membership());
    snapshot.change(changes);

    assert_eq!(snapshot, state.snapshot(&membership()));
    assert_eq!(State::from_snapshot(snapshot, 2).digest(), state.digest());
}

#[test]
fn a_list_begins_behind_a_name_and_ends_with_the_prefix() {
    let mut state = State::new(10);
    let client = register(&mut state);
    for (sequence, text) in (1..).zip(["a/1", "b/1", "b/2", "b/3", "c/1"]) {
        put(&mut state, client, sequence, text, None);
    }
    let names =
        |after: Option<&Name>| -> Vec<_> { state.list("b/", after).map(|(name, _)| name.to_string()).collect() };
    assert_eq!(names(None), ["b/1", "b/2", "b/3"]);
    assert_eq!(names(Some(&name("b/1"))), ["b/2", "b/3"]);
}

fn register(state: &mut State) -> ClientId {
    match apply(state, ClientId::from(0), 0, Change::Register { nonce: 7 }) {
        Outcome::Registered { client } => client,
        outcome => panic!("{outcome:?}"),
    }
}

fn put(state: &mut State, client: ClientId, sequence: u64, text: &str, expected: Option<u64>) -> Outcome {
    let value = Value::new(text.as_bytes().to_vec()).unwrap();
    apply(state, client, sequence, Change::Put { name: name(text), value, expected: expected.map(Generation) })
}

fn delete(state: &mut State, client: ClientId, sequence: u64, text: &str, expected: Option<u64>) -> Outcome {
    apply(state, client, sequence, Change::Delete { name: name(text), expected: expected.map(Generation) })
}

fn apply(state: &mut State, client: ClientId, sequence: u64, change: Change) -> Outcome {
    let command = Command {
        ticket: Ticket { node: Pid(1), boot: 1, number: 1 },
        client,
        sequence: Sequence(sequence),
        author: "somebody".into(),
        time: UnixMillis(0),
        change,
    };
    state.apply(&Entry::Command(Arc::new(command))).outcome.expect("commands have outcomes")
}

fn written(generation: u64, revision: u64) -> Outcome {
    Outcome::Written { generation: Generation(generation), revision: Revision(revision) }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn membership() -> Membership {
    Membership::founding([("a".into(), crate::membership::StoreId(1)), ("b".into(), crate::membership::StoreId(2))])
        .unwrap()
}
