//! Clients that ask too much, or take too much.

use super::*;

#[tokio::test]
async fn a_caller_that_asks_too_often_is_told_to_wait_and_others_are_served() {
    let server = Running::with(|options| options.requests_per_second = NonZeroU32::MIN).await;
    let Tokens { read, admin } = &server.tokens;
    let refused = until_refused(&server, &request_by(read, "GET", "/read")).await;
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(refused.problem().title, "Too many requests");
    assert_eq!(server.answer(request_by(admin, "GET", "/read")).await.status, 200);
}

#[tokio::test]
async fn strangers_are_limited_together() {
    let server = Running::with(|options| options.requests_per_second = NonZeroU32::MIN).await;
    until_refused(&server, &request("GET", "/open", &[])).await;
    assert_eq!(server.answer(request_by(&server.tokens.read, "GET", "/read")).await.status, 200);
}

#[tokio::test]
async fn guessing_tokens_is_slowed_down_and_locks_nobody_out() {
    let server = Running::start().await;
    let guess = request_by("pgt_guess", "GET", "/read");
    let mut refusals = 0;
    let refused = loop {
        let answer = server.answer(&guess).await;
        if answer.status == 429 {
            break answer;
        }
        refusals += 1;
        assert_eq!(answer.status, 401);
        assert!(refusals < 100, "guesses are never slowed down");
    };
    assert!(refused.header("retry-after").is_some());
    assert_eq!(server.answer(request_by(&server.tokens.admin, "GET", "/read")).await.status, 200);
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut_off() {
    let server = Running::with(|options| options.bounds.write = Duration::from_millis(200)).await;
    let mut stream = server.connect().await;
    stream.write_all(request("GET", "/endless", &[]).as_bytes()).await.unwrap();
    within(server.dropped.notified()).await;
}

#[tokio::test]
async fn a_client_too_many_waits_until_another_one_goes() {
    let server = Running::with(|options| options.bounds.connections = 1).await;
    let mut first = server.connect().await;
    first.write_all(b"GET /open HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut some = [0; 16];
    within(first.read_exact(&mut some)).await.unwrap();
    let mut second = server.connect().await;
    second.write_all(request("GET", "/open", &[]).as_bytes()).await.unwrap();
    let early = timeout(Duration::from_millis(200), second.read_exact(&mut some)).await;
    assert!(early.is_err(), "the second was served beside the first");
    drop(first);
    assert_eq!(Answer::read(&mut second).await.status, 200);
}

async fn until_refused(server: &Running, request: &str) -> Answer {
    for _ in 0..100 {
        let answer = server.answer(request).await;
        if answer.status == 429 {
            return answer;
        }
        assert_eq!(answer.status, 200);
    }
    panic!("a hundred requests were served, and one a second is allowed");
}
