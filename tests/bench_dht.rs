//! The bench of the distributed store, with a few nodes: what it reports, and that nothing of it stays behind. How fast it is, no test asks.

#![cfg(feature = "dataplane")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

#[test]
fn a_network_of_a_few_nodes_is_measured_in_each_mode() {
    for mode in [&[][..], &["--plain"]] {
        let folder = tempfile::tempdir().unwrap();
        let output = bench(folder.path(), &["--operations", "8", "--json"], mode).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["bench"], &report["params"]["plain"]), (&"dht".into(), &(!mode.is_empty()).into()));
        let results = &report["results"];
        assert_eq!(results["processes"], 3, "{report:#}");
        for operation in ["look_up", "store", "get"] {
            for how in ["alone", "together"] {
                let phase = &results[operation][how];
                assert_eq!(
                    (&phase["succeeded"], &phase["failed"]),
                    (&8.into(), &0.into()),
                    "{operation} {how}: {report:#}"
                );
                assert!(phase["p50_ms"].as_f64() > Some(0.0) && phase["p50_ms"].as_f64() <= phase["p99_ms"].as_f64());
                assert!(phase["per_second"].as_f64() > Some(0.0), "{report:#}");
            }
        }
        let file = &results["file"];
        assert_eq!((&file["nodes"], &file["pieces"]), (&5.into(), &4.into()), "{report:#}");
        let bytes = |name: &str| file[name].as_u64().unwrap();
        assert!(bytes("value_bytes") >= 4 << 20 && bytes("first_node_bytes") >= 1 << 20, "{report:#}");
        assert!(bytes("most_bytes_of_a_node") <= bytes("value_bytes"), "{report:#}");
        let goals = results["goals"].as_array().unwrap();
        assert_eq!(goals.len(), 6);
        assert!(goals.iter().all(|goal| goal["reached"].is_boolean() && goal["measured"].is_number()), "{report:#}");
        nothing_is_left_of(folder.path());
    }
}

#[test]
fn the_report_for_people_says_which_goals_are_reached() {
    let folder = tempfile::tempdir().unwrap();
    let output = bench(folder.path(), &["--operations", "4", "--value", "5000"], &["--plain"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    let goals = text.lines().filter(|line| line.starts_with("reached ") || line.starts_with("missed "));
    assert_eq!(goals.count(), 6, "{text}");
    assert!(text.starts_with("5 nodes in 3 processes, in the clear."), "{text}");
    assert!(output.stderr.is_empty(), "without a terminal it does not say how far it is: {output:?}");
}

#[test]
fn one_that_is_told_to_stop_leaves_neither_processes_nor_files() {
    for signal in ["-TERM", "-INT"] {
        let folder = tempfile::tempdir().unwrap();
        let mut bench = bench(folder.path(), &["--operations", "1000000"], &[]).stderr(Stdio::piped()).spawn().unwrap();
        eventually(&mut bench, "its nodes run", || processes_of(folder.path()).len() >= 3);
        let told = Command::new("kill").args([signal, &bench.id().to_string()]).status().unwrap();
        assert!(told.success());
        let Output { status, stderr, .. } = bench.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&stderr);
        assert_eq!((status.code(), &*stderr), (Some(130), "photongate bench: interrupted\n"));
        nothing_is_left_of(folder.path());
    }
}

#[test]
fn processes_end_with_a_bench_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = bench(folder.path(), &["--operations", "1000000"], &[]).spawn().unwrap();
    eventually(&mut bench, "its nodes run", || processes_of(folder.path()).len() >= 3);
    bench.kill().unwrap();
    bench.wait().unwrap();
    let begun = Instant::now();
    while !processes_of(folder.path()).is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{:?} still run", processes_of(folder.path()));
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [["--nodes", "1"], ["--value", "2000000"], ["--file-mib", "0"], ["--per-process", "0"]] {
        let output = bench(folder.path(), &arguments, &[]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    }
    let output = bench(Path::new("/no/such/folder"), &["--json"], &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/folder cannot be written to"), "{output:?}");
}

/// A bench of five nodes in three processes, unless the arguments say something else.
fn bench(folder: &Path, arguments: &[&str], mode: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_photongate"));
    command.args(["bench", "dht"]);
    for (name, usual) in [("--nodes", "5"), ("--per-process", "2"), ("--file-mib", "1"), ("--at-once", "4")] {
        if !arguments.contains(&name) {
            command.args([name, usual]);
        }
    }
    command.args(arguments).args(mode).arg("--folder").arg(folder).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

fn nothing_is_left_of(folder: &Path) {
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "files are left");
    assert_eq!(processes_of(folder), Vec::<u32>::new(), "processes are left");
}

/// The processes that run for a bench in this folder.
fn processes_of(folder: &Path) -> Vec<u32> {
    let folder = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let serve = |process: &u32| {
        let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("--serve") && line.contains(folder)
    };
    processes.filter(serve).collect()
}

fn eventually(bench: &mut Child, what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(bench.try_wait().unwrap().is_none(), "it has ended before {what}");
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
