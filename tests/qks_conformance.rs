//! ETSI GS QKD 014 V1.1.1, row by row, against running key servers and by a client that shares no code with them.

#[path = "qks/site.rs"]
mod site;

use std::collections::HashSet;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use site::{Answer, Site, get, ids, keys, post};

/// Two servers with keys in stock, and the clients of an application at each.
struct Pair {
    site: Site,
    alice: Client,
    bob: Client,
}

impl Pair {
    async fn start() -> Self {
        let mut site = Site::new(&["a", "b"], &[("a", "b")]);
        site.start_all().await;
        site.fill("a", "b", 1 << 20);
        site.wait_for_keys("a", "sae-a", "sae-b", 1_000).await;
        let (alice, bob) = (site.client("sae-a"), site.client("sae-b"));
        Self { site, alice, bob }
    }

    /// What the application at A gets when it asks for keys.
    async fn enc(&self, request: Value) -> Answer {
        post(&self.alice, self.site.url("a", "sae-b", "enc_keys"), &request).await
    }

    /// What the application at B gets when it asks for keys of the one at A.
    async fn dec(&self, request: &Value) -> Answer {
        post(&self.bob, self.site.url("b", "sae-a", "dec_keys"), request).await
    }
}

/// Clauses 5.2 and 6.1.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_has_all_required_fields_and_says_what_can_be_asked() {
    let pair = Pair::start().await;
    let answer = get(&pair.alice, pair.site.url("a", "sae-b", "status")).await;
    assert_eq!((answer.status, answer.content_type.as_deref()), (StatusCode::OK, Some("application/json")));
    for (name, value) in [
        ("source_KME_ID", json!("qks-a")),
        ("target_KME_ID", json!("qks-b")),
        ("master_SAE_ID", json!("sae-a")),
        ("slave_SAE_ID", json!("sae-b")),
        ("key_size", json!(256)),
        ("max_key_per_request", json!(128)),
        ("max_key_size", json!(8192)),
        ("min_key_size", json!(64)),
    ] {
        assert_eq!(answer.json[name], value, "{name}");
    }
    let [stored, most] = ["stored_key_count", "max_key_count"].map(|name| answer.json[name].as_u64().unwrap());
    assert!(stored <= most && stored > 0);
    assert!(answer.json["max_SAE_ID_count"].is_u64());
}

/// Clauses 5.3, 5.4, 6.2, 6.3 and 6.4.
#[tokio::test(flavor = "multi_thread")]
async fn both_sides_get_the_same_keys_in_every_form_of_the_request() {
    let pair = Pair::start().await;
    let url = |method: &str| pair.site.url("a", "sae-b", method);
    let dec_url = pair.site.url("b", "sae-a", "dec_keys");
    let mut seen = HashSet::new();
    for (answer, number, bytes) in [
        (get(&pair.alice, url("enc_keys")).await, 1, 32),
        (get(&pair.alice, url("enc_keys?number=3&size=1024")).await, 3, 128),
        (get(&pair.alice, url("enc_keys?size=64")).await, 1, 8),
        (site::answer(pair.alice.post(url("enc_keys"))).await, 1, 32),
        (pair.enc(json!({})).await, 1, 32),
        (pair.enc(json!({"number": 128})).await, 128, 32),
        (pair.enc(json!({"number": 2, "size": 8192})).await, 2, 1_024),
        (pair.enc(json!({"number": 5, "size": 200, "what_is_this": [1]})).await, 5, 25),
        (pair.enc(json!({"extension_mandatory": [], "additional_slave_SAE_IDs": []})).await, 1, 32),
    ] {
        assert_eq!(answer.content_type.as_deref(), Some("application/json"));
        let given = keys(&answer);
        assert_eq!(given.len(), number);
        for (id, key) in &given {
            assert_eq!(id.len(), 36, "{id} is no UUID");
            assert_eq!(key.len(), usize::div_ceil(bytes, 3) * 4, "a key of {bytes} bytes");
            assert!(seen.insert(id.clone()) && seen.insert(key.clone()), "given out before");
        }
        let taken = if number == 1 {
            get(&pair.bob, format!("{dec_url}?key_ID={}", given[0].0)).await
        } else {
            pair.dec(&ids(&given)).await
        };
        assert_eq!(keys(&taken), given);
    }
}

/// Clauses 6.2 and 6.5: what is wrong with a request is answered with 400 and says so.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_break_a_rule_are_refused_with_400_and_a_message() {
    let pair = Pair::start().await;
    for (request, message) in [
        (json!({"size": 257}), "size shall be a multiple of 8"),
        (json!({"number": 0}), "number is 0"),
        (json!({"number": 129}), "number is 129"),
        (json!({"number": -1}), "-1"),
        (json!({"number": "1"}), "string"),
        (json!({"number": 1.5}), "1.5"),
        (json!({"size": 56}), "size is 56"),
        (json!({"size": 8200}), "size is 8200"),
        (json!({"size": 18446744073709551608_u64}), "size is"),
        (json!([]), ""),
        (json!({"additional_slave_SAE_IDs": ["sae-b"]}), "additional_slave_SAE_IDs"),
        (json!({"additional_slave_SAE_IDs": ["sae-a"]}), "additional_slave_SAE_IDs"),
        (json!({"additional_slave_SAE_IDs": ["sae-b2", "sae-b2"]}), "additional_slave_SAE_IDs"),
        (json!({"additional_slave_SAE_IDs": "sae-b2"}), ""),
        (
            json!({"extension_mandatory": [{"abc_route_type": "direct"}]}),
            "not all extension_mandatory parameters are supported",
        ),
        (json!({"extension_mandatory": {"abc": 1}}), ""),
        (
            json!({"extension_mandatory": [{"photongate_source": "pqc"}]}),
            "not all extension_mandatory request options could be met",
        ),
        (
            json!({"extension_mandatory": [{"photongate_max_age": 0}]}),
            "not all extension_mandatory request options could be met",
        ),
        (json!({"extension_mandatory": [{"photongate_require_direct": "yes"}]}), "photongate_require_direct"),
    ] {
        let answer = pair.enc(request.clone()).await;
        refused(&answer, message, &request.to_string());
    }
    let url = |method: &str| pair.site.url("a", "sae-b", method);
    for query in ["number=", "number=1&number=2", "number=+1", "size=abc", "sizes=1", "extension_mandatory=x"] {
        refused(&get(&pair.alice, url(&format!("enc_keys?{query}"))).await, "", query);
    }
    let unknown = pair.site.url("a", "nobody", "status");
    refused(&get(&pair.alice, unknown).await, "not known", "an unknown slave");
    let body = pair.alice.post(url("enc_keys")).header("content-type", "application/json").body("{\"number\": 1");
    refused(&site::answer(body).await, "", "half an object");
    let large = pair.alice.post(url("enc_keys")).body(vec![b' '; 4 << 20]);
    refused(&site::answer(large).await, "at most", "too large a body");
}

/// Clause 6.2: what is optional and not known does not matter.
#[tokio::test(flavor = "multi_thread")]
async fn optional_extensions_that_are_not_known_or_cannot_be_met_are_ignored() {
    let pair = Pair::start().await;
    for optional in [json!([{"abc_route": 1}]), json!([{"photongate_source": "pqc"}, {"photongate_max_age": 0}])] {
        let given = keys(&pair.enc(json!({"extension_optional": optional})).await);
        assert_eq!(keys(&pair.dec(&ids(&given)).await), given);
    }
    let met = json!([{"photongate_require_direct": true}, {"photongate_source": "qkd"}, {"photongate_max_age": 3600}]);
    keys(&pair.enc(json!({"extension_mandatory": met})).await);
}

/// Clauses 5.4 and 6.4.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_once_all_or_none_and_only_by_who_may() {
    let pair = Pair::start().await;
    let not_found = "one or more keys specified are not found on KME";
    let given = keys(&pair.enc(json!({"number": 3})).await);
    let stranger = json!({"key_IDs": [{"key_ID": given[0].0}, {"key_ID": "550e8400-e29b-41d4-a716-446655440000"}]});
    refused(&pair.dec(&stranger).await, not_found, "one of two is unknown");
    let twice = json!({"key_IDs": [{"key_ID": given[0].0}, {"key_ID": given[0].0}]});
    refused(&pair.dec(&twice).await, "twice", "the same one twice");
    for (request, message) in [
        (json!({}), "key_IDs"),
        (json!({"key_IDs": []}), "0 keys"),
        (json!({"key_IDs": [given[0].0]}), "objects"),
        (json!({"key_IDs": [{"key_ID": "no uuid"}]}), ""),
        (json!({"key_IDs": [{}]}), ""),
        (json!({"key_IDs": vec![json!({"key_ID": given[0].0}); 129]}), "129 keys"),
    ] {
        refused(&pair.dec(&request).await, message, &request.to_string());
    }
    let dec_url = pair.site.url("b", "sae-a", "dec_keys");
    for query in ["", "?key_ID=", "?key_ID=1", &format!("?key_ID={0}&key_ID={0}", given[0].0), "?key_id=x"] {
        refused(&get(&pair.bob, format!("{dec_url}{query}")).await, "", query);
    }
    // Another application of the same server, and another master in the path.
    let other = pair.site.client("sae-b2");
    let denied = post(&other, pair.site.url("b", "sae-a", "dec_keys"), &ids(&given)).await;
    assert_eq!((denied.status, denied.text.as_str()), (StatusCode::UNAUTHORIZED, ""));
    let other_master = post(&pair.bob, pair.site.url("b", "sae-a2", "dec_keys"), &ids(&given)).await;
    refused(&other_master, not_found, "another master");
    // None of that has consumed anything.
    assert_eq!(keys(&pair.dec(&ids(&given[1..])).await), given[1..]);
    refused(&pair.dec(&ids(&given)).await, not_found, "two were fetched already");
    assert_eq!(keys(&pair.dec(&ids(&given[..1])).await), given[..1]);
    refused(&pair.dec(&ids(&given[..1])).await, not_found, "fetched already");
}

/// Clauses 4 and 5.1.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_registered_application_with_a_certificate_is_served() {
    let pair = Pair::start().await;
    let url = pair.site.url("a", "sae-b", "status");
    let stranger = get(&pair.site.client("stranger"), url.clone()).await;
    assert_eq!((stranger.status, stranger.text.as_str()), (StatusCode::UNAUTHORIZED, ""));
    // One of server B, which A does not serve.
    let elsewhere = get(&pair.bob, url.clone()).await;
    assert_eq!((elsewhere.status, elsewhere.text.as_str()), (StatusCode::UNAUTHORIZED, ""));
    assert!(pair.site.anonymous().get(&url).send().await.is_err(), "no certificate");
    let forged = pair.site.client_of("other-pki", "sae-a").unwrap();
    assert!(forged.get(&url).send().await.is_err(), "the same name from another authority");
}

/// HTTP itself (RFC 9110).
#[tokio::test(flavor = "multi_thread")]
async fn other_methods_and_paths_are_refused_as_http_has_it() {
    let pair = Pair::start().await;
    let url = |method: &str| pair.site.url("a", "sae-b", method);
    assert_eq!(site::answer(pair.alice.put(url("enc_keys"))).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(site::answer(pair.alice.post(url("status"))).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(get(&pair.alice, url("keys")).await.status, StatusCode::NOT_FOUND);
}

/// Tables 4, 6 and 8: 503 when the server cannot.
#[tokio::test(flavor = "multi_thread")]
async fn without_key_material_or_neighbour_the_answer_is_503_and_nothing_is_lost() {
    let mut site = Site::new(&["a", "b"], &[("a", "b")]);
    site.start_all().await;
    let alice = site.client("sae-a");
    let url = site.url("a", "sae-b", "enc_keys");
    let exhausted = get(&alice, url.clone()).await;
    assert_eq!(exhausted.status, StatusCode::SERVICE_UNAVAILABLE, "{exhausted:?}");
    assert!(exhausted.json["message"].is_string());
    site.fill("a", "b", 1 << 19);
    site.wait_for_keys("a", "sae-a", "sae-b", 1_000).await;
    site.kill("b");
    for _ in 0..200 {
        assert_eq!(get(&alice, url.clone()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    site.start("b").await;
    site.wait_for_keys("a", "sae-a", "sae-b", 1_000).await;
    keys(&get(&alice, url).await);
}

/// Annex B, as far as one server has several applications.
#[tokio::test(flavor = "multi_thread")]
async fn further_applications_get_the_same_keys_each_once() {
    let pair = Pair::start().await;
    let given = keys(&pair.enc(json!({"number": 2, "additional_slave_SAE_IDs": ["sae-b2"]})).await);
    let second = pair.site.client("sae-b2");
    let url = pair.site.url("b", "sae-a", "dec_keys");
    assert_eq!(keys(&pair.dec(&ids(&given)).await), given);
    assert_eq!(keys(&post(&second, url.clone(), &ids(&given)).await), given);
    assert_eq!(post(&second, url, &ids(&given)).await.status, StatusCode::BAD_REQUEST);
}

/// Two applications of one server.
#[tokio::test(flavor = "multi_thread")]
async fn applications_of_the_same_server_share_keys_too() {
    let pair = Pair::start().await;
    let given = keys(&post(&pair.alice, pair.site.url("a", "sae-a2", "enc_keys"), &json!({"number": 4})).await);
    let second = pair.site.client("sae-a2");
    assert_eq!(keys(&post(&second, pair.site.url("a", "sae-a", "dec_keys"), &ids(&given)).await), given);
}

/// Our own extensions.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_an_idempotency_key_can_be_repeated_without_burning_keys() {
    let pair = Pair::start().await;
    let request = json!({"number": 2, "extension_mandatory": [{"photongate_idempotency_key": "once"}]});
    let given = keys(&pair.enc(request.clone()).await);
    assert_eq!(keys(&pair.enc(request).await), given);
    let other = json!({"number": 3, "extension_mandatory": [{"photongate_idempotency_key": "once"}]});
    refused(&pair.enc(other).await, "earlier request", "the same name for another request");
    let mut request = ids(&given);
    request["key_IDs_extension"] = json!({"photongate_idempotency_key": "fetch"});
    assert_eq!(keys(&pair.dec(&request).await), given);
    assert_eq!(keys(&pair.dec(&request).await), given);
    assert_eq!(pair.dec(&ids(&given)).await.status, StatusCode::BAD_REQUEST, "without the name they are gone");
}

/// Keys are for those who get them, and for nobody who reads logs.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_is_in_a_log_at_any_level() {
    let pair = Pair::start().await;
    let given = keys(&pair.enc(json!({"number": 10})).await);
    pair.dec(&ids(&given)).await;
    for server in ["a", "b"] {
        let log = pair.site.log(server);
        assert!(log.len() > 1_000, "the log is there");
        for (_, key) in &given {
            assert!(!log.contains(key), "a key is in the log of {server}");
        }
    }
}

fn refused(answer: &Answer, message: &str, case: &str) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{case}: {answer:?}");
    let said = answer.json["message"].as_str().unwrap_or_else(|| panic!("{case}: no message: {answer:?}"));
    assert!(said.contains(message), "{case}: {said}");
    let details = answer.json.get("details");
    assert!(details.is_none_or(|details| details.as_array().unwrap().iter().all(Value::is_object)), "{case}");
}
