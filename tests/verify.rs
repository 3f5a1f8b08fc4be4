//! `photongate verify`, run as an operator runs it, over packets captured between two running LightningFilter instances.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use pcap_file::{DataLink, Endianness, TsResolution};
use serde_json::Value;
use tempfile::TempDir;

#[test]
fn the_peers_packets_are_accepted_and_our_own_are_of_an_unknown_peer() {
    let bench = Bench::new();
    for (config, peer, count) in [("a", B, 100), ("b", A, 102)] {
        let lines = bench.verify(config, &fixture("B-between"), &[]);
        assert_eq!(lines.len(), 202);
        for (line, number) in lines.iter().zip(1..) {
            assert_eq!(line["n"], number);
            let expected = if line["peer"] == peer { ("accepted", None) } else { ("dropped", Some("unknown_peer")) };
            assert_eq!((text(line, "verdict"), line["reason"].as_str()), expected, "{line}");
        }
        assert_eq!(lines.iter().filter(|line| line["verdict"] == "accepted").count(), count);
    }
}

#[test]
fn the_edge_cases_of_the_capture_are_accepted_too() {
    let bench = Bench::new();
    let lines = bench.verify("b", &fixture("C-between"), &[]);
    let verdicts: Vec<_> = lines.iter().map(|line| text(line, "verdict")).collect();
    let expected: Vec<_> = (1..=13).map(|n| if n % 2 == 1 { "accepted" } else { "dropped" }).collect();
    assert_eq!(verdicts, expected, "odd packets are from the peer, even ones our own");
}

#[test]
fn a_line_has_what_an_operator_asks_for() {
    let bench = Bench::new();
    let line = &bench.verify("a", &fixture("B-between"), &[])[1];
    let fields = [("peer", B), ("source", "10.248.2.1"), ("destination", "10.248.1.1")];
    for (field, expected) in fields {
        assert_eq!(line[field], expected);
    }
    assert_eq!(line["time"], "2026-11-21T02:11:54.337621921Z");
    assert_eq!(line["length"], 162);
    assert_eq!(line["reason"], Value::Null);
    assert!((0..1_000_000_000).contains(&line["skew_ns"].as_i64().unwrap()), "{line}");

    let output = bench.run("a", &fixture("B-between"), &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let columns: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
    let expected = ["2", "2026-11-21T02:11:54.337621921Z", "accepted", "-", B, "10.248.2.1", "→", "10.248.1.1", "162"];
    assert_eq!(columns, expected);
    let summary = String::from_utf8(output.stderr).unwrap();
    for row in [["packets", "202"], ["accepted", "100"], ["dropped", "102"], ["unknown_peer", "102"]] {
        assert!(summary.lines().any(|line| line.split_whitespace().take(2).eq(row)), "{row:?} is not in\n{summary}");
    }
}

#[test]
fn one_flipped_bit_anywhere_under_the_mac_or_the_hash_is_found() {
    let bench = Bench::new();
    let mut packets = read_pcap(&fixture("B-between"));
    let from_peer = |n: usize| n % 2 == 1;
    assert!(packets[1].data.len() > LF + 56);
    // Once each in the timestamp's lowest byte, the hash and the MAC, and in the payload.
    let places = [LF + 19, LF + 25, LF + 40, LF + 56];
    for (packet, place) in packets.iter_mut().enumerate().filter(|(n, _)| from_peer(*n)).map(|(_, p)| p).zip(places) {
        packet.data[place] ^= 1;
    }
    let lines = bench.verify("a", &bench.write("flipped", &packets), &["--only", "bad_mac,bad_hash"]);
    let found: Vec<_> = lines.iter().map(|line| (line["n"].as_u64().unwrap(), text(line, "reason"))).collect();
    let numbers = bench.numbers_from_peer(&packets);
    let expected = ["bad_mac", "bad_mac", "bad_mac", "bad_hash"];
    assert_eq!(found, numbers.into_iter().zip(expected).collect::<Vec<_>>());
    assert!(text(&lines[0], "explanation").contains("forged"));
}

#[test]
fn replays_within_a_capture_are_duplicates() {
    let bench = Bench::new();
    let packets = read_pcap(&fixture("B-between"));
    let doubled: Vec<_> = packets.iter().flat_map(|packet| [packet.clone(), packet.clone()]).collect();
    let lines = bench.verify("a", &bench.write("doubled", &doubled), &[]);
    for (first, second) in lines.iter().step_by(2).zip(lines.iter().skip(1).step_by(2)) {
        let expected = if first["verdict"] == "accepted" { "duplicate" } else { "unknown_peer" };
        assert_eq!(second["reason"], expected, "{second}");
    }
}

#[test]
fn at_another_time_the_packets_are_too_old_or_from_the_future() {
    let bench = Bench::new();
    for (at, reason) in [
        ("2026-11-21T03:00:00Z", "timestamp_too_old"),
        // A day later, when the epoch of the packets is over and its key is gone.
        ("2026-11-22T02:12:00Z", "timestamp_too_old"),
        ("1795226400", "timestamp_in_future"),
    ] {
        let lines = bench.verify("a", &fixture("B-between"), &["--at", at]);
        let reasons = lines.iter().filter(|line| line["peer"] == B).map(|line| text(line, "reason"));
        assert!(reasons.eq([reason; 100]), "at {at}");
        assert_eq!(lines[0]["time"], "2026-11-21T02:11:54.335707564Z", "the time of the capture is still shown");
    }
    let before_all_secrets = bench.verify("a", &fixture("B-between"), &["--at", "2020-01-01T00:00:00Z"]);
    assert_eq!(before_all_secrets[1]["reason"], "no_key");
}

#[test]
fn a_capture_on_the_inside_shows_what_is_sent_to_the_peer() {
    let bench = Bench::new();
    let lines = bench.verify("a", &fixture("B-host-a"), &[]);
    for line in &lines {
        match text(line, "destination") {
            "10.248.2.1" => assert_eq!((text(line, "verdict"), text(line, "peer")), ("outbound", B), "{line}"),
            _ => assert_eq!(line["reason"], "best_effort_disabled", "{line}"),
        }
    }
    bench.change("a", "[best_effort]\nenabled = false", "[best_effort]\nenabled = true");
    let lines = bench.verify("a", &fixture("B-host-a"), &["--only", "best_effort"]);
    assert_eq!(lines.len(), 100);
}

#[test]
fn a_port_decides_about_the_direction_if_it_is_named() {
    let bench = Bench::new();
    bench.change("a", "name = \"first\"", "name = \"inner\"");
    bench.change("a", "forward_to = \"first\"", "forward_to = \"inner\"");
    bench.change("a", "role = \"auto\"", "role = \"inside\"");
    let lines = bench.verify("a", &fixture("B-host-a"), &["--port", "inner"]);
    let reasons: Vec<_> = lines.iter().filter_map(|line| line["reason"].as_str()).collect();
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| *reason == "unknown_destination"), "{reasons:?}");

    let output = bench.run("a", &fixture("B-host-a"), &["--port", "iner"]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "photongate: the configuration has no port \"iner\": its ports are inner, second\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}

#[test]
fn what_one_side_sends_the_other_accepts_with_the_original_bytes() {
    let bench = Bench::new();
    let (sent, received) = (bench.path("sent.pcap"), bench.path("received.pcap"));
    let lines = bench.verify("a", &fixture("B-host-a"), &["--write", sent.to_str().unwrap()]);
    let outbound: Vec<_> = numbers(&lines, "outbound").collect();
    assert!(outbound.len() > 90);
    let lines = bench.verify("b", &sent, &["--write", received.to_str().unwrap()]);
    assert_eq!(numbers(&lines, "accepted").count(), outbound.len());

    let original = read_pcap(&fixture("B-host-a"));
    let received = read_pcap(&received);
    assert_eq!(received.len(), outbound.len());
    for (received, number) in received.iter().zip(outbound) {
        let original = &original[number as usize - 1];
        assert_eq!(received.time, original.time, "to the nanosecond");
        assert_eq!(received.data[ETHERNET..], original.data[ETHERNET..], "packet {number}");
        let next_hop = [0x00, 0x76, 0x65, 0x74, 0x68, 0x23];
        assert_eq!(received.data[..6], next_hop, "inbound.next_hop of the other side");
    }
}

#[test]
fn packets_in_lf2_are_accepted_from_a_peer_that_uses_it_with_the_original_bytes() {
    let bench = Bench::with_lf2();
    let received = bench.path("received.pcap");
    let lines = bench.verify("b", &lf2_examples(), &["--write", received.to_str().unwrap()]);
    for (line, source) in lines.iter().zip(["10.248.1.1", "fd00:248:1::1"]) {
        assert_eq!(
            (text(line, "verdict"), text(line, "peer"), text(line, "source")),
            ("accepted", A, source),
            "{line}"
        );
        assert_eq!(line["skew_ns"], 250_000_000);
    }
    // The headers and payloads of the worked examples in docs/protocol/lf2.md, before they were encapsulated.
    let original = [
        ["45000024e1a840004011402f0af801010af80201", "9dd413880010c0ef080f161d242b3239"].concat(),
        [
            "6001234500183a40fd000248000100000000000000000001fd000248000200000000000000000001",
            "800036a112340001000102030405060708090a0b0c0d0e0f",
        ]
        .concat(),
    ];
    let received: Vec<_> = read_pcap(&received).iter().map(|packet| hex(&packet.data[ETHERNET..])).collect();
    assert_eq!(received, original);
}

#[test]
fn a_packet_in_lf2_is_refused_when_a_bit_is_flipped_and_when_it_comes_again_and_unknown_where_nobody_uses_it() {
    let bench = Bench::with_lf2();
    let packets = read_pcap(&lf2_examples());
    let reasons = |config: &str, packets: &[Packet]| -> Vec<String> {
        let lines = bench.verify(config, &bench.write("changed", packets), &[]);
        lines.iter().map(|line| line["reason"].as_str().unwrap_or("accepted").to_owned()).collect()
    };
    // In the timestamp, the tag and the payload.
    for place in [LF + 19, LF + 20, LF + 36] {
        let mut flipped = packets.clone();
        flipped[0].data[place] ^= 1;
        assert_eq!(reasons("b", &flipped), ["bad_mac", "accepted"], "byte {place}");
    }
    let doubled = [&packets[..], &packets].concat();
    assert_eq!(reasons("b", &doubled), ["accepted", "accepted", "duplicate", "duplicate"]);
    bench.change("b", "encapsulation = \"lf2\"", "encapsulation = \"lf\"");
    // Over a port that nobody uses for lf2 it is traffic like any other.
    assert_eq!(reasons("b", &packets), ["best_effort_disabled", "best_effort_disabled"]);
}

#[test]
fn limits_go_by_the_time_of_the_capture() {
    let bench = Bench::new();
    bench.change("a", "[inbound]", "[limits]\noverall = { packets_per_second = 1, burst_packets = 1 }\n\n[inbound]");
    let packets = read_pcap(&fixture("B-between"));
    for arguments in [&[][..], &["--at", "2026-11-21T02:11:55Z"]] {
        let lines = bench.verify("a", &fixture("B-between"), arguments);
        let accepted: Vec<_> = numbers(&lines, "accepted").map(|n| packets[n as usize - 1].time).collect();
        let seconds = (accepted[accepted.len() - 1] - accepted[0]).as_secs() as usize;
        // One to start with, one for each second, and one for the fraction that a bucket rounds away.
        assert!((3..=seconds + 2).contains(&accepted.len()), "{} in {seconds} s", accepted.len());
        assert!(lines.iter().any(|line| line["reason"] == "rate_limit_overall"));
    }
}

#[test]
fn a_packet_that_the_capture_holds_in_part_is_malformed_and_said_to_be_cut() {
    let bench = Bench::new();
    let mut packets = read_pcap(&fixture("B-between"));
    packets.iter_mut().for_each(|packet| packet.data.truncate(96));
    let capture = bench.write("cut", &packets);
    let lines = bench.verify("a", &capture, &[]);
    assert!(lines.iter().all(|line| line["reason"] == "malformed"));
    assert_eq!(lines[1]["length"], 162);
    assert_eq!(lines[1]["note"], "the capture holds only 96 bytes of it");
    let summary = String::from_utf8(bench.run("a", &capture, &[]).stderr).unwrap();
    assert!(summary.contains("capture whole packets"), "{summary}");
}

#[test]
fn a_fragment_that_a_filter_would_reassemble_is_refused_with_a_note() {
    let bench = Bench::new();
    bench.change("a", "clamp_mss = false", "clamp_mss = false\nfragments = \"reassemble\"");
    let mut fragment = read_pcap(&fixture("B-host-a")).swap_remove(0);
    let header = &mut fragment.data[ETHERNET..ETHERNET + 20];
    (header[6], header[7]) = (0x20, 0);
    set_ipv4_checksum(header);
    let lines = bench.verify("a", &bench.write("fragment", &[fragment]), &[]);
    assert_eq!(lines[0]["reason"], "fragment_outbound");
    assert_eq!(lines[0]["note"], "the filter puts fragments together first, verify does not");
}

#[test]
fn a_broken_capture_ends_in_one_message_after_what_came_before() {
    let bench = Bench::new();
    let mut bytes = fs::read(fixture("B-between")).unwrap();
    bytes.truncate(bytes.len() - 1);
    let capture = bench.path("broken.pcap");
    fs::write(&capture, bytes).unwrap();
    let output = bench.run("a", &capture, &["--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 201);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("broken.pcap: record 202: it is cut off"), "{message}");
}

#[test]
fn what_cannot_be_read_ends_in_one_message_and_status_2() {
    let bench = Bench::new();
    for (capture, expected) in [
        ("not-there.pcap", "photongate: not-there.pcap cannot be opened: No such file"),
        ("Cargo.toml", "photongate: Cargo.toml: is neither pcap nor pcapng"),
    ] {
        let output = bench.run("a", Path::new(capture), &[]);
        assert_eq!(output.status.code(), Some(2));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.starts_with(expected) && message.lines().count() == 1, "{message}");
    }
    bench.change("a", "port = 40001", "prt = 40001");
    let output = bench.run("a", &fixture("B-between"), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("did you mean `port`?"));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let bench = Bench::new();
    let packets = read_pcap(&fixture("B-between"));
    let many: Vec<_> = packets.iter().cycle().take(20_000).cloned().collect();
    let capture = bench.write("many", &many);
    let mut child = bench.command("a", &capture, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("unknown_peer"));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!String::from_utf8(output.stderr).unwrap().contains("panicked"));
}

#[test]
fn a_capture_can_come_from_standard_input_and_be_pcapng() {
    let bench = Bench::new();
    let pcapng = bench.path("between.pcapng");
    let converted = Command::new("editcap").args(["-F", "pcapng"]).arg(fixture("B-between")).arg(&pcapng).status();
    assert!(converted.expect("editcap, of tshark, is needed for this test: run scripts/setup.sh").success());
    let mut command = bench.command("a", Path::new("-"), &["--json"]);
    let output = command.stdin(File::open(pcapng).unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, bench.run("a", &fixture("B-between"), &["--json"]).stdout);
}

/// A folder with the configurations of both LightningFilters, converted.
struct Bench(TempDir);

/// One packet of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Packet {
    time: Duration,
    original_len: u32,
    data: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        for config in ["a", "b"] {
            let source = format!("tests/fixtures/lf/filter-{config}.lf.json");
            let output = photongate().args(["import", "lightning-filter", &source]).output().unwrap();
            assert!(output.status.success());
            fs::write(bench.config(config), output.stdout).unwrap();
        }
        bench
    }

    /// The same, but the second one's peer uses lf2.
    fn with_lf2() -> Self {
        let bench = Self::new();
        bench.change("b", "port = 40001", "port = 40001\nlf2_port = 40002");
        bench.change("b", "isd_as = \"1-ff00:0:111\"", "isd_as = \"1-ff00:0:111\"\nencapsulation = \"lf2\"");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.toml"))
    }

    /// Replaces the first `from` in a configuration.
    fn change(&self, config: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.config(config)).unwrap();
        assert!(text.contains(from), "{from} is not in\n{text}");
        fs::write(self.config(config), text.replacen(from, to, 1)).unwrap();
    }

    fn write(&self, name: &str, packets: &[Packet]) -> PathBuf {
        let path = self.path(&format!("{name}.pcap"));
        let header = PcapHeader {
            datalink: DataLink::ETHERNET,
            ts_resolution: TsResolution::NanoSecond,
            endianness: Endianness::Big,
            ..PcapHeader::default()
        };
        let mut writer = PcapWriter::with_header(File::create(&path).unwrap(), header).unwrap();
        for Packet { time, original_len, data } in packets {
            writer.write_packet(&PcapPacket::new(*time, *original_len, data)).unwrap();
        }
        path
    }

    fn command(&self, config: &str, capture: &Path, arguments: &[&str]) -> Command {
        let mut command = photongate();
        command.arg("verify").arg(capture).arg("--config").arg(self.config(config)).args(arguments);
        command
    }

    fn run(&self, config: &str, capture: &Path, arguments: &[&str]) -> Output {
        self.command(config, capture, arguments).output().unwrap()
    }

    /// The lines of JSON.
    fn verify(&self, config: &str, capture: &Path, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(config, capture, &[&["--json"], arguments].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*errors), (Some(0), ""));
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The numbers of the packets that the LightningFilter of AS B sent.
    fn numbers_from_peer(&self, packets: &[Packet]) -> Vec<u64> {
        let from_b = |packet: &Packet| packet.data[LF..].starts_with(&[0, 20, 0xff, 0, 0, 0, 1, 0x12]);
        packets.iter().zip(1..).filter(|(packet, _)| from_b(packet)).map(|(_, number)| number).collect()
    }
}

fn photongate() -> Command {
    Command::new(env!("CARGO_BIN_EXE_photongate"))
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(format!("tests/fixtures/lf/{name}.pcap"))
}

fn lf2_examples() -> PathBuf {
    PathBuf::from("tests/fixtures/lf2/examples.pcap")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text<'l>(line: &'l Value, field: &str) -> &'l str {
    line[field].as_str().unwrap_or_else(|| panic!("{field} is no text in {line}"))
}

fn numbers(lines: &[Value], verdict: &str) -> impl Iterator<Item = u64> {
    lines.iter().filter(move |line| line["verdict"] == verdict).map(|line| line["n"].as_u64().unwrap())
}

fn read_pcap(path: &Path) -> Vec<Packet> {
    let mut reader = PcapReader::new(File::open(path).unwrap()).unwrap();
    let nanos_per_tick = if reader.header().ts_resolution == TsResolution::NanoSecond { 1 } else { 1_000 };
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_raw_packet() {
        let packet = packet.unwrap();
        let time = Duration::new(packet.ts_sec.into(), packet.ts_frac * nanos_per_tick);
        packets.push(Packet { time, original_len: packet.orig_len, data: packet.data.to_vec() });
    }
    packets
}

fn set_ipv4_checksum(header: &mut [u8]) {
    header[10..12].fill(0);
    let words = header.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    header[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
}

const A: &str = "1-ff00:0:111";
const B: &str = "20-ff00:0:112";

const ETHERNET: usize = 14;

/// Where the LF header begins in a captured packet: behind Ethernet, IPv4 without options, and UDP.
const LF: usize = ETHERNET + 20 + 8;
