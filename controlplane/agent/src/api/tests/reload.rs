//! Reloading, and what is logged.

use super::keys::done;
use super::*;

#[tokio::test]
async fn a_reload_takes_up_what_has_changed() {
    let desk = Desk::open().await;
    desk.lab.write("as-list.toml", &LIST.replace("Zurich", "Zürich"));
    let outcome: ReloadOutcome = desk.post("/api/v1/reload", "").await.json();
    assert_eq!((outcome.as_list.generation, outcome.as_list.changed.len()), (2, 1));
    assert_eq!(desk.audited(), [done("reload", "begun"), done("reload", "done")]);
}

#[tokio::test]
async fn mistakes_are_told_and_change_nothing() {
    let desk = Desk::open().await;
    desk.lab.write("as-list.toml", "peers = [{}]");
    let problem = desk.post("/api/v1/reload", "").await.problem();
    assert_eq!(problem.status_code(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(problem.problems[0].file.as_ref().unwrap().ends_with("as-list.toml"));
    let status: Status = desk.get("/api/v1/status").await.json();
    assert_eq!(status.peers.total, 2);
}

#[tokio::test]
async fn what_needs_a_restart_is_named() {
    let desk = Desk::open().await;
    desk.lab.write("workers", "2");
    let problem = desk.post("/api/v1/reload", "").await.problem();
    assert_eq!(problem.status_code(), StatusCode::CONFLICT);
    assert!(problem.detail.unwrap().starts_with("workers.count can be changed only by a restart"));
    assert_eq!(desk.audited(), [done("reload", "begun"), done("reload", "refused")]);
}

#[tokio::test]
async fn what_is_logged_can_be_changed() {
    let desk = Desk::open().await;
    let set = |level: &'static str| {
        let request = request(Method::PUT, "/api/v1/log-level").header(header::CONTENT_TYPE, JSON);
        desk.ask(Some(Role::Admin), request, level)
    };
    assert_eq!(set(r#"{"level": "debug"}"#).await.json::<LogSettings>().level, LogLevel::Debug);
    assert_eq!(desk.get("/api/v1/log-level").await.json::<LogSettings>().level, LogLevel::Debug);
    for wrong in [r#"{"level": "loud"}"#, r#"{"level": "warn", "for": 1}"#, "{}", "debug"] {
        assert_eq!(set(wrong).await.problem().status_code(), StatusCode::BAD_REQUEST, "{wrong}");
    }
    let unnamed = desk.ask(Some(Role::Admin), request(Method::PUT, "/api/v1/log-level"), "{}").await;
    assert_eq!(unnamed.problem().status_code(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(desk.audited(), [done("log_level.set", "begun"), done("log_level.set", "done")]);
}
