//! Three processes that are one key server, on one PostgreSQL database: no key is given twice, whatever becomes of them.

#[path = "support/postgres.rs"]
mod postgres;
#[path = "qks/site.rs"]
mod site;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postgres::Postgres;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use site::{Site, answer, ids, keys, post};

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_share_a_stock_give_no_key_twice_under_load() {
    let (_server, mut site) = start_processes().await;
    site.fill("a", "b", 8 << 20);
    for process in A {
        site.wait_for_keys(process, "sae-a", "sae-b", 1_000).await;
    }
    let load = Load::begin(&site);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let given = load.end().await;
    for process in A {
        assert!(given.iter().any(|given| given.by == process), "{process} gave nothing");
    }
    check(&site, given).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_one_process_is_fetched_at_any_other_and_once() {
    let (_server, mut site) = start_processes().await;
    site.fill("a", "b", 4 << 20);
    for process in ["b", A[0], A[1], A[2]] {
        let (master, slave) = if process == "b" { ("sae-b", "sae-a") } else { ("sae-a", "sae-b") };
        site.wait_for_keys(process, master, slave, 100).await;
    }
    let bob = site.client("sae-b");
    for process in A {
        let (client, other) = (site.client("sae-a"), site.client("sae-a2"));
        let given = keys(&post(&bob, site.url("b", "sae-a", "enc_keys"), &json!({"number": 2})).await);
        assert_eq!(keys(&post(&client, site.url(process, "sae-b", "dec_keys"), &ids(&given)).await), given);
        for again in A {
            let refused = post(&client, site.url(again, "sae-b", "dec_keys"), &ids(&given)).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "a second time, at {again}");
        }
        // Applications of the same server: what one process gives, the others know.
        let given = keys(&post(&client, site.url(process, "sae-a2", "enc_keys"), &json!({})).await);
        assert_eq!(keys(&post(&other, site.url(A[0], "sae-a", "dec_keys"), &ids(&given)).await), given);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_killed_and_held_up_under_load_give_no_key_twice() {
    let (_server, mut site) = start_processes().await;
    site.fill("a", "b", 16 << 20);
    for process in A {
        site.wait_for_keys(process, "sae-a", "sae-b", 1_000).await;
    }
    let mut given = Vec::new();
    for round in 0..6 {
        let load = Load::begin(&site);
        tokio::time::sleep(Duration::from_millis(300 + 170 * round)).await;
        let victim = A[round as usize % A.len()];
        // The one that has the chair among them; some only sleep until others have taken over what they had.
        if round % 2 == 0 {
            site.kill(victim);
            tokio::time::sleep(Duration::from_secs(1)).await;
            site.start(victim).await;
        } else {
            site.hold(victim, true);
            tokio::time::sleep(Duration::from_secs(7)).await;
            site.hold(victim, false);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        given.extend(load.end().await);
        site.wait_for_keys(victim, "sae-a", "sae-b", 100).await;
    }
    check(&site, given).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_a_server_answers_503_and_recovers_by_itself() {
    let (mut server, mut site) = start_processes().await;
    site.fill("a", "b", 4 << 20);
    for process in A {
        site.wait_for_keys(process, "sae-a", "sae-b", 100).await;
    }
    let (alice, bob) = (site.client("sae-a"), site.client("sae-b"));
    site.wait_for_keys("b", "sae-b", "sae-a", 100).await;
    let given = keys(&post(&bob, site.url("b", "sae-a", "enc_keys"), &json!({})).await);
    server.stop();
    for process in A {
        let refused = post(&alice, site.url(process, "sae-b", "dec_keys"), &ids(&given)).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
        assert!(refused.json["message"].is_string(), "{refused:?}");
    }
    server.start_again();
    for process in A {
        site.wait_for_keys(process, "sae-a", "sae-b", 100).await;
    }
    assert_eq!(keys(&post(&alice, site.url(A[1], "sae-b", "dec_keys"), &ids(&given)).await), given);
    let load = Load::begin(&site);
    tokio::time::sleep(Duration::from_secs(2)).await;
    check(&site, load.end().await).await;
}

/// Two servers: one of three processes on PostgreSQL, and its neighbour.
async fn start_processes() -> (Postgres, Site) {
    let server = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let mut site = Site::new(&[A[0], A[1], A[2], "b"], &[("a", "b")]);
    site.databases.insert("a".to_owned(), server.url("postgres"));
    // All at once: the tables are made by one of them.
    site.start_all().await;
    (server, site)
}

/// Keys, and which process gave them.
struct Given {
    by: &'static str,
    keys: Vec<(String, String)>,
}

/// Applications that ask all processes for keys, as fast as they get them.
struct Load {
    stop: Arc<AtomicBool>,
    given: Arc<Mutex<Vec<Given>>>,
    asking: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn begin(site: &Site) -> Self {
        let (stop, given) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<Given>>>::default());
        let mut asking = Vec::new();
        for process in A.into_iter().chain(A) {
            let (client, url) = (site.client("sae-a"), site.url(process, "sae-b", "enc_keys"));
            let (stop, given) = (Arc::clone(&stop), Arc::clone(&given));
            asking.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    match ask(&client, &url).await {
                        Some(keys) => given.lock().unwrap().push(Given { by: process, keys }),
                        None => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                }
            }));
        }
        Self { stop, given, asking }
    }

    async fn end(self) -> Vec<Given> {
        self.stop.store(true, Ordering::Relaxed);
        for asking in self.asking {
            asking.await.unwrap();
        }
        std::mem::take(&mut *self.given.lock().unwrap())
    }
}

async fn ask(client: &Client, url: &str) -> Option<Vec<(String, String)>> {
    let response =
        client.post(url).timeout(Duration::from_secs(5)).body(json!({"number": 3}).to_string()).send().await.ok()?;
    let is_given = response.status() == StatusCode::OK;
    let answer: Value = response.json().await.ok()?;
    let keys = answer["keys"].as_array().filter(|_| is_given)?;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Some(keys.iter().map(|key| (text(&key["key_ID"]), text(&key["key"]))).collect())
}

/// No ID and no key was given twice, and the other side gets the same.
async fn check(site: &Site, given: Vec<Given>) {
    let all: Vec<_> = given.iter().flat_map(|given| &given.keys).collect();
    assert!(all.len() > 100, "only {} keys were given", all.len());
    assert_eq!(all.iter().map(|(id, _)| id).collect::<HashSet<_>>().len(), all.len(), "an ID was given twice");
    assert_eq!(all.iter().map(|(_, key)| key).collect::<HashSet<_>>().len(), all.len(), "a key was given twice");
    let bob = site.client("sae-b");
    let url = site.url("b", "sae-a", "dec_keys");
    let mut fetched = HashMap::new();
    for given in &given {
        let answer = answer(bob.post(&url).body(ids(&given.keys).to_string())).await;
        assert_eq!(answer.status, StatusCode::OK, "keys that were given are not there: {answer:?}");
        fetched.extend(keys(&answer));
    }
    for (id, key) in all {
        assert_eq!(fetched.get(id), Some(key), "the two sides have different keys for {id}");
    }
}

const A: [&str; 3] = ["a", "a.2", "a.3"];
