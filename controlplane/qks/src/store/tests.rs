use super::*;
use crate::ids::StreamId;
use crate::links::Origin;
use crate::stock::{BlockState, Check, Piece};

#[path = "../../../../tests/support/postgres.rs"]
mod postgres;
mod processes;

/// Tests that hold on either database, each on one that is empty.
macro_rules! on_either_database {
    ($($test:ident)*) => {
        mod on_sqlite {
            use super::Database;

            $(#[tokio::test]
            async fn $test() {
                let folder = tempfile::tempdir().unwrap();
                super::$test(&Database::Sqlite(folder.path().join("qks.db"))).await;
            })*
        }

        /// One test, because a server takes longer to start than all of them take.
        #[tokio::test]
        async fn all_that_holds_on_sqlite_holds_on_postgresql() {
            let server = postgres::Postgres::start();
            $($test(&processes::database(&server, stringify!($test)).await).await;)*
        }
    };
}

on_either_database! {
    keys_are_handed_out_once_to_each_who_may_have_them
    of_several_keys_all_or_none_are_handed_out
    of_many_who_ask_for_the_same_key_at_once_one_gets_it
    pieces_are_reserved_in_their_order_and_only_of_the_neighbours_blocks
    of_those_reserved_together_each_is_taken_or_refused_for_itself
    what_was_committed_is_there_after_a_restart
    what_is_over_is_swept_away_and_cannot_be_taken
    blocks_of_an_older_database_keep_their_bytes
    a_wrapped_key_is_added_once_and_exchanged_only_for_the_one_that_was_seen
    what_is_used_up_or_thrown_away_is_gone_and_what_is_yet_to_come_is_not
    an_answer_that_may_be_asked_for_again_is_kept_with_the_keys_it_took
}

async fn keys_are_handed_out_once_to_each_who_may_have_them(database: &Database) {
    let store = Store::open(database).await.unwrap();
    store.reserve(assignment(1, &["bob", "carol"], 2)).await.unwrap().unwrap();
    let bob = store.take(take("bob", &[(1, 1)])).await.unwrap().unwrap();
    assert_eq!(bob.keys, [(0, 1)]);
    assert_eq!(store.take(take("bob", &[(1, 1)])).await.unwrap(), Err(TakeRefusal::NotFound));
    assert_eq!(store.take(take("dave", &[(1, 0)])).await.unwrap(), Err(TakeRefusal::NotEntitled));
    store.take(take("bob", &[(1, 0)])).await.unwrap().unwrap();
    store.take(take("carol", &[(1, 1), (1, 0)])).await.unwrap().unwrap();
    assert_eq!(store.take(take("dave", &[(1, 0)])).await.unwrap(), Err(TakeRefusal::NotFound), "it is forgotten");
}

async fn of_several_keys_all_or_none_are_handed_out(database: &Database) {
    let store = Store::open(database).await.unwrap();
    store.reserve(assignment(1, &["bob"], 2)).await.unwrap().unwrap();
    for keys in [&[(1, 0), (2, 0)][..], &[(1, 0), (1, 2)], &[(1, 0), (1, 0)]] {
        assert_eq!(store.take(take("bob", keys)).await.unwrap(), Err(TakeRefusal::NotFound), "{keys:?}");
    }
    store.take(take("bob", &[(1, 0), (1, 1)])).await.unwrap().unwrap();
}

async fn of_many_who_ask_for_the_same_key_at_once_one_gets_it(database: &Database) {
    let store = Store::open(database).await.unwrap();
    store.reserve(assignment(1, &["bob"], 1)).await.unwrap().unwrap();
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.take(take("bob", &[(1, 0)])).await.unwrap().is_ok() })
        })
        .collect();
    let mut got = 0;
    for asking in asking {
        got += usize::from(asking.await.unwrap());
    }
    assert_eq!(got, 1);
}

async fn pieces_are_reserved_in_their_order_and_only_of_the_neighbours_blocks(database: &Database) {
    let store = Store::open(database).await.unwrap();
    store.add_blocks(vec![block(0, false), block(1, true)]).await.unwrap();
    store.reserve(of(1, &[(0, 0, 32), (0, 40, 8)])).await.unwrap().unwrap();
    let mark = Mark { block: name(0), used: 48 };
    assert_eq!(store.reserve(of(2, &[(0, 47, 32)])).await.unwrap(), Err(ReserveRefusal::Gone { mark }));
    for refused in [[(1, 0, 32)], [(2, 0, 32)], [(0, 90, 32)], [(0, u32::MAX, 2)], [(0, 48, 0)]] {
        let outcome = store.reserve(of(3, &refused)).await.unwrap();
        assert!(matches!(outcome, Err(ReserveRefusal::NoBlock { .. })), "{refused:?}: {outcome:?}");
    }
    store.reserve(of(4, &[(0, 48, 52)])).await.unwrap().unwrap();
}

async fn of_those_reserved_together_each_is_taken_or_refused_for_itself(database: &Database) {
    let store = Store::open(database).await.unwrap();
    store.add_blocks(vec![block(0, false)]).await.unwrap();
    let message = Use::up(Material { pieces: vec![this((0, 48, 8))], ..material(1) }, END);
    let uses =
        vec![Use::of(of(1, &[(0, 0, 32)])), Use::of(of(2, &[(0, 16, 32)])), Use::of(of(3, &[(0, 32, 16)])), message];
    let gone = ReserveRefusal::Gone { mark: Mark { block: name(0), used: 32 } };
    assert_eq!(store.give_out(uses).await.unwrap(), [Ok(()), Err(gone), Ok(()), Ok(())]);
    for (id, there) in [(1, true), (2, false), (3, true)] {
        assert_eq!(store.take(take("bob", &[(id, 0)])).await.unwrap().is_ok(), there, "{id}");
    }
    assert_eq!(store.give_out(Vec::new()).await.unwrap(), []);
}

async fn what_was_committed_is_there_after_a_restart(database: &Database) {
    let store = Store::open(database).await.unwrap();
    store.add_blocks(vec![block(0, true), block(1, false)]).await.unwrap();
    for used in [64, 32] {
        let marks = vec![Mark { block: name(0), used }];
        assert_eq!(store.advance_own(store.process(), marks).await.unwrap(), []);
    }
    assert_eq!(store.beat().await.unwrap(), Standing::Member { has_chair: true, processes: 1 });
    assert_eq!(store.take_on(&[name(1)]).await.unwrap(), [name(1)]);
    store.reserve(assignment(1, &["bob"], 1)).await.unwrap().unwrap();
    assert_eq!((store.count("boot").await.unwrap(), store.count("boot").await.unwrap()), (1, 2));
    store.leave().await.unwrap();
    drop(store);
    let store = Store::open(database).await.unwrap();
    let blocks: Vec<_> = store.blocks().await.unwrap();
    assert_eq!(
        blocks.iter().map(|block| (block.state.used, block.state.is_mine)).collect::<Vec<_>>(),
        [(64, true), (0, true)]
    );
    assert_eq!(store.block_bytes(name(1)).await.unwrap(), Some(vec![7; 100]));
    assert_eq!(store.count("boot").await.unwrap(), 3);
    store.take(take("bob", &[(1, 0)])).await.unwrap().unwrap();
}

async fn what_is_over_is_swept_away_and_cannot_be_taken(database: &Database) {
    let store = Store::open(database).await.unwrap();
    store.add_blocks(vec![block(0, true)]).await.unwrap();
    store.reserve(assignment(1, &["bob"], 1)).await.unwrap().unwrap();
    let late = Take { now: END, ..take("bob", &[(1, 0)]) };
    assert_eq!(store.take(late).await.unwrap(), Err(TakeRefusal::NotFound));
    store.sweep(END).await.unwrap();
    assert_eq!(store.blocks().await.unwrap(), []);
    assert_eq!(store.block_bytes(name(0)).await.unwrap(), None);
    assert_eq!(
        store.add_blocks(vec![block(0, true), block(1, true)]).await.unwrap(),
        [name(1)],
        "what is gone stays gone"
    );
    assert_eq!(store.take(take("bob", &[(1, 0)])).await.unwrap(), Err(TakeRefusal::NotFound));
}

async fn blocks_of_an_older_database_keep_their_bytes(database: &Database) {
    let before_bytes_were_apart = &schema::VERSIONS[..2];
    let backend = Backend::connect(database).await.unwrap();
    backend.migrate(before_bytes_were_apart).await.unwrap();
    let sql = "INSERT INTO block (stream, number, neighbour, link, origin, is_mine, length, used, made_at, expires_at, retire_at,
            fingerprint, sealed)
        VALUES ($1, 0, 'b', 'ab', 'qkd', 1, 100, 32, 0, 1000, 0, 'c4', $2)";
    let stream = name(0).stream.to_string();
    match &backend {
        Backend::Sqlite(db) => drop(sqlx::query(sql).bind(stream).bind(vec![7_u8; 100]).execute(db).await.unwrap()),
        Backend::Postgres(db) => drop(sqlx::query(sql).bind(stream).bind(vec![7_u8; 100]).execute(db).await.unwrap()),
    }
    drop(backend);
    let store = Store::open(database).await.unwrap();
    assert_eq!(store.blocks().await.unwrap().iter().map(|block| block.state.used).collect::<Vec<_>>(), [32]);
    assert_eq!(store.block_bytes(name(0)).await.unwrap(), Some(vec![7; 100]));
    store.remove_blocks(vec![name(0)]).await.unwrap();
    assert_eq!(store.block_bytes(name(0)).await.unwrap(), None, "the bytes go with the block");
}

async fn what_is_used_up_or_thrown_away_is_gone_and_what_is_yet_to_come_is_not(database: &Database) {
    let store = Store::open(database).await.unwrap();
    store.add_blocks((0..4).map(|number| block(number, number != 3)).collect()).await.unwrap();
    let marks = vec![Mark { block: name(0), used: 100 }, Mark { block: name(1), used: 99 }];
    assert_eq!(store.advance_own(store.process(), marks).await.unwrap(), []);
    store.remove_blocks(vec![name(2)]).await.unwrap();
    let mut reviewed = store.review(&[0, 1, 2, 3, 4].map(name)).await.unwrap();
    reviewed.sort_unstable();
    let expected = [(0, Standstill::Gone), (2, Standstill::Gone), (3, Standstill::OtherEnds)];
    assert_eq!(reviewed, expected.map(|(number, why)| (name(number), why)));
}

async fn a_wrapped_key_is_added_once_and_exchanged_only_for_the_one_that_was_seen(database: &Database) {
    let store = Store::open(database).await.unwrap();
    assert_eq!(store.latest().await.unwrap(), None);
    assert!(store.add(1, b"one").await.unwrap() && !store.add(1, b"other").await.unwrap());
    assert!(!store.replace(1, b"other", b"new").await.unwrap() && !store.replace(2, b"one", b"new").await.unwrap());
    assert!(store.replace(1, b"one", b"new").await.unwrap());
    assert_eq!((store.load(1).await.unwrap(), store.latest().await.unwrap()), (Some(b"new".to_vec()), Some(1)));
}

async fn an_answer_that_may_be_asked_for_again_is_kept_with_the_keys_it_took(database: &Database) {
    let store = Store::open(database).await.unwrap();
    store.reserve(assignment(1, &["bob"], 1)).await.unwrap().unwrap();
    let answer = Answer {
        caller: "bob".to_owned(),
        name: "again".to_owned(),
        digest: "what".to_owned(),
        rows: KeyRows::default(),
        expires_at: END,
    };
    let take = Take { remember: Some(answer.clone()), ..take("bob", &[(1, 0)]) };
    let rows = store.take(take).await.unwrap().unwrap();
    let kept = store.recall("bob", "again").await.unwrap().unwrap();
    assert_eq!(kept, Answer { rows, ..answer.clone() });
    assert_eq!(store.remember(answer).await.unwrap(), Some(kept), "the first one stays");
}

fn assignment(id: u8, takers: &[&str], count: u16) -> Assignment {
    Assignment {
        id: AssignmentId::from_bytes([id; 14]),
        master: "alice".parse().unwrap(),
        takers: takers.iter().map(|taker| taker.parse().unwrap()).collect(),
        material: material(count),
        expires_at: END,
    }
}

/// One key, made of these pieces.
fn of(id: u8, pieces: &[(u64, u32, u32)]) -> Assignment {
    let pieces = pieces.iter().map(|piece| this(*piece)).collect();
    Assignment { material: Material { pieces, ..material(1) }, ..assignment(id, &["bob"], 1) }
}

fn material(count: u16) -> Material {
    Material { key_bytes: 32, count, pieces: Vec::new(), sealed: Some(vec![1, 2, 3]) }
}

fn take(taker: &str, keys: &[(u8, u16)]) -> Take {
    let keys = keys.iter().map(|(id, index)| (AssignmentId::from_bytes([*id; 14]), *index)).collect();
    Take { taker: taker.parse().unwrap(), master: "alice".parse().unwrap(), keys, now: UnixNanos(1), remember: None }
}

fn block(number: u64, is_mine: bool) -> NewBlock {
    let (made_at, expires_at) = (UnixNanos(0), UnixNanos(1_000));
    NewBlock {
        name: name(number),
        state: BlockState {
            length: 100,
            used: 0,
            is_mine,
            origin: Origin::Qkd,
            made_at,
            expires_at,
            check: Check([0xc4; 16]),
        },
        neighbour: "b".parse().unwrap(),
        link: "ab".parse().unwrap(),
        sealed: vec![7; 100],
    }
}

fn name(number: u64) -> BlockName {
    BlockName { stream: StreamId(uuid::Uuid::nil()), number }
}

fn this((number, offset, length): (u64, u32, u32)) -> Piece {
    Piece { block: name(number), offset, length }
}

/// Later than the clock of the machine that runs the test, by which blocks are retired.
const END: UnixNanos = UnixNanos(8_000_000_000_000_000_000);
