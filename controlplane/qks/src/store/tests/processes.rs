//! Several processes on one PostgreSQL database.

use std::collections::BTreeSet;

use sqlx::{Connection, PgConnection};

use super::postgres::Postgres;
use super::*;

#[tokio::test]
async fn tables_are_made_once_however_many_processes_start_at_the_same_time() {
    let server = Postgres::start();
    let database = database(&server, "started").await;
    let starting: Vec<_> = (0..6)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move { Store::open(&database).await.unwrap() })
        })
        .collect();
    let mut numbers = BTreeSet::new();
    for starting in starting {
        let store = starting.await.unwrap();
        assert_eq!(store.blocks().await.unwrap(), []);
        numbers.insert(store.process().0);
    }
    assert_eq!(numbers.len(), 6, "two processes have one number");
}

#[tokio::test]
async fn a_block_belongs_to_one_process_until_it_lets_go_of_it() {
    let server = Postgres::start();
    let [one, other] = two(&server).await;
    one.add_blocks(vec![lasting(0, true), lasting(1, true), lasting(2, false)]).await.unwrap();
    assert_eq!(other.claim(&b(), u64::MAX).await.unwrap(), [], "the first has them all");
    assert_eq!(other.advance_own(other.process(), vec![mark(0, 10)]).await.unwrap(), [name(0)]);
    one.release(&[name(0), name(1)]).await.unwrap();
    let claimed = other.claim(&b(), 150).await.unwrap();
    assert_eq!(claimed.iter().map(|block| block.name).collect::<Vec<_>>(), [name(0)], "two would be too much");
    assert_eq!(other.advance_own(other.process(), vec![mark(0, 10)]).await.unwrap(), []);
    assert_eq!(one.advance_own(one.process(), vec![mark(0, 20), mark(1, 20)]).await.unwrap(), [name(0), name(1)]);
    assert_eq!(one.own_bytes(&b()).await.unwrap(), 190);
    let neighbours = one.neighbours_blocks(&b()).await.unwrap();
    assert_eq!(neighbours.iter().map(|block| block.name).collect::<Vec<_>>(), [name(2)]);
}

#[tokio::test]
async fn what_a_dead_process_had_is_taken_over_behind_its_mark_and_it_can_do_nothing_with_it() {
    let server = Postgres::start();
    let [dead, living] = two(&server).await;
    assert_eq!(dead.beat().await.unwrap(), Standing::Member { has_chair: true, processes: 2 });
    assert_eq!(living.beat().await.unwrap(), Standing::Member { has_chair: false, processes: 2 });
    dead.add_blocks(vec![lasting(0, true)]).await.unwrap();
    let process = dead.process();
    assert_eq!(dead.advance_own(process, vec![mark(0, 40)]).await.unwrap(), []);
    long_ago(&server).await;
    assert_eq!(living.beat().await.unwrap(), Standing::Member { has_chair: true, processes: 1 });
    let claimed = living.claim(&b(), u64::MAX).await.unwrap();
    assert_eq!(claimed.iter().map(|block| (block.name, block.state.used)).collect::<Vec<_>>(), [(name(0), 40)]);
    assert_eq!(dead.advance_own(process, vec![mark(0, 60)]).await.unwrap(), [name(0)], "it comes back");
    assert_eq!(dead.hand_over(&[name(0)], true).await.unwrap(), []);
    assert_eq!(dead.beat().await.unwrap(), Standing::Expelled);
    dead.join().await.unwrap();
    assert_eq!(dead.advance_own(dead.process(), vec![mark(0, 60)]).await.unwrap(), [name(0)]);
    assert_eq!(dead.beat().await.unwrap(), Standing::Member { has_chair: false, processes: 2 });
    living.leave().await.unwrap();
    assert_eq!(dead.beat().await.unwrap(), Standing::Member { has_chair: true, processes: 1 });
    assert_eq!(dead.claim(&b(), u64::MAX).await.unwrap().len(), 1);
}

#[tokio::test]
async fn blocks_are_handed_over_once_and_only_by_who_may() {
    let server = Postgres::start();
    let [chair, other] = two(&server).await;
    chair.beat().await.unwrap();
    chair.add_blocks(vec![lasting(0, true), lasting(1, true), lasting(2, true), lasting(3, false)]).await.unwrap();
    chair.advance_own(chair.process(), vec![mark(1, 10)]).await.unwrap();
    let all: Vec<_> = (0..5).map(name).collect();
    assert_eq!(other.hand_over(&all, false).await.unwrap(), [], "the first has them");
    assert_eq!(chair.hand_over(&all, false).await.unwrap(), [name(0), name(2)], "one is in use");
    assert_eq!(chair.hand_over(&all, true).await.unwrap(), [name(0), name(2), name(3)], "said again");
    assert_eq!(other.take_on(&all).await.unwrap(), [], "it does not speak for the server");
    assert_eq!(chair.take_on(&[name(3)]).await.unwrap(), [name(3)]);
    assert_eq!(chair.advance_own(chair.process(), vec![mark(3, 10)]).await.unwrap(), []);
}

/// An empty database.
pub(super) async fn database(server: &Postgres, name: &str) -> Database {
    // A name in PostgreSQL has 63 bytes at most.
    let name = &name[..name.len().min(60)];
    let begun = Instant::now();
    let mut connection = loop {
        match PgConnection::connect(&server.url("postgres")).await {
            Ok(connection) => break connection,
            Err(error) => assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{error}"),
        }
    };
    let sql = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    Database::Postgres(Zeroizing::new(server.url(name)))
}

async fn two(server: &Postgres) -> [Store; 2] {
    let database = database(server, "shared").await;
    [Store::open(&database).await.unwrap(), Store::open(&database).await.unwrap()]
}

/// Nobody was heard of for a long time.
async fn long_ago(server: &Postgres) {
    let mut connection = PgConnection::connect(&server.url("shared")).await.unwrap();
    sqlx::query("UPDATE process SET seen_at = 0 WHERE id = (SELECT MIN(id) FROM process)")
        .execute(&mut connection)
        .await
        .unwrap();
}

fn b() -> QksId {
    "b".parse().unwrap()
}

/// A block whose time is not over.
fn lasting(number: u64, is_mine: bool) -> NewBlock {
    let block = block(number, is_mine);
    NewBlock { state: BlockState { expires_at: END, ..block.state }, ..block }
}

fn mark(number: u64, used: u32) -> Mark {
    Mark { block: name(number), used }
}
