//! Both ends, with what can go wrong between them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::super::Phase;
use super::super::testing::{Leg, Net, ROOM, Site, assert_same};
use super::exchange::SEGMENT_BYTES;
use super::*;

#[tokio::test(start_paused = true)]
async fn both_ends_get_the_same_blocks_and_no_two_are_alike() {
    let (site, net) = (Site::new(), Net::new());
    let (mut a, mut b) = (net.lead(source(&site, "a")), net.follow(source(&site, "b")));
    let mut seen = BTreeSet::new();
    for number in 0..5 {
        let (of_a, of_b) = (a.block().await, b.block().await);
        assert_same(&of_a, &of_b);
        assert_eq!((of_a.number, of_a.origin, of_a.bytes.len()), (number, Origin::Pqc, 3 * SEGMENT_BYTES));
        assert!(of_a.bytes.chunks(32).all(|unit| seen.insert(unit.to_vec())), "bytes come again");
    }
    assert_eq!(a.state.borrow().phase, Phase::Producing);
    assert_eq!(b.state.borrow().phase, Phase::Producing);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_while_nobody_takes_it() {
    let (site, net) = (Site::new(), Net::new());
    let (mut a, mut b) = (net.lead(source(&site, "a")), net.follow(source(&site, "b")));
    // The leading end would go on: only the other end has no room.
    for _ in 0..ROOM {
        a.block().await;
    }
    a.reason("has no room").await;
    for _ in 0..ROOM {
        b.block().await;
    }
    let (of_a, of_b) = (a.block().await, b.block().await);
    assert_same(&of_a, &of_b);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_killed_is_found_again_in_a_new_session() {
    let (site, net) = (Site::new(), Net::new());
    let (mut a, mut b) = (net.lead(source(&site, "a")), net.follow(source(&site, "b")));
    let (first, _) = (a.block().await, b.block().await);
    b.kill().await;
    a.reason("does not answer").await;
    let mut b = net.follow(source(&site, "b"));
    let after = after(&mut a, first.stream).await;
    assert_same(&after, &b.block().await);
    a.kill().await;
    let mut a = net.lead(source(&site, "a"));
    let last = a.block().await;
    assert_ne!(last.stream, after.stream);
    assert_same(&last, &self::after(&mut b, after.stream).await);
}

#[tokio::test(start_paused = true)]
async fn a_number_is_not_used_again_after_a_lost_answer() {
    let (site, net) = (Site::new(), Net::new());
    let (mut a, mut b) = (net.lead(source(&site, "a")), net.follow(source(&site, "b")));
    assert_same(&a.block().await, &b.block().await);
    let mut has_lost = false;
    net.wire(move |leg, message| (leg == Leg::Question || std::mem::replace(&mut has_lost, true)).then_some(message));
    let (of_a, lost, of_b) = (a.block().await, b.block().await, b.block().await);
    assert_eq!((lost.number, of_a.number), (1, 2));
    assert_same(&of_a, &of_b);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_changed_makes_no_block() {
    for broken in [Leg::Question, Leg::Answer] {
        let (site, net) = (Site::new(), Net::new());
        let (mut a, mut b) = (net.lead(source(&site, "a")), net.follow(source(&site, "b")));
        assert_same(&a.block().await, &b.block().await);
        net.wire(move |leg, message| Some(if leg == broken { changed(&message) } else { message }));
        a.phase(Phase::Waiting).await;
        a.reason("refused").await;
        assert!(a.blocks.try_recv().is_err(), "{broken:?}");
        net.wire(|_, message| Some(message));
        assert_eq!(a.block().await.number, 0, "a new session begins");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_said_before_is_refused() {
    let (site, net) = (Site::new(), Net::new());
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    net.wire(move |leg, message| {
        if leg == Leg::Question {
            heard.lock().unwrap().push(message.clone());
        }
        Some(message)
    });
    let (mut a, mut b) = (net.lead(source(&site, "a")), net.follow(source(&site, "b")));
    assert_same(&a.block().await, &b.block().await);
    assert_same(&a.block().await, &b.block().await);
    // In the place of the next keys, the other end hears the last ones again, and then the greeting.
    for index in [2, 0] {
        let again = said.lock().unwrap()[index].clone();
        net.wire(move |leg, message| Some(if leg == Leg::Question { again.clone() } else { message }));
        a.phase(Phase::Waiting).await;
        assert!(b.blocks.try_recv().is_err());
        assert!(a.blocks.try_recv().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_another_authority_certified_gets_no_keys() {
    let (site, other, net) = (Site::new(), Site::new(), Net::new());
    let (mut a, mut b) = (net.lead(source(&site, "a")), net.follow(source(&other, "b")));
    a.reason("its certificate is not believed").await;
    b.reason("its certificate is not believed").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_of_another_name_gets_no_keys() {
    let (site, net) = (Site::new(), Net::new());
    let (mut a, _b) = (net.lead(source(&site, "a")), net.follow(source(&site, "c")));
    a.reason("its certificate is not believed").await;
    assert!(a.blocks.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_source_ends_when_nobody_wants_its_blocks() {
    let (site, net) = (Site::new(), Net::new());
    let (a, b) = (net.lead(source(&site, "a")), net.follow(source(&site, "b")));
    drop((a.blocks, b.blocks));
    assert!(a.task.await.unwrap().is_ok());
    assert!(b.task.await.unwrap().is_ok());
}

fn source(site: &Site, name: &str) -> MlKem {
    let settings = MlKemSettings { interval: Duration::from_millis(100), exchanges_per_block: 3 };
    MlKem { settings, credentials: site.credentials(name) }
}

/// The first block that does not belong to `stream`.
async fn after(running: &mut super::super::testing::Running, stream: crate::ids::StreamId) -> Block {
    loop {
        let block = running.block().await;
        if block.stream != stream {
            return block;
        }
    }
}

/// With one letter of its base64 exchanged, near the end.
fn changed(message: &[u8]) -> bytes::Bytes {
    let mut message = message.to_vec();
    let place = message.len() - 40;
    message[place] = if message[place] == b'A' { b'B' } else { b'A' };
    message.into()
}
