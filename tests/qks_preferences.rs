//! What applications prefer about their keys, said by operators.

#[path = "qks/operator.rs"]
mod operator;
#[path = "qks/site.rs"]
mod site;

use operator::administer;
use reqwest::{Method, StatusCode};
use serde_json::json;
use site::{Site, get, post};

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_prefers_holds_where_requests_say_nothing_and_after_a_restart() {
    let mut site = Site::new(&["a", "b", "c"], &[("a", "b"), ("b", "c")]);
    site.start_all().await;
    site.fill("a", "b", 1 << 19);
    site.fill("b", "c", 1 << 19);
    site.wait_for_keys("a", "sae-a", "sae-b", 100).await;
    site.wait_for_keys("a", "sae-a", "sae-c", 100).await;
    let alice = site.client("sae-a");
    let (to_b, to_c) = (site.url("a", "sae-b", "enc_keys"), site.url("a", "sae-c", "enc_keys"));
    // Key files are of QKD devices.
    let preferences = json!({
        "default": {"source": "pqc", "mandatory": false},
        "with": {"sae-c": {"require_direct": true, "mandatory": true}},
    });
    let change = async |method, body| administer(&site, "a", "admin", method, PREFERENCES, body).await;
    let set = change(Method::PUT, Some(preferences.clone())).await;
    assert_eq!((set.status, &set.json), (StatusCode::OK, &preferences));
    assert_eq!(
        get(&alice, to_b.clone()).await.status,
        StatusCode::OK,
        "what is preferred, and not there, is left out of account"
    );
    let refused = get(&alice, to_c.clone()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "keys for C go over B: {refused:?}");
    let said = json!({"extension_mandatory": [{"photongate_require_direct": false}]});
    assert_eq!(post(&alice, to_c.clone(), &said).await.status, StatusCode::OK, "the request says what it wants");

    let strict = json!({"default": {"source": "pqc", "mandatory": true}});
    assert_eq!(change(Method::PUT, Some(strict)).await.status, StatusCode::OK);
    assert_eq!(get(&alice, to_b.clone()).await.status, StatusCode::BAD_REQUEST);
    site.kill("a");
    site.start("a").await;
    site.wait_for_keys("a", "sae-a", "sae-b", 100).await;
    let alice = site.client("sae-a");
    assert_eq!(get(&alice, to_b.clone()).await.status, StatusCode::BAD_REQUEST, "after a restart");

    let change = async |method, body| administer(&site, "a", "admin", method, PREFERENCES, body).await;
    assert_eq!(change(Method::DELETE, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(get(&alice, to_b).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn preferences_that_make_no_sense_or_are_for_nobody_are_refused() {
    let mut site = Site::new(&["a"], &[]);
    site.start("a").await;
    for body in [
        json!({"default": {"paths": 0}}),
        json!({"with": {"sae-b": {"max_hops": 0}}}),
        json!({"default": {"source": "magic"}}),
        json!({"default": {"colour": "red"}}),
    ] {
        let refused = administer(&site, "a", "admin", Method::PUT, PREFERENCES, Some(body)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    }
    let shown = administer(&site, "a", "read", Method::GET, PREFERENCES, None).await;
    assert_eq!(shown.json, json!({"default": {"mandatory": false}, "with": {}}));
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let nobody = administer(&site, "a", "admin", method, "saes/nobody/preferences", Some(json!({}))).await;
        assert_eq!(nobody.status, StatusCode::NOT_FOUND, "{nobody:?}");
    }
    let reader = administer(&site, "a", "read", Method::PUT, PREFERENCES, Some(json!({}))).await;
    assert_eq!(reader.status, StatusCode::FORBIDDEN, "{reader:?}");
}

const PREFERENCES: &str = "saes/sae-a/preferences";
