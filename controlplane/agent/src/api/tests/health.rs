//! Health and status.

use photongate_net::http::Readiness;

use super::*;

#[tokio::test]
async fn whoever_asks_is_told_that_the_filter_lives() {
    let desk = Desk::open().await;
    let answer = desk.ask(None, request(Method::GET, "/healthz"), "").await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "ok\n"));
}

#[tokio::test]
async fn a_filter_with_a_peer_without_a_key_is_not_ready_and_tells_readers_which() {
    let desk = Desk::open().await;
    let answer = desk.get("/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let readiness: Readiness = answer.json();
    assert!(readiness.because.iter().any(|reason| reason.starts_with("peer 21-ff00:0:113 ")), "{readiness:?}");
    let answer = desk.ask(None, request(Method::GET, "/readyz"), "").await;
    assert_eq!(answer.json::<Readiness>(), Readiness { ready: false, because: Vec::new() });
}

#[tokio::test]
async fn a_filter_whose_workers_poll_and_whose_peers_have_keys_is_ready() {
    let desk = Desk::open().await;
    let only_zurich = LIST.rsplit_once("[[peers]]").unwrap().0;
    let put = request(Method::PUT, "/api/v1/as-list").header(header::IF_MATCH, "\"1\"");
    desk.ask(Some(Role::Admin), put.header(header::CONTENT_TYPE, "application/toml"), only_zurich).await;
    let answer = desk.get("/readyz").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json::<Readiness>(), Readiness { ready: true, because: Vec::new() });
}

#[tokio::test]
async fn the_status_is_that_of_the_filter() {
    let desk = Desk::open().await;
    let status: Status = desk.get("/api/v1/status").await.json();
    assert_eq!((status.version.as_str(), status.isd_as.as_str(), status.workers), ("1.2.3", LOCAL, 1));
    assert_eq!(status.peers, PeerSummary { total: 2, with_keys: 1, degraded: 1, dark: 1 });
    assert_eq!((status.as_list.generation, status.as_list.peers), (1, 2));
}

#[tokio::test]
async fn workers_and_ports_have_counted_what_passed() {
    let desk = Desk::open().await;
    pass(&desk.lab.path);
    let workers: Vec<Worker> = desk.get("/api/v1/workers").await.json();
    assert_eq!(workers[0].traffic.verdicts["outbound"], Count { packets: 1, bytes: 49 });
    assert_eq!(workers[0].traffic.dropped["outbound_no_key"].packets, 1);
    let ports: Vec<Port> = desk.get("/api/v1/ports").await.json();
    assert_eq!((ports[0].name.as_str(), ports[0].received.packets), ("inside", 2));
}

/// A packet to each of the two peers.
pub(super) fn pass(path: &MemoryPath) {
    for network in [2, 3] {
        path.judge(crate::testing::INSIDE, &crate::testing::udp([10, 248, 1, 1], [10, 248, network, 1], b"payload"));
    }
}
