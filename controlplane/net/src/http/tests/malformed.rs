//! What is no request, or never becomes one.

use super::*;

#[tokio::test]
async fn what_is_no_request_is_refused_and_disturbs_nobody() {
    let server = Running::start().await;
    for (what, request) in [
        ("no request line", "GARBAGE\r\n\r\n".to_owned()),
        ("a control character in the target", "GET /\u{1} HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
        ("a version that does not exist", "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n".to_owned()),
        ("a header without a colon", "GET / HTTP/1.1\r\nHost localhost\r\n\r\n".to_owned()),
        ("a space before the colon", "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n".to_owned()),
        ("a header without a name", "GET / HTTP/1.1\r\n: localhost\r\n\r\n".to_owned()),
        ("a line end in a header", "GET / HTTP/1.1\r\nHost: local\rhost\r\n\r\n".to_owned()),
        (
            "a length that is no number",
            "POST /bytes HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n".to_owned(),
        ),
        (
            "two lengths",
            "POST /bytes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx".to_owned(),
        ),
        (
            "an encoding that does not exist",
            "POST /bytes HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: rot13\r\n\r\n".to_owned(),
        ),
        ("too many headers", request("GET", "/open", &[("X", "y"); 100])),
        ("a head that is too long", request("GET", "/open", &[("X", &"y".repeat(100_000))])),
        ("a target that is too long", request("GET", &format!("/{}", "y".repeat(100_000)), &[])),
        ("the start of a TLS handshake", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n".to_owned()),
    ] {
        let mut stream = server.connect().await;
        // The server may have had enough before all of it is sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = Answer::read(&mut stream).await;
        assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
        assert_eq!(server.answer(self::request("GET", "/open", &[])).await.status, 200, "after {what}");
    }
}

#[tokio::test]
async fn a_chunk_that_is_none_is_refused() {
    let server = Running::start().await;
    let head = "POST /bytes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = server.answer(format!("{head}zz\r\nxx\r\n0\r\n\r\n")).await;
    assert_eq!(answer.problem().status, 400);
}

#[tokio::test]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let server = Running::with(|options| options.bounds.head = Duration::from_millis(200)).await;
    for beginning in ["", "GET /op", "GET /open HTTP/1.1\r\nHost: localhost\r\nX: "] {
        let mut stream = server.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        within(stream.read_to_end(&mut answer)).await.unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{beginning:?}");
    }
}

#[tokio::test]
async fn a_connection_is_not_kept_for_ever_for_a_next_request() {
    let server = Running::with(|options| options.bounds.head = Duration::from_millis(200)).await;
    let answer = server.answer("GET /open HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("connection")), (200, None));
}
