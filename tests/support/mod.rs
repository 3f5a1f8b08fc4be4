//! Two hosts behind two filters, for end-to-end tests: the demo's network, with configurations to taste.

#![allow(dead_code, unused_imports, reason = "each test program uses a part")]

#[path = "../../src/demo/attack.rs"]
pub(crate) mod attack;
#[path = "../../src/demo/frames.rs"]
pub(crate) mod frames;
#[path = "../../src/demo/host.rs"]
pub(crate) mod host;
#[path = "../../src/demo/lab/mod.rs"]
pub(crate) mod lab;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{env, process};

use anyhow::Result;
use lab::{
    Direction, FIBRE, Filter, INSIDE, Internet, KeyServers, KeyServersPlan, OUTSIDE, Patience, Place, RawSocket, Side,
};
use photongate_net::Shutdown;
use tempfile::TempDir;

use attack::Overheard;
use lab::Flow;

/// Two sites, connected, with their filters running.
pub(crate) struct Network {
    pub(crate) patience: Patience,
    pub(crate) filters: [Filter; 2],
    pub(crate) key_servers: Option<KeyServers>,
    pub(crate) sides: [Side; 2],
    pub(crate) internet: Internet,
    pub(crate) directory: TempDir,
    _only_one: MutexGuard<'static, ()>,
}

/// What differs from one filter's configuration to another's.
#[derive(Clone, Copy, Default)]
pub(crate) struct Setup {
    /// Polling threads of each filter; none is one.
    pub(crate) workers: usize,
    /// Addresses at which the filters can be managed, in quotes, with commas between them.
    pub(crate) listen: &'static str,
    /// What `[keys]` says; nothing is a threshold of three seconds.
    pub(crate) keys: &'static str,
    /// Whether the peers stand in a list of their own, with a secret in a file.
    pub(crate) own_list: bool,
    /// The sources of the link between two key servers, from which the filters then get their keys.
    pub(crate) key_servers: Option<[&'static str; 2]>,
    /// Further sections, the same for both filters.
    pub(crate) sections: &'static str,
    /// Further fields of the peer.
    pub(crate) peer: &'static str,
    /// Further fields of the ports of filter A.
    pub(crate) inside_a: &'static str,
    pub(crate) outside_a: &'static str,
    /// Further fields of the ports of filter B.
    pub(crate) inside_b: &'static str,
    pub(crate) outside_b: &'static str,
}

impl Network {
    /// Starts everything; `None`, with a note, where the environment says to do without namespaces.
    pub(crate) fn start(setup: Setup) -> Option<Self> {
        let only_one = namespaces()?;
        let patience = patience();
        let directory = tempfile::tempdir().unwrap();
        let internet = Internet::create().unwrap();
        let sides = [Side::create('a').unwrap(), Side::create('b').unwrap()];
        let key_servers = setup.key_servers.map(|sources| {
            sides[0].join(&sides[1]).unwrap();
            let plan = KeyServersPlan { directory: directory.path(), places: key_server_places(), ases: ASES, sources };
            plan.prepare().unwrap();
            plan.start(sides.each_ref().map(|side| side.filter.command(PROGRAM)), &patience).unwrap()
        });
        let start = |side: &Side| {
            let name = filter_name(side.letter);
            if setup.own_list {
                let write = |file: &str, text: &str| {
                    let path = directory.path().join(file);
                    fs::write(&path, text).unwrap();
                    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
                };
                write("secret", SECRET);
                write(&format!("{name}-peers.toml"), &peer_list(side.letter, 0));
            }
            let program = side.filter.command(PROGRAM);
            Filter::start(program, directory.path(), &name, &config(&name, side.letter, setup), &patience).unwrap()
        };
        let filters = sides.each_ref().map(start);
        for side in &sides {
            internet.connect(side).unwrap();
        }
        Some(Self { patience, filters, key_servers, sides, internet, directory, _only_one: only_one })
    }

    /// Puts both hosts on one link that reaches through both filters, and waits until they reach each other.
    pub(crate) fn connect_hosts(&self) {
        for (side, addresses) in
            self.sides.iter().zip([["10.248.1.1/16", "fd00:248:1::1/32"], ["10.248.2.1/16", "fd00:248:2::1/32"]])
        {
            side.connect_host(&addresses).unwrap();
        }
        self.wait_for_host_b();
    }

    pub(crate) fn wait_for_host_b(&self) {
        self.eventually("host A to reach host B", || {
            Ok(HOST_B.iter().all(|address| host::ping(&self.sides[0].host, *address, 1).is_ok()))
        });
    }

    /// Waits for what should happen within some seconds.
    pub(crate) fn eventually(&self, what: &str, happened: impl Fn() -> Result<bool>) {
        self.patience.until(what, TIMEOUT, || Ok(happened()?.then_some(()))).unwrap();
    }

    /// Has the attacker send `frames` to filter B, and checks that it refuses each for `reason`, and none for another.
    #[track_caller]
    pub(crate) fn refused(&self, attacker: &RawSocket, reason: &str, frames: impl IntoIterator<Item = Vec<u8>>) {
        let before = self.filters[1].counters().unwrap();
        let sent = self.send(attacker, frames);
        self.eventually(reason, || {
            let now = self.filters[1].counters()?;
            Ok(now.all_dropped() >= before.all_dropped() + sent)
        });
        let dropped = self.filters[1].counters().unwrap().dropped_since(&before);
        assert_eq!(dropped, [(reason.to_owned(), sent)].into(), "of {sent} frames");
    }

    /// Has the attacker send `frames` to filter B alone, which takes them all. How many they were.
    #[track_caller]
    pub(crate) fn send(&self, attacker: &RawSocket, frames: impl IntoIterator<Item = Vec<u8>>) -> u64 {
        let before = self.filters[1].counters().unwrap().received;
        self.internet.set_connected(&self.sides[0], false).unwrap();
        let mut sent = 0;
        for frame in frames {
            attacker.send(&frame).unwrap();
            sent += 1;
            if sent % 200 == 0 {
                self.eventually("filter B to keep up", || Ok(self.filters[1].counters()?.received >= before + sent));
            }
        }
        let taken = || Ok((self.filters[1].counters()?.received >= before + sent).then_some(()));
        if let Err(error) = self.patience.until("filter B to take them all", TIMEOUT, taken) {
            panic!("{error}: {sent} sent after {before}, and then {:?}", self.filters[1].counters());
        }
        self.internet.set_connected(&self.sides[0], true).unwrap();
        sent
    }

    /// What passes the attacker by of `count` datagrams to each address of host B, UDP port `port`.
    pub(crate) fn overhear(&self, attacker: &RawSocket, port: u16, count: usize) -> Vec<Overheard> {
        attacker.drain().unwrap();
        host::udp(&self.sides[0].host, &HOST_B, port, count).unwrap();
        let mut overheard = Vec::new();
        let heard = self.patience.until("the attacker to overhear host A", TIMEOUT, || {
            while let Some((direction, frame)) = attacker.receive()? {
                let packet = Overheard::recognise(frame, LF_PORT).filter(|packet| packet.flow() == Flow::Udp(port));
                overheard.extend(packet.filter(|_| direction == Direction::In));
                if overheard.len() == 2 * count {
                    return Ok(Some(()));
                }
            }
            Ok(None)
        });
        heard.unwrap();
        overheard
    }

    /// As [`Self::overhear`], of packets that never get to filter B.
    pub(crate) fn intercept(&self, attacker: &RawSocket, port: u16, count: usize) -> Vec<Overheard> {
        self.internet.set_connected(&self.sides[1], false).unwrap();
        let overheard = self.overhear(attacker, port, count);
        self.internet.set_connected(&self.sides[1], true).unwrap();
        overheard
    }

    /// Kills a filter, as a crash does.
    pub(crate) fn kill_filter(&mut self, index: usize) {
        self.filters[index].kill().unwrap();
    }

    /// Starts a filter anew that was killed, and puts its ports where they were.
    pub(crate) fn restart_filter(&mut self, index: usize) {
        let side = &self.sides[index];
        let name = filter_name(side.letter);
        let program = side.filter.command(PROGRAM);
        self.filters[index] = Filter::restart(program, self.directory.path(), &name, &self.patience).unwrap();
        self.internet.connect(side).unwrap();
        let addresses = [["10.248.1.1/16", "fd00:248:1::1/32"], ["10.248.2.1/16", "fd00:248:2::1/32"]];
        side.connect_host(&addresses[index]).unwrap();
    }

    /// Starts a filter that is to refuse. The process, and what it has printed so far.
    pub(crate) fn try_to_start(&self, index: usize) -> (process::Child, impl Fn() -> String + use<>) {
        let side = &self.sides[index];
        let config = self.directory.path().join(format!("{}.toml", filter_name(side.letter)));
        let log = self.directory.path().join("refused.log");
        let output = fs::File::create(&log).unwrap();
        let mut command = side.filter.command(PROGRAM);
        command.args(["filter", "--config"]).arg(config).stdout(process::Stdio::null()).stderr(output);
        (command.spawn().unwrap(), move || fs::read_to_string(&log).unwrap())
    }

    /// Stops filters and key servers, which must end in order; the filters with all their packets accounted for.
    pub(crate) fn stop(self) {
        for filter in self.filters {
            let counters = filter.counters().unwrap();
            assert!(counters.add_up(), "{counters:?}");
            let ended = filter.stop(&self.patience).unwrap();
            assert!(ended.with(0), "{}: {}", ended.status, ended.output);
            assert!(ended.output.contains("received"), "no summary: {}", ended.output);
        }
        if let Some(key_servers) = self.key_servers {
            key_servers.stop(&self.patience).unwrap();
        }
    }
}

/// The right to make namespaces, one network at a time; `None`, with a note, where the environment says to do without.
///
/// # Panics
/// They cannot be made, and the environment does not say so.
pub(crate) fn namespaces() -> Option<MutexGuard<'static, ()>> {
    static ONE_NETWORK: Mutex<()> = Mutex::new(());
    if env::var_os("PHOTONGATE_WITHOUT_NAMESPACES").is_some_and(|value| value == "1") {
        eprintln!("SKIPPED, since PHOTONGATE_WITHOUT_NAMESPACES=1");
        return None;
    }
    let guard = ONE_NETWORK.lock().unwrap_or_else(PoisonError::into_inner);
    lab::remove_leftovers();
    if let Some(why) = lab::missing() {
        panic!("{why}: run scripts/test.sh, or set PHOTONGATE_WITHOUT_NAMESPACES=1 to leave out what needs them");
    }
    Some(guard)
}

/// Raises a flag that ends what goes on beside, also when the test fails: a scope would otherwise wait for it for ever.
pub(crate) struct RaisesOnDrop<'f>(pub(crate) &'f AtomicBool);

impl Drop for RaisesOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until somebody presses Ctrl-C.
pub(crate) fn patience() -> Patience {
    Patience::new(Shutdown::install().unwrap())
}

/// What a filter of this process's is called.
pub(crate) fn filter_name(letter: char) -> String {
    format!("pg-test-{}-{letter}", process::id())
}

/// The configuration of filter A or B.
pub(crate) fn config(name: &str, letter: char, setup: Setup) -> String {
    let (own, peer, number, inside, outside) = match letter {
        'a' => (ASES[0], ASES[1], 2, setup.inside_a, setup.outside_a),
        _ => (ASES[1], ASES[0], 1, setup.inside_b, setup.outside_b),
    };
    let workers = setup.workers.max(1);
    let keys = if setup.keys.is_empty() { "time_threshold = \"3s\"" } else { setup.keys };
    let peers = if setup.own_list {
        format!("[as_list]\nfile = \"{name}-peers.toml\"\n")
    } else if setup.key_servers.is_some() {
        let [Place { filters: key_server, .. }, _] = key_server_places();
        format!(
            r#"[qks]
url = "https://{key_server}/"
ca = "pki/ca.pem"
certificate = "pki/filter-{letter}.pem"
key = "pki/filter-{letter}-key.pem"
server = "CN=qks-{letter}"
{}keys = "qks"
{}"#,
            peer_at(peer, number),
            setup.peer
        )
    } else {
        format!("{}{}", peer_of(peer, number, SHARED_SECRET), setup.peer)
    };
    format!(
        r#"
isd_as = "{own}"
[keys]
{keys}
[[ports]]
name = "inside"
device = "net_tap0,iface={INSIDE}"
role = "inside"
forward_to = "outside"
{inside}
[[ports]]
name = "outside"
device = "net_tap1,iface={OUTSIDE}"
role = "outside"
forward_to = "inside"
{outside}
[workers]
count = {workers}
[dpdk]
name = "{name}"
[control]
socket = "{name}.sock"
[state]
directory = "{name}-state"
[api]
socket = "{name}-api.sock"
listen = [{listen}]
[duplicates]
packets_per_second = 100_000
{sections}
{peers}
"#,
        listen = setup.listen,
        sections = setup.sections,
    )
}

/// The list of filter A or B, in a file of its own: its peer, whose secret is in a file, and so many others.
pub(crate) fn peer_list(letter: char, others: usize) -> String {
    let (peer, number) = if letter == 'a' { ("20-ff00:0:112", 2) } else { ("1-ff00:0:111", 1) };
    format!("{}{}", peer_of(peer, number, r#"file = "secret""#), other_peers(others))
}

/// Peers that nobody talks to.
pub(crate) fn other_peers(count: usize) -> String {
    let other = |number: usize| {
        let secret = format!("secret = \"{number:032x}\"");
        format!(
            "[[peers]]\nisd_as = \"30-ff00:0:{number:x}\"\nprefixes = [\"10.30.{number}.0/24\"]\n{}",
            secrets(&secret)
        )
    };
    (1..=count).map(other).collect()
}

/// Where the key servers are, each in the namespace of its filter.
pub(crate) fn key_server_places() -> [Place; 2] {
    let filters = (Ipv4Addr::LOCALHOST, 8443).into();
    FIBRE.map(|there| Place { filters, servers: (there, 8444).into() })
}

fn peer_of(peer: &str, number: u8, secret: &str) -> String {
    format!("{}{}", peer_at(peer, number), secrets(secret))
}

fn peer_at(peer: &str, number: u8) -> String {
    let prefixes = format!(r#"["10.248.{number}.0/24", "fd00:248:{number}::/64", "10.249.{number}.0/24"]"#);
    format!("[[peers]]\nisd_as = \"{peer}\"\nprefixes = {prefixes}\n")
}

fn secrets(secret: &str) -> String {
    format!("shared_secrets = [{{ {secret}, not_before = \"2026-01-01T00:00:00Z\" }}]\n")
}

/// Runs `photongate` with `arguments` to its end.
pub(crate) fn photongate(arguments: &[&str]) -> process::Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

/// The text of a file that belongs to the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_photongate");

/// The ASes of filter A and filter B.
pub(crate) const ASES: [&str; 2] = ["1-ff00:0:111", "20-ff00:0:112"];

pub(crate) const HOST_A: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 248, 1, 1)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0x248, 1, 0, 0, 0, 0, 1))];

pub(crate) const HOST_B: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 248, 2, 1)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0x248, 2, 0, 0, 0, 0, 1))];

pub(crate) const LF_PORT: u16 = 49149;

/// How late things may happen on a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15);

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const SHARED_SECRET: &str = r#"secret = "0123456789abcdef0123456789abcdef""#;
