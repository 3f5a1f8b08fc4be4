//! Somebody listens to the light between two key servers: they notice, nothing that was heard is used, and no packet is lost.

#![cfg(feature = "dataplane")]

mod support;

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::thread::sleep;
use std::time::Duration;

use photongate_agent::api::PeerName;
use photongate_agent::client::{Client, ClientOptions, Server};
use serde_json::Value;
use support::lab::{KeyServer, LINK_SECRET, ask};
use support::{ASES, HOST_B, Network, PROGRAM, RaisesOnDrop, Setup, filter_name, host, key_server_places};

#[test]
fn an_eavesdropper_is_noticed_and_gets_no_key_and_the_filters_lose_no_packet() {
    let key_servers = Some([hybrid("listen", "filter-a"), hybrid("connect", "filter-b")]);
    let Some(network) = Network::start(Setup { key_servers, ..Setup::default() }) else { return };
    network.connect_hosts();
    let before = network.filters.each_ref().map(|filter| filter.counters().unwrap());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let pinging = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                host::ping(&network.sides[0].host, HOST_B[0], 50)?;
            }
            anyhow::Ok(())
        });
        let ends = RaisesOnDrop(&done);
        listen_in(&network);
        drop(ends);
        pinging.join().unwrap().expect("all pings are answered");
    });
    for (filter, before) in network.filters.iter().zip(before) {
        assert_eq!(filter.counters().unwrap().dropped_since(&before), [].into());
    }
    network.stop();
}

fn listen_in(network: &Network) {
    let servers = &network.key_servers.as_ref().unwrap().0;
    eventually(network, "keys that rest on both", || has_keys(network, "hybrid"));

    set_eavesdropper(&servers[0], 1.0);
    for server in servers {
        eventually(network, "an alarm", || source(server)["phase"] == "alarm");
    }
    eventually(network, "the share of wrong bits", || qber(&servers[0]) > 0.15);
    let alarmed = source(&servers[0]);
    assert!(alarmed["reason"].as_str().unwrap().contains("bb84 has an alarm"), "{alarmed}");
    assert!(alarmed["quality"]["discarded_blocks"].as_u64().unwrap() > 0, "{alarmed}");
    assert_eq!(servers[0].get("/api/v1/status").unwrap()["sources_in_alarm"], 1);

    // What was made before is good. When it is used up, there is what ML-KEM gives, more and more of it, and nothing else.
    eventually(network, "no more keys that rest on both", || {
        use_up(network, "hybrid");
        !has_keys(network, "hybrid")
    });
    let (secret_bits, taken_in) = (secret_bits(&servers[0]), taken_in_bytes(&servers[0]));
    eventually(network, "more key material", || taken_in_bytes(&servers[0]) > taken_in + ENOUGH_BYTES);
    assert_eq!(self::secret_bits(&servers[0]), secret_bits, "the QKD link gave keys while somebody listened");
    eventually(network, "keys that rest on ML-KEM alone", || has_keys(network, "pqc"));
    // What was on its way when the alarm came may have come late, and is good.
    use_up(network, "hybrid");
    assert!(!has_keys(network, "hybrid"), "there are still keys that rest on both");
    assert!(!has_keys(network, "qkd"), "there are keys that rest on QKD alone");
    for (letter, peer) in [('a', ASES[1]), ('b', ASES[0])] {
        prefetch(network, letter, peer);
    }
    assert_eq!(source(&servers[0])["phase"], "alarm");

    set_eavesdropper(&servers[0], 0.0);
    eventually(network, "the end of the alarm", || source(&servers[0])["phase"] == "producing");
    eventually(network, "keys that rest on both again", || has_keys(network, "hybrid"));
    assert!(self::secret_bits(&servers[0]) > secret_bits);
}

/// The sources of a link that combines BB84 and ML-KEM and goes on with either alone; and an application to ask for its keys.
fn hybrid(end: &str, sae: &str) -> &'static str {
    let text = format!(
        r#"[[links.sources]]
kind = "hybrid"
when_one_fails = "carry_on"
patience = "2s"
[[links.sources.of]]
kind = "bb84"
{end} = "{meet}:8450"
secret = {{ file = "{LINK_SECRET}" }}
pulses_per_second = 4_000_000
block_bits = 65_536
probe_pause_ms = 500
[[links.sources.of]]
kind = "mlkem"
interval = "50ms"
[[saes]]
id = "{sae}"
"#,
        meet = key_server_places()[0].servers.ip(),
    );
    text.leak()
}

fn set_eavesdropper(server: &KeyServer, fraction: f64) {
    let mut channel = server.get(CHANNEL).unwrap();
    channel["eavesdropper"] = fraction.into();
    let (status, answer) = ask(server.socket(), "PUT", CHANNEL, Some(&channel)).unwrap();
    assert!((200..300).contains(&status), "{status} {answer}");
}

fn source(server: &KeyServer) -> Value {
    server.get("/api/v1/links").unwrap()[0]["sources"][0].clone()
}

fn qber(server: &KeyServer) -> f64 {
    source(server)["quality"]["qber"].as_f64().unwrap_or_default()
}

fn secret_bits(server: &KeyServer) -> u64 {
    source(server)["quality"]["secret_bits"].as_u64().unwrap()
}

fn taken_in_bytes(server: &KeyServer) -> u64 {
    server.get("/api/v1/links").unwrap()[0]["taken_in_bytes"].as_u64().unwrap()
}

/// Whether there is key material of that origin, of which it uses up some.
fn has_keys(network: &Network, origin: &str) -> bool {
    get_keys(network, origin, 1, 64)
}

fn use_up(network: &Network, origin: &str) {
    for (number, bits) in [(16, 8192), (1, 8192), (1, 1024), (1, 64)] {
        while get_keys(network, origin, number, bits) {}
    }
}

fn get_keys(network: &Network, origin: &str, number: u32, bits: u32) -> bool {
    let pki = network.directory.path().join("pki");
    let mut client = network.sides[0].filter.command(PROGRAM);
    client.args(["qks", "client", "enc", "filter-b", "--url", "https://127.0.0.1:8443/", "--json"]);
    client.args(["--number", &number.to_string(), "--size", &bits.to_string()]);
    client.args(["--mandatory", &format!("photongate_source=\"{origin}\"")]);
    for (option, file) in [("--ca", "ca.pem"), ("--certificate", "filter-a.pem"), ("--key", "filter-a-key.pem")] {
        client.arg(option).arg(pki.join(file));
    }
    let output = client.stdout(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    // Just after the start a server has not heard yet what the other one serves.
    let comes_later = ["could be met", "not enough", "exhausted", "is not known"];
    let is_empty = comes_later.iter().any(|reason| errors.contains(reason));
    assert!(output.status.success() || is_empty, "{errors}");
    output.status.success()
}

/// Has a filter fetch its next keys, which are encrypted under what the key servers have.
fn prefetch(network: &Network, letter: char, peer: &str) {
    let socket = network.directory.path().join(format!("{}-api.sock", filter_name(letter)));
    let peer = PeerName { isd_as: peer.to_owned(), drkey_protocol: 3 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fetched = runtime.block_on(async {
        Client::new(Server::socket(&socket), &ClientOptions::default()).unwrap().prefetch(&peer).await.unwrap()
    });
    assert!(fetched.degraded.is_none(), "{fetched:?}");
}

fn eventually(network: &Network, what: &str, happened: impl Fn() -> bool) {
    // With pauses, for a key server limits how often somebody may ask.
    let look = || {
        sleep(Duration::from_millis(250));
        Ok(happened().then_some(()))
    };
    network.patience.until(what, Duration::from_secs(180), look).unwrap();
}

const CHANNEL: &str = "/api/v1/links/fibre/sources/0/channels/0";

/// More than comes while the eavesdropper is not noticed yet.
const ENOUGH_BYTES: u64 = 4_096;
