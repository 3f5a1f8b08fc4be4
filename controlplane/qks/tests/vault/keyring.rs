//! Keys at rest, guarded by the transit engine and by the key-value store.

use std::sync::Arc;

use photongate_qks::secrets::{Keyring, SecretsError};
use serde_json::json;

use crate::bao::Bao;
use crate::shelf::Shelf;
use crate::{open, settings};

#[tokio::test]
async fn what_one_process_seals_another_opens_through_the_transit_engine() {
    let bao = Bao::in_memory().await;
    bao.role("", json!({})).await;
    let shelf: Arc<Shelf> = Arc::default();
    let text = settings(&bao, &bao.address(), "transit_key = \"photongate\"");
    let sealed = open(&bao, &text, Arc::clone(&shelf) as _).await.keyring.seal(b"block 7", b"material").await.unwrap();
    let wrapped = shelf.content()[&1].clone();
    assert!(wrapped.starts_with(b"vault:v1:"));

    let other = open(&bao, &text, Arc::clone(&shelf) as _).await.keyring;
    assert_eq!(other.open(b"block 7", &sealed).await.unwrap().as_slice(), b"material");
    assert_eq!(other.open(b"block 8", &sealed).await, Err(SecretsError::Broken));
}

#[tokio::test]
async fn a_wrapped_key_that_was_changed_or_exchanged_opens_nothing() {
    let bao = Bao::in_memory().await;
    bao.role("", json!({})).await;
    let shelf: Arc<Shelf> = Arc::default();
    let text = settings(&bao, &bao.address(), "transit_key = \"photongate\"");
    let opened = open(&bao, &text, Arc::clone(&shelf) as _).await;
    let sealed = opened.keyring.seal(b"", b"material").await.unwrap();
    open(&bao, &text, Arc::clone(&shelf) as _).await.keyring.seal(b"", b"material").await.unwrap();
    let keys = shelf.content();
    let mut changed = keys[&1].clone();
    let last = changed.len() - 6;
    changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
    for wrapped in [changed, keys[&2].clone(), b"vault:v1:".to_vec(), b"nonsense".to_vec(), vec![0xff]] {
        shelf.put(1, wrapped.clone());
        let process = open(&bao, &text, Arc::clone(&shelf) as _).await.keyring;
        assert_eq!(process.open(b"", &sealed).await, Err(SecretsError::Broken), "{}", wrapped.escape_ascii());
    }
    shelf.put(1, keys[&1].clone());
    let process = open(&bao, &text, Arc::clone(&shelf) as _).await.keyring;
    assert_eq!(process.open(b"", &sealed).await.unwrap().as_slice(), b"material");
}

#[tokio::test]
async fn after_the_transit_key_was_rotated_everything_can_be_wrapped_anew() {
    let bao = Bao::in_memory().await;
    bao.role("", json!({})).await;
    let shelf: Arc<Shelf> = Arc::default();
    let text = settings(&bao, &bao.address(), "transit_key = \"photongate\"");
    let keyring = open(&bao, &text, Arc::clone(&shelf) as _).await.keyring;
    let sealed = keyring.seal(b"", b"material").await.unwrap();
    bao.put("transit/keys/photongate/rotate", json!({})).await;
    assert_eq!(keyring.rewrap(&*shelf).await, Ok(1));
    assert!(shelf.content()[&1].starts_with(b"vault:v2:"));
    bao.put("transit/keys/photongate/config", json!({ "min_decryption_version": 2 })).await;
    let other = open(&bao, &text, Arc::clone(&shelf) as _).await.keyring;
    assert_eq!(other.open(b"", &sealed).await.unwrap().as_slice(), b"material");
}

#[tokio::test]
async fn processes_that_begin_together_each_get_a_key_of_their_own_from_the_key_value_store() {
    let bao = Bao::in_memory().await;
    bao.role("", json!({})).await;
    let text = settings(&bao, &bao.address(), "key_folder = \"qks-a/keys\"");
    let mut processes = Vec::new();
    for _ in 0..6 {
        processes.push(open(&bao, &text, Arc::new(Shelf::default())).await.keyring);
    }
    let sealing = processes.iter().map(|keyring| keyring.seal(b"", b"material"));
    let sealed = futures_util::future::try_join_all(sealing).await.unwrap();
    let listed = bao.get("secret/metadata/qks-a/keys?list=true").await;
    assert_eq!(listed["data"]["keys"], json!(["1", "2", "3", "4", "5", "6"]));
    let late = open(&bao, &text, Arc::new(Shelf::default())).await.keyring;
    for sealed in &sealed {
        assert_eq!(late.open(b"", sealed).await.unwrap().as_slice(), b"material");
    }
}

#[tokio::test]
async fn a_transit_key_that_is_not_there_yet_is_waited_for() {
    let bao = Bao::in_memory().await;
    bao.role("", json!({})).await;
    let shelf: Arc<Shelf> = Arc::default();
    // Whoever may not make keys is refused one that is not there.
    let text = settings(&bao, &bao.address(), "transit_key = \"later\"");
    let keyring = open(&bao, &text, Arc::clone(&shelf) as _).await.keyring;
    assert!(matches!(keyring.seal(b"", b"material").await, Err(SecretsError::Unavailable(_))));
    bao.put("transit/keys/later", json!({})).await;
    keyring.seal(b"", b"material").await.unwrap();
}
