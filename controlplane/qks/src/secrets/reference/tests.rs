//! References to secrets, as operators write them, and what they lead to.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use photongate_net::config;

use super::*;

#[test]
fn each_kind_of_reference_is_read() {
    let folder = Path::new("/etc/photongate");
    let file = folder.join("token");
    for (text, expected) in [
        (r#"{ file = "token" }"#, SecretRef::File(file)),
        (r#"{ env = "TOKEN" }"#, SecretRef::Environment("TOKEN".to_owned())),
        (r#"{ credential = "token" }"#, SecretRef::Credential("token".to_owned())),
        (
            r#"{ vault = "qks/db#password" }"#,
            SecretRef::Vault { path: "qks/db".to_owned(), field: "password".to_owned() },
        ),
    ] {
        assert_eq!(read(text), Ok(expected), "{text}");
    }
}

#[test]
fn a_secret_in_clear_is_refused_without_being_shown() {
    for text in ["\"hunter2-hunter2\"", "\"\"", "2222", "[\"hunter2-hunter2\"]"] {
        let message = read(text).unwrap_err();
        assert!(message.contains("secret: a secret does not belong into a configuration"), "{message}");
        assert!(!message.contains("hunter2") && !message.contains("2222"), "{message}");
    }
}

#[test]
fn a_reference_is_one_and_a_mistake_in_it_does_not_show_what_may_be_the_secret() {
    for text in [
        "{}",
        r#"{ file = "a", env = "B" }"#,
        r#"{ vault = "hunter2" }"#,
        r##"{ vault = "#field" }"##,
        r#"{ credential = "../hunter2" }"#,
        r#"{ env = "hunter2=" }"#,
        r#"{ value = "hunter2" }"#,
        r#"{ file = 2222 }"#,
    ] {
        let message = read(text).unwrap_err();
        assert!(message.contains("t.toml:1:"), "{message}");
        assert!(!message.contains("hunter2") && !message.contains("2222"), "{message}");
    }
}

#[tokio::test]
async fn a_file_gives_its_text_without_the_end_of_the_line_and_only_if_it_is_its_owners() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    secret_file::create(&path, "hunter2 \n").unwrap();
    let secret = SecretRef::File(path.clone());
    assert_eq!(secret.resolve(None).await.unwrap().as_str(), "hunter2 ");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let message = secret.resolve(None).await.unwrap_err().to_string();
    assert_eq!(
        message,
        format!("the file {0} has mode 644, so not only its owner can use it: run chmod 600 {0}", path.display())
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "\n").unwrap();
    assert!(matches!(secret.resolve(None).await, Err(SecretRefError::Empty { .. })));
}

#[tokio::test]
async fn a_variable_gives_its_text_and_one_that_is_missing_is_named() {
    let there = SecretRef::Environment("PATH".to_owned());
    assert_eq!(there.resolve(None).await.unwrap().as_str(), env::var("PATH").unwrap());
    let missing = SecretRef::Environment("PHOTONGATE_NO_SUCH_VARIABLE".to_owned());
    let message = missing.resolve(None).await.unwrap_err().to_string();
    assert_eq!(message, "there is no environment variable PHOTONGATE_NO_SUCH_VARIABLE with text in it");
}

#[tokio::test]
async fn without_a_vault_nothing_can_lie_in_one() {
    let secret = SecretRef::Vault { path: "qks".to_owned(), field: "key".to_owned() };
    assert!(matches!(secret.resolve(None).await, Err(SecretRefError::NoVault)));
}

/// What `secret = …` is read as, in a file of the folder `/etc/photongate`.
fn read(value: &str) -> Result<SecretRef, String> {
    let text = format!("secret = {value}\n");
    let path = Path::new("/etc/photongate/t.toml");
    let loaded = config::read_text(path, &text, |root| root.required::<SecretRef>("secret"));
    loaded.map(|loaded| loaded.config).map_err(|problems| problems.to_string())
}
