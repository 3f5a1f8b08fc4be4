//! Keys that are asked for while key servers start and find one another.

#[path = "qks/site.rs"]
mod site;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use photongate_net::secret_file;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use site::{LOOK_AROUND, PATIENCE, Site, free_port, ids};

/// Blocks change hands all the time then: each end has yet to get some, and asks for those of the other.
#[tokio::test(flavor = "multi_thread")]
async fn keys_asked_for_from_the_first_instant_on_come_as_soon_as_there_are_some_and_are_the_same_at_both_ends() {
    let mut site = Site::new(&["a", "b", "c"], &[("a", "b"), ("b", "c")]);
    launch_with_two_sources_a_link(&mut site);
    let given = Arc::new(AtomicUsize::new(0));
    let ways = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")];
    let asking = ways.map(|(from, to)| tokio::spawn(exchange(&site, from, to, Arc::clone(&given))));
    for asking in asking {
        asking.await.unwrap();
    }
}

/// Asks for keys and fetches them, until everybody together has got some.
fn exchange(site: &Site, from: &str, to: &str, given: Arc<AtomicUsize>) -> impl Future<Output = ()> + use<> {
    let (master, slave) = (format!("sae-{from}"), format!("sae-{to}"));
    let (enc, dec) = (site.url(from, &slave, "enc_keys"), site.url(to, &master, "dec_keys"));
    let (at_master, at_slave) = (site.client(&master), site.client(&slave));
    async move {
        let begun = Instant::now();
        let mut has_got = false;
        while !has_got || given.load(SeqCst) < ENOUGH {
            assert!(begun.elapsed() < PATIENCE, "{master} gets no keys for {slave}");
            match ask(&at_master, &enc, &json!({"number": 8})).await {
                Some((StatusCode::OK, answer)) => {
                    let keys = named(&answer);
                    let (status, answer) = ask(&at_slave, &dec, &ids(&keys)).await.expect("both ends are there");
                    assert_eq!((status, named(&answer)), (StatusCode::OK, keys));
                    has_got = true;
                    given.fetch_add(1, SeqCst);
                }
                Some((status, answer)) => {
                    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
                    let message = answer["message"].as_str().unwrap();
                    assert!(YET.iter().any(|why| message.starts_with(why)), "{message}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                None => tokio::time::sleep(LOOK_AROUND).await,
            }
        }
    }
}

/// Starts all servers, with simulated QKD and ML-KEM on each link.
fn launch_with_two_sources_a_link(site: &mut Site) {
    let secret = site.path("a").join("secret");
    secret_file::replace(&secret, b"0123456789abcdef").unwrap();
    let links = [("a", "b", free_port()), ("b", "c", free_port())];
    for server in ["a", "b", "c"] {
        site.more.clear();
        for (one, other, light) in links {
            let (end, neighbour) = match server {
                _ if server == one => ("connect", other),
                _ if server == other => ("listen", one),
                _ => continue,
            };
            let _ = write!(
                site.more,
                "[[links]]\nname = \"light-{one}{other}\"\nneighbour = \"qks-{neighbour}\"\n[[links.sources]]\nkind = \"bb84\"\n\
                 {end} = \"127.0.0.1:{light}\"\nsecret = {{ file = \"{}\" }}\nblock_bits = 65536\nprobe_bits = 4096\n\
                 probes = 1\nprobe_pause_ms = 200\n[[links.sources]]\nkind = \"mlkem\"\ninterval = \"20ms\"\n",
                secret.display(),
            );
        }
        site.launch(server, &[]);
    }
}

/// An answer; none while the server does not listen yet.
async fn ask(client: &Client, url: &str, body: &Value) -> Option<(StatusCode, Value)> {
    let request = client.post(url).header("content-type", "application/json").body(body.to_string());
    let answer = request.send().await.ok()?;
    let status = answer.status();
    Some((status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null)))
}

fn named(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let keys = answer["keys"].as_array().unwrap_or_else(|| panic!("{answer}"));
    keys.iter().map(|key| (text(&key["key_ID"]), text(&key["key"]))).collect()
}

/// Why there may be no keys yet.
const YET: [&str; 2] = ["there is not enough key material", "the other key server cannot be reached"];

/// Answers with keys, all ways together.
const ENOUGH: usize = 60;
