//! Bodies that are too large, or come too slowly.

use tokio::time::sleep;

use super::*;

#[tokio::test]
async fn a_body_that_declares_too_much_is_refused_before_it_is_sent() {
    let server = Running::start().await;
    let head = post_with("/bytes", "Content-Length: 65537\r\nExpect: 100-continue");
    let refused = server.answer(head).await;
    assert_eq!(refused.problem().detail.unwrap(), "this takes at most 65536 bytes");
    assert_eq!(refused.status, 413);
}

#[tokio::test]
async fn a_body_may_be_as_large_as_the_bound() {
    let server = Running::start().await;
    let body = "x".repeat(65_536);
    let answer = server.answer(post_with("/bytes", "Content-Length: 65536") + &body).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "65536"));
}

#[tokio::test]
async fn a_chunked_body_is_refused_once_it_is_too_large() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    stream.write_all(post_with("/bytes", "Transfer-Encoding: chunked").as_bytes()).await.unwrap();
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    // More than the bound, and no end: the answer has to come all the same.
    for _ in 0..40 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    assert_eq!(Answer::read(&mut stream).await.problem().status, 413);
}

#[tokio::test]
async fn a_route_may_take_larger_bodies_than_others() {
    let server = Running::start().await;
    let body = "x".repeat(LARGE as usize);
    let taken = server.answer(post_with("/large", &format!("Content-Length: {LARGE}")) + &body).await;
    assert_eq!((taken.status, taken.body), (200, LARGE.to_string()));
    let refused = server.answer(post_with("/large", &format!("Content-Length: {}", LARGE + 1))).await;
    assert_eq!(refused.problem().status, 413);
}

#[tokio::test]
async fn a_client_whose_body_is_not_read_to_its_end_is_told_that_the_connection_ends() {
    let server = Running::start().await;
    for (path, status, length) in [("/bytes", 413, 65_537), ("/nothing", 404, 65_536)] {
        let answer = server.answer(going_on(path, length)).await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{path}");
    }
    // Who is heard to the end goes on over the same connection.
    let twice = going_on("/bytes", 3) + "abc" + &post_with("/bytes", "Content-Length: 4") + "abcd";
    let both = server.answer(twice).await;
    assert_eq!((both.status, both.header("connection")), (200, None));
    assert!(both.body.starts_with("3HTTP/1.1 200 OK\r\n"), "{both:?}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = Running::with(|options| options.bounds.body = SHORT).await;
    let refused = server.answer(post_with("/bytes", "Content-Length: 10") + "x").await;
    assert_eq!(refused.problem().status, 408);
}

#[tokio::test]
async fn a_body_that_trickles_is_not_waited_for_any_longer() {
    let server = Running::with(|options| options.bounds.body = SHORT).await;
    let (mut reading, mut writing) = server.connect().await.into_split();
    let trickle = tokio::spawn(async move {
        let head = post_with("/bytes", "Content-Length: 60000");
        writing.write_all(head.as_bytes()).await.unwrap();
        while writing.write_all(b"x").await.is_ok() {
            sleep(SHORT / 10).await;
        }
    });
    assert_eq!(Answer::read(&mut reading).await.problem().status, 408);
    within(trickle).await.unwrap();
}

#[tokio::test]
async fn a_body_that_comes_at_a_fair_pace_may_take_longer() {
    let change = |options: &mut ServerOptions| {
        options.bounds.body = SHORT;
        options.bounds.body_bytes_per_second = 1;
    };
    let server = Running::with(change).await;
    let mut stream = server.connect().await;
    stream.write_all(post_with("/bytes", "Content-Length: 80").as_bytes()).await.unwrap();
    // The first half earns enough time for the second.
    stream.write_all(&[b'x'; 40]).await.unwrap();
    sleep(SHORT * 2).await;
    assert_eq!(answer_over(stream, [b'x'; 40]).await.body, "80");
}

/// The head of a request after which others may follow.
fn going_on(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n")
}

fn post_with(path: &str, headers: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n\r\n")
}

/// How long these tests let a server wait for a body.
const SHORT: Duration = Duration::from_millis(500);
