use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

#[test]
fn a_line_is_read_as_it_is_written() {
    let key = Id::of(b"value");
    assert_eq!(parse_question(question(key).trim_end().as_bytes()), Ok(key));
    for answer in [Answer::Miss, Answer::Value { size: 0 }, Answer::Value { size: LONGEST_VALUE }] {
        assert_eq!(Answer::parse(answer.line().trim_end().as_bytes()), Ok(answer));
    }
    assert_eq!(Answer::parse(b"17\r"), Ok(Answer::Value { size: 17 }));
}

#[test]
fn no_answer_is_longer_than_a_value_and_no_number_is_taken_for_what_it_is_not() {
    for line in ["", "-2", "+1", "1e3", " 1", "1048577", "99999999999999999999", "x"] {
        assert_eq!(Answer::parse(line.as_bytes()), Err(BadLine), "{line:?}");
    }
    assert_eq!(parse_question(b"abc"), Err(BadLine));
}

#[tokio::test]
async fn one_connection_can_ask_for_several_values_and_ends_with_the_first_that_is_not_there() {
    let (mut near, far) = duplex(1 << 10);
    let serving = tokio::spawn(serve(far, SILENCE, |key| async move { value_of(key) }, drop));
    for _ in 0..2 {
        let value = ask(&mut near, Id::of(VALUE), Some(VALUE.len() as u32), Patience::default()).await.unwrap();
        assert_eq!(&value[..], VALUE);
    }
    let miss = ask(&mut near, Id::of(b"other"), None, Patience::default()).await;
    assert!(matches!(miss, Err(Refused::Miss)), "{miss:?}");
    assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
    let bytes = 2 * VALUE.len() as u64;
    assert_eq!(serving.await.unwrap(), Served { values: 2, bytes, misses: 1, nonsense: false });
}

#[tokio::test]
async fn a_line_that_makes_no_sense_is_answered_like_a_miss() {
    let (mut near, far) = duplex(1 << 10);
    let serving = tokio::spawn(serve(far, SILENCE, |key| async move { value_of(key) }, drop));
    near.write_all(&[b'x'; 200]).await.unwrap();
    let mut answer = String::new();
    near.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "-1\n");
    assert!(serving.await.unwrap().nonsense);
}

#[tokio::test]
async fn what_is_not_the_value_is_never_taken_for_it() {
    for (answer, why) in [
        ("5\nvalve", "the hash is another one"),
        ("4\nvalu", "the size is another one"),
        ("1048577\n", "the line with the size makes no sense"),
        (&*"5".repeat(200), "the line with the size is too long"),
    ] {
        let refused = asked_of(answer).await;
        assert!(matches!(refused, Refused::Wrong(told) if told == why), "{refused:?}");
    }
    for answer in ["", "5", "5\nval"] {
        assert!(matches!(asked_of(answer).await, Refused::Broken(_)), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stalls_or_trickles_is_not_waited_for() {
    let (near, mut far) = duplex(1 << 10);
    let silent = ask(near, Id::of(VALUE), None, Patience::default()).await;
    assert!(matches!(silent, Err(Refused::Slow)), "{silent:?}");
    far.flush().await.unwrap();

    let (near, mut far) = duplex(1 << 20);
    let trickling = tokio::spawn(async move {
        far.write_all(b"100000\n").await.unwrap();
        while far.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let slow = ask(near, Id::of(VALUE), None, Patience::default()).await;
    assert!(matches!(slow, Err(Refused::Slow)), "{slow:?}");
    trickling.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_who_asks_nothing_or_takes_nothing_is_left() {
    let (_near, far) = duplex(1 << 10);
    assert_eq!(serve(far, SILENCE, |key| async move { value_of(key) }, drop).await, Served::default());
    let (mut near, far) = duplex(16);
    let long = Bytes::from(vec![7; 1 << 20]);
    near.write_all(&question(Id::of(&long)).as_bytes()[..16]).await.unwrap();
    let served = serve(
        far,
        SILENCE,
        |_| {
            let long = long.clone();
            async move { Some(long) }
        },
        drop,
    );
    assert_eq!(served.await.values, 0);
}

proptest! {
    #[test]
    fn no_line_makes_the_reader_fail(line in proptest::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(answer) = Answer::parse(&line) {
            prop_assert_eq!(Answer::parse(answer.line().trim_end().as_bytes()), Ok(answer));
        }
        let _ = parse_question(&line);
    }
}

async fn asked_of(answer: &str) -> Refused {
    let (near, mut far) = duplex(1 << 10);
    far.write_all(answer.as_bytes()).await.unwrap();
    far.shutdown().await.unwrap();
    let asked = ask(near, Id::of(VALUE), Some(VALUE.len() as u32), Patience::default());
    let answered = async {
        let mut question = [0; 65];
        far.read_exact(&mut question).await.unwrap();
    };
    tokio::join!(asked, answered).0.unwrap_err()
}

fn value_of(key: Id) -> Option<Bytes> {
    (key == Id::of(VALUE)).then(|| Bytes::from_static(VALUE))
}

const VALUE: &[u8] = b"value";
const SILENCE: Duration = Duration::from_secs(5);
