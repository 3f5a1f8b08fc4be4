//! The demo itself, as a newcomer runs it.

#![cfg(feature = "dataplane")]

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{PROGRAM, namespaces, photongate};

#[test]
fn the_demo_adds_up_and_leaves_nothing_behind() {
    let Some(_guard) = namespaces() else { return };
    let output = photongate(&["demo"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("It adds up"), "{text}");
    let refused = ["duplicate", "bad_mac", "bad_hash", "best_effort_refused", "rate_limit_best_effort"];
    for reason in refused.into_iter().chain(["timestamp_too_old"]) {
        assert!(text.contains(reason), "nothing was refused as {reason}: {text}");
    }
    assert!(!text.contains('\x1b'), "colour outside a terminal: {text}");
    assert_eq!(left_behind(), Vec::<String>::new());
}

#[test]
fn the_demo_adds_up_without_namespaces_too() {
    let output = photongate(&["demo", "--without-namespaces"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("It adds up") && text.contains("Without network namespaces"), "{text}");
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let Some(_guard) = namespaces() else { return };
    let demo = Command::new(PROGRAM).arg("demo").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // Wherever it is after that time.
    thread::sleep(Duration::from_millis(1_500));
    kill(Pid::from_raw(demo.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let output = demo.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    // On a slow machine it is in the middle of a start, and says what the filter has printed so far.
    let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert!(errors.starts_with("photongate: the demo broke off: ") && errors.ends_with("interrupted"), "{errors}");
    assert_eq!(left_behind(), Vec::<String>::new());
}

/// Namespaces that demos have not removed. No other test has one while this one holds the guard.
fn left_behind() -> Vec<String> {
    let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let owner = |name: &str| name.strip_prefix("pg-")?.split('-').next()?.parse::<u32>().ok();
    names.filter(|name| owner(name).is_some_and(|owner| !fs::exists(format!("/proc/{owner}")).unwrap())).collect()
}
