//! Nodes of the distributed store as processes on loopback: files go in at one and come out at every other, also after interruptions.

#[path = "dht/mod.rs"]
mod dht;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use dht::{Mode, Nodes, bytes};
use serde_json::Value;

#[test]
fn a_file_put_at_one_node_of_a_closed_network_is_got_at_every_other() {
    let nodes = Nodes::start(Mode::Closed, 5);
    let file = bytes(1, 2_500_000);
    let put = nodes.put(1, &file);
    assert_eq!((&put["pieces"], &put["sent_pieces"]), (&Value::from(10), &Value::from(10)), "{put}");
    assert_eq!((&put["copies"], &put["verified_pieces"]), (&Value::from(3), &Value::from(10)), "{put}");
    for node in 0..5 {
        assert!(got(&nodes, node, key(&put)) == file, "node {node} has other bytes");
    }
    let at_home = String::from_utf8(nodes.client(1, &["stat", key(&put)]).stdout).unwrap();
    assert!(at_home.starts_with("this node has it, as it was put into the network here\n"), "{at_home}");
    let stat = nodes.client(4, &["stat", key(&put), "--json"]);
    let stat: Value = serde_json::from_slice(&stat.stdout).unwrap();
    assert!(stat["here"] == "cached" || stat["here"] == "held", "{stat}");
}

#[test]
fn what_was_put_stays_when_the_node_that_put_it_is_gone() {
    let mut nodes = Nodes::start(Mode::Plain, 5);
    let file = bytes(2, 1_000_000);
    let put = nodes.put(4, &file);
    nodes.kill(4);
    assert!(got(&nodes, 2, key(&put)) == file);
}

#[test]
fn an_upload_that_is_killed_goes_on_without_sending_what_is_there() {
    let mut nodes = Nodes::start(Mode::Plain, 4);
    let path = nodes.path("large");
    let file = bytes(3, PIECES as usize * PIECE as usize);
    fs::write(&path, &file).unwrap();
    let mut client = Command::new(env!("CARGO_BIN_EXE_photongate"))
        .args(["dht", "put"])
        .arg(&path)
        .arg("--socket")
        .arg(nodes.socket(3))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // On its disk, without asking the node: that would take longer than the rest of the upload.
    let values = nodes.path("state-3/values");
    while values_in(&values) < 5 {
        assert!(client.try_wait().unwrap().is_none(), "{}", nodes.logs());
        thread::sleep(Duration::from_millis(1));
    }
    client.kill().unwrap();
    client.wait().unwrap();
    // The node that had them, too, comes back with what it has on disk.
    nodes.kill(3);
    nodes.run(3);
    nodes.wait_until_in(3);
    let there = values_in(&values);
    assert!((5..PIECES).contains(&there), "{there} of {PIECES} pieces were there");

    // To the node comes what was not there, and to no other node anything twice.
    let put = nodes.put(3, &file);
    let missing = PIECES - there;
    assert_eq!((&put["sent_pieces"], &put["sent_bytes"]), (&missing.into(), &(missing * PIECE).into()), "{put}");
    let list = photongate_dht::manifest::Manifest::new(
        file.chunks(PIECE as usize).map(photongate_dht::manifest::Piece::of).collect(),
    );
    let all = PIECES * PIECE + list.unwrap().to_bytes().len() as u64;
    let received = |nodes: &Nodes| [0, 1, 2].map(|node| nodes.status(node)["value_bytes_received"].as_u64().unwrap());
    nodes.eventually("each has all", |nodes| received(nodes).iter().all(|received| *received >= all));
    assert_eq!(received(&nodes), [all; 3]);
    let again = nodes.put(3, &file);
    assert_eq!((&again["sent_pieces"], &again["sent_bytes"]), (&Value::from(0), &Value::from(0)), "{again}");
    assert!(got(&nodes, 0, key(&put)) == file);
    assert_eq!(received(&nodes), [all; 3], "nothing is sent again");
}

#[test]
fn a_download_goes_on_from_what_is_there() {
    let nodes = Nodes::start(Mode::Plain, 3);
    let file = bytes(4, 1 << 20);
    let put = nodes.put(0, &file);
    let path = nodes.path("resumed");
    // As an interrupted one leaves it: two pieces of four, the second of them damaged.
    let mut part = file[..512 << 10].to_vec();
    part[300 << 10] ^= 1;
    fs::write(nodes.path("resumed.part"), part).unwrap();
    let output = nodes.client(2, &["get", key(&put), path.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["fetched_bytes"], 768 << 10, "{told}");
    assert!(fs::read(&path).unwrap() == file);
    assert!(!nodes.path("resumed.part").exists());
}

#[test]
fn exit_codes_say_what_happened() {
    let mut nodes = Nodes::start(Mode::Plain, 2);
    let unknown = "00".repeat(32);
    let output = nodes.path("output");
    let output = output.to_str().unwrap();
    assert_eq!(status(&nodes.client(0, &["get", &unknown, output])), 3);
    assert_eq!(status(&nodes.client(0, &["stat", &unknown])), 3);
    assert_eq!(status(&nodes.client(0, &["get", "no key", output])), 2);
    assert_eq!(status(&nodes.client(0, &["put", "/no/such/file"])), 2);
    assert_eq!(status(&nodes.client(0, &["lookup", &unknown])), 0);
    assert_eq!(status(&nodes.client(0, &["status"])), 0);
    // A value that is no file.
    let small = nodes.path("small");
    fs::write(&small, "photongate-file 1\n").unwrap();
    let put = nodes.put(0, b"");
    assert_eq!(got(&nodes, 1, key(&put)), b"");
    nodes.kill(0);
    assert_eq!(status(&nodes.client(0, &["status"])), 2);
    nodes
        .eventually("the other one is alone", |nodes| status(&nodes.client(1, &["put", small.to_str().unwrap()])) == 4);
}

#[test]
fn on_a_terminal_a_bar_shows_how_far_it_is_and_elsewhere_nothing_does() {
    let nodes = Nodes::start(Mode::Plain, 2);
    let path = nodes.path("large");
    fs::write(&path, bytes(10, 3_000_000)).unwrap();
    let (file, socket) = (path.to_str().unwrap(), nodes.socket(0));
    let command = format!("{} dht put {file} --socket {}", env!("CARGO_BIN_EXE_photongate"), socket.display());
    let shown = Command::new("script").args(["-qefc", &command, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let words = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.status.success(), "{shown:?}");
    for part in ["[###", "100 %", "B/s", "done"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let told = nodes.client(0, &["put", file]);
    assert!(told.status.success() && !String::from_utf8_lossy(&told.stderr).contains('%'), "{told:?}");
}

#[test]
fn a_node_that_stands_still_is_given_up_by_every_command_with_a_reason() {
    let nodes = Nodes::start(Mode::Plain, 1);
    let (key, path) = ("5a".repeat(32), nodes.path("file"));
    fs::write(&path, bytes(7, 2_000_000)).unwrap();
    let file = path.to_str().unwrap();
    nodes.signal(0, "-STOP");
    let commands: [&[&str]; 6] =
        [&["put", file], &["get", &key, file], &["lookup", &key], &["stat", &key], &["peers"], &["status"]];
    for command in commands {
        let output = nodes.client(0, &[command, &["--patience", "1s"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(status(&output), 2, "{command:?}: {said}");
        for words in [nodes.socket(0).to_str().unwrap(), "for 1 s", "it hangs, or was stopped", "--patience TIME"] {
            assert!(said.contains(words), "{command:?}: {words}: {said}");
        }
    }
    nodes.signal(0, "-CONT");
    nodes.eventually("it answers again", |nodes| status(&nodes.client(0, &["status"])) < 2);
}

#[test]
fn a_node_that_stands_still_in_the_middle_of_a_file_is_given_up_and_the_same_command_goes_on() {
    let nodes = Nodes::start(Mode::Plain, 2);
    let file = bytes(8, PIECES as usize * PIECE as usize);
    let put = nodes.put(0, &file);
    let (path, part) = (nodes.path("large"), nodes.path("large.part"));
    let arguments = ["dht", "get", key(&put), path.to_str().unwrap(), "--patience", "2s", "--socket"];
    let client = Command::new(env!("CARGO_BIN_EXE_photongate"))
        .args(arguments)
        .arg(nodes.socket(1))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while fs::metadata(&part).map_or(0, |part| part.len()) == 0 && !path.exists() {
        thread::sleep(Duration::from_millis(1));
    }
    nodes.signal(1, "-STOP");
    let output = client.wait_with_output().unwrap();
    nodes.signal(1, "-CONT");
    // Unless it was whole before the node stood still.
    if !output.status.success() {
        assert_eq!(status(&output), 2, "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("has said nothing to the command `get`"),
            "{output:?}"
        );
        assert!(part.exists() && !path.exists());
    }
    assert!(got(&nodes, 1, key(&put)) == file);
}

#[test]
fn a_node_that_is_at_work_is_waited_for_longer_than_it_may_be_silent() {
    let nodes = Nodes::start(Mode::Plain, 1);
    let path = nodes.path("output");
    // It looks four times, and rests for three and a half seconds between.
    let output = nodes.client(0, &["get", &"5a".repeat(32), path.to_str().unwrap(), "--patience", "2s"]);
    assert_eq!(status(&output), 3, "it is the node that gives up: {output:?}");
}

#[test]
fn a_client_in_another_language_stores_and_fetches_over_udp_and_tcp() {
    let nodes = Nodes::start(Mode::Plain, 4);
    let file = bytes(5, 700_000);
    let put = nodes.put(2, &file);
    assert!(python(&nodes, &["file", key(&put)], b"") == file);

    for length in [10, 200_000] {
        let value = bytes(6, length);
        let key = String::from_utf8(python(&nodes, &["put"], &value)).unwrap().trim().to_owned();
        assert!(python(&nodes, &["get", &key], b"") == value);
        let path = nodes.path("value");
        let output = nodes.client(3, &["get", "--value", &key, path.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        assert!(fs::read(&path).unwrap() == value);
    }
    assert!(!python(&nodes, &["nodes", &"5a".repeat(32)], b"").is_empty());
    let id = nodes.status(0)["id"].as_str().unwrap().to_owned();
    assert_eq!(String::from_utf8(python(&nodes, &["ping"], b"")).unwrap().trim(), id);
    python(&nodes, &["nonsense"], b"");
    assert_eq!(String::from_utf8(python(&nodes, &["ping"], b"")).unwrap().trim(), id);
}

/// What the client in Python prints, that speaks to node 0.
fn python(nodes: &Nodes, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let path = nodes.path("python-input");
    fs::write(&path, input).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dht/client.py");
    let output = Command::new("python3")
        .arg("-B")
        .arg(script)
        .arg(nodes.address(0))
        .args(arguments)
        .stdin(fs::File::open(path).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}\n{}", String::from_utf8_lossy(&output.stderr), nodes.logs());
    output.stdout
}

fn got(nodes: &Nodes, node: usize, key: &str) -> Vec<u8> {
    nodes.get(node, key).unwrap_or_else(|output| panic!("{output:?}\n{}", nodes.logs()))
}

fn key(put: &Value) -> &str {
    put["key"].as_str().unwrap()
}

/// How many values a node has on its disk, as far as they are whole.
fn values_in(folder: &Path) -> u64 {
    let entries = |folder: &Path| -> Vec<_> {
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    let shelves: Vec<_> = entries(folder).iter().flat_map(|keep| entries(keep)).collect();
    let files = shelves.iter().flat_map(|shelf| entries(shelf));
    files.filter(|file| file.file_name().is_some_and(|name| name.len() == 64)).count() as u64
}

fn status(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// A file of so many pieces, each of so many bytes.
const PIECES: u64 = 48;
const PIECE: u64 = 256 << 10;
