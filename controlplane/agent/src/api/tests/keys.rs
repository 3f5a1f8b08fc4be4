//! Keys by hand.

use photongate_pipeline::{DropReason, Verdict};

use super::*;
use crate::testing::{INSIDE, udp};

#[tokio::test]
async fn keys_that_are_held_are_told_and_not_fetched_again() {
    let desk = Desk::open().await;
    let outcome: PrefetchOutcome = desk.post(&format!("{ZURICH}/prefetch"), "").await.json();
    assert!(outcome.keys.inbound.is_some() && outcome.degraded.is_none());
    assert_eq!(desk.audited(), [done("keys.prefetch", "begun"), done("keys.prefetch", "done")]);
}

#[tokio::test]
async fn a_key_that_is_revoked_is_in_no_workers_hands_any_more() {
    let desk = Desk::open().await;
    let packet = udp([10, 248, 1, 1], [10, 248, 2, 1], b"payload");
    assert_eq!(desk.lab.path.judge(INSIDE, &packet).0.verdict, Verdict::Outbound);
    let outcome: RevokeOutcome = desk.post(&format!("{ZURICH}/revoke"), r#"{"direction": "outbound"}"#).await.json();
    assert!(!outcome.revoked.is_empty() && outcome.keys.outbound.is_none() && outcome.keys.inbound.is_some());
    // The secret gives the same key again, which is refused.
    let verdict = desk.lab.path.judge(INSIDE, &packet).0.verdict;
    assert_eq!(verdict, Verdict::Dropped(DropReason::OutboundNoKey));
    assert_eq!(desk.audited(), [done("keys.revoke", "begun"), done("keys.revoke", "done")]);
}

#[tokio::test]
async fn without_a_direction_the_keys_of_both_are_revoked() {
    for body in ["", "null", "{}"] {
        let desk = Desk::open().await;
        let outcome: RevokeOutcome = desk.post(&format!("{ZURICH}/revoke"), body).await.json();
        assert!(outcome.keys.outbound.is_none() && outcome.keys.inbound.is_none(), "{body}");
    }
}

#[tokio::test]
async fn what_cannot_be_revoked_is_refused() {
    let desk = Desk::open().await;
    for (peer, body, status) in [
        ("/api/v1/peers/1-1/3", "", StatusCode::NOT_FOUND),
        (ZURICH, "{", StatusCode::BAD_REQUEST),
        (ZURICH, r#"{"direction": "both"}"#, StatusCode::BAD_REQUEST),
        (ZURICH, r#"{"directions": "inbound"}"#, StatusCode::BAD_REQUEST),
    ] {
        let answer = desk.post(&format!("{peer}/revoke"), body).await;
        assert_eq!(answer.problem().status_code(), status, "{peer} {body}");
    }
    let peer: Peer = desk.get(ZURICH).await.json();
    assert!(peer.keys.outbound.is_some());
    assert_eq!(desk.audited(), [done("keys.revoke", "begun"), done("keys.revoke", "refused")]);
}

#[tokio::test]
async fn keys_of_nobody_are_not_fetched() {
    let desk = Desk::open().await;
    let problem = desk.post("/api/v1/peers/1-1/3/prefetch", "").await.problem();
    assert_eq!(problem.status_code(), StatusCode::NOT_FOUND);
    assert_eq!(problem.detail.as_deref(), Some("1-1 with DRKey protocol 3 is not on the AS list"));
}

pub(super) fn done(action: &str, outcome: &str) -> (String, String) {
    (action.to_owned(), outcome.to_owned())
}
