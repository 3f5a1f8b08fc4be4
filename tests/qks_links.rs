//! Links that are registered, attached and detached while key servers run.

#[path = "qks/operator.rs"]
mod operator;
#[path = "qks/site.rs"]
mod site;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use operator::administer;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use site::{Answer, LOOK_AROUND, PATIENCE, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_link_brings_keys_while_it_is_attached_and_is_there_after_a_restart() {
    let mut site = Site::new(&["a", "b"], &[("a", "b")]);
    site.start_all().await;
    for (server, other) in [("a", "b"), ("b", "a")] {
        let made = change(&site, server, Method::PUT, "links/extra", Some(extra(&site, server, other))).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        assert_eq!((&made.json["configured"], &made.json["attached"]), (&json!(false), &json!(true)));
        let again = change(&site, server, Method::PUT, "links/extra", Some(extra(&site, server, other))).await;
        assert_eq!((again.status, &again.json["registration"]), (StatusCode::OK, &extra(&site, server, other)));
    }
    give(&site, 1);
    site.wait_for_keys("a", "sae-a", "sae-b", 100).await;
    let links = read(&site, "a", "links").await.json;
    let names: Vec<_> = links.as_array().unwrap().iter().map(|link| &link["id"]).collect();
    assert_eq!(names, ["ab", "extra"]);

    let detached = change(&site, "a", Method::PUT, "links/extra/attachment", Some(json!({"attached": false}))).await;
    assert_eq!((detached.status, &detached.json["attached"]), (StatusCode::OK, &json!(false)), "{detached:?}");
    assert_eq!(detached.json["sources"], json!([]));
    give(&site, 2);
    until(&site, "b", "the other end to go on", |link| link["taken_in_bytes"] == 2 * FILE).await;
    assert_eq!(read(&site, "a", "links/extra").await.json["taken_in_bytes"], FILE);
    assert!(file(&site, "a", 2).exists(), "nobody reads the folder of a link that is detached");

    let configured = change(&site, "a", Method::PUT, "links/ab/attachment", Some(json!({"attached": false}))).await;
    assert_eq!((configured.status, &configured.json["configured"]), (StatusCode::OK, &json!(true)));
    site.kill("a");
    site.start("a").await;
    assert_eq!(read(&site, "a", "links/extra").await.json["attached"], false, "after a restart");
    assert_eq!(read(&site, "a", "links/ab").await.json["attached"], false, "after a restart");

    let attached = change(&site, "a", Method::PUT, "links/extra/attachment", Some(json!({"attached": true}))).await;
    assert_eq!((attached.status, &attached.json["attached"]), (StatusCode::OK, &json!(true)));
    until(&site, "a", "what lay there", |link| link["taken_in_bytes"] == FILE).await;

    let gone = change(&site, "a", Method::DELETE, "links/extra", None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{gone:?}");
    assert_eq!(change(&site, "a", Method::DELETE, "links/extra", None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(read_any(&site, "a", "links/extra").await.status, StatusCode::NOT_FOUND);
    let audit = fs::read_to_string(site.path("a").join("state/audit.log")).unwrap();
    for action in ["link.register", "link.detach", "link.attach", "link.unregister"] {
        assert!(audit.contains(&format!("\"action\":\"{action}\",\"target\":\"extra\"")), "{action} is not in {audit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_is_checked_as_the_configuration_is_and_changes_nothing_that_stands_there() {
    let mut site = Site::new(&["a", "b"], &[("a", "b")]);
    site.start_all().await;
    let with = |field: &str, value: Value| {
        let mut body = extra(&site, "a", "b");
        body[field] = value;
        body
    };
    let source = |source: Value| with("sources", json!([source]));
    for (body, field) in [
        (with("neighbour", json!("qks-c")), "neighbour"),
        (with("capacity_mib", json!(0)), "capacity_mib"),
        (with("lifetime", json!("7")), "lifetime"),
        (with("sources", json!([])), "sources"),
        (source(json!({"kind": "quantum"})), "sources[0].kind"),
        (source(json!({"kind": "keyfile"})), "sources[0].directory"),
        (source(json!({"kind": "mlkem", "intervall": "1s"})), "sources[0].intervall"),
        (source(json!({"kind": "bb84", "listen": "127.0.0.1:1", "secret": "0123456789abcdef"})), "sources[0].secret"),
    ] {
        let refused = change(&site, "a", Method::PUT, "links/extra", Some(body)).await;
        assert_eq!((refused.status, &refused.json["problems"][0]["field"]), (StatusCode::BAD_REQUEST, &json!(field)));
        assert!(!refused.text.contains("0123456789abcdef"), "{refused:?}");
    }
    let secret = source(json!({"kind": "bb84", "listen": "127.0.0.1:1", "secret": {"file": "/nowhere/at/all"}}));
    let refused = change(&site, "a", Method::PUT, "links/extra", Some(secret)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    let unknown = change(&site, "a", Method::PUT, "links/extra", Some(with("colour", json!("red")))).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST, "{unknown:?}");
    assert_eq!(read_any(&site, "a", "links/extra").await.status, StatusCode::NOT_FOUND, "nothing is registered");

    for (method, body) in [(Method::PUT, Some(extra(&site, "a", "b"))), (Method::DELETE, None)] {
        let refused = change(&site, "a", method.clone(), "links/ab", body.clone()).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
        let reader = administer(&site, "a", "read", method, "links/extra", body).await;
        assert_eq!(reader.status, StatusCode::FORBIDDEN, "{reader:?}");
    }
    let nothing = change(&site, "a", Method::PUT, "links/extra/attachment", Some(json!({"attached": true}))).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND, "{nothing:?}");
}

/// It used to stop as soon as the stock had what it alone may bring.
#[tokio::test(flavor = "multi_thread")]
async fn links_to_one_neighbour_add_up_in_what_the_stock_may_hold() {
    let mut site = Site::new(&["a", "b"], &[("a", "b")]);
    site.start_all().await;
    for (server, other) in [("a", "b"), ("b", "a")] {
        let mut small = extra(&site, server, other);
        small["capacity_mib"] = json!(1);
        assert_eq!(change(&site, server, Method::PUT, "links/extra", Some(small)).await.status, StatusCode::CREATED);
    }
    for number in 1..=3 {
        give(&site, number);
        until(&site, "a", "a file", |link| link["taken_in_bytes"] == number * FILE).await;
    }
}

/// A link of key files, as it is registered at a server.
fn extra(site: &Site, server: &str, other: &str) -> Value {
    let folder = site.path(server).join("extra");
    fs::create_dir_all(&folder).unwrap();
    let source = json!({"kind": "keyfile", "directory": folder, "period": "100ms"});
    json!({"neighbour": format!("qks-{other}"), "capacity_mib": 64, "lifetime": "1d", "sources": [source]})
}

/// Puts the same bytes into the folders of both ends.
fn give(site: &Site, number: u64) {
    let bytes = vec![number as u8; FILE as usize];
    for server in ["a", "b"] {
        let file = file(site, server, number);
        fs::write(file.with_extension("part"), &bytes).unwrap();
        fs::rename(file.with_extension("part"), file).unwrap();
    }
}

fn file(site: &Site, server: &str, number: u64) -> PathBuf {
    site.path(server).join(format!("extra/{number}.key"))
}

/// Waits until the registered link is as it should be.
async fn until(site: &Site, server: &str, what: &str, is_so: impl Fn(&Value) -> bool) {
    let begun = Instant::now();
    loop {
        let link = read(site, server, "links/extra").await.json;
        if is_so(&link) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}: {link}");
        tokio::time::sleep(LOOK_AROUND).await;
    }
}

async fn change(site: &Site, server: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    administer(site, server, "admin", method, path, body).await
}

async fn read(site: &Site, server: &str, path: &str) -> Answer {
    let answer = read_any(site, server, path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
    answer
}

async fn read_any(site: &Site, server: &str, path: &str) -> Answer {
    administer(site, server, "read", Method::GET, path, None).await
}

/// Bytes in a key file.
const FILE: u64 = 1 << 20;
