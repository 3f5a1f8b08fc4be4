//! The conversation with the Vault: how it begins, goes on, breaks off, and is taken up again.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use photongate_net::pki::{Host, Pki, Role, Site, Wanted};
use photongate_net::secret_file;
use photongate_qks::secrets::{Keyring, SecretRef, SecretRefError, SecretsError, Vault, VaultHealth};
use photongate_wire::{Nanos, UnixNanos};
use serde_json::json;

use crate::bao::{Bao, Tls};
use crate::shelf::Shelf;
use crate::slow::SlowWay;
use crate::{eventually, open, settings};

#[tokio::test]
async fn a_sealed_vault_holds_up_only_what_needs_it_and_nothing_once_it_is_unsealed() {
    let bao = Bao::on_disk(None).await;
    bao.role("", json!({})).await;
    let shelf: Arc<Shelf> = Arc::default();
    let text = settings(&bao, &bao.address(), "transit_key = \"photongate\"");
    let foreign = open(&bao, &text, Arc::clone(&shelf) as _).await.keyring.seal(b"", b"foreign").await.unwrap();
    let opened = open(&bao, &text, Arc::new(Shelf::default())).await;
    let (keyring, vault) = (opened.keyring, opened.vault.unwrap());
    let own = keyring.seal(b"", b"own").await.unwrap();
    let late = open(&bao, &text, Arc::clone(&shelf) as _).await;

    bao.seal().await;
    assert_eq!(vault.health().await, VaultHealth::Sealed);
    assert!(matches!(vault.ready().await, Err(SecretsError::Unavailable(why)) if why.contains("sealed")));
    for _ in 0..100 {
        assert_eq!(keyring.open(b"", &own).await.unwrap().as_slice(), b"own");
        keyring.seal(b"", b"more").await.unwrap();
        assert!(matches!(vault.load("qks-a/master").await, Err(SecretsError::Unavailable(_))));
    }
    // What was not unwrapped before cannot be now, nor by a process that begins now.
    let starting = open(&bao, &text, Arc::clone(&shelf) as _).await;
    assert!(matches!(starting.keyring.open(b"", &foreign).await, Err(SecretsError::Unavailable(_))));
    assert!(matches!(starting.keyring.seal(b"", b"new").await, Err(SecretsError::Unavailable(_))));

    bao.unseal().await;
    eventually(async || vault.ready().await).await;
    for opened in [late, starting] {
        let plain = eventually(async || opened.keyring.open(b"", &foreign).await).await;
        assert_eq!(plain.as_slice(), b"foreign");
        eventually(async || opened.keyring.seal(b"", b"new").await).await;
    }
}

#[tokio::test]
async fn a_vault_that_was_killed_is_found_again() {
    let mut bao = Bao::on_disk(None).await;
    bao.role("", json!({})).await;
    let vault = vault(&bao, &bao.address(), "").await;
    assert_eq!(vault.create("qks-a/master", b"secret").await, Ok(true));
    bao.kill();
    assert!(matches!(vault.load("qks-a/master").await, Err(SecretsError::Unavailable(_))));
    assert!(matches!(vault.health().await, VaultHealth::Unreachable(_)));
    bao.start();
    bao.unseal().await;
    let secret = eventually(async || vault.load("qks-a/master").await).await;
    assert_eq!(secret.unwrap().as_slice(), b"secret");
}

#[tokio::test]
async fn a_vault_may_come_later_than_the_server() {
    let mut bao = Bao::on_disk(None).await;
    bao.role("", json!({})).await;
    bao.kill();
    let vault = vault(&bao, &bao.address(), "").await;
    assert!(vault.ready().await.is_err());
    bao.start();
    bao.unseal().await;
    eventually(async || vault.ready().await).await;
    assert_eq!(eventually(async || vault.load("qks-a/master").await).await, None);
}

#[tokio::test]
async fn one_token_is_renewed_for_as_long_as_it_may_be() {
    let bao = Bao::in_memory().await;
    bao.role("", json!({ "token_ttl": "2s", "token_max_ttl": "1h" })).await;
    let vault = vault(&bao, &bao.address(), "").await;
    vault.ready().await.unwrap();
    let tokens = async || bao.get("auth/token/accessors?list=true").await["data"]["keys"].clone();
    let before = tokens().await;
    assert_eq!(before.as_array().unwrap().len(), 2, "ours and root's");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(tokens().await, before);
    assert_eq!(vault.create("qks-a/master", b"secret").await, Ok(true));
}

#[tokio::test]
async fn tokens_that_end_are_replaced_before_anybody_notices() {
    let bao = Bao::in_memory().await;
    bao.role("", json!({ "token_ttl": "2s", "token_max_ttl": "5s" })).await;
    let vault = vault(&bao, &bao.address(), "").await;
    vault.create("qks-a/master", b"secret").await.unwrap();
    let until = Instant::now() + Duration::from_secs(12);
    while Instant::now() < until {
        assert_eq!(vault.load("qks-a/master").await.unwrap().unwrap().as_slice(), b"secret");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_token_that_was_revoked_is_replaced_within_the_call_that_finds_out() {
    let bao = Bao::in_memory().await;
    bao.role("", json!({ "token_ttl": "1h" })).await;
    let vault = vault(&bao, &bao.address(), "").await;
    vault.create("qks-a/master", b"secret").await.unwrap();
    bao.put("sys/leases/revoke-prefix/auth/approle/login", json!({})).await;
    assert_eq!(vault.load("qks-a/master").await.unwrap().unwrap().as_slice(), b"secret");
}

#[tokio::test]
async fn what_the_role_may_not_do_is_denied_without_logging_in_again() {
    let bao = Bao::in_memory().await;
    bao.role("", json!({ "token_policies": "default", "token_ttl": "1h" })).await;
    let vault = vault(&bao, &bao.address(), "").await;
    vault.ready().await.unwrap();
    for _ in 0..20 {
        let denied = vault.load("qks-a/master").await;
        assert!(matches!(denied, Err(SecretsError::Unavailable(why)) if why.contains("permission denied")));
    }
    // Our token and root's, and no other.
    assert_eq!(bao.get("auth/token/accessors?list=true").await["data"]["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn another_secret_id_is_taken_from_its_file_when_the_old_one_ends() {
    let bao = Bao::in_memory().await;
    bao.role("", json!({ "token_ttl": "1h" })).await;
    let good = fs::read(bao.folder().join("secret-id")).unwrap();
    secret_file::replace(&bao.folder().join("secret-id"), b"11111111-2222-3333-4444-555555555555").unwrap();
    let vault = vault(&bao, &bao.address(), "").await;
    let refused = vault.ready().await.unwrap_err().to_string();
    assert!(refused.contains("the Vault does not let us log in: invalid role or secret ID"), "{refused}");
    secret_file::replace(&bao.folder().join("secret-id"), &good).unwrap();
    eventually(async || vault.ready().await).await;
}

#[tokio::test]
async fn a_token_of_somebody_elses_can_be_used_as_well() {
    let bao = Bao::in_memory().await;
    secret_file::create(&bao.folder().join("token"), "root\n").unwrap();
    let text = format!(
        "[secrets]\nmaster_key = {{ vault = \"qks-a#master\" }}\n\
         [secrets.vault]\naddress = {:?}\ntoken = {{ file = \"token\" }}\n",
        bao.address()
    );
    bao.put("secret/data/qks-a", json!({ "data": { "master": "ab".repeat(32), "number": 7 } })).await;
    let opened = open(&bao, &text, Arc::new(Shelf::default())).await;
    opened.keyring.seal(b"", b"material").await.unwrap();

    let vault = opened.vault.as_ref();
    let reference = |field: &str| SecretRef::Vault { path: "qks-a".to_owned(), field: field.to_owned() };
    assert_eq!(reference("master").resolve(vault).await.unwrap().as_str(), "ab".repeat(32));
    for field in ["number", "other"] {
        assert!(matches!(reference(field).resolve(vault).await, Err(SecretRefError::NotInVault { .. })));
    }
}

#[tokio::test]
async fn a_vault_of_another_authority_is_not_spoken_to() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, other) = (authority(folder.path(), "one"), authority(folder.path(), "other"));
    let bao = Bao::on_disk(Some(&tls)).await;
    bao.role("", json!({})).await;
    let stranger = vault(&bao, &bao.address(), &format!("ca = {:?}", other.ca)).await;
    let refused = stranger.ready().await.unwrap_err().to_string();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    assert!(matches!(stranger.load("qks-a/master").await, Err(SecretsError::Unavailable(_))));
    let vault = vault(&bao, &bao.address(), &format!("ca = {:?}", tls.ca)).await;
    vault.ready().await.unwrap();
    assert_eq!(vault.create("qks-a/master", b"secret").await, Ok(true));
}

#[tokio::test]
async fn each_namespace_has_roles_and_secrets_of_its_own() {
    let bao = Bao::in_memory().await;
    bao.put("sys/namespaces/team", json!({})).await;
    bao.furnish("team/").await;
    bao.role("team/", json!({})).await;
    let outside = vault(&bao, &bao.address(), "").await;
    assert!(outside.ready().await.is_err());
    let shelf = Arc::new(Shelf::default());
    let text = settings(&bao, &bao.address(), "namespace = \"team\"\ntransit_key = \"photongate\"");
    let opened = open(&bao, &text, Arc::clone(&shelf) as _).await;
    let sealed = opened.keyring.seal(b"", b"material").await.unwrap();
    let again = open(&bao, &text, shelf).await;
    assert_eq!(again.keyring.open(b"", &sealed).await.unwrap().as_slice(), b"material");
    assert_eq!(opened.vault.unwrap().create("qks-a/master", b"secret").await, Ok(true));
    assert_eq!(bao.get("team/secret/data/qks-a/master").await["data"]["data"]["value"], "c2VjcmV0");
}

#[tokio::test]
async fn a_vault_that_does_not_answer_keeps_one_waiting_and_not_everybody() {
    let bao = Bao::in_memory().await;
    bao.role("", json!({})).await;
    let way = SlowWay::to(bao.port()).await;
    let shelf: Arc<Shelf> = Arc::default();
    let text = settings(&bao, &bao.address(), "transit_key = \"photongate\"");
    let foreign = open(&bao, &text, Arc::clone(&shelf) as _).await.keyring.seal(b"", b"foreign").await.unwrap();
    let address = format!("http://127.0.0.1:{}", way.port);
    let text = settings(&bao, &address, "transit_key = \"photongate\"\ntimeout = \"300ms\"");
    let opened = open(&bao, &text, Arc::new(Shelf::default())).await;
    let (keyring, vault) = (opened.keyring, opened.vault.unwrap());
    let own = eventually(async || keyring.seal(b"", b"own").await).await;

    way.set_slow(true);
    // Until the connections that are open have been cut.
    while vault.load("qks-a/master").await.is_ok() {}
    let before = way.waiting();
    for _ in 0..1_000 {
        assert!(matches!(vault.load("qks-a/master").await, Err(SecretsError::Unavailable(_))));
        assert_eq!(keyring.open(b"", &own).await.unwrap().as_slice(), b"own");
    }
    assert!(way.waiting() - before < 100, "{} attempts for 1000 calls", way.waiting() - before);
    way.set_slow(false);
    eventually(async || vault.load("qks-a/master").await).await;
    let other = open(&bao, &text, shelf).await.keyring;
    assert_eq!(eventually(async || other.open(b"", &foreign).await).await.as_slice(), b"foreign");
}

#[tokio::test]
async fn a_secret_of_the_servers_own_is_kept_once_and_found_again() {
    let bao = Bao::in_memory().await;
    bao.role("", json!({})).await;
    let (first, second) = (vault(&bao, &bao.address(), "").await, vault(&bao, &bao.address(), "").await);
    assert_eq!(first.load("qks-a/drkey").await, Ok(None));
    let outcomes = tokio::join!(first.create("qks-a/drkey", &[1; 32]), second.create("qks-a/drkey", &[2; 32]));
    let winner = match outcomes {
        (Ok(true), Ok(false)) => [1; 32],
        (Ok(false), Ok(true)) => [2; 32],
        outcomes => panic!("{outcomes:?}"),
    };
    for vault in [&first, &second] {
        assert_eq!(vault.load("qks-a/drkey").await.unwrap().unwrap().as_slice(), winner);
    }
    bao.put("secret/data/qks-a/other", json!({ "data": { "value": "no base64!" } })).await;
    assert_eq!(first.load("qks-a/other").await, Err(SecretsError::Broken));
}

/// A Vault that guards no keys: the master key lies in a file.
async fn vault(bao: &Bao, address: &str, more: &str) -> Vault {
    let master = bao.folder().join("master.key");
    secret_file::replace(&master, "cd".repeat(32).as_bytes()).unwrap();
    let text = format!("[secrets]\nmaster_key = {{ file = \"master.key\" }}\n{}", settings(bao, address, more));
    open(bao, &text, Arc::new(Shelf::default())).await.vault.unwrap()
}

/// An authority of this name, in a folder of its own, and a certificate for a Vault on this machine.
fn authority(folder: &Path, name: &str) -> Tls {
    let wanted = Wanted {
        name: "vault".to_owned(),
        role: Role::Module,
        hosts: vec![Host::Address("127.0.0.1".parse().unwrap())],
        days: 30,
    };
    let site = Site { authority: name.to_owned(), years: 1, certificates: vec![wanted] };
    let now = UnixNanos(Nanos::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap()).0);
    let reports = Pki::new(site, &folder.join(name)).init(now).unwrap();
    let (ca, vault) = (&reports[0], &reports[1]);
    Tls { ca: ca.certificate.clone(), certificate: vault.certificate.clone(), key: vault.key.clone() }
}
