//! What a key server leans on fails while it runs, and comes back: alarms say so, and end by themselves.

#[path = "../controlplane/qks/tests/vault/bao.rs"]
mod bao;
#[path = "qks/operator.rs"]
mod operator;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "qks/site.rs"]
mod site;

use std::fs;
use std::time::Instant;

use bao::Bao;
use operator::administer;
use postgres::Postgres;
use reqwest::Method;
use serde_json::{Value, json};
use site::{LOOK_AROUND, PATIENCE, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_sealed_or_away_raises_an_alarm_until_it_serves_again() {
    let mut bao = Bao::on_disk(None).await;
    bao.role("", json!({})).await;
    let mut site = Site::new(&["a"], &[]);
    let role_id = fs::read_to_string(bao.folder().join("role-id")).unwrap();
    site.more = format!(
        "[secrets.vault]\naddress = \"{}\"\nrole_id = \"{role_id}\"\nsecret_id = {{ file = \"{}\" }}\n",
        bao.address(),
        bao.folder().join("secret-id").display(),
    );
    site.start("a").await;
    assert_eq!(alarm(&site, "vault_unavailable").await, None);

    bao.seal().await;
    let sealed = until(&site, "vault_unavailable", true).await.unwrap();
    assert!(sealed["message"].as_str().unwrap().contains("sealed"), "{sealed}");
    assert!(sealed["since"].is_string() && !sealed["advice"].as_str().unwrap().is_empty(), "{sealed}");
    bao.unseal().await;
    until(&site, "vault_unavailable", false).await;

    bao.kill();
    let away = until(&site, "vault_unavailable", true).await.unwrap();
    assert!(!away["message"].as_str().unwrap().contains("sealed"), "{away}");
    bao.start();
    bao.unseal().await;
    until(&site, "vault_unavailable", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_raises_an_alarm_until_it_answers_again() {
    let mut database = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let mut site = Site::new(&["a"], &[]);
    site.databases.insert("a".to_owned(), database.url("postgres"));
    site.start("a").await;
    assert_eq!(alarm(&site, "database_unavailable").await, None);
    database.stop();
    let away = until(&site, "database_unavailable", true).await.unwrap();
    assert_eq!(away["of"], "database", "{away}");
    database.start_again();
    until(&site, "database_unavailable", false).await;
}

/// Waits until there is an alarm of a kind, or none.
async fn until(site: &Site, kind: &str, is_there: bool) -> Option<Value> {
    let begun = Instant::now();
    loop {
        let alarm = alarm(site, kind).await;
        if alarm.is_some() == is_there {
            return alarm;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {alarm:?}\n{}", site.log("a"));
        tokio::time::sleep(LOOK_AROUND).await;
    }
}

async fn alarm(site: &Site, kind: &str) -> Option<Value> {
    let alarms = administer(site, "a", "read", Method::GET, "alarms", None).await.json;
    alarms.as_array().unwrap().iter().find(|alarm| alarm["kind"] == kind).cloned()
}
