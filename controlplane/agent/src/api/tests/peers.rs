//! Peers, page by page.

use super::*;

#[tokio::test]
async fn a_peer_shows_its_traffic_and_the_epochs_of_its_keys() {
    let desk = Desk::open().await;
    health::pass(&desk.lab.path);
    let peer: Peer = desk.get(ZURICH).await.json();
    assert_eq!((peer.name.as_deref(), peer.prefixes.as_slice()), (Some("Zurich"), &["10.248.2.0/24".to_owned()][..]));
    assert_eq!(peer.traffic.verdicts["outbound"].packets, 1);
    assert!(peer.keys.inbound.is_some() && peer.keys.outbound.is_some() && peer.degraded.is_none());
}

#[tokio::test]
async fn a_peers_counters_survive_a_change_of_its_encapsulation() {
    let desk = Desk::open().await;
    health::pass(&desk.lab.path);
    let before: Peer = desk.get(ZURICH).await.json();
    assert_eq!((before.encapsulation.as_str(), before.traffic.verdicts["outbound"].packets), ("lf", 1));
    let changed = LIST.replacen("name = \"Zurich\"", "name = \"Zurich\"\nencapsulation = \"lf2\"", 1);
    let changes: Changes = as_list::put(&desk, Some("\"1\""), as_list::TOML, &changed).await.json();
    assert_eq!(changes.changed[0].changes, [Change::Encapsulation]);
    let packet = crate::testing::udp([10, 248, 1, 1], [10, 248, 2, 1], b"payload");
    let (_, sent) = desk.lab.path.judge(crate::testing::INSIDE, &packet);
    assert_eq!(sent.len(), packet.len() + 44, "it leaves in lf2");
    let after: Peer = desk.get(ZURICH).await.json();
    assert_eq!((after.encapsulation.as_str(), after.accept), ("lf2", vec!["lf2".to_owned()]));
    assert_eq!(after.traffic.verdicts["outbound"].packets, 2, "and the one before still counts");
    assert_eq!(after.keys, before.keys, "no key is fetched anew");
}

#[tokio::test]
async fn a_peer_without_a_key_says_why() {
    let desk = Desk::open().await;
    let peer: Peer = desk.get(GENEVA).await.json();
    let degraded = peer.degraded.unwrap();
    assert!(degraded.is_dark && degraded.reason.contains("2100"), "{degraded:?}");
}

#[tokio::test]
async fn pages_follow_one_another() {
    let desk = Desk::open().await;
    let first: PeersPage = desk.get("/api/v1/peers?limit=1").await.json();
    assert_eq!((first.peers[0].name.as_deref(), first.total), (Some("Zurich"), 2));
    let next = first.next.unwrap();
    let second: PeersPage = desk.get(&format!("/api/v1/peers?limit=1&after={next}")).await.json();
    assert_eq!((second.peers[0].name.as_deref(), second.next), (Some("Geneva"), None));
}

#[tokio::test]
async fn peers_are_found_by_what_is_wrong_with_them_and_by_their_names() {
    let desk = Desk::open().await;
    for query in ["degraded=true", "search=GENE", "search=10.248.3", "search=21-ff00"] {
        let page: PeersPage = desk.get(&format!("/api/v1/peers?{query}")).await.json();
        assert_eq!(
            page.peers.iter().map(|peer| peer.isd_as.as_str()).collect::<Vec<_>>(),
            ["21-ff00:0:113"],
            "{query}"
        );
        assert_eq!(page.total, 1);
    }
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() {
    let desk = Desk::open().await;
    let long = format!("search={}", "x".repeat(65));
    for query in ["limit=0", "limit=1001", "limit=many", "degraded=perhaps", "after=1-1", "after=x,3", "searc=x", &long]
    {
        let answer = desk.get(&format!("/api/v1/peers?{query}")).await;
        assert_eq!(answer.problem().status_code(), StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn a_peer_that_is_not_listed_is_not_found_and_one_that_cannot_be_is_refused() {
    let desk = Desk::open().await;
    for (peer, status) in [
        ("20-ff00:0:112/4", StatusCode::NOT_FOUND),
        ("20-ff00:0:999/3", StatusCode::NOT_FOUND),
        ("20-ff00:0:112/65536", StatusCode::BAD_REQUEST),
        ("20-ff00:0/3", StatusCode::BAD_REQUEST),
        ("%ff/3", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(desk.get(&format!("/api/v1/peers/{peer}")).await.problem().status_code(), status, "{peer}");
    }
}
