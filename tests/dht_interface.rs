//! The HTTP interface of a node of the distributed store.

#[path = "dht/mod.rs"]
mod dht;

use std::collections::BTreeSet;
use std::fs;

use dht::{Mode, Nodes};
use reqwest::StatusCode;
use serde_json::Value;

#[test]
fn whoever_may_read_is_told_how_the_node_is_and_where_things_are() {
    let nodes = Nodes::start(Mode::Closed, 2);
    let put = nodes.put(0, b"hello");
    let key = put["key"].as_str().unwrap();
    let token = token(&nodes, 0);
    let get = |path: &str| get(&nodes, 0, path, Some(&token));
    let json = |path: &str| -> Value { serde_json::from_str(&get(path).1).unwrap() };

    assert_eq!(get("/readyz").0, StatusCode::OK);
    let status = json("/api/v1/status");
    assert_eq!((&status["ready"], &status["contacts"]), (&true.into(), &1.into()), "{status}");
    let other = nodes.status(1)["id"].clone();
    assert_eq!(json("/api/v1/peers")["peers"][0]["id"], other);
    assert_eq!(json(&format!("/api/v1/lookup?target={key}"))["nodes"][0]["id"], other);
    assert_eq!(json(&format!("/api/v1/values/{key}"))["providers"][0]["id"], other);
    assert_eq!(get("/api/v1/values/short").0, StatusCode::BAD_REQUEST);
    let page = get("/").1;
    for words in ["in the network", status["id"].as_str().unwrap(), other.as_str().unwrap()] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[test]
fn who_has_no_token_is_told_whether_the_node_lives_and_no_more() {
    let nodes = Nodes::start(Mode::Plain, 1);
    let status = |path: &str| get(&nodes, 0, path, None).0;
    assert_eq!([status("/healthz"), status("/readyz")], [StatusCode::OK; 2]);
    for path in ["/", "/metrics", "/api/v1/status", "/api/v1/peers"] {
        assert_eq!(status(path), StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[test]
fn a_node_that_finds_nobody_is_not_ready_and_says_why() {
    let mut nodes = Nodes::prepare(dht::Places::here(), Mode::Plain, 2, "");
    nodes.run(1);
    let (status, said) = get(&nodes, 1, "/readyz", Some(&token(&nodes, 1)));
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(said.contains("it knows no other node"), "{said}");
    let client = nodes.client(1, &["status"]);
    assert_eq!(client.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&client.stdout).contains("not ready: it knows no other node"), "{client:?}");
}

#[test]
fn every_metric_is_in_the_manual_and_every_one_of_the_manual_is_there() {
    let nodes = Nodes::start(Mode::Plain, 1);
    let metrics = get(&nodes, 0, "/metrics", Some(&token(&nodes, 0))).1;
    let families = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE photongate_dht_"));
    let there: BTreeSet<_> = families.map(|rest| rest.split(' ').next().unwrap()).collect();
    let (_, table) = MANUAL.split_once("| family | kind | meaning |").unwrap();
    let names = table.lines().filter_map(|row| row.strip_prefix("| `")?.split('|').next());
    let told: BTreeSet<_> = names.flat_map(|cell| cell.split(',').map(|name| name.trim().trim_matches('`'))).collect();
    assert_eq!(there, told);
}

/// What is answered, to whom the token belongs.
fn get(nodes: &Nodes, node: usize, path: &str, token: Option<&str>) -> (StatusCode, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = http.get(nodes.url(node, path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    })
}

fn token(nodes: &Nodes, node: usize) -> String {
    fs::read_to_string(nodes.path(&format!("state-{node}/read.token"))).unwrap().trim().to_owned()
}

const MANUAL: &str = include_str!("../docs/operations/dht.md");
