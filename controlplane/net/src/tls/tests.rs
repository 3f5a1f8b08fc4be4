//! Identities from files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::testing::{Authority, Folder};
use super::*;

#[test]
fn an_identity_is_read_with_the_end_of_its_time() {
    let (folder, authority) = (Folder::new(), Authority::new("ca"));
    let (certificate, key) = folder.identity("server", &authority, "localhost");
    let identity = Identity::load(&certificate, &key).unwrap();
    assert_eq!(identity.not_after(), UnixNanos(4_070_908_800_000_000_000));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let (folder, authority) = (Folder::new(), Authority::new("ca"));
    let (certificate, key) = folder.identity("server", &authority, "localhost");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let error = Identity::load(&certificate, &key).unwrap_err().to_string();
    let key = key.display();
    assert_eq!(error, format!("the file {key} has mode 640, so not only its owner can use it: run chmod 600 {key}"));
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let (folder, authority) = (Folder::new(), Authority::new("ca"));
    let (certificate, _) = folder.identity("server", &authority, "localhost");
    let (_, key) = folder.identity("other", &authority, "localhost");
    let error = Identity::load(&certificate, &key).unwrap_err();
    assert!(matches!(error.mistake, Mistake::OtherKey { .. }), "{error}");
}

#[test]
fn a_file_without_what_it_should_hold_is_named() {
    let (folder, authority) = (Folder::new(), Authority::new("ca"));
    let (certificate, key) = folder.identity("server", &authority, "localhost");
    let empty = folder.file("empty.pem", "");
    assert!(matches!(Identity::load(&empty, &key).unwrap_err().mistake, Mistake::NoCertificate));
    assert!(matches!(Identity::load(&certificate, &empty).unwrap_err().mistake, Mistake::NoKey));
    let missing = folder.path("missing.pem");
    let error = Identity::load(&missing, &key).unwrap_err();
    assert!(error.to_string().starts_with(&format!("the file {} cannot be read", missing.display())), "{error}");
}

#[test]
fn a_server_goes_on_with_its_identity_if_the_new_files_are_no_good() {
    let (folder, authority) = (Folder::new(), Authority::new("ca"));
    let (certificate, key) = folder.identity("server", &authority, "localhost");
    let clients = ClientCertificates::None;
    let tls = ServerTls::load(TlsFiles { certificate: certificate.clone(), key, clients }).unwrap();
    let before = tls.config();
    fs::write(&certificate, "broken").unwrap();
    assert!(tls.reload().is_err());
    assert!(Arc::ptr_eq(&before, &tls.config()));
}

#[test]
fn an_authoritys_file_may_hold_several_certificates() {
    let folder = Folder::new();
    let both = Authority::new("one").certificate() + &Authority::new("two").certificate();
    assert_eq!(authorities(&folder.file("both.pem", &both)).unwrap().len(), 2);
}
