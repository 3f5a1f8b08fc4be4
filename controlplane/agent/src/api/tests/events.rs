//! Events, second by second.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures_util::StreamExt;
use photongate_net::http::Events;
use tokio::time::timeout;

use super::*;

#[tokio::test]
async fn the_present_comes_at_once_and_then_one_sample_a_second() {
    let desk = Desk::open().await;
    let mut events = listen(&desk).await;
    let first = next(&mut events).await;
    assert_eq!((first.peers.total, first.ready), (2, false));
    assert_eq!(first.degraded[0].name.as_deref(), Some("Geneva"));
    let (second, third) = (next(&mut events).await, next(&mut events).await);
    let between = third.at_unix_ms - second.at_unix_ms;
    assert!((900..2_500).contains(&between), "{between} ms");
}

#[tokio::test]
async fn who_begins_to_listen_brings_no_sample_to_the_others() {
    let desk = Desk::open().await;
    let mut first = listen(&desk).await;
    next(&mut first).await;
    next(&mut first).await;
    let mut second = listen(&desk).await;
    next(&mut second).await;
    assert!(timeout(Duration::from_millis(300), first.next()).await.is_err());
}

#[tokio::test]
async fn there_are_only_so_many_places_and_each_is_free_again_when_its_listener_goes() {
    let desk = Desk::open().await;
    let mut listening = Vec::new();
    for _ in 0..Events::MOST_STREAMS {
        listening.push(listen(&desk).await);
    }
    let problem = desk.get("/api/v1/events").await.problem();
    assert_eq!(problem.status_code(), StatusCode::SERVICE_UNAVAILABLE);
    listening.pop();
    next(&mut listen(&desk).await).await;
}

async fn listen(desk: &Desk) -> BodyDataStream {
    let request = request(Method::GET, "/api/v1/events").body(Body::empty()).unwrap();
    let response = desk.response(Some(Role::Read), request).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.into_body().into_data_stream()
}

async fn next(events: &mut BodyDataStream) -> Sample {
    let event = timeout(Duration::from_secs(10), events.next()).await.unwrap().unwrap().unwrap();
    let data = std::str::from_utf8(&event).unwrap().strip_prefix("event: sample\ndata: ").unwrap();
    serde_json::from_str(data.trim_end()).unwrap()
}
