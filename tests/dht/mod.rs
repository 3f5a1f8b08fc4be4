//! Nodes of the distributed store as real processes, with certificates made on the way.

#![allow(dead_code, reason = "each test program uses a part")]

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Some nodes. Dropping it kills those that run.
pub(crate) struct Nodes {
    pub(crate) folder: TempDir,
    places: Places,
    mode: Mode,
    nodes: Vec<Option<Child>>,
    /// Further lines of each configuration.
    lines: String,
}

/// How they speak to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Closed,
    Plain,
}

/// Where nodes are.
pub(crate) enum Places {
    /// On an address of this machine that no other test has.
    Here(Ipv4Addr),
    /// Each in a network namespace of its own: what they are called, and the address of each.
    Namespaces(Vec<(String, String)>),
}

impl Places {
    /// The loopback network is as large as there are process IDs.
    pub(crate) fn here() -> Self {
        static GROUPS: AtomicU32 = AtomicU32::new(0);
        let group = GROUPS.fetch_add(1, Ordering::Relaxed);
        let number = std::process::id().wrapping_mul(32).wrapping_add(group) % 0xfe_0000;
        Self::Here(Ipv4Addr::from(0x7f01_0000 + number))
    }

    /// Where a node listens.
    fn address(&self, node: usize) -> String {
        match self {
            Self::Here(host) => format!("{host}:{}", 8_600 + node),
            Self::Namespaces(places) => format!("{}:8484", places[node].1),
        }
    }

    /// Where it has its HTTP interface.
    fn api(&self, node: usize) -> String {
        match self {
            Self::Here(host) => format!("{host}:{}", 9_000 + node),
            Self::Namespaces(_) => "127.0.0.1:8485".to_owned(),
        }
    }

    /// The nodes that a node knows from its configuration.
    fn known_to(&self, node: usize) -> Vec<usize> {
        match self {
            Self::Here(_) => (0..node.min(1)).collect(),
            Self::Namespaces(places) => (0..places.len()).filter(|other| *other != node).collect(),
        }
    }

    fn command(&self, node: usize) -> Command {
        match self {
            Self::Here(_) => Command::new(PROGRAM),
            Self::Namespaces(places) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &places[node].0, PROGRAM]);
                command
            }
        }
    }
}

impl Nodes {
    /// Starts so many nodes, each of which knows the first, and waits until all are in the network.
    pub(crate) fn start(mode: Mode, nodes: usize) -> Self {
        Self::start_at(Places::here(), mode, nodes, "")
    }

    /// As [`start`](Self::start), somewhere else, and with further lines in each configuration.
    pub(crate) fn start_at(places: Places, mode: Mode, nodes: usize, lines: &str) -> Self {
        let mut group = Self::prepare(places, mode, nodes, lines);
        (0..nodes).for_each(|node| group.run(node));
        (0..nodes).for_each(|node| group.wait_until_in(node));
        group
    }

    /// Makes certificates and configurations.
    pub(crate) fn prepare(places: Places, mode: Mode, nodes: usize, lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if mode == Mode::Closed {
            let site: String = (0..nodes)
                .map(name)
                .chain((0..GUESTS).map(guest_name))
                .map(|name| format!("[[certificates]]\nname = \"{name}\"\nrole = \"dht\"\nhosts = [\"{name}\"]\n"))
                .collect();
            fs::write(folder.path().join("site.toml"), site).unwrap();
            let made =
                Command::new(PROGRAM).args(["pki", "init", "site.toml"]).current_dir(folder.path()).output().unwrap();
            assert!(made.status.success(), "{made:?}");
        }
        let mut group = Self { folder, places, mode, nodes: Vec::new(), lines: lines.to_owned() };
        for node in 0..nodes {
            group.configure(node);
            group.nodes.push(None);
        }
        group
    }

    fn configure(&self, node: usize) {
        let address = self.places.address(node);
        let bootstrap: Vec<_> =
            self.places.known_to(node).into_iter().map(|other| self.places.address(other)).collect();
        let mode = match (self.mode, &self.places) {
            (Mode::Closed, _) => {
                let name = name(node);
                format!("[tls]\ncertificate = \"pki/{name}.pem\"\nkey = \"pki/{name}-key.pem\"\nca = \"pki/ca.pem\"\n")
            }
            // In namespaces of this test there is nobody else.
            (Mode::Plain, _) => "[plain]\nids = \"free\"\nanywhere = true\n".to_owned(),
        };
        let kind = if self.mode == Mode::Plain { "plain" } else { "closed" };
        let text = format!(
            "listen = \"{address}\"\nmode = \"{kind}\"\nbootstrap = {bootstrap:?}\nsocket = \"{node}.sock\"\n{mode}[state]\n\
             directory = \"state-{node}\"\n[api]\nlisten = [{:?}]\n{}",
            self.places.api(node),
            self.lines
        );
        fs::write(self.config(node), text).unwrap();
    }

    /// Starts a node, and waits until it answers.
    pub(crate) fn run(&mut self, node: usize) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path(node)).unwrap();
        let mut command = self.places.command(node);
        command.arg("dht").arg(self.config(node)).args(["--log-level", "debug"]).stdin(Stdio::null()).stderr(log);
        self.nodes[node] = Some(command.spawn().unwrap());
        self.eventually(&format!("node {node} answers"), |group| {
            group.nodes[node].is_some() && matches!(group.client(node, &["status"]).status.code(), Some(0 | 1))
        });
    }

    /// Ends a node as a power cut would.
    pub(crate) fn kill(&mut self, node: usize) {
        let mut child = self.nodes[node].take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Tells a node to stop, and waits until it has.
    pub(crate) fn stop(&mut self, node: usize) -> ExitStatus {
        self.signal(node, "-TERM");
        self.nodes[node].take().expect("it runs").wait().unwrap()
    }

    /// Sends a node a signal.
    pub(crate) fn signal(&self, node: usize, signal: &str) {
        let pid = self.nodes[node].as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits until a node knows others.
    pub(crate) fn wait_until_in(&self, node: usize) {
        if self.nodes.len() > 1 {
            self.eventually(&format!("node {node} is in the network"), |group| {
                group.client(node, &["peers"]).status.success()
            });
        }
    }

    /// Puts a file with these bytes, and gives what the client says.
    pub(crate) fn put(&self, node: usize, bytes: &[u8]) -> Value {
        let path = self.path("input");
        fs::write(&path, bytes).unwrap();
        let output = self.client(node, &["put", path.to_str().unwrap(), "--json"]);
        assert!(output.status.success(), "{output:?}\n{}", self.logs());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Gets a file: its bytes, or what the client said instead.
    pub(crate) fn get(&self, node: usize, key: &str) -> Result<Vec<u8>, Output> {
        let path = self.path(&format!("output-{node}"));
        let _ = fs::remove_file(&path);
        let output = self.client(node, &["get", key, path.to_str().unwrap()]);
        if output.status.success() { Ok(fs::read(&path).unwrap()) } else { Err(output) }
    }

    /// What a node says of itself.
    pub(crate) fn status(&self, node: usize) -> Value {
        serde_json::from_slice(&self.client(node, &["status", "--json"]).stdout).unwrap_or_default()
    }

    /// Runs the program's own client against a node.
    pub(crate) fn client(&self, node: usize, arguments: &[&str]) -> Output {
        ask(&self.socket(node), arguments)
    }

    /// How they speak to each other.
    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Where clients reach a node.
    pub(crate) fn socket(&self, node: usize) -> PathBuf {
        self.path(&format!("{node}.sock"))
    }

    /// Waits until something is so.
    pub(crate) fn eventually(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", self.logs());
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn address(&self, node: usize) -> String {
        self.places.address(node)
    }

    /// Where something is found by HTTP.
    pub(crate) fn url(&self, node: usize, path: &str) -> String {
        format!("http://{}{path}", self.places.api(node))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self, node: usize) -> PathBuf {
        self.path(&format!("{node}.toml"))
    }

    fn log_path(&self, node: usize) -> PathBuf {
        self.path(&format!("{node}.log"))
    }

    /// What a node has logged, over all its lives.
    pub(crate) fn log(&self, node: usize) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path(node)).unwrap_or_default()).into_owned()
    }

    pub(crate) fn logs(&self) -> String {
        let last = |node| {
            let log = self.log(node);
            let lines: Vec<_> = log.lines().collect();
            lines[lines.len().saturating_sub(25)..].join("\n")
        };
        (0..self.nodes.len()).map(|node| format!("--- node {node}\n{}\n", last(node))).collect()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs the program's own client against the node at a socket.
///
/// # Panics
/// It does not end.
pub(crate) fn ask(socket: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("dht").args(arguments).arg("--socket").arg(socket);
    let client = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut client = Ended(Some(client));
    let begun = Instant::now();
    // What it prints is less than a pipe holds.
    while client.0.as_mut().expect("it is there").try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "{arguments:?} does not end within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
    client.0.take().expect("it is there").wait_with_output().unwrap()
}

/// A client that is killed if nobody waits for it.
struct Ended(Option<Child>);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The name of a node, in its certificate.
pub(crate) fn name(node: usize) -> String {
    format!("dht-{node}.example")
}

/// The name of a guest, in its certificate. There is one for [`GUESTS`] of them.
pub(crate) fn guest_name(guest: usize) -> String {
    format!("guest-{guest}.example")
}

/// Bytes that look like chance, the same for the same seed.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..length).map(|_| next() as u8).collect()
}

/// Others that have a certificate of a closed network, beside its nodes.
pub(crate) const GUESTS: usize = 16;

const PROGRAM: &str = env!("CARGO_BIN_EXE_photongate");

/// Far more than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
