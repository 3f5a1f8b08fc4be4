//! A filter that is operated while packets flow: keys rotate, lists change, sources fail, processes are killed. Needs root, for namespaces.

#![cfg(feature = "dataplane")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use photongate_agent::api::{Changes, Peer, PeerName, Status};
use photongate_agent::as_list::Format;
use photongate_agent::client::{Client, ClientError, ClientOptions, Server};
use support::lab::Side;
use support::{HOST_A, HOST_B, Network, RaisesOnDrop, Setup};
use tokio::runtime::Runtime;

/// The keys change every 1.6 s. They may be fetched 0.9 s ahead, so that a source may be down for a while.
const QUICK_KEYS: &str = r#"
epoch = "1600ms"
prefetch = "900ms"
grace = "50ms"
time_threshold = "500ms""#;

#[test]
fn no_valid_packet_is_lost_while_keys_rotate_lists_change_and_the_source_of_keys_fails() {
    let setup = Setup { keys: QUICK_KEYS, own_list: true, ..Setup::default() };
    let Some(network) = Network::start(setup) else { return };
    network.connect_hosts();
    let managers = ['a', 'b'].map(|letter| Manager::of(&network, letter));
    let [a, b] = &network.sides;
    let before = network.filters.each_ref().map(|filter| filter.counters().unwrap());

    let stop = AtomicBool::new(false);
    let flows = [
        Flow::between(a, HOST_A[0], b, HOST_B[0]),
        Flow::between(b, HOST_B[0], a, HOST_A[0]),
        Flow::between(a, HOST_A[1], b, HOST_B[1]),
        Flow::between(b, HOST_B[1], a, HOST_A[1]),
    ];
    let (mut epochs, mut reloads, mut failures) = (BTreeSet::new(), 0, 0);
    thread::scope(|scope| {
        for flow in &flows {
            scope.spawn(|| flow.send_until(&stop));
            scope.spawn(|| flow.receive_until(&stop));
        }
        let _stops = RaisesOnDrop(&stop);
        let begun = Instant::now();
        while (epochs.len() < ROTATIONS || reloads < RELOADS) && begun.elapsed() < LONGEST_RUN {
            for manager in &managers {
                // In turn: by HTTP, by a changed file, on request. Each time with other peers beside the one under test.
                let others = 1 + reloads % 5;
                match reloads % 3 {
                    0 => drop(manager.replace_list(others).unwrap()),
                    1 => manager.change_file(others),
                    _ => manager.change_file_and_reload(others),
                }
                manager.wait_for_peers(&network, 1 + others);
                reloads += 1;
                epochs.extend(manager.peer().keys.outbound.map(|epoch| epoch.start));
            }
            if reloads % 10 == 0 {
                managers.iter().for_each(Manager::take_secret_away);
                thread::sleep(Duration::from_millis(300));
                managers.iter().for_each(Manager::give_secret_back);
                failures += 1;
            }
        }
    });
    assert!(epochs.len() >= ROTATIONS, "keys rotated {} times, with {reloads} reloads", epochs.len());
    assert!(reloads >= RELOADS && failures >= 5, "{reloads} reloads, {failures} failures");

    for flow in &flows {
        let (sent, received) = (flow.sent.load(Ordering::Relaxed), flow.received.load(Ordering::Relaxed));
        assert!(sent > 1_000, "{sent} packets were sent");
        assert_eq!(received, sent, "packets to {}", flow.to);
    }
    for (filter, before) in network.filters.iter().zip(&before) {
        let now = filter.counters().unwrap();
        assert_eq!(now.dropped_since(before), [].into(), "nothing was dropped");
        assert_eq!(now.lost, before.lost);
    }
    // The failures were real, and are over.
    let failed: u64 = managers.iter().map(Manager::failed_fetches).sum();
    assert!(failed > 0, "the source of keys has never failed");
    for manager in &managers {
        network.eventually("all peers to have keys", || Ok(manager.status().ready));
    }
    network.stop();
}

#[test]
fn a_filter_that_was_killed_comes_back_with_its_list_and_with_keys_whose_source_is_down() {
    let setup = Setup { own_list: true, ..Setup::default() };
    let Some(mut network) = Network::start(setup) else { return };
    network.connect_hosts();
    let manager = Manager::of(&network, 'a');
    let changes = manager.replace_list(2).unwrap();
    assert_eq!((changes.generation, changes.added.len()), (2, 2));
    // Keys are written down within seconds.
    network.eventually("keys to be kept", || {
        Ok(manager.directory.join(format!("{}-state/sealed/keys.sealed", manager.name)).exists())
    });
    thread::sleep(Duration::from_secs(2));

    network.kill_filter(0);
    manager.take_secret_away();
    fs::write(manager.list_path(), "[[peers]]\nisd_as = \"nonsense\"\n").unwrap();
    network.restart_filter(0);
    network.wait_for_host_b();

    let manager = Manager::of(&network, 'a');
    let status = manager.status();
    assert_eq!((status.as_list.generation, status.as_list.peers), (2, 3));
    assert!(status.as_list.last_refusal.is_some_and(|refusal| refusal.contains("isd_as")), "the mistake is told");
    assert_eq!(status.peers.dark, 0, "{:?}", status.not_ready_because);

    // What was never kept cannot be had: the peer is dark, and says so, and the filter lives.
    network.kill_filter(0);
    fs::remove_dir_all(manager.directory.join(format!("{}-state/sealed", manager.name))).unwrap();
    fs::write(manager.list_path(), manager.list(0)).unwrap();
    let (mut child, log) = network.try_to_start(0);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(2), "without a list that was in force, secrets must be there: {}", log());
    manager.give_secret_back();
    network.restart_filter(0);
    network.wait_for_host_b();
    network.stop();
}

#[test]
fn a_revoked_key_is_out_of_use_when_the_call_returns() {
    let setup = Setup { own_list: true, ..Setup::default() };
    let Some(network) = Network::start(setup) else { return };
    network.connect_hosts();
    let manager = Manager::of(&network, 'b');
    let accepted = || network.filters[1].counters().unwrap().forwarded("accepted");
    let outcome = manager.revoke();
    let at_once = accepted();
    assert_eq!(outcome.revoked.len(), 2, "{outcome:?}");
    assert!(outcome.degraded.is_some_and(|degraded| degraded.is_dark && degraded.reason.contains("revoked")));
    assert!(support::host::ping(&network.sides[0].host, HOST_B[0], 3).is_err());
    assert_eq!(accepted(), at_once);
    assert!(network.filters[1].counters().unwrap().dropped("no_key") > 0);
    assert!(!manager.status().ready);
    network.stop();
}

#[test]
fn two_operators_cannot_overwrite_each_other() {
    let setup = Setup { own_list: true, ..Setup::default() };
    let Some(network) = Network::start(setup) else { return };
    let manager = Manager::of(&network, 'a');
    let generation = manager.status().as_list.generation;
    manager.replace_list(1).unwrap();
    let late = manager.replace_generation(generation, 2).unwrap_err();
    assert_eq!(late.status().map(|status| status.as_u16()), Some(412), "{late}");
    assert_eq!(manager.status().peers.total, 2);
    network.stop();
}

/// An operator at one of the filters.
struct Manager {
    name: String,
    directory: PathBuf,
    peer: PeerName,
    client: Client,
    runtime: Runtime,
}

impl Manager {
    fn of(network: &Network, letter: char) -> Self {
        let name = support::filter_name(letter);
        let directory = network.directory.path().to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let socket = directory.join(format!("{name}-api.sock"));
        let client =
            runtime.block_on(async { Client::new(Server::socket(&socket), &ClientOptions::default()) }).unwrap();
        let peer = if letter == 'a' { "20-ff00:0:112" } else { "1-ff00:0:111" };
        Self { name, directory, peer: PeerName { isd_as: peer.to_owned(), drkey_protocol: 3 }, client, runtime }
    }

    fn status(&self) -> Status {
        self.runtime.block_on(self.client.status()).unwrap()
    }

    fn peer(&self) -> Peer {
        self.runtime.block_on(self.client.peer(&self.peer)).unwrap()
    }

    fn revoke(&self) -> photongate_agent::api::RevokeOutcome {
        self.runtime.block_on(self.client.revoke(&self.peer, None)).unwrap()
    }

    /// The list in the file, with so many other peers.
    fn list(&self, others: usize) -> String {
        support::peer_list(self.name.chars().last().unwrap(), others)
    }

    fn list_path(&self) -> PathBuf {
        self.directory.join(format!("{}-peers.toml", self.name))
    }

    fn replace_list(&self, others: usize) -> Result<Changes, ClientError> {
        self.replace_generation(self.status().as_list.generation, others)
    }

    fn replace_generation(&self, generation: u64, others: usize) -> Result<Changes, ClientError> {
        let shown = self.runtime.block_on(self.client.as_list(Format::Toml)).unwrap().text;
        let own = shown.split("[[peers]]").find(|peer| peer.contains(&self.peer.isd_as)).unwrap();
        let list = format!("[[peers]]{own}{}", support::other_peers(others));
        self.runtime.block_on(self.client.replace_as_list(list.into(), Format::Toml, generation))
    }

    /// Replaces the file as editors do, so that nobody reads half of it.
    fn change_file(&self, others: usize) {
        let new = self.list_path().with_extension("new");
        fs::write(&new, self.list(others)).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, self.list_path()).unwrap();
    }

    fn change_file_and_reload(&self, others: usize) {
        self.change_file(others);
        self.runtime.block_on(self.client.reload()).unwrap();
    }

    fn wait_for_peers(&self, network: &Network, count: usize) {
        // Not when the peers are there, which is a moment before: who changes the list has to name the generation that is in force.
        network.eventually("the list to be in force", || Ok(self.status().as_list.peers == count));
    }

    fn take_secret_away(&self) {
        let secret = self.directory.join("secret");
        if secret.exists() {
            fs::rename(secret, self.directory.join("secret.away")).unwrap();
        }
    }

    fn give_secret_back(&self) {
        let away = self.directory.join("secret.away");
        if away.exists() {
            fs::rename(away, self.directory.join("secret")).unwrap();
        }
    }

    fn failed_fetches(&self) -> u64 {
        let log = fs::read_to_string(self.directory.join(format!("{}.log", self.name))).unwrap();
        log.lines().filter(|line| line.contains("no key:")).count() as u64
    }
}

/// Numbered datagrams from one host to another.
struct Flow {
    sender: UdpSocket,
    receiver: UdpSocket,
    to: SocketAddr,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Flow {
    fn between(from: &Side, source: std::net::IpAddr, to: &Side, destination: std::net::IpAddr) -> Self {
        let bind =
            |side: &Side, address| side.host.enter(|| Ok(UdpSocket::bind(SocketAddr::new(address, 0))?)).unwrap();
        let (sender, receiver) = (bind(from, source), bind(to, destination));
        receiver.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let to = receiver.local_addr().unwrap();
        Self { sender, receiver, to, sent: AtomicU64::new(0), received: AtomicU64::new(0) }
    }

    fn send_until(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let number = self.sent.fetch_add(1, Ordering::Relaxed);
            self.sender.send_to(&number.to_be_bytes(), self.to).unwrap();
            thread::sleep(Duration::from_millis(4));
        }
    }

    fn receive_until(&self, stop: &AtomicBool) {
        let mut numbers = BTreeSet::new();
        let mut ended = None;
        loop {
            let mut bytes = [0; 8];
            if self.receiver.recv_from(&mut bytes).is_ok() {
                assert!(numbers.insert(u64::from_be_bytes(bytes)), "a packet came twice");
                self.received.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            // Nothing has come for a while. What is on its way when the sender stops gets some time to arrive.
            if stop.load(Ordering::Relaxed) && ended.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(1)
            {
                return;
            }
        }
    }
}

const ROTATIONS: usize = 50;
const RELOADS: usize = 100;
const LONGEST_RUN: Duration = Duration::from_secs(240);
