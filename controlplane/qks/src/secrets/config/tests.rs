//! `[secrets]`, read and opened.

use std::path::Path;

use photongate_net::config;
use photongate_net::secret_file;

use super::*;
use crate::secrets::Keyring;
use crate::secrets::testing::Shelf;

#[test]
fn every_guard_of_keys_can_be_chosen() {
    let file = |name: &str| SecretRef::File(Path::new("/etc/photongate").join(name));
    let key = read("master_key = { file = \"new\" }\nprevious_master_keys = [{ file = \"old\" }]").unwrap();
    assert_eq!(key.backend, Backend::Key { current: file("new"), previous: vec![file("old")] });
    let passphrase = read("passphrase = { file = \"phrase\" }").unwrap();
    assert_eq!(passphrase.backend, Backend::Passphrase { current: file("phrase"), previous: Vec::new() });
    let transit = read(&vault("transit_key = \"photongate\"")).unwrap();
    assert_eq!(transit.backend, Backend::Transit { mount: "transit".to_owned(), key: "photongate".to_owned() });
    let folder = read(&vault("key_folder = \"/qks-a/keys/\"")).unwrap();
    assert_eq!(folder.backend, Backend::KeyValue { folder: "qks-a/keys".to_owned() });
}

#[test]
fn a_vault_is_read_with_its_defaults_and_without() {
    let plain = read(&vault("transit_key = \"k\"")).unwrap().vault.unwrap();
    assert_eq!((plain.kv_mount.as_str(), plain.patience, plain.ca), ("secret", DEFAULT_PATIENCE, None));
    assert!(matches!(plain.login, Login::AppRole { mount, role_id, .. } if mount == "approle" && role_id == "r"));
    let more = "master_key = { vault = \"qks-a#key\" }\n[secrets.vault]\naddress = \"http://[::1]:8200\"\ntimeout = \"5s\"\n\
                token = { env = \"TOKEN\" }\nca = \"ca.pem\"\nnamespace = \"team\"\nkv_mount = \"kv\"";
    let other = read(more).unwrap().vault.unwrap();
    assert_eq!(other.ca.as_deref(), Some(Path::new("/etc/photongate/ca.pem")));
    assert_eq!((other.kv_mount.as_str(), other.namespace.as_deref()), ("kv", Some("team")));
    assert_eq!(other.patience, Duration::from_secs(5));
    assert!(matches!(other.login, Login::Token(SecretRef::Environment(name)) if name == "TOKEN"));
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_to_do() {
    let address = |address: &str| vault("transit_key = \"k\"").replace("https://vault.example:8200", address);
    for (text, expected) in [
        (String::new(), "secrets.master_key: nothing guards the keys at rest: add master_key = { file ="),
        ("master_key = \"aabb\"".to_owned(), "secrets.master_key: a secret does not belong into a configuration"),
        (
            format!("master_key = {{ file = \"k\" }}\n{}", vault("transit_key = \"k\"")),
            "secrets.master_key: keys at rest have one guard",
        ),
        (
            "master_key = { file = \"a\" }\npassphrase = { file = \"b\" }".to_owned(),
            "secrets.master_key: keys at rest have one guard",
        ),
        (vault("transit_key = \"k\"\nkey_folder = \"f\""), "secrets.vault.key_folder: keys at rest have one guard"),
        (vault("transit_key = \"../k\""), "secrets.vault.transit_key: \"../k\" is no path in a Vault"),
        (vault("timeout = \"1ms\""), "secrets.vault.timeout: \"1ms\" is no time to wait for a Vault: at least 100ms"),
        (vault("token = { env = \"T\" }"), "secrets.vault.token: there is one way to log in"),
        (
            address("http://vault.example:8200"),
            "secrets.vault.address: \"http://vault.example:8200\" would carry secrets",
        ),
        (address("vault.example"), "secrets.vault.address: \"vault.example\" is no address"),
        (address("ftp://vault.example"), "secrets.vault.address: \"ftp://vault.example\" is no address"),
        (
            vault("transit_key = \"k\"").replace("file = \"s\"", "vault = \"s#f\""),
            "secrets.vault.secret_id: what opens the Vault cannot lie in it",
        ),
        (
            vault("transit_key = \"k\"").replace("role_id", "roll_id"),
            "secrets.vault.roll_id: unknown field: did you mean `role_id`?",
        ),
    ] {
        let problems = read(&text).unwrap_err();
        assert!(problems.contains(expected), "{expected}\nis not in\n{problems}");
    }
}

#[tokio::test]
async fn a_master_key_opens_its_keys_and_another_one_says_so_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let key = |name: &str, text: &str| {
        let path = folder.path().join(name);
        secret_file::create(&path, text).unwrap();
        Backend::Key { current: SecretRef::File(path), previous: Vec::new() }
    };
    let shelf: Arc<Shelf> = Arc::default();
    let open = |backend| SecretsConfig { backend, vault: None };
    let first = open(key("one", &format!("{}\n", "ab".repeat(32))));
    let sealed = first.open(Arc::clone(&shelf) as _).await.unwrap().keyring.seal(b"", b"material").await.unwrap();
    let again = first.open(Arc::clone(&shelf) as _).await.unwrap();
    assert_eq!(again.keyring.open(b"", &sealed).await.unwrap().as_slice(), b"material");

    let other = open(key("two", &"cd".repeat(32))).open(Arc::clone(&shelf) as _).await;
    assert!(matches!(other, Err(OpenError::OtherGuard)));
    let short = open(key("three", "abcd")).open(Arc::clone(&shelf) as _).await.unwrap_err().to_string();
    assert!(short.contains("it has 4 characters, but a key is 64 hexadecimal digits; make one with"), "{short}");
}

#[tokio::test]
async fn a_passphrase_that_can_be_guessed_is_refused_without_being_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("phrase");
    secret_file::create(&path, "fifteen letters").unwrap();
    let backend = Backend::Passphrase { current: SecretRef::File(path), previous: Vec::new() };
    let refused =
        SecretsConfig { backend, vault: None }.open(Arc::new(Shelf::default())).await.unwrap_err().to_string();
    assert!(refused.contains("has less than 16 characters") && !refused.contains("fifteen"), "{refused}");
}

fn vault(more: &str) -> String {
    format!(
        "[secrets.vault]\naddress = \"https://vault.example:8200\"\nrole_id = \"r\"\nsecret_id = {{ file = \"s\" }}\n{more}"
    )
}

/// What `[secrets]` with this text is read as, in a file of the folder `/etc/photongate`.
fn read(text: &str) -> Result<SecretsConfig, String> {
    let text = format!("[secrets]\n{text}\n");
    let path = Path::new("/etc/photongate/qks.toml");
    let loaded = config::read_text(path, &text, |root| root.section("secrets", SecretsConfig::read));
    loaded.map(|loaded| loaded.config).map_err(|problems| problems.to_string())
}
