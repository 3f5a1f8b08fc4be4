//! `photongate aslist`, run as an operator runs it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

#[test]
fn the_example_list_passes_by_itself_and_for_the_example_filter() {
    for more in [&[][..], &["--config", "config/filter.toml"]] {
        let output = aslist(&[&["check", EXAMPLE][..], more].concat());
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("config/as-list.toml: ok\n"), "{text}");
        assert!(text.contains("  peers       2: 20-ff00:0:112/3 Zurich, 21-ff00:0:113/3 Geneva\n"), "{text}");
    }
}

#[test]
fn every_mistake_of_a_list_is_told_with_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let text = example().replace("10.248.3.0/24", "10.248.2.0/24").replace("drop", "dorp");
    let line = text.lines().position(|line| line.starts_with("best_effort = \"dorp\"")).unwrap() + 1;
    let file = write(folder.path(), "list.toml", &text);
    let output = aslist(&["check", &file]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let message = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = message.lines().collect();
    assert!(
        lines[0].starts_with(&format!("{file}:{line}:15: peers[0].best_effort: \"dorp\" is not a choice here")),
        "{message}"
    );
    assert!(lines[1].contains("peers[1].prefixes[0]: \"10.248.2.0/24\" is a prefix of peers[0] already"), "{message}");
    assert_eq!(lines[2..], ["2 problems"]);

    let output = aslist(&["check", "--json", &file]);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(2), 0));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((object["ok"].as_bool(), object["problems"][0]["line"].as_u64()), (Some(false), Some(line as u64)));
}

#[test]
fn a_list_is_checked_for_the_filter_that_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "list.toml", &example().replace("21-ff00:0:113", "1-ff00:0:111"));
    assert_eq!(aslist(&["check", &file]).status.code(), Some(0));
    let output = aslist(&["check", &file, "--config", "config/filter.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("is this filter's own AS (isd_as)"), "{message}");
}

#[test]
fn a_filter_is_checked_with_the_list_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let (before, _) = include_str!("../config/filter.toml").split_once("\n[[peers]]").unwrap();
    let filter =
        write(folder.path(), "filter.toml", &format!("{before}\n[as_list]\nfile = \"list.toml\"\nwatch = false\n"));
    let list = write(folder.path(), "list.toml", &example());
    let check = || photongate(&["check", "--config", &filter]);
    let text = String::from_utf8(check().stdout).unwrap();
    assert!(text.contains(&format!("  AS list     {list}, read again at a reload\n")), "{text}");
    assert!(text.contains("  peers       2: 20-ff00:0:112, 21-ff00:0:113\n"), "{text}");
    write(folder.path(), "list.toml", "peers = 5");
    let message = String::from_utf8(check().stderr).unwrap();
    assert_eq!(message, format!("{list}:1:9: peers: this is a whole number: write a list in brackets: [ … ]\n"));
}

#[test]
fn lists_that_say_the_same_have_no_difference_whatever_their_format() {
    let folder = tempfile::tempdir().unwrap();
    let toml = write(folder.path(), "list.toml", ONE);
    let json = write(folder.path(), "list.json", ONE_IN_JSON);
    for (old, new) in [(&toml, &json), (&json, &toml), (&toml, &toml)] {
        let output = aslist(&["diff", old, new]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "0 added, 0 removed, 0 changed, 1 unchanged\n");
    }
}

#[test]
fn what_differs_is_shown_without_secrets_and_with_status_1() {
    let folder = tempfile::tempdir().unwrap();
    let new = example()
        .replace("Zurich", "Bern")
        .replace("10.248.2.0", "10.248.4.0")
        .replace("21-ff00", "22-ff00")
        .replace("0123456789abcdef0", "1123456789abcdef0");
    let new = write(folder.path(), "new.toml", &new);
    let output = aslist(&["diff", EXAMPLE, &new]);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(1), 0));
    let expected = "\
- 21-ff00:0:113/3 Geneva
+ 22-ff00:0:113/3 Geneva
~ 20-ff00:0:112/3 Bern
    name: Zurich -> Bern
    prefixes: -10.248.2.0/24 +10.248.4.0/24
    keys: other secrets
1 added, 1 removed, 1 changed, 0 unchanged
";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);

    let output = aslist(&["diff", "--json", EXAMPLE, &new]);
    assert_eq!(output.status.code(), Some(1));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["changed"][0]["changes"], serde_json::json!(["name", "prefixes", "keys"]));
    assert_eq!((&object["added"][0]["isd_as"], &object["unchanged"]), (&"22-ff00:0:113".into(), &0.into()));
}

#[test]
fn lists_that_cannot_be_read_are_both_told_with_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (write(folder.path(), "old.toml", "x = 1"), write(folder.path(), "new.json", "{"));
    let output = aslist(&["diff", &old, &new]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("old.toml:1:1: ") && message.contains("new.json:1:1: not JSON: "), "{message}");
}

fn aslist(arguments: &[&str]) -> Output {
    photongate(&[&["aslist"], arguments].concat())
}

fn photongate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_photongate")).args(arguments).output().unwrap()
}

fn example() -> String {
    fs::read_to_string(EXAMPLE).unwrap()
}

/// The path of a new file in `folder`.
fn write(folder: &Path, name: &str, text: &str) -> String {
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

const EXAMPLE: &str = "config/as-list.toml";

const ONE: &str = r#"[[peers]]
isd_as = "3-1"
prefixes = ["10.0.0.0/8", "192.168.0.0/16"]
limit = { packets_per_second = 5 }
shared_secrets = [{ secret = "0123456789abcdef0123456789abcdef", not_before = 2026-01-01T00:00:00Z }]
"#;

/// The same, as a filter would show it, in another order.
const ONE_IN_JSON: &str = r#"{ "peers": [ {
    "shared_secrets": [ { "held": true, "not_before": "2026-01-01T01:00:00+01:00" } ],
    "limit": { "packets_per_second": 5 },
    "prefixes": ["192.168.0.0/16", "10.0.0.0/8"],
    "drkey_protocol": 3,
    "isd_as": "3-1"
} ] }"#;
