//! `[qks]`.

use super::*;

#[test]
fn a_filter_without_a_key_server_asks_none() {
    assert_eq!(FilterConfig::parse(FILE.as_ref(), MINIMAL).unwrap().qks, None);
}

#[test]
fn a_key_server_is_an_https_address_and_what_both_sides_show() {
    let problems = FilterConfig::parse(FILE.as_ref(), &format!("{MINIMAL}[qks]\n")).unwrap_err().to_string();
    for field in ["url", "ca", "certificate", "key", "server"] {
        assert!(problems.contains(&format!("qks.{field}: missing")), "{problems}");
    }
    let files = "ca = \"ca.pem\"\ncertificate = \"filter.pem\"\nkey = \"filter-key.pem\"";
    refused(
        &format!("[qks]\nurl = \"http://qks.example/\"\n{files}\nserver = \"CN=qks-a\""),
        "qks.url: \"http://qks.example/\" is not where a key server is: write a URL like \"https://qks.example:8443/\"",
    );
}

#[test]
fn peers_whose_keys_come_from_a_key_server_need_one() {
    let text = MINIMAL.replace("shared_secrets = [{ secret", "keys = \"qks\"\n#");
    let problems = FilterConfig::parse(FILE.as_ref(), &text).unwrap_err().to_string();
    assert!(problems.contains("peers[0].keys: \"qks\" needs a key server: add [qks]"), "{problems}");
}
