//! `photongate import lightning-filter`, run as an operator runs it.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

#[test]
fn the_configurations_of_running_lightning_filters_convert_to_valid_ones() {
    for (file, local, peer) in [("a", "1-ff00:0:111", "20-ff00:0:112"), ("b", "20-ff00:0:112", "1-ff00:0:111")] {
        let output = import(&format!("tests/fixtures/lf/filter-{file}.lf.json"));
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty(), "everything in it has a counterpart");
        let config = understood(&stdout(&output));
        assert_eq!(config["isd_as"], local);
        assert_eq!(config["lf"]["port"], 40001);
        assert_eq!(config["lf"]["drkey_protocol"], 4660);
        assert_eq!(config["peers"][0]["isd_as"], peer);
        assert_eq!(config["peers"][0]["drkey_protocol"], 4660);
        assert_eq!(config["limits"]["overall"], Value::Null, "9223372036854775807 is no limit");
        assert_eq!(config["peers"][0]["limit"], Value::Null);
        assert_eq!(config["best_effort"]["enabled"], false, "without a limit there nothing passes");
    }
}

#[test]
fn every_secret_is_converted_with_its_time() {
    let text = stdout(&import("tests/fixtures/lf/filter-a.lf.json"));
    for line in [
        r#"{ secret = "00112233445566778899aabbccddeeff", not_before = "2024-02-29T12:34:56Z" },"#,
        r#"{ secret = "fedcba98765432100f1e2d3c4b5a6978", not_before = "2026-11-01T01:02:03Z" },"#,
        r#"{ secret = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", not_before = "2099-01-01T00:00:00Z" },"#,
    ] {
        assert!(text.contains(line), "{line} is missing from:\n{text}");
    }
}

#[test]
fn every_field_with_a_counterpart_is_converted() {
    let (config, notes) = convert(&json!({
        "isd_as": "1-f:0:1",
        "drkey_protocol": 3,
        "port": 12345,
        "ip_public": "100.200.50.150",
        "ratelimit": { "byte_rate": 1000000, "byte_burst": 50000, "packet_rate": 2000, "packet_burst": 100 },
        "auth_peers": { "ratelimit": { "byte_rate": 3000, "byte_burst": 6000, "packet_rate": 4000 } },
        "best_effort": { "ratelimit": { "byte_rate": 9223372036854775807_u64, "packet_rate": 7 } },
        "peers": [
            { "isd_as": "2-2", "drkey_protocol": 3, "ip": "10.248.2.1", "shared_secrets": [secret("2026-01-01T00:00:00")] },
            {
                "isd_as": "3-3",
                "drkey_protocol": 3,
                "ip": "10.248.3.1",
                "ratelimit": { "byte_rate": 9223372036854775807_u64, "packet_rate": 9223372036854775807_u64 },
                "shared_secrets": [secret("2026-01-01T00:00:00")],
            },
        ],
        "inbound": { "ether": "src_addr" },
        "outbound": { "ether": "00:76:65:74:68:18" },
        "dst_ratelimiter": { "ip": "10.0.1.2", "ratelimit": { "byte_rate": 100000, "packet_rate": 100000 } },
        "wg_ratelimiter": {
            "port": 51821,
            "ratelimit_handshake": { "byte_rate": 50000, "packet_rate": 400 },
            "ratelimit_data": { "byte_rate": 5000000000_u64, "byte_burst": 100000000, "packet_rate": 40000000 },
        },
    }));
    assert_eq!(config["lf"]["port"], 12345);
    assert_eq!(config["lf"]["public_address"], json!(["100.200.50.150"]));
    assert_eq!(config["limits"]["overall"], limit(8_000_000, 50_000, 2000, 100));
    assert_eq!(config["limits"]["peer"], limit(24_000, 6000, 4000, 4000));
    assert_eq!(
        config["best_effort"],
        json!({ "enabled": true, "limit": { "packets_per_second": 7, "burst_packets": 7 } })
    );
    assert_eq!(config["peers"][0]["limit"], Value::Null);
    assert_eq!(config["peers"][0]["prefixes"], json!(["10.248.2.1/32"]));
    assert_eq!(
        config["peers"][1]["limit"]["bits_per_second"], 100_000_000_000_000_u64,
        "no limit, whatever limits.peer says"
    );
    assert_eq!(config["inbound"]["next_hop"], "swap");
    assert_eq!(config["outbound"]["next_hop"], "00:76:65:74:68:18");
    let destination = json!({ "prefix": "10.0.1.2/32", "limit": limit(800_000, 100_000, 100_000, 100_000) });
    assert_eq!(config["limits"]["destinations"], json!([destination]));
    assert_eq!(config["wireguard"]["port"], 51821);
    assert_eq!(config["wireguard"]["handshake"], limit(400_000, 50_000, 400, 400));
    assert_eq!(config["wireguard"]["data"], limit(40_000_000_000, 100_000_000, 40_000_000, 40_000_000));
    assert_eq!(notes, ["auth_peers.ratelimit: there one limit for all such peers, here the same for each of them"]);
}

#[test]
fn what_has_no_counterpart_is_listed() {
    let mut source = minimal();
    source["drkey_service_addr"] = "127.0.0.1:30255".into();
    source["inbound"] = json!({ "ip": "10.0.1.2" });
    source["outbound"] = json!({ "ipv6": "::1", "ttl": 3 });
    source["dst_ratelimiter"] = json!({});
    source["wg_ratelimiter"] = json!({ "ratelimit_handshake": unlimited(), "ratelimit_data": unlimited() });
    source["auth_peers"] = json!({ "ratelimit": unlimited() });
    source["peers"][0]["nickname"] = "east".into();
    let (_, notes) = convert(&source);
    for note in [
        "drkey_service_addr: keys are made of shared secrets here, and no key service is asked: left out",
        "inbound.ip: destination addresses are not rewritten here: left out",
        "outbound.ipv6: destination addresses are not rewritten here: left out",
        "outbound.ttl: unknown to LightningFilter too: left out",
        "dst_ratelimiter: without ip it limits nothing: left out",
        "wg_ratelimiter: both limits are unlimited: left out",
        "auth_peers.ratelimit: every peer has a ratelimit of its own: left out",
        "peers[0].nickname: unknown to LightningFilter too: left out",
    ] {
        assert!(notes.iter().any(|other| other == note), "{note:?} is missing from {notes:#?}");
    }
    assert_eq!(notes.len(), 8, "{notes:#?}");
}

#[test]
fn a_limit_that_is_left_out_blocks_here_as_it_does_there() {
    let mut source = minimal();
    source.as_object_mut().unwrap().remove("ratelimit");
    source["peers"][0]["ratelimit"] = json!({ "packet_rate": 5 });
    let (config, notes) = convert(&source);
    assert_eq!(config["limits"]["overall"]["bits_per_second"], 0);
    assert_eq!(config["limits"]["overall"]["packets_per_second"], 0);
    assert_eq!(config["peers"][0]["limit"]["bits_per_second"], 0);
    assert_eq!(config["peers"][0]["limit"]["packets_per_second"], 5);
    let expected =
        "ratelimit: missing, which LightningFilter takes for 0, and so does the result: no inbound packets pass";
    assert_eq!(notes, [expected]);
}

#[test]
fn a_burst_smaller_than_a_packet_is_raised() {
    let mut source = minimal();
    source["ratelimit"] = json!({ "byte_rate": 1, "packet_rate": 1, "packet_burst": 0 });
    let (config, notes) = convert(&source);
    assert_eq!(config["limits"]["overall"], limit(8, 1518, 1, 1));
    assert_eq!(
        notes,
        [
            "ratelimit.byte_burst: raised to 1518: no larger packet would ever pass",
            "ratelimit.packet_burst: raised to 1: no packet would ever pass",
        ]
    );
}

#[test]
fn an_as_listed_once_for_each_address_becomes_one_peer() {
    let mut source = minimal();
    let mut second = source["peers"][0].clone();
    second["ip"] = "10.248.2.2".into();
    source["peers"].as_array_mut().unwrap().push(second);
    let (config, notes) = convert(&source);
    assert_eq!(config["peers"].as_array().unwrap().len(), 1);
    assert_eq!(config["peers"][0]["prefixes"], json!(["10.248.2.1/32", "10.248.2.2/32"]));
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn peers_that_contradict_each_other_are_sorted_out_with_a_note() {
    let mut source = minimal();
    let peer = source["peers"][0].clone();
    let changed = |field: &str, value: Value| {
        let mut peer = peer.clone();
        peer[field] = value;
        peer
    };
    let peers = source["peers"].as_array_mut().unwrap();
    peers.push(changed("shared_secrets", json!([secret("2026-02-01T00:00:00")])));
    peers.push(changed("isd_as", "1-1".into()));
    peers.push(changed("isd_as", "3-3".into()));
    let (config, notes) = convert(&source);
    assert_eq!(config["peers"].as_array().unwrap().len(), 2);
    assert_eq!(
        notes,
        [
            "peers[1].shared_secrets: differ from those of the same AS and protocol, which are used (peers[0])",
            "peers[1].ip: 10.248.2.1 is the address of peers[0] already: left out",
            "peers[2]: 1-1 is the filter's own AS: left out",
            "peers[3].ip: 10.248.2.1 is the address of peers[0] already: left out",
        ]
    );
}

#[test]
fn of_secrets_that_begin_together_the_last_is_used() {
    let mut source = minimal();
    let last = json!({ "sv": "ffffffffffffffffffffffffffffffff", "not_before": "2026-01-01T00:00:00" });
    source["peers"][0]["shared_secrets"].as_array_mut().unwrap().push(last);
    let folder = write(&source.to_string());
    let output = import(&path(&folder));
    assert!(stdout(&output).contains("ffffffffffffffffffffffffffffffff"));
    assert!(!stdout(&output).contains(SECRET));
    assert!(stderr(&output).ends_with("of several with not_before 2026-01-01T00:00:00 only the last is used\n"));
}

#[test]
fn a_peer_without_secrets_is_commented_out() {
    let mut source = minimal();
    source["peers"][0].as_object_mut().unwrap().remove("shared_secrets");
    let (config, notes) = convert(&source);
    assert_eq!(config["peers"], json!([]));
    assert_eq!(notes, ["peers[0]: without shared_secrets there are no keys for 2-2: commented out"]);
}

#[test]
fn a_peer_without_a_protocol_has_lightning_filters_default() {
    let mut source = minimal();
    source["peers"][0].as_object_mut().unwrap().remove("drkey_protocol");
    let (config, notes) = convert(&source);
    assert_eq!(config["peers"][0]["drkey_protocol"], 0);
    let expected = "peers[0].drkey_protocol is 0, and the filter's is 3: \
                    LightningFilter could not send to this peer, photongate uses the peer's";
    assert_eq!(notes, [expected]);
}

#[test]
fn every_mistake_is_reported_at_once_with_status_2_and_no_result() {
    let folder = write(
        &json!({
            "isd_as": 5,
            "port": 0,
            "drkey_protocol": 65536,
            "ip_public": "1.2.3",
            "ratelimit": { "byte_rate": -1, "packet_rate": 1.5 },
            "inbound": { "ether": "router" },
            "outbound": [],
            "peers": [
                { "ip": 7, "shared_secrets": [
                    { "sv": "0123", "not_before": "2026-01-01" },
                    { "sv": "00000000000000000000000000000000" },
                    "secret",
                ] },
            ],
        })
        .to_string(),
    );
    let output = import(&path(&folder));
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let stderr = stderr(&output);
    let problems: Vec<_> = stderr.lines().map(|line| line.split_once(".json: ").unwrap().1).collect();
    assert_eq!(
        problems,
        [
            "isd_as: must be text",
            "drkey_protocol: must be a whole number from 0 to 65535",
            "port: must not be 0",
            "ip_public: must be like 192.0.2.1",
            "ratelimit.byte_rate: must be a whole number from 0 to 18446744073709551615",
            "ratelimit.packet_rate: must be a whole number from 0 to 18446744073709551615",
            "peers[0].isd_as: missing",
            "peers[0].ip: must be text",
            "peers[0].shared_secrets[0].sv: must be 32 hexadecimal digits",
            "peers[0].shared_secrets[0].not_before: must be a time in UTC, like 2026-01-01T00:00:00",
            "peers[0].shared_secrets[1].sv: must not be all zeroes",
            "peers[0].shared_secrets[1].not_before: missing",
            "peers[0].shared_secrets[2]: must be an object: { … }",
            "inbound.ether: must be like 00:76:65:74:68:18, or \"src_addr\"",
            "outbound: must be an object: { … }",
        ]
    );
}

#[test]
fn no_message_shows_a_secret() {
    let texts = [
        format!("{{ \"isd_as\": \"{SECRET}\", \"port\": \"{SECRET}\", \"ip_public\": \"{SECRET}\" }}"),
        format!(
            "{{ \"peers\": [{{ \"shared_secrets\": [{{ \"sv\": \"{SECRET}x\", \"not_before\": \"{SECRET}\" }}] }}] }}"
        ),
        format!("{{ \"peers\": \"{SECRET}\", \"inbound\": {{ \"ether\": \"{SECRET}\" }} }}"),
        format!("{{ \"peers\": [{{ \"shared_secrets\": [{{ \"sv\": \"{SECRET} }}] }}] }}"),
    ];
    for text in texts {
        let output = import(&path(&write(&text)));
        assert_eq!(output.status.code(), Some(2));
        assert!(!stderr(&output).contains(&SECRET[..8]), "{}", stderr(&output));
    }
}

#[test]
fn what_is_no_json_is_refused_with_its_line() {
    let folder = write("{\n  \"isd_as\": }\n");
    let output = import(&path(&folder));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output), format!("{}: not JSON: expected value at line 2 column 13\n", path(&folder)));
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let output = import("/nowhere/lf.json");
    assert_eq!(output.status.code(), Some(2));
    let expected = "/nowhere/lf.json: cannot be read: No such file or directory (os error 2)\n";
    assert_eq!(stderr(&output), expected);
}

#[test]
fn a_result_that_our_filter_refuses_is_printed_with_what_to_edit() {
    let mut source = minimal();
    source["peers"][0]["shared_secrets"].as_array_mut().unwrap().push(secret("2026-01-04T00:00:01"));
    let output = import(&path(&write(&source.to_string())));
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("2026-01-04T00:00:01Z"));
    let message = stderr(&output);
    assert!(message.starts_with("the result must be edited before it can be used:\n(the result):"), "{message}");
    assert!(message.contains("peers[0].shared_secrets[1].not_before: "), "{message}");
}

/// The least configuration in which packets pass.
fn minimal() -> Value {
    json!({
        "isd_as": "1-1",
        "drkey_protocol": 3,
        "ratelimit": unlimited(),
        "peers": [{
            "isd_as": "2-2",
            "drkey_protocol": 3,
            "ip": "10.248.2.1",
            "ratelimit": unlimited(),
            "shared_secrets": [secret("2026-01-01T00:00:00")],
        }],
    })
}

fn unlimited() -> Value {
    json!({ "byte_rate": 9223372036854775807_u64, "packet_rate": 9223372036854775807_u64 })
}

fn secret(not_before: &str) -> Value {
    json!({ "sv": SECRET, "not_before": not_before })
}

fn limit(bits: u64, burst_bytes: u64, packets: u64, burst_packets: u64) -> Value {
    json!({
        "bits_per_second": bits,
        "burst_bytes": burst_bytes,
        "packets_per_second": packets,
        "burst_packets": burst_packets,
    })
}

/// What our filter makes of the converted configuration, and the notes on the conversion.
fn convert(source: &Value) -> (Value, Vec<String>) {
    let folder = write(&source.to_string());
    let output = import(&path(&folder));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let prefix = format!("{}: ", path(&folder));
    let notes = stderr(&output).lines().map(|line| line.strip_prefix(&prefix).unwrap().to_owned()).collect();
    (understood(&stdout(&output)), notes)
}

/// The configuration in `text` as `photongate check` understands it.
fn understood(text: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("filter.toml");
    fs::write(&file, text).unwrap();
    let output = Command::new(PHOTONGATE).args(["check", "--json", "--config"]).arg(file).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}\n{text}", stdout(&output));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["config"].take()
}

fn import(file: &str) -> Output {
    Command::new(PHOTONGATE).args(["import", "lightning-filter", file]).output().unwrap()
}

fn write(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("lf.json"), text).unwrap();
    folder
}

fn path(folder: &TempDir) -> String {
    folder.path().join("lf.json").to_str().unwrap().to_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const PHOTONGATE: &str = env!("CARGO_BIN_EXE_photongate");
const SECRET: &str = "0123456789abcdef0123456789abcdef";
