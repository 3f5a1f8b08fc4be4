//! How a server ends.

use super::*;

#[tokio::test]
async fn a_stream_of_events_ends_in_order_when_the_server_stops() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    stream.write_all(request("GET", "/events", &[]).as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.contains("data: first") {
        let mut some = [0; 1_024];
        let length = within(stream.read(&mut some)).await.unwrap();
        assert_ne!(length, 0, "the stream ended before the server stopped");
        text += str::from_utf8(&some[..length]).unwrap();
    }
    server.stop.send(()).unwrap();
    // Far sooner than what is under way would be cut off.
    within(server.task).await.unwrap();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.ends_with("\r\n0\r\n\r\n"), "{text:?}");
}

#[tokio::test]
async fn a_request_that_is_under_way_is_still_answered() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    stream.write_all(request("GET", "/wait", &[]).as_bytes()).await.unwrap();
    // The server must have the request before it stops.
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.stop.send(()).unwrap();
    server.go_on.notify_one();
    assert_eq!(Answer::read(&mut stream).await.body, "waited");
    within(server.task).await.unwrap();
    assert!(TcpStream::connect(server.addresses[0]).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off() {
    let server = Running::with(|options| options.bounds.drain = Duration::from_millis(200)).await;
    let mut stream = server.connect().await;
    stream.write_all(request("GET", "/never", &[]).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.stop.send(()).unwrap();
    within(server.task).await.unwrap();
}

#[tokio::test]
async fn a_connection_without_a_request_does_not_hold_up_the_end() {
    let server = Running::start().await;
    let _idle = server.connect().await;
    server.answer(request("GET", "/open", &[])).await;
    server.stop.send(()).unwrap();
    within(server.task).await.unwrap();
}
