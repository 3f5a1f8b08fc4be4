//! Keys between autonomous systems: from key servers that are processes, to filters that ask as filters do.

#[path = "qks/site.rs"]
mod site;

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use photongate_agent::keys::qks::{KeyServer, KeyServerOptions, KeyServerSource};
use photongate_agent::keys::{Direction, FetchError, FetchedKey, KeyRequest, KeySource};
use photongate_drkey::Protocol;
use photongate_pipeline::PeerKey;
use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{Site, get, post};

/// Two key servers with keys in stock.
async fn pair() -> Site {
    let mut site = Site::new(&["a", "b"], &[("a", "b")]);
    site.start_all().await;
    site.fill("a", "b", 1 << 20);
    site.wait_for_keys("a", "sae-a", "sae-b", 1_000).await;
    site.wait_for_keys("b", "sae-b", "sae-a", 1_000).await;
    site
}

/// What the filter in front of the AS of `local` gets for its peer, the AS of `peer`.
async fn fetch(site: &Site, local: &str, peer: &str, direction: Direction) -> Result<FetchedKey, FetchError> {
    source(site, &format!("filter-{local}"), local, peer).fetch(request(peer, direction)).await
}

fn source(site: &Site, certificate: &str, local: &str, peer: &str) -> KeyServerSource {
    let options = KeyServerOptions {
        url: format!("https://127.0.0.1:{}/", site.sae_port(local)).parse().unwrap(),
        other_urls: Vec::new(),
        ca: site.pki("ca.pem"),
        certificate: site.pki(&format!("{certificate}.pem")),
        key: site.pki(&format!("{certificate}-key.pem")),
        server: format!("CN=qks-{local}").parse().unwrap(),
    };
    let server = Arc::new(KeyServer::new(&options).unwrap());
    KeyServerSource::new(server, isd_as(local).parse().unwrap(), isd_as(peer).parse().unwrap(), Protocol(3))
}

fn request(peer: &str, direction: Direction) -> KeyRequest {
    let peer = PeerKey { isd_as: isd_as(peer).parse().unwrap(), protocol: Protocol(3) };
    KeyRequest { peer, direction, at: photongate_net::now() }
}

fn isd_as(server: &str) -> String {
    format!("1-ff00:0:{server}")
}

fn now() -> u64 {
    photongate_net::now().0 / 1_000_000_000
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_filter_gets_for_inbound_the_other_gets_for_outbound() {
    let site = pair().await;
    let mut seen = HashSet::new();
    for (receiver, sender) in [("a", "b"), ("b", "a")] {
        let inbound = fetch(&site, receiver, sender, Direction::Inbound).await.unwrap();
        let outbound = fetch(&site, sender, receiver, Direction::Outbound).await.unwrap();
        // An epoch may have ended in between.
        if inbound.epoch == outbound.epoch {
            assert!(inbound.key.matches(&outbound.key));
        } else {
            assert_eq!(inbound.epoch.end, outbound.epoch.start);
        }
        assert_eq!(inbound.epoch.end.0 - inbound.epoch.start.0, 360_000_000_000);
        assert!(seen.insert(*inbound.key.as_bytes()), "both directions have the same key");
    }
    no_key_is_logged(&site, &["a", "b"], &seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_outlives_a_restart_of_the_server_that_makes_it() {
    let mut site = pair().await;
    let before = fetch(&site, "a", "b", Direction::Inbound).await.unwrap();
    site.kill("a");
    site.start("a").await;
    let after = fetch(&site, "a", "b", Direction::Inbound).await.unwrap();
    assert!(before.epoch != after.epoch || before.key.matches(&after.key));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetched_key_is_remembered_and_a_new_one_waits_until_the_other_server_is_back() {
    let mut site = pair().await;
    let source = source(&site, "filter-b", "b", "a");
    let asked = request("a", Direction::Outbound);
    let first = source.fetch(asked).await.unwrap();
    site.kill("a");
    let again = source.fetch(asked).await.unwrap();
    assert!(first.key.matches(&again.key));
    let next = KeyRequest { at: first.epoch.end, ..asked };
    let refused = source.fetch(next).await.unwrap_err();
    assert!(matches!(&refused, FetchError::Unavailable(why) if why.contains("qks-a")), "{refused}");
    let query =
        format!("fast={}&slow={}&protocol=0&at={}", isd_as("a"), isd_as("b"), first.epoch.end.0 / 1_000_000_000);
    let answer = get(&site.client("filter-b"), site.drkey_url("b", &query)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");

    site.start("a").await;
    let recovered = until_fetched(&source, next).await;
    assert_eq!(recovered.epoch.start, first.epoch.end);
    assert!(!recovered.key.matches(&first.key), "two epochs have the same key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_gets_keys_of_its_own_as_only_and_others_get_none() {
    let site = pair().await;
    let query = |fast: &str, slow: &str| format!("fast={}&slow={}&protocol=0&at={}", isd_as(fast), isd_as(slow), now());
    let own = get(&site.client("filter-a"), site.drkey_url("a", &query("a", "b"))).await;
    assert_eq!(own.status, StatusCode::OK, "{own:?}");
    for (certificate, fast, slow) in [
        ("filter-a", "b", "c"),
        ("filter-b", "a", "b"),
        ("sae-a", "a", "b"),
        ("stranger", "a", "b"),
        ("qks-b", "a", "b"),
    ] {
        let answer = get(&site.client(certificate), site.drkey_url("a", &query(fast, slow))).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{certificate} asks for {fast} and {slow}");
    }
    let mistaken = source(&site, "sae-a", "a", "b").fetch(request("b", Direction::Inbound)).await.unwrap_err();
    assert!(matches!(&mistaken, FetchError::NoKey { reason, .. } if reason.contains("not registered")), "{mistaken}");
    for (query, status) in [
        (query("a", "a"), StatusCode::BAD_REQUEST),
        (query("a", "b").replace("protocol=0", "protocol=3"), StatusCode::BAD_REQUEST),
        (query("a", "b").replace("&at=", "&at=1"), StatusCode::BAD_REQUEST),
        (query("c", "a"), StatusCode::NOT_FOUND),
    ] {
        let answer = get(&site.client("filter-a"), site.drkey_url("a", &query)).await;
        assert_eq!(answer.status, status, "{query}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_server_gets_keys_of_its_ases_only_each_under_key_material_of_its_own() {
    let site = pair().await;
    let url = site.peer_url("a", "drkey/level1");
    let ask =
        |slow: &str| json!({"fast": isd_as("a"), "slow": isd_as(slow), "protocol": 0, "at": now() * 1_000_000_000});
    let mut pieces = HashSet::new();
    for _ in 0..5 {
        let answer = post(&site.client("qks-b"), url.clone(), &ask("b")).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let Value::Array(named) = &answer.json["pieces"] else { panic!("{answer:?}") };
        assert!(named.iter().all(|piece| pieces.insert(piece.to_string())), "key material was used twice");
    }
    let stranger = post(&site.client("qks-b"), url.clone(), &ask("c")).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    let filter = post(&site.client("filter-b"), url, &ask("b")).await;
    assert_eq!(filter.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_common_link_a_key_travels_over_a_server_between_and_waits_until_that_is_back() {
    let mut site = Site::new(&["a", "b", "c"], &[("a", "b"), ("b", "c")]);
    site.start_all().await;
    site.fill("a", "b", 1 << 19);
    site.fill("b", "c", 1 << 19);
    site.wait_for_keys("a", "sae-a", "sae-c", 100).await;
    let sender = source(&site, "filter-c", "c", "a");
    let asked = request("a", Direction::Outbound);
    let outbound = until_fetched(&sender, asked).await;
    let inbound = source(&site, "filter-a", "a", "c").fetch(request("c", Direction::Inbound)).await.unwrap();
    assert!(inbound.epoch != outbound.epoch || inbound.key.matches(&outbound.key));
    no_key_is_logged(&site, &["a", "b", "c"], &HashSet::from([*outbound.key.as_bytes()]));

    site.kill("b");
    let next = KeyRequest { at: outbound.epoch.end, ..asked };
    let refused = sender.fetch(next).await.unwrap_err();
    assert!(matches!(&refused, FetchError::Unavailable(why) if why.contains("qks-a")), "{refused}");
    site.start("b").await;
    let recovered = until_fetched(&sender, next).await;
    assert_eq!(recovered.epoch.start, outbound.epoch.end);
}

/// Waits for routing, and for neighbours to find one another again.
async fn until_fetched(source: &KeyServerSource, asked: KeyRequest) -> FetchedKey {
    let begun = std::time::Instant::now();
    loop {
        match source.fetch(asked).await {
            Ok(fetched) => return fetched,
            Err(refused) => assert!(begun.elapsed() < site::PATIENCE, "{refused}"),
        }
        tokio::time::sleep(site::LOOK_AROUND).await;
    }
}

/// In none of the forms in which bytes are written.
fn no_key_is_logged(site: &Site, servers: &[&str], keys: &HashSet<[u8; 16]>) {
    for server in servers {
        let log = site.log(server);
        assert!(!log.is_empty(), "{server} logs nothing at all");
        for key in keys {
            let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            for form in [hex.clone(), hex.to_uppercase(), format!("{key:?}"), BASE64_STANDARD.encode(key)] {
                assert!(!log.contains(&form), "a key is in the log of {server}");
            }
        }
    }
}
