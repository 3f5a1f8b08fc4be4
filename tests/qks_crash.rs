//! What a key server loses when it is killed at any moment: keys that nobody has got, and nothing else.

#[path = "qks/site.rs"]
mod site;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_again_and_again_gives_no_key_twice_and_no_two_keys_for_one_id() {
    let mut site = Site::new(&["a", "b"], &[("a", "b")]);
    site.start_all().await;
    site.fill("a", "b", 8 << 20);
    site.wait_for_keys("a", "sae-a", "sae-b", 1_000).await;
    let given: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let mut fetched: HashMap<String, String> = HashMap::new();
    for round in 0..10 {
        let asking: Vec<_> = (0..8)
            .map(|_| tokio::spawn(ask(site.client("sae-a"), site.url("a", "sae-b", "enc_keys"), Arc::clone(&given))))
            .collect();
        // Another moment each round, in the middle of the work.
        tokio::time::sleep(Duration::from_millis(40 + 37 * round)).await;
        let victim = if round % 2 == 0 { "a" } else { "b" };
        site.kill(victim);
        for asking in asking {
            asking.await.unwrap();
        }
        site.start(victim).await;
        site.wait_for_keys("a", "sae-a", "sae-b", 100).await;
        fetch(&site, &given, &mut fetched).await;
    }
    let given = given.lock().unwrap();
    assert!(given.len() > 100, "only {} keys were given out", given.len());
    let ids: HashMap<_, _> = given.iter().cloned().collect();
    assert_eq!(ids.len(), given.len(), "an ID was given twice");
    let mut keys: Vec<_> = ids.values().collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), given.len(), "a key was given twice");
    for (id, key) in &fetched {
        assert_eq!(ids.get(id), Some(key), "the two sides have different keys for {id}");
    }
    // A request whose answer was lost on its way to the slave is used up; all others are there.
    assert!(fetched.len() + 64 > given.len(), "{} of {} keys were fetched", fetched.len(), given.len());
}

/// Asks for keys until the server is gone.
async fn ask(client: Client, url: String, given: Arc<Mutex<Vec<(String, String)>>>) {
    for _ in 0..10_000 {
        let Ok(response) = client.post(&url).body(json!({"number": 3}).to_string()).send().await else { return };
        let Ok(answer) = response.json::<Value>().await else { return };
        let Some(keys) = answer["keys"].as_array() else { return };
        let mut given = given.lock().unwrap();
        given.extend(keys.iter().map(|key| (text(&key["key_ID"]), text(&key["key"]))));
    }
}

/// Fetches at the other side what was not fetched yet.
async fn fetch(site: &Site, given: &Mutex<Vec<(String, String)>>, fetched: &mut HashMap<String, String>) {
    let client = site.client("sae-b");
    let missing: Vec<_> = given.lock().unwrap().iter().filter(|(id, _)| !fetched.contains_key(id)).cloned().collect();
    for (id, _) in missing {
        let url = format!("{}?key_ID={id}", site.url("b", "sae-a", "dec_keys"));
        let answer = site::get(&client, url).await;
        if let Some(key) = answer.json["keys"].as_array().and_then(|keys| keys.first()) {
            assert!(fetched.insert(text(&key["key_ID"]), text(&key["key"])).is_none());
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
