//! The AS list, shown and replaced.

use super::keys::done;
use super::*;

#[tokio::test]
async fn the_list_shows_no_secret_in_either_form() {
    let desk = Desk::open().await;
    let json = desk.get("/api/v1/as-list").await;
    assert_eq!(
        (&json.headers[header::CONTENT_TYPE], &json.headers[header::ETAG]),
        (&JSON.parse().unwrap(), &"\"1\"".parse().unwrap())
    );
    let toml =
        desk.ask(Some(Role::Read), request(Method::GET, "/api/v1/as-list").header(header::ACCEPT, TOML), "").await;
    assert_eq!(toml.headers[header::CONTENT_TYPE], TOML);
    for text in [json.text(), toml.text()] {
        assert!(text.contains("held") && text.contains("Zurich"), "{text}");
        assert!(!text.contains("0123456789abcdef") && !text.contains("ccddeeff"), "{text}");
    }
}

#[tokio::test]
async fn a_list_that_was_shown_can_be_changed_and_put_back_with_its_secrets_held() {
    let desk = Desk::open().await;
    let shown =
        desk.ask(Some(Role::Read), request(Method::GET, "/api/v1/as-list").header(header::ACCEPT, TOML), "").await;
    let changed = shown.text().replace("Zurich", "Zürich");
    let answer = put(&desk, Some("\"1\""), TOML, &changed).await;
    let changes: Changes = answer.json();
    assert_eq!((changes.generation, changes.changed[0].changes.as_slice()), (2, &[Change::Name][..]));
    assert_eq!(answer.headers[header::ETAG], "\"2\"");
    let peer: Peer = desk.get(ZURICH).await.json();
    assert!(peer.name.as_deref() == Some("Zürich") && peer.keys.outbound.is_some());
    assert_eq!(desk.audited(), [done("as_list.replace", "begun"), done("as_list.replace", "done")]);
}

#[tokio::test]
async fn json_is_taken_as_well() {
    let desk = Desk::open().await;
    let json = desk.get("/api/v1/as-list").await.text().replace("Geneva", "Genève");
    let changes: Changes = put(&desk, Some("\"1\""), JSON, &json).await.json();
    assert_eq!(changes.changed.len(), 1);
    let in_force: AsListInForce = desk.get("/api/v1/as-list/in-force").await.json();
    assert_eq!((in_force.generation, in_force.origin), (2, AsListOrigin::Http { by: "token admin".to_owned() }));
}

#[tokio::test]
async fn of_two_who_change_the_same_generation_the_second_is_refused() {
    let desk = Desk::open().await;
    let changed = LIST.replace("Zurich", "Zürich");
    assert_eq!(put(&desk, Some("\"1\""), TOML, &changed).await.status, StatusCode::OK);
    let problem = put(&desk, Some("\"1\""), TOML, LIST).await.problem();
    assert_eq!(problem.status_code(), StatusCode::PRECONDITION_FAILED);
    assert!(problem.detail.unwrap().starts_with("generation 2 is in force, not 1"));
}

#[tokio::test]
async fn who_does_not_say_which_generation_is_meant_changes_nothing() {
    let desk = Desk::open().await;
    for (if_match, status) in [
        (None, StatusCode::PRECONDITION_REQUIRED),
        (Some("1"), StatusCode::PRECONDITION_FAILED),
        (Some("*"), StatusCode::PRECONDITION_FAILED),
        (Some("W/\"1\""), StatusCode::PRECONDITION_FAILED),
        (Some("\"1\", \"2\""), StatusCode::PRECONDITION_FAILED),
        (Some("\"x\""), StatusCode::PRECONDITION_FAILED),
    ] {
        assert_eq!(put(&desk, if_match, TOML, "peers = []").await.problem().status_code(), status, "{if_match:?}");
    }
    let status: Status = desk.get("/api/v1/status").await.json();
    assert_eq!(status.peers.total, 2);
}

#[tokio::test]
async fn an_invalid_list_changes_nothing_and_every_mistake_is_told_with_its_line() {
    let desk = Desk::open().await;
    let wrong = LIST.replace("10.248.2.0/24", "10.248.2.0/33").replace("21-ff00:0:113", "21-gg00");
    let problem = put(&desk, Some("\"1\""), TOML, &wrong).await.problem();
    assert_eq!(problem.status_code(), StatusCode::UNPROCESSABLE_ENTITY);
    let places: Vec<_> = problem.problems.iter().map(|problem| (problem.field.as_str(), problem.line)).collect();
    assert_eq!(places, [("peers[0].prefixes[0]", Some(5)), ("peers[1].isd_as", Some(9))]);
    let in_force: AsListInForce = desk.get("/api/v1/as-list/in-force").await.json();
    assert!(in_force.generation == 1 && in_force.last_refusal.is_some());
    assert_eq!(desk.audited(), [done("as_list.replace", "begun"), done("as_list.replace", "refused")]);
}

#[tokio::test]
async fn a_form_that_is_not_read_is_refused() {
    let desk = Desk::open().await;
    let problem = put(&desk, Some("\"1\""), "text/plain", LIST).await.problem();
    assert_eq!(problem.status_code(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_reader_may_ask_what_a_list_would_change() {
    let desk = Desk::open().await;
    let check = |list: &'static str| {
        let request = request(Method::POST, "/api/v1/as-list/check").header(header::CONTENT_TYPE, TOML);
        desk.ask(Some(Role::Read), request, list)
    };
    let changes: Changes = check("peers = []").await.json();
    assert_eq!((changes.dry_run, changes.generation, changes.removed.len()), (true, 1, 2));
    assert_eq!(check("peers = 1").await.problem().status_code(), StatusCode::UNPROCESSABLE_ENTITY);
    let in_force: AsListInForce = desk.get("/api/v1/as-list/in-force").await.json();
    assert_eq!((in_force.peers, in_force.last_refusal), (2, None));
    assert_eq!(desk.audited(), []);
}

#[tokio::test]
async fn a_peer_that_comes_has_its_keys_when_the_answer_does() {
    let desk = Desk::open().await;
    let more = LIST.to_owned() + &LIST.split("\n[[peers]]").nth(1).map(|peer| format!("\n[[peers]]{peer}")).unwrap();
    let more = more.replacen("20-ff00:0:112", "22-ff00:0:114", 1).replacen("10.248.2.0/24", "10.248.4.0/24", 1);
    let changes: Changes = put(&desk, Some("\"1\""), TOML, &more).await.json();
    assert_eq!((changes.added.len(), changes.without_key), (1, Vec::new()));
    let packet = crate::testing::udp([10, 248, 1, 1], [10, 248, 4, 1], b"payload");
    let verdict = desk.lab.path.judge(crate::testing::INSIDE, &packet).0.verdict;
    assert_eq!(verdict, photongate_pipeline::Verdict::Outbound);
}

pub(super) async fn put(desk: &Desk, if_match: Option<&str>, content_type: &str, body: &str) -> Answer {
    let mut request = request(Method::PUT, "/api/v1/as-list").header(header::CONTENT_TYPE, content_type);
    if let Some(if_match) = if_match {
        request = request.header(header::IF_MATCH, if_match);
    }
    desk.ask(Some(Role::Admin), request, body).await
}

pub(super) const TOML: &str = "application/toml";
