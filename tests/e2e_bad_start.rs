//! What cannot be used ends `photongate filter` with one clear message and exit status 2, and nothing is left running.

#![cfg(feature = "dataplane")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use support::{PROGRAM, Setup, config, filter_name, namespaces};

#[test]
fn a_port_that_is_not_there_is_named() {
    let Some(_guard) = namespaces() else { return };
    let text = config(&filter_name('p'), 'a', Setup::default());
    let output = filter(&text.replace("net_tap1,iface=pg-outside", "net_af_packet1,iface=pg-nowhere"), &[]);
    refused(&output, &["outside", "net_af_packet1"]);
}

#[test]
fn a_network_card_that_is_not_there_is_named() {
    let Some(_guard) = namespaces() else { return };
    let text = config(&filter_name('n'), 'a', Setup::default());
    let output = filter(&text.replace("net_tap1,iface=pg-outside", "0000:ff:1f.7"), &[]);
    refused(&output, &["0000:ff:1f.7"]);
}

#[test]
fn a_core_that_does_not_exist_is_named() {
    let Some(_guard) = namespaces() else { return };
    let text = config(&filter_name('c'), 'a', Setup::default());
    refused(&filter(&text.replace("[workers]", "[workers]\ncores = [4095]"), &[]), &["4095"]);
}

#[test]
fn too_few_hugepages_come_with_the_command_that_adds_some() {
    let Some(_guard) = namespaces() else { return };
    let text = config(&filter_name('h'), 'a', Setup::default());
    let output = filter(&format!("{text}\n[memory]\nhugepages = true\nmib = 1048576\n"), &[]);
    refused(&output, &["hugepages"]);
}

#[test]
fn without_permission_the_filter_says_what_it_needs() {
    let Some(_guard) = namespaces() else { return };
    let text = config(&filter_name('u'), 'a', Setup::default());
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"];
    refused(&filter(&text, &nobody), &["root"]);
}

/// Runs a filter with the configuration `text`, which is to end by itself.
fn filter(text: &str, wrapper: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    // `nobody` reads the configuration and runs the program, whoever built it.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let (file, program) = (directory.path().join("filter.toml"), directory.path().join("photongate"));
    fs::write(&file, text).unwrap();
    fs::copy(PROGRAM, &program).unwrap();
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "60"]).args(wrapper).arg(program).args(["filter", "--config"]).arg(file);
    command.env("XDG_RUNTIME_DIR", directory.path()).env("RUST_BACKTRACE", "0").output().unwrap()
}

/// Checks that a start was refused in order, with `words` in the message.
#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{text}{errors}");
    assert!(text.is_empty(), "on standard output: {text}");
    assert!(!errors.contains("panicked"), "{errors}");
    let message: Vec<_> = errors.lines().filter(|line| line.starts_with("photongate: ")).collect();
    assert_eq!(message.len(), 1, "one message is expected: {errors}");
    for word in words {
        assert!(errors.contains(word), "`{word}` is not in: {errors}");
    }
}
