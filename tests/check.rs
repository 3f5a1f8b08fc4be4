//! `photongate check`, run as an operator runs it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

#[test]
fn the_example_configuration_passes_with_a_summary() {
    let output = check(&["--config", EXAMPLE]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "config/filter.toml: ok\n",
        "filter of   1-ff00:0:111, LF on UDP port 49149, DRKey protocol 3\n",
        "port        inside (net_tap0,iface=pg-inside, MTU 1500), forwards to outside\n",
        "peers       1: 20-ff00:0:112\n",
        " MiB to recognise duplicates\n",
    ] {
        assert!(text.contains(part), "{part:?} is missing from:\n{text}");
    }
}

#[test]
fn every_problem_of_a_file_goes_to_standard_error_with_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let text = example().replace("port = 49149", "prot = 49149").replace("burst = 64", "burst = 65");
    let file = write(folder.path(), &text);
    let output = check(&["--config", &file]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let (port, burst) = (line_of(&text, "prot"), line_of(&text, "burst = 65"));
    let expected = format!(
        "{file}:{port}:1: lf.prot: unknown field: did you mean `port`?\n\
         {file}:{burst}:9: workers.burst: 65 is too large: 1 to 64 packets\n\
         2 problems\n"
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}

#[test]
fn a_file_that_is_not_there_is_one_problem() {
    let output = check(&["--config", "/nowhere/filter.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "/nowhere/filter.toml: cannot be read: No such file or directory (os error 2)\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}

#[test]
fn a_file_that_is_no_text_is_one_problem() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("filter.toml");
    fs::write(&file, [0xff, 0xfe, 0x00]).unwrap();
    let output = check(&["--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("cannot be read: stream did not contain valid UTF-8"), "{message}");
}

#[test]
fn problems_are_an_object_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let text = example().replace("burst = 64", "burst = 65");
    let file = write(folder.path(), &text);
    let (object, status) = json(&["--json", "--config", &file]);
    assert_eq!(status, Some(2));
    assert_eq!(object["ok"], false);
    let problem = &object["problems"][0];
    assert_eq!(problem["file"], file);
    assert_eq!((&problem["line"], &problem["column"]), (&line_of(&text, "burst = 65").into(), &9.into()));
    assert_eq!(problem["field"], "workers.burst");
    assert_eq!(problem["message"], "65 is too large: 1 to 64 packets");
}

#[test]
fn the_configuration_as_understood_is_an_object_for_programs() {
    let (object, status) = json(&["--json", "--config", EXAMPLE]);
    assert_eq!(status, Some(0));
    assert_eq!(object["ok"], true);
    let config = &object["config"];
    assert_eq!(config["isd_as"], "1-ff00:0:111");
    assert_eq!(config["keys"]["epoch"], "259200s");
    assert_eq!(config["ports"][0]["forward_to"], "outside");
    assert_eq!(config["limits"]["peer"]["burst_bytes"], 12_500_000);
    assert_eq!(config["limits"]["destinations"], Value::Array(vec![]));
    assert!(config["duplicates"]["memory_mib"].as_u64().unwrap() > 0);
}

#[test]
fn no_output_shows_a_secret() {
    for arguments in [&["--config", EXAMPLE][..], &["--json", "--config", EXAMPLE]] {
        let output = check(arguments);
        let text = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8(text).unwrap().contains("0123456789abcdef"));
    }
}

#[test]
fn a_peer_without_a_secret_for_now_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &example().replace("2026-01-01T00:00:00Z", "2199-01-01T00:00:00Z"));
    let output = check(&["--config", &file]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let expected =
        "peers: 20-ff00:0:112: no secret is valid yet: until the first not_before there is no key for this peer";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn the_machine_is_checked_for_what_the_configuration_needs() {
    let (object, status) = json(&["--json", "--host", "--config", EXAMPLE]);
    let findings = object["host"]["findings"].as_array().unwrap();
    let finding = |subject| findings.iter().find(|finding| finding["subject"] == subject).unwrap();
    let hugepages = finding("hugepages");
    assert_eq!(hugepages["status"], "ok", "the example needs none: {hugepages}");
    assert_eq!(finding("iommu")["message"], "not needed: no port is a network card");
    let fails = findings.iter().any(|finding| finding["status"] == "fail");
    assert_eq!(status, Some(if fails { 2 } else { 0 }));
    assert_eq!(object["host"]["ok"], !fails);
}

#[test]
fn a_device_that_this_machine_lacks_fails_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &example().replace("net_tap0,iface=pg-inside", "ffff:ff:1f.7"));
    let output = check(&["--host", "--config", &file]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("fail  port inside  there is no PCI device ffff:ff:1f.7"), "{text}");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("from running on this machine"), "{message}");
}

#[test]
fn without_arguments_the_usage_says_what_is_missing() {
    let output = check(&[]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("--config <FILE>"), "{message}");
}

#[test]
fn nobody_reading_the_output_is_no_error() {
    let script = format!("{PHOTONGATE} check --json --config {EXAMPLE} | head -c 1; exit ${{PIPESTATUS[0]}}");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_version_names_what_it_was_built_from() {
    let output = Command::new(PHOTONGATE).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(concat!("photongate ", env!("CARGO_PKG_VERSION"))), "{text}");
    assert!(text.contains("DPDK"), "{text}");
}

#[test]
fn completions_know_the_commands() {
    let output = Command::new(PHOTONGATE).args(["completions", "bash"]).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("--host"));
}

fn check(arguments: &[&str]) -> Output {
    Command::new(PHOTONGATE).arg("check").args(arguments).output().unwrap()
}

fn json(arguments: &[&str]) -> (Value, Option<i32>) {
    let output = check(arguments);
    assert!(output.stderr.is_empty());
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code())
}

/// The number of the first line that begins with `start`.
fn line_of(text: &str, start: &str) -> usize {
    text.lines().position(|line| line.starts_with(start)).unwrap() + 1
}

fn example() -> String {
    fs::read_to_string(EXAMPLE).unwrap()
}

fn write(folder: &Path, text: &str) -> String {
    let file = folder.join("filter.toml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

const PHOTONGATE: &str = env!("CARGO_BIN_EXE_photongate");
const EXAMPLE: &str = "config/filter.toml";
