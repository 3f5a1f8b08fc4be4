//! `photongate trace`, run as an operator runs it, against the control socket of a filter whose only worker is this test.

#![cfg(feature = "dataplane")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use photongate_drkey::Protocol;
use photongate_filter::trace::{ControlOptions, ControlSocket, Tap, TraceDesk, Tracer};
use photongate_pipeline::{DropReason, Frame, Outcome, PeerKey, PortIndex, Verdict};
use photongate_wire::UnixNanos;
use tempfile::TempDir;

#[test]
fn each_packet_is_a_line_with_its_verdict() {
    let mut filter = Filter::start();
    let trace = filter.trace(&["--count", "2"]);
    filter.send(&[BAD_MAC, Verdict::BestEffort]);
    let output = trace.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Vec<&str>> = stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let common = ["10.248.2.1", "→", "10.248.1.1", "60"];
    let time = "2026-11-21T03:00:00.000000007Z";
    assert_eq!(lines[0], [&["1", time, "dropped", "bad_mac", "20-ff00:0:112"][..], &common].concat());
    assert_eq!(lines[1], [&["2", time, "best_effort", "-", "20-ff00:0:112"][..], &common].concat());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "2 packets\n");
}

#[test]
fn only_the_reasons_asked_for_are_shown() {
    let mut filter = Filter::start();
    let trace = filter.trace(&["--verdict", "dropped", "--reason", "duplicate,bad_mac", "--count", "2"]);
    filter.send(&[Verdict::Accepted, Verdict::Dropped(DropReason::NoKey), BAD_MAC]);
    filter.send(&[Verdict::Dropped(DropReason::Duplicate)]);
    let stdout = String::from_utf8(trace.wait_with_output().unwrap().stdout).unwrap();
    let reasons: Vec<_> = stdout.lines().filter_map(|line| line.split_whitespace().nth(3)).collect();
    assert_eq!(reasons, ["bad_mac", "duplicate"]);
}

#[test]
fn a_file_is_written_that_tshark_shows_with_the_verdicts() {
    let mut filter = Filter::start();
    let file = filter.path("trace.pcapng");
    let trace = filter.trace(&["--count", "1", "--snap-len", "40", "--write", file.to_str().unwrap()]);
    assert!(!file.exists(), "it appears when it is complete");
    filter.send(&[BAD_MAC]);
    assert_eq!(trace.wait_with_output().unwrap().status.code(), Some(0));
    assert_eq!(tshark(&file), "dropped bad_mac peer=20-ff00:0:112 worker=0\toutside\t40\t60\n");
}

#[test]
fn standard_output_can_be_the_file() {
    let mut filter = Filter::start();
    let trace = filter.trace(&["--count", "1", "--write", "-"]);
    filter.send(&[BAD_MAC]);
    let file = filter.path("piped.pcapng");
    fs::write(&file, trace.wait_with_output().unwrap().stdout).unwrap();
    assert!(tshark(&file).starts_with("dropped bad_mac"));
}

#[test]
fn an_interrupted_trace_leaves_a_complete_file() {
    let mut filter = Filter::start();
    let file = filter.path("interrupted.pcapng");
    let trace = filter.trace(&["--write", file.to_str().unwrap()]);
    filter.send(&[BAD_MAC]);
    let killed = Command::new("kill").args(["-INT", &trace.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = trace.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(tshark(&file).lines().count(), 1);
}

#[test]
fn a_trace_ends_after_its_time() {
    let filter = Filter::start();
    let started = Instant::now();
    let output = filter.trace(&["--duration", "200ms"]).wait_with_output().unwrap();
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b"0 packets\n"[..]));
    assert!((200..10_000).contains(&started.elapsed().as_millis()));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let mut filter = Filter::start();
    let mut trace = filter.trace(&[]);
    filter.send(&[BAD_MAC]);
    let mut first = String::new();
    BufReader::new(trace.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("bad_mac"));
    while trace.try_wait().unwrap().is_none() {
        filter.send(&[BAD_MAC]);
        thread::sleep(Duration::from_millis(5));
    }
    let output = trace.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));
}

#[test]
fn what_came_too_fast_is_counted_at_the_end() {
    let mut filter = Filter::start();
    let trace = filter.trace(&["--count", "100000", "--duration", "2s"]);
    // Nobody reads the lines meanwhile, so that the pipe is full and the trace waits.
    for _ in 0..5_000 {
        filter.send(&[BAD_MAC; 32]);
    }
    let output = trace.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("more came too fast for the trace"), "{stderr}");
}

#[test]
fn a_filter_that_stops_ends_the_trace_in_order() {
    let mut filter = Filter::start();
    let trace = filter.trace(&[]);
    filter.send(&[BAD_MAC]);
    let Filter { socket, folder, .. } = filter;
    drop(socket);
    let output = trace.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b"1 packets\n"[..]));
    drop(folder);
}

#[test]
fn without_a_filter_the_message_says_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none.sock");
    let output = photongate(&socket, &["--verdict", "dropped"]).output().unwrap();
    let expected =
        format!("photongate: no filter listens at {}: start one with `photongate filter`\n", socket.display());
    assert_failed(&output, &expected);
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let filter = Filter::start();
    for arguments in [["--reason", "bad_mood"], ["--verdict", "bad_mac"], ["--sample", "0"], ["--duration", "10"]] {
        let output = photongate(filter.socket.path(), &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let output = photongate(filter.socket.path(), &["--write", "/not/there/x.pcapng"]).output().unwrap();
    assert_failed(&output, "photongate: /not/there/x.pcapng cannot be written: there is no folder /not/there\n");
}

/// The part of a filter that traces come from.
struct Filter {
    socket: ControlSocket,
    tap: Tap,
    folder: TempDir,
}

impl Filter {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (tracer, mut taps) = Tracer::new(1);
        let socket = ControlSocket::open(ControlOptions {
            path: folder.path().join("filter.sock"),
            traces: Arc::new(TraceDesk::new(tracer, vec!["inside".to_owned(), "outside".to_owned()])),
            status: Box::new(|| serde_json::Value::Null),
        });
        Self { socket: socket.unwrap(), tap: taps.pop().unwrap(), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the command, and waits until the filter traces.
    fn trace(&self, arguments: &[&str]) -> Child {
        let mut command = photongate(self.socket.path(), arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let started = Instant::now();
        while !self.tap.is_active() {
            assert!(started.elapsed() < Duration::from_secs(20), "the trace does not start");
            thread::sleep(Duration::from_millis(1));
        }
        child
    }

    /// Judges a packet for each of `verdicts`.
    fn send(&mut self, verdicts: &[Verdict]) {
        let mut buffers = vec![packet(); verdicts.len()];
        let frames: Vec<_> = buffers.iter_mut().map(|buffer| Frame::new(buffer, 0, 60, PortIndex(1))).collect();
        let peer = PeerKey { isd_as: "20-ff00:0:112".parse().unwrap(), protocol: Protocol(3) };
        let outcome = |verdict| Outcome { verdict, peer: Some(peer), ..Outcome::UNDECIDED };
        let outcomes: Vec<_> = verdicts.iter().copied().map(outcome).collect();
        self.tap.before(&frames, UnixNanos(1_795_230_000_000_000_007));
        self.tap.after(&outcomes);
    }
}

/// An IPv4 packet from 10.248.2.1 to 10.248.1.1.
fn packet() -> Vec<u8> {
    let mut packet = vec![0; 60];
    packet[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
    packet[26..34].copy_from_slice(&[10, 248, 2, 1, 10, 248, 1, 1]);
    packet
}

fn photongate(socket: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_photongate"));
    command.arg("trace").arg("--socket").arg(socket).args(arguments);
    command
}

/// Comment, interface, and lengths kept and sent of each packet.
fn tshark(file: &Path) -> String {
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-e", "frame.comment", "-e", "frame.interface_name"]);
    command.args(["-e", "frame.cap_len", "-e", "frame.len", "-r"]).arg(file);
    let output = command.output().expect("tshark is needed for this test: run scripts/setup.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn assert_failed(output: &Output, message: &str) {
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(2), message));
}

const BAD_MAC: Verdict = Verdict::Dropped(DropReason::BadMac);
