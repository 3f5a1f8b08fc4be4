//! Keys for applications of key servers without a common link, against running servers.

#[path = "qks/site.rs"]
mod site;

use reqwest::StatusCode;
use serde_json::json;
use site::{Site, get, ids, keys, post};

#[tokio::test(flavor = "multi_thread")]
async fn keys_travel_over_a_server_between_and_fail_cleanly_while_it_is_away() {
    let mut site = Site::new(&["a", "b", "c"], &[("a", "b"), ("b", "c")]);
    site.start_all().await;
    site.fill("a", "b", 1 << 19);
    site.fill("b", "c", 1 << 19);
    site.wait_for_keys("a", "sae-a", "sae-c", 100).await;
    let (alice, carol) = (site.client("sae-a"), site.client("sae-c"));
    let (enc, dec) = (site.url("a", "sae-c", "enc_keys"), site.url("c", "sae-a", "dec_keys"));

    let given = keys(&post(&alice, enc.clone(), &json!({"number": 5, "size": 512})).await);
    assert_eq!(keys(&post(&carol, dec.clone(), &ids(&given)).await), given);
    assert_eq!(post(&carol, dec.clone(), &ids(&given)).await.status, StatusCode::BAD_REQUEST, "fetched already");

    let direct = json!({"extension_mandatory": [{"photongate_require_direct": true}]});
    let refused = post(&alice, enc.clone(), &direct).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json["message"], "not all extension_mandatory request options could be met");

    site.kill("b");
    assert_eq!(get(&alice, enc.clone()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    site.start("b").await;
    site.wait_for_keys("a", "sae-a", "sae-c", 100).await;
    let again = keys(&until_given(&alice, &enc).await);
    assert_eq!(keys(&post(&carol, dec, &ids(&again)).await), again);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_two_ways_no_single_server_sees_the_keys_and_one_way_is_enough_without_that_wish() {
    let mut site = Site::new(&["a", "b", "c", "d"], &[("a", "b"), ("b", "d"), ("a", "c"), ("c", "d")]);
    site.start_all().await;
    for (one, other) in [("a", "b"), ("b", "d"), ("a", "c"), ("c", "d")] {
        site.fill(one, other, 1 << 19);
    }
    site.wait_for_keys("a", "sae-a", "sae-d", 100).await;
    let (alice, dave) = (site.client("sae-a"), site.client("sae-d"));
    let (enc, dec) = (site.url("a", "sae-d", "enc_keys"), site.url("d", "sae-a", "dec_keys"));
    let two = json!({"number": 3, "extension_mandatory": [{"photongate_paths": 2}]});
    let given = keys(&until_posted(&alice, &enc, &two).await);
    assert_eq!(keys(&post(&dave, dec.clone(), &ids(&given)).await), given);

    let three = json!({"extension_mandatory": [{"photongate_paths": 3}]});
    assert_eq!(post(&alice, enc.clone(), &three).await.status, StatusCode::BAD_REQUEST, "there are only two ways");

    site.kill("b");
    let around = keys(&until_given(&alice, &enc).await);
    assert_eq!(keys(&post(&dave, dec, &ids(&around)).await), around);
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_of_several_servers_get_the_same_keys() {
    let mut site = Site::new(&["a", "b", "c"], &[("a", "b"), ("b", "c")]);
    site.start_all().await;
    site.fill("a", "b", 1 << 19);
    site.fill("b", "c", 1 << 19);
    site.wait_for_keys("a", "sae-a", "sae-c", 100).await;
    let alice = site.client("sae-a");
    let request = json!({"number": 2, "additional_slave_SAE_IDs": ["sae-c", "sae-a2"]});
    let given = keys(&post(&alice, site.url("a", "sae-b", "enc_keys"), &request).await);
    for (server, sae) in [("b", "sae-b"), ("c", "sae-c"), ("a", "sae-a2")] {
        let client = site.client(sae);
        let url = site.url(server, "sae-a", "dec_keys");
        assert_eq!(keys(&post(&client, url.clone(), &ids(&given)).await), given, "{sae}");
        assert_eq!(post(&client, url, &ids(&given)).await.status, StatusCode::BAD_REQUEST, "{sae} a second time");
    }
}

/// Routing may need a moment to see what has changed.
async fn until_given(client: &reqwest::Client, url: &str) -> site::Answer {
    until_posted(client, url, &json!({})).await
}

async fn until_posted(client: &reqwest::Client, url: &str, request: &serde_json::Value) -> site::Answer {
    for _ in 0..60 {
        let answer = post(client, url.to_owned(), request).await;
        if answer.status == StatusCode::OK {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    panic!("no keys are given");
}
