//! The administration of a key server, over TCP with tokens as an operator on the same machine calls it.

#[path = "qks/site.rs"]
mod site;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use site::{Answer, Site, answer, get, post};

/// Two key servers, and how to administer the one called A.
struct Administered {
    site: Site,
    base: String,
    http: Client,
}

impl Administered {
    async fn start() -> Self {
        let mut site = Site::new(&["a", "b"], &[("a", "b")]);
        site.start("b").await;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        site.more = format!("[admin]\nlisten = [\"127.0.0.1:{port}\"]\n");
        site.start("a").await;
        let http = Client::builder().no_proxy().build().unwrap();
        Self { site, base: format!("http://127.0.0.1:{port}"), http }
    }

    async fn ask(&self, method: Method, path: &str, role: &str, body: Option<Value>) -> Answer {
        let token = fs::read_to_string(self.site.path("a").join(format!("state/{role}.token"))).unwrap();
        let request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(token.trim_end());
        answer(match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        })
        .await
    }

    async fn read(&self, path: &str) -> Answer {
        let answer = self.ask(Method::GET, path, "read", None).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        answer
    }

    async fn change(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.ask(method, path, "admin", body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_links_and_stock_are_shown_and_counted() {
    let mut a = Administered::start().await;
    a.site.fill("a", "b", 1 << 20);
    a.site.wait_for_keys("a", "sae-a", "sae-b", 1_000).await;
    let alice = a.site.client("sae-a");
    let enc = post(&alice, a.site.url("a", "sae-b", "enc_keys"), &json!({"number": 7})).await;
    assert_eq!(enc.status, StatusCode::OK);
    let refused = post(&alice, a.site.url("a", "sae-b", "enc_keys"), &json!({"size": 1})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);

    let neighbours = a.read("/api/v1/neighbours").await.json;
    assert_eq!((&neighbours[0]["id"], &neighbours[0]["up"]), (&json!("qks-b"), &json!(true)));
    let stock = &neighbours[0]["stock"];
    let [ready, unconfirmed, theirs] =
        ["ready_bytes", "unconfirmed_bytes", "neighbours_bytes"].map(|name| stock[name].as_u64().unwrap());
    assert!(ready > 0 && ready + unconfirmed + theirs <= (1 << 20) - 7 * 32, "{stock}");
    let link = &a.read("/api/v1/links").await.json[0];
    assert_eq!((&link["id"], &link["taken_in_bytes"]), (&json!("ab"), &json!(1 << 20)));
    assert_eq!((&link["sources"][0]["kind"], &link["sources"][0]["phase"]), (&json!("keyfile"), &json!("producing")));
    let status = a.read("/api/v1/status").await.json;
    assert_eq!((&status["id"], &status["ready"], &status["neighbours_up"]), (&json!("qks-a"), &json!(true), &json!(1)));
    assert_eq!((&status["keys_delivered"], &status["sources_producing"]), (&json!(7), &json!(1)));

    let metrics = a.read("/metrics").await.text;
    for line in [
        "photongate_qks_ready 1.0",
        "photongate_qks_keys_delivered_total 7",
        "photongate_qks_requests_total{method=\"enc_keys\",status=\"200\"} 1",
        "photongate_qks_requests_total{method=\"enc_keys\",status=\"400\"} 1",
        "photongate_qks_neighbour_up{neighbour=\"qks-b\"} 1.0",
        "photongate_qks_source_phase{link=\"ab\",source=\"0\",kind=\"keyfile\",phase=\"producing\"} 1.0",
    ] {
        assert!(metrics.lines().any(|other| other == line), "{line} is not in\n{metrics}");
    }
    assert_eq!(a.read("/api/v1/history").await.json["period_s"], 10);

    a.site.kill("b");
    let begun = Instant::now();
    let down = loop {
        let neighbour = a.read("/api/v1/neighbours").await.json[0].clone();
        if neighbour["up"] == false {
            break neighbour;
        }
        assert!(begun.elapsed() < PATIENCE, "{neighbour}");
        tokio::time::sleep(LOOK_AROUND).await;
    };
    assert!(down["down_because"].as_str().unwrap().contains("cannot be reached"), "{down}");
    let not_ready = a.ask(Method::GET, "/readyz", "read", None).await;
    assert_eq!(not_ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(not_ready.json["because"], json!(["no neighbouring key server answers"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_gets_keys_once_it_is_registered_and_none_when_it_no_longer_is() {
    let mut a = Administered::start().await;
    let stranger = a.site.client("stranger");
    let url = a.site.url("a", "sae-a", "enc_keys");
    assert_eq!(get(&stranger, url.clone()).await.status, StatusCode::UNAUTHORIZED);

    let made = a.change(Method::PUT, "/api/v1/saes/stranger", Some(json!({}))).await;
    assert_eq!((made.status, &made.json), (StatusCode::CREATED, &json!({"id": "stranger", "certificates": []})));
    let again = a.change(Method::PUT, "/api/v1/saes/stranger", Some(json!({"certificates": ["0a:1b"]}))).await;
    assert_eq!((again.status, &again.json["certificates"]), (StatusCode::OK, &json!(["0a:1b"])));
    assert_eq!(get(&stranger, url.clone()).await.status, StatusCode::OK);

    a.site.kill("a");
    a.site.start("a").await;
    assert_eq!(a.read("/api/v1/saes/stranger").await.json["certificates"], json!(["0a:1b"]), "after a restart");
    let names = a.read("/api/v1/saes").await.json;
    assert_eq!(
        names.as_array().unwrap().iter().map(|sae| sae["id"].as_str().unwrap()).collect::<Vec<_>>(),
        ["sae-a", "sae-a2", "stranger"]
    );

    assert_eq!(a.change(Method::DELETE, "/api/v1/saes/stranger", None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(a.change(Method::DELETE, "/api/v1/saes/stranger", None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&stranger, url).await.status, StatusCode::UNAUTHORIZED);

    let audit = fs::read_to_string(a.site.path("a").join("state/audit.log")).unwrap();
    let lines: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> = lines
        .iter()
        .map(|line| {
            assert_eq!((&line["who"], &line["target"]), (&json!("token admin"), &json!("stranger")));
            format!("{} {}", line["action"].as_str().unwrap(), line["outcome"].as_str().unwrap())
        })
        .collect();
    let expected = ["sae.register", "sae.register", "sae.unregister", "sae.unregister"];
    let outcomes = ["done", "done", "done", "refused"];
    let expected: Vec<_> = expected
        .iter()
        .zip(outcomes)
        .flat_map(|(action, outcome)| [format!("{action} begun"), format!("{action} {outcome}")])
        .collect();
    assert_eq!(said, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_look_changes_nothing_and_who_is_nobody_sees_nothing() {
    let a = Administered::start().await;
    for (method, path) in [(Method::PUT, "/api/v1/saes/x"), (Method::DELETE, "/api/v1/saes/sae-a")] {
        let answer = a.ask(method.clone(), path, "read", Some(json!({}))).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
    }
    assert_eq!(a.read("/api/v1/saes").await.json.as_array().unwrap().len(), 2);
    for path in ["/api/v1/status", "/api/v1/saes", "/api/v1/neighbours", "/api/v1/links", "/api/v1/routes", "/metrics"]
    {
        assert_eq!(get(&a.http, format!("{}{path}", a.base)).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/healthz", "/docs", "/docs/style.css", "/openapi.json"] {
        assert_eq!(get(&a.http, format!("{}{path}", a.base)).await.status, StatusCode::OK, "{path}");
    }
    for (body, status) in [
        (json!({"certificates": ["sae-1"]}), StatusCode::BAD_REQUEST),
        (json!({"certificates": vec!["0a"; 17]}), StatusCode::BAD_REQUEST),
        (json!({"certificate": []}), StatusCode::BAD_REQUEST),
    ] {
        let answer = a.change(Method::PUT, "/api/v1/saes/x", Some(body.clone())).await;
        assert_eq!(
            (answer.status, answer.content_type.as_deref()),
            (status, Some("application/problem+json")),
            "{body}"
        );
    }
    assert_eq!(a.change(Method::GET, "/api/v1/history?limit=0", None).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(a.change(Method::GET, "/api/v1/nothing", None).await.status, StatusCode::NOT_FOUND);
}

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AROUND: Duration = Duration::from_millis(50);
