//! `photongate bench px` as a program: it runs nodes of its own, and leaves nothing of them behind, however it ends.

#![cfg(feature = "dataplane")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

#[test]
fn it_measures_a_cluster_of_its_own_and_leaves_nothing_behind() {
    let (folder, mut bench) = start(&["--clients", "2", "--seconds", "1", "--without-etcd", "--json"]);
    let mut text = String::new();
    bench.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(bench.wait().unwrap().success());
    let printed: Value = serde_json::from_str(&text).unwrap();
    assert!(printed["results"]["px"]["puts"].as_u64().unwrap() > 0, "{printed}");
    assert_nothing_is_left(&folder);
}

#[test]
fn it_says_how_often_it_killed_the_leader() {
    let (folder, mut bench) = start(&["--failover", "2", "--json"]);
    let mut text = String::new();
    bench.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(bench.wait().unwrap().success());
    let printed: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(printed["results"]["trials"], 2, "{printed}");
    assert_nothing_is_left(&folder);
}

#[test]
fn whoever_stops_it_stops_all_its_nodes() {
    for signal in ["-TERM", "-INT"] {
        let (folder, mut bench) = start(&["--idle", "3600"]);
        let mut nodes = BTreeSet::new();
        eventually("it runs three nodes", || {
            nodes = children(bench.id());
            nodes.len() == 3
        });
        assert!(Command::new("kill").args([signal, &bench.id().to_string()]).status().unwrap().success());
        assert_eq!(bench.wait().unwrap().code(), Some(130));
        assert!(nodes.iter().all(|node| !Path::new(&format!("/proc/{node}")).exists()), "{nodes:?}");
        assert_nothing_is_left(&folder);
    }
}

fn start(arguments: &[&str]) -> (TempDir, Child) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_photongate"));
    command.args(["bench", "px", "--folder"]).arg(folder.path()).args(arguments);
    (folder, command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap())
}

/// The processes that this one has started.
fn children(parent: u32) -> BTreeSet<u32> {
    let listed = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    listed.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn assert_nothing_is_left(folder: &TempDir) {
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never happened that {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
