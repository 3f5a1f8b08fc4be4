//! Three processes that are one key server, on one PostgreSQL database: no key is given twice, whatever becomes of them.

#[path = "qks/load.rs"]
mod load;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "qks/site.rs"]
mod site;

use std::time::{Duration, Instant};

use load::{Ledger, Load};
use postgres::Postgres;
use reqwest::StatusCode;
use serde_json::json;
use site::{LOOK_AROUND, PATIENCE, Site, get, ids, keys, post};

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_share_a_stock_give_no_key_twice_under_load() {
    let (_server, mut site) = start_processes().await;
    site.fill("a", "b", 8 << 20);
    for process in A {
        site.wait_for_keys(process, "sae-a", "sae-b", 1_000).await;
    }
    let mut ledger = Ledger::default();
    load_for(Duration::from_secs(4), &site, &mut ledger).await;
    for process in A {
        assert!(ledger.count(process, "b") > 0, "{process} gave nothing");
    }
    ledger.settle(&site, 0, "afterwards").await;
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
async fn any_process_has_the_drkeys_that_other_servers_make() {
    let (_server, mut site) = start_processes().await;
    site.fill("a", "b", 4 << 20);
    site.wait_for_keys("b", "sae-b", "sae-a", 100).await;
    let now = photongate_net::now().0 / 1_000_000_000;
    let query = |at: u64| format!("fast=1-ff00:0:b&slow=1-ff00:0:a&protocol=0&at={at}");
    let filter = site.client("filter-a");
    // Each process asks for one that no other has, and for one that all have.
    for (process, later) in A.into_iter().zip(1..) {
        for at in [now, now + later * 3_600] {
            let fetched = get(&filter, site.drkey_url(process, &query(at))).await;
            assert_eq!(fetched.status, StatusCode::OK, "{process}: {fetched:?}");
            let made = get(&site.client("filter-b"), site.drkey_url("b", &query(at))).await;
            assert_eq!(fetched.json, made.json, "{process}");
        }
    }
    // Whoever has the chair then does it.
    site.kill(A[0]);
    for process in [A[1], A[2]] {
        let begun = Instant::now();
        while get(&filter, site.drkey_url(process, &query(now + 10 * 3_600))).await.status != StatusCode::OK {
            assert!(begun.elapsed() < PATIENCE, "{}", site.log(process));
            tokio::time::sleep(LOOK_AROUND).await;
        }
    }
    let none = get(&filter, site.drkey_url(A[1], &query(now).replace("0:b", "0:c"))).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND, "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_killed_and_held_up_under_load_give_no_key_twice() {
    let (_server, mut site) = start_processes().await;
    site.fill("a", "b", 16 << 20);
    for process in A {
        site.wait_for_keys(process, "sae-a", "sae-b", 1_000).await;
    }
    let mut ledger = Ledger::default();
    for round in 0..6 {
        let load = Load::begin(&site, &WAYS, &json!({"number": 3}));
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
        load.end(&mut ledger, victim).await;
        site.wait_for_keys(victim, "sae-a", "sae-b", 100).await;
        ledger.settle(&site, 0, victim).await;
    }
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
    let mut ledger = Ledger::default();
    load_for(Duration::from_secs(2), &site, &mut ledger).await;
    assert!(WAYS.iter().any(|(process, _)| ledger.count(process, "b") > 0));
    ledger.settle(&site, 0, "afterwards").await;
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

/// Has applications ask all processes, twice as many as there are.
async fn load_for(time: Duration, site: &Site, ledger: &mut Ledger) {
    let load = Load::begin(site, &WAYS, &json!({"number": 3}));
    tokio::time::sleep(time).await;
    load.end(ledger, "under load").await;
}

/// The processes of one server.
const A: [&str; 3] = ["a", "a.2", "a.3"];

const WAYS: [(&str, &str); 6] = [(A[0], "b"), (A[1], "b"), (A[2], "b"), (A[0], "b"), (A[1], "b"), (A[2], "b")];
