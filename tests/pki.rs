//! `photongate pki`, run as an operator runs it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

#[test]
fn a_site_gets_its_certificates_once_and_can_look_at_them() {
    let folder = site(SITE);
    let missing = pki(folder.path(), &["show", "site.toml", "--json"]);
    assert_eq!((missing.status.code(), missing.stderr.len()), (Some(1), 0));
    assert_eq!(object(&missing)["certificates"][1]["standing"], "missing");
    assert!(!folder.path().join("pki").exists());

    let made = pki(folder.path(), &["init", "site.toml"]);
    assert_eq!((made.status.code(), text(&made.stderr)), (Some(0), String::new()));
    assert_eq!(text(&made.stdout).matches("made").count(), 3);
    let shown = object(&pki(folder.path(), &["show", "site.toml", "--json"]));
    let again = pki(folder.path(), &["init", "site.toml", "--json"]);
    assert_eq!((again.status.code(), object(&again)), (Some(0), shown));
}

#[test]
fn a_certificate_that_is_due_is_named_with_what_to_do_and_renewed() {
    let folder = site(SITE);
    assert_eq!(pki(folder.path(), &["init", "site.toml"]).status.code(), Some(0));
    fs::write(folder.path().join("site.toml"), SITE.replace("127.0.0.1", "127.0.0.2")).unwrap();
    let due = pki(folder.path(), &["init", "site.toml"]);
    assert_eq!(due.status.code(), Some(1));
    assert_eq!(text(&due.stderr), "1 to renew: photongate pki renew site.toml --out pki\n");
    let renewed = pki(folder.path(), &["renew", "site.toml", "--json"]);
    assert_eq!(renewed.status.code(), Some(0));
    let actions: Vec<_> =
        object(&renewed)["certificates"].as_array().unwrap().iter().map(|one| one["action"].clone()).collect();
    assert_eq!(actions, ["kept", "renewed", "kept"]);
}

#[test]
fn a_site_file_with_mistakes_makes_nothing() {
    let folder = site(&SITE.replace("role = \"sae\"", "roll = \"sae\""));
    let refused = pki(folder.path(), &["init", "site.toml"]);
    assert_eq!(refused.status.code(), Some(2));
    let message = text(&refused.stderr);
    assert!(message.contains("certificates[1].roll: unknown field: did you mean `role`?"), "{message}");
    assert!(!folder.path().join("pki").exists());
}

fn site(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("site.toml"), text).unwrap();
    folder
}

fn pki(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_photongate"));
    command.arg("pki").args(arguments).current_dir(folder).output().unwrap()
}

fn object(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const SITE: &str = r#"
[[certificates]]
name = "qks-a"
role = "qks"
hosts = ["127.0.0.1"]

[[certificates]]
name = "alice"
role = "sae"
"#;
