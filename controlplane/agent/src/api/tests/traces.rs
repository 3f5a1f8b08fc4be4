//! Traces over HTTP.

use super::keys::done;
use super::*;

#[tokio::test]
async fn a_trace_is_started_stopped_downloaded_and_deleted() {
    let desk = Desk::open().await;
    let started = desk.post("/api/v1/traces", r#"{"verdicts": ["dropped"]}"#).await;
    assert_eq!(
        (started.status, &started.headers[header::LOCATION]),
        (StatusCode::CREATED, &"/api/v1/traces/1".parse().unwrap())
    );
    assert_eq!(started.json::<TraceInfo>().state, TraceState::Running);
    let stopped: TraceInfo = desk.post("/api/v1/traces/1/stop", "").await.json();
    assert_eq!((stopped.state, stopped.started_by.as_str()), (TraceState::Finished, "token admin"));
    let listed: Vec<TraceInfo> = desk.get("/api/v1/traces").await.json();
    assert_eq!(listed.first(), Some(&stopped));

    let file = desk.ask(Some(Role::Admin), request(Method::GET, "/api/v1/traces/1/download"), "").await;
    assert_eq!(file.body.len() as u64, stopped.size_bytes);
    assert!(file.body.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]));
    assert_eq!(file.headers[header::CONTENT_DISPOSITION], "attachment; filename=\"trace-1.pcapng\"");

    let deleted = desk.ask(Some(Role::Admin), request(Method::DELETE, "/api/v1/traces/1"), "").await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    assert_eq!(desk.get("/api/v1/traces/1").await.problem().status_code(), StatusCode::NOT_FOUND);
    let actions: Vec<_> = desk.audited().into_iter().filter(|(_, outcome)| outcome == "done").collect();
    let names = ["trace.start", "trace.stop", "trace.download", "trace.delete"];
    assert_eq!(actions, names.map(|name| done(name, "done")));
}

#[tokio::test]
async fn a_trace_that_runs_cannot_be_downloaded() {
    let desk = Desk::open().await;
    desk.post("/api/v1/traces", "{}").await;
    let answer = desk.ask(Some(Role::Admin), request(Method::GET, "/api/v1/traces/1/download"), "").await;
    assert_eq!(answer.problem().status_code(), StatusCode::CONFLICT);
    desk.traces.stop_all();
}

#[tokio::test]
async fn one_trace_too_many_is_refused() {
    let desk = Desk::open().await;
    for _ in 0..3 {
        assert_eq!(desk.post("/api/v1/traces", "{}").await.status, StatusCode::CREATED);
    }
    assert_eq!(desk.post("/api/v1/traces", "{}").await.problem().status_code(), StatusCode::CONFLICT);
    desk.traces.stop_all();
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let desk = Desk::open().await;
    for wrong in
        [r#"{"sample": 0}"#, r#"{"verdicts": ["lost"]}"#, r#"{"bytes": 67108865}"#, r#"{"colour": 1}"#, "[", "7"]
    {
        let answer = desk.post("/api/v1/traces", wrong).await;
        assert_eq!(answer.problem().status_code(), StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert_eq!(desk.get("/api/v1/traces/x").await.problem().status_code(), StatusCode::BAD_REQUEST);
    assert_eq!(desk.get("/api/v1/traces").await.json::<Vec<TraceInfo>>(), []);
}
