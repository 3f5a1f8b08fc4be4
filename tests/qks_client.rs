//! `photongate qks client`, run as an operator runs it, against two key servers.

#[path = "qks/site.rs"]
mod site;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn two_applications_get_the_same_keys_and_each_key_once() {
    let site = started().await;
    let status = client(&site, "a", "sae-a", &["status", "sae-b"], "");
    assert_eq!(status.status.code(), Some(0), "{status:?}");
    assert!(text(&status.stdout).starts_with("sae-a at qks-a and sae-b at qks-b\n"), "{status:?}");

    let given = client(&site, "a", "sae-a", &["enc", "sae-b", "--number", "3", "--size", "512", "--show-keys"], "");
    assert_eq!(given.status.code(), Some(0), "{given:?}");
    let given = pairs(&text(&given.stdout));
    assert_eq!((given.len(), given.values().map(String::len).collect::<Vec<_>>()), (3, vec![88; 3]));

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("keys");
    let ids: String = given.keys().map(|id| format!("{id}\n")).collect();
    let to_files = ["dec", "sae-a", "--out", out.to_str().unwrap()];
    let taken = client(&site, "b", "sae-b", &to_files, &ids);
    assert_eq!((taken.status.code(), text(&taken.stderr)), (Some(0), String::new()));
    assert_eq!(sorted(&text(&taken.stdout)), sorted(&ids), "keys are not printed unless asked for");
    for (id, key) in &given {
        let path = out.join(format!("{id}.key"));
        assert_eq!(&fs::read_to_string(&path).unwrap(), key);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    let again = client(&site, "b", "sae-b", &to_files, &ids);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("the key server answers 400: "), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_can_be_had_as_it_came() {
    let site = started().await;
    let given = client(&site, "a", "sae-a", &["enc", "sae-b", "--json"], "");
    let container: Value = serde_json::from_slice(&given.stdout).unwrap();
    let id = container["keys"][0]["key_ID"].as_str().unwrap();
    let taken = client(&site, "b", "sae-b", &["dec", "sae-a", id, "--json"], "");
    assert_eq!(serde_json::from_slice::<Value>(&taken.stdout).unwrap(), container);
    let status = client(&site, "a", "sae-a", &["status", "sae-b", "--json"], "");
    assert_eq!(serde_json::from_slice::<Value>(&status.stdout).unwrap()["slave_SAE_ID"], "sae-b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_in_the_servers_words_with_status_1() {
    let site = started().await;
    for (server, who, arguments, sentence) in [
        ("a", "sae-a", vec!["enc", "sae-b", "--size", "65", "--json"], "400: size shall be a multiple of 8"),
        ("a", "sae-a", vec!["enc", "nobody", "--json"], "is not known\n  SAE_ID: \"nobody\""),
        (
            "a",
            "sae-a",
            vec!["enc", "sae-b", "--mandatory", "another_vendors=1", "--json"],
            "not all extension_mandatory parameters are supported\n  extension_mandatory: \"another_vendors\"",
        ),
        ("a", "stranger", vec!["enc", "sae-b", "--json"], "401: it does not know this certificate"),
        (
            "b",
            "sae-b",
            vec!["dec", "sae-a", "7a0e5c3c-7d0f-8b57-9a54-3b5d7c8e0000", "--json"],
            "the key server answers 400",
        ),
    ] {
        let refused = client(&site, server, who, &arguments, "");
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{arguments:?}: {refused:?}");
        assert!(text(&refused.stderr).contains(sentence), "{arguments:?}: {}", text(&refused.stderr));
    }
    let optional = ["enc", "sae-b", "--optional", "another_vendors={\"a\": 1}", "--json"];
    assert_eq!(client(&site, "a", "sae-a", &optional, "").status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_asks_for_nothing_and_ends_with_status_2() {
    let site = Site::new(&["a"], &[]);
    for (arguments, sentence) in [
        (vec!["enc", "sae-b"], "--show-keys"),
        (vec!["enc", "sae-b", "--json", "--show-keys"], "cannot be used with"),
        (vec!["enc", "sae-b", "--json", "--mandatory", "photongate_source=qkd"], "photongate_source='\"qkd\"'"),
        (vec!["enc", "sae-b", "--out", "/dev/null/keys"], "the folder /dev/null/keys cannot be made"),
        (vec!["dec", "sae-b", "--json"], "there are no key IDs"),
        (vec!["dec", "sae-b", "--json", "no-uuid"], "no-uuid"),
    ] {
        let refused = client(&site, "a", "sae-a", &arguments, "");
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0), "{arguments:?}: {refused:?}");
        assert!(text(&refused.stderr).contains(sentence), "{arguments:?}: {}", text(&refused.stderr));
    }
}

async fn started() -> Site {
    let mut site = Site::new(&["a", "b"], &[("a", "b")]);
    site.start_all().await;
    site.fill("a", "b", 1 << 20);
    site.wait_for_keys("a", "sae-a", "sae-b", 100).await;
    site
}

/// Asks the key server `server` as the application `who`.
fn client(site: &Site, server: &str, who: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_photongate")));
    command
        .args(["qks", "client"])
        .args(arguments)
        .env("PHOTONGATE_QKS_URL", format!("https://127.0.0.1:{}/", site.sae_port(server)))
        .env("PHOTONGATE_QKS_CA", site.pki("ca.pem"))
        .env("PHOTONGATE_QKS_CERTIFICATE", site.pki(&format!("{who}.pem")))
        .env("PHOTONGATE_QKS_KEY", site.pki(&format!("{who}-key.pem")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    // A command that does not read its input may have ended already.
    let _ = running.stdin.take().unwrap().write_all(input.as_bytes());
    running.wait_with_output().unwrap()
}

fn pairs(lines: &str) -> BTreeMap<String, String> {
    lines.lines().map(|line| line.split_once(' ').unwrap()).map(|(id, key)| (id.to_owned(), key.to_owned())).collect()
}

fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<_> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
