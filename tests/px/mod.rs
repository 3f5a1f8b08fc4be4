//! A px cluster of real processes on loopback, with certificates made on the way, and a client that shares no code with the program's.

#![allow(dead_code, reason = "each test program uses a part")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Some nodes. Dropping it kills those that run.
pub(crate) struct Cluster {
    pub(crate) folder: TempDir,
    places: Places,
    nodes: Vec<Option<Child>>,
    /// Further fields of each configuration.
    fields: Value,
}

/// Where nodes are.
pub(crate) enum Places {
    /// On an address of this machine that no other cluster has.
    Here(Ipv4Addr),
    /// Each in a network namespace of its own.
    Namespaces {
        /// What they are called.
        names: Vec<String>,
        /// At which host a node (the first) reaches another.
        address: fn(usize, usize) -> String,
    },
}

impl Places {
    /// The loopback network is as large as there are process IDs.
    fn here() -> Self {
        static CLUSTERS: AtomicU32 = AtomicU32::new(0);
        let cluster = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        let number = std::process::id().wrapping_mul(32).wrapping_add(cluster) % 0xfe_0000;
        Self::Here(Ipv4Addr::from(0x7f01_0000 + number))
    }

    /// Where `from` finds `node`; where it listens if they are the same.
    fn address(&self, from: usize, node: usize) -> String {
        let port = port(node);
        match self {
            Self::Here(host) => format!("{host}:{port}"),
            Self::Namespaces { .. } if from == node => format!("0.0.0.0:{port}"),
            Self::Namespaces { address, .. } => format!("{}:{port}", address(from, node)),
        }
    }

    fn api(&self, node: usize) -> String {
        match self {
            Self::Here(host) => format!("{host}:{}", 9_000 + node),
            Self::Namespaces { .. } => format!("127.0.0.1:{}", 9_000 + node),
        }
    }

    fn command(&self, node: usize) -> Command {
        match self {
            Self::Here(_) => Command::new(PROGRAM),
            Self::Namespaces { names, .. } => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &names[node], PROGRAM]);
                command
            }
        }
    }
}

impl Cluster {
    /// Starts so many nodes, and waits until all know a leader.
    pub(crate) fn start(nodes: usize) -> Self {
        Self::start_with(nodes, json!({}))
    }

    /// As [`start`](Self::start), with further fields in each configuration.
    pub(crate) fn start_with(nodes: usize, fields: Value) -> Self {
        let mut cluster = Self::prepare(nodes, fields);
        (0..nodes).for_each(|node| cluster.run(node));
        cluster.wait_for_leader();
        cluster
    }

    /// Makes certificates and configurations.
    pub(crate) fn prepare(nodes: usize, fields: Value) -> Self {
        Self::prepare_at(Places::here(), nodes, fields)
    }

    /// As [`prepare`](Self::prepare), somewhere else.
    pub(crate) fn prepare_at(places: Places, nodes: usize, fields: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let site: String = (0..MOST)
            .map(|node| {
                let name = name(node);
                format!("[[certificates]]\nname = \"{name}\"\nrole = \"px\"\nhosts = [\"{name}\"]\n")
            })
            .collect();
        fs::write(folder.path().join("site.toml"), site).unwrap();
        let made =
            Command::new(PROGRAM).args(["pki", "init", "site.toml"]).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let mut cluster = Self { folder, places, nodes: Vec::new(), fields };
        (0..nodes).for_each(|node| cluster.configure(node, nodes));
        cluster
    }

    /// Writes the configuration of a node that knows so many.
    pub(crate) fn configure(&mut self, node: usize, known: usize) {
        let servers: Vec<_> = (0..known)
            .map(|other| json!({ "addr": self.places.address(node, other), "server_name": name(other) }))
            .collect();
        let pem = |end: &str| format!("pki/{}{end}.pem", name(node));
        let mut config = json!({
            "me": {
                "id": name(node),
                "addr": self.places.address(node, node),
                "tls_config_info": { "cert_path": pem(""), "key_path": pem("-key"), "ca_cert_path": "pki/ca.pem" },
            },
            "retry_delay": 50,
            "servers": servers,
            "state": { "directory": format!("state-{node}") },
            "socket": format!("{node}.sock"),
            "pipe": format!("{node}.pipe"),
            "api": { "listen": [self.places.api(node)], "socket": format!("{node}.api") },
        });
        for (field, value) in self.fields.as_object().into_iter().flatten() {
            config[field] = value.clone();
        }
        fs::write(self.config(node), config.to_string()).unwrap();
        if self.nodes.len() <= node {
            self.nodes.resize_with(node + 1, || None);
        }
    }

    /// Starts a node.
    pub(crate) fn run(&mut self, node: usize) {
        self.start_by(node, self.places.command(node));
    }

    /// Starts a node none of whose files may have more bytes than so: whatever would make one larger fails.
    pub(crate) fn run_with_files_up_to(&mut self, node: usize, bytes: u64) {
        let mut command = Command::new("sh");
        // Without the trap it would be killed by a signal.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", bytes / 512);
        command.args(["-c", &script, "sh", PROGRAM]);
        self.start_by(node, command);
    }

    fn start_by(&mut self, node: usize, mut command: Command) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path(node)).unwrap();
        let child = command.arg("px").arg(self.config(node)).stdin(Stdio::null()).stderr(log).spawn().unwrap();
        self.nodes[node] = Some(child);
        self.eventually(&format!("node {node} answers"), |cluster| {
            cluster.try_ask(node, &json!({ "op": "status" })).is_some()
        });
    }

    /// Ends a node as a power cut would.
    pub(crate) fn kill(&mut self, node: usize) {
        let mut child = self.nodes[node].take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks a node to stop, and waits until it has.
    pub(crate) fn stop(&mut self, node: usize) -> ExitStatus {
        self.signal(node, "-TERM");
        self.nodes[node].take().expect("it runs").wait().unwrap()
    }

    /// Waits until a node has ended by itself.
    pub(crate) fn ended(&mut self, node: usize) -> ExitStatus {
        self.nodes[node].take().expect("it runs").wait().unwrap()
    }

    /// Sends a node a signal.
    pub(crate) fn signal(&self, node: usize, signal: &str) {
        let pid = self.nodes[node].as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// The process of a node.
    pub(crate) fn pid(&self, node: usize) -> u32 {
        self.nodes[node].as_ref().expect("it runs").id()
    }

    /// The nodes that run.
    pub(crate) fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].is_some()).collect()
    }

    /// Asks a node once. `None` if there is no answer.
    pub(crate) fn try_ask(&self, node: usize, question: &Value) -> Option<Value> {
        let mut connection = self.connect(node)?;
        connection.send(question)?;
        connection.receive()
    }

    /// Asks a node once.
    pub(crate) fn ask(&self, node: usize, question: &Value) -> Value {
        self.try_ask(node, question).unwrap_or_else(|| panic!("no answer to {question}:\n{}", self.logs()))
    }

    /// A connection to the socket of a node.
    pub(crate) fn connect(&self, node: usize) -> Option<Connection> {
        connect_to(&self.path(&format!("{node}.sock")), PATIENCE)
    }

    /// Writes a document, however often it takes.
    pub(crate) fn put(&self, node: usize, document: &str, value: &str) -> Value {
        self.eventually_some(&format!("{document} is written"), |cluster| {
            let answer = cluster.try_ask(node, &json!({ "op": "put", "name": document, "value": value }))?;
            (answer["ok"] == true).then_some(answer)
        })
    }

    /// What a document says, if a majority can tell.
    pub(crate) fn get(&self, node: usize, document: &str) -> Value {
        self.eventually_some(&format!("{document} is read"), |cluster| {
            let answer = cluster.try_ask(node, &json!({ "op": "get", "name": document }))?;
            (answer["ok"] == true || answer["error"] == "not_found").then(|| answer["value"].clone())
        })
    }

    /// The node that leads, when all that run agree on one that runs.
    pub(crate) fn wait_for_leader(&self) -> usize {
        self.eventually_some("a leader that all know", |cluster| {
            let mut leaders = cluster.running().into_iter().map(|node| {
                let status = cluster.try_ask(node, &json!({ "op": "status" }))?;
                Some(status["leader"].as_str()?.to_owned())
            });
            let first = leaders.next()??;
            let leader = (0..cluster.nodes.len()).find(|node| name(*node) == first)?;
            (cluster.nodes[leader].is_some() && leaders.all(|leader| leader.as_ref() == Some(&first))).then_some(leader)
        })
    }

    /// All documents of a node that is asked for what it knows. A node that has just been let in knows nothing yet.
    pub(crate) fn documents(&self, node: usize) -> Vec<Value> {
        self.list(node, true).unwrap_or_default()
    }

    /// All documents; none if a majority cannot be asked.
    pub(crate) fn all_documents(&self, node: usize) -> Option<Vec<Value>> {
        self.list(node, false)
    }

    fn list(&self, node: usize, stale: bool) -> Option<Vec<Value>> {
        let mut question = json!({ "op": "list", "stale": stale, "limit": 1_000 });
        let mut all = Vec::new();
        loop {
            let mut answer = self.ask(node, &question);
            let page = answer["documents"].as_array_mut()?;
            let Some(last) = page.last() else { return Some(all) };
            question["after"] = last["name"].clone();
            all.append(page);
        }
    }

    /// Waits until something is so.
    pub(crate) fn eventually(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        self.eventually_some(what, |cluster| is_so(cluster).then_some(()));
    }

    /// Waits until there is something.
    pub(crate) fn eventually_some<T>(&self, what: &str, find: impl Fn(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = find(self) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", self.logs());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs the program's own client against a node.
    pub(crate) fn client(&self, node: usize, arguments: &[&str]) -> Output {
        let socket = self.path(&format!("{node}.sock"));
        Command::new(PROGRAM).arg("px").args(arguments).arg("--socket").arg(socket).output().unwrap()
    }

    /// Where a node (the first) reaches another.
    pub(crate) fn address(&self, from: usize, node: usize) -> String {
        self.places.address(from, node)
    }

    pub(crate) fn config(&self, node: usize) -> PathBuf {
        self.path(&format!("{node}.json"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn log(&self, node: usize) -> String {
        fs::read_to_string(self.log_path(node)).unwrap_or_default()
    }

    pub(crate) fn api(&self, node: usize, path: &str) -> String {
        format!("http://{}{path}", self.places.api(node))
    }

    fn log_path(&self, node: usize) -> PathBuf {
        self.path(&format!("{node}.log"))
    }

    fn logs(&self) -> String {
        (0..self.nodes.len()).map(|node| format!("--- node {node}\n{}", last_lines(&self.log(node), 25))).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A connection to the socket of a node, on which nothing is waited for longer than so.
pub(crate) fn connect_to(socket: &Path, patience: Duration) -> Option<Connection> {
    let stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.set_write_timeout(Some(patience)).ok()?;
    Some(Connection(BufReader::new(stream)))
}

/// A connection to the socket of a node.
pub(crate) struct Connection(BufReader<UnixStream>);

impl Connection {
    /// `None` if the connection broke.
    pub(crate) fn send(&mut self, question: &Value) -> Option<()> {
        self.0.get_mut().write_all(format!("{question}\n").as_bytes()).ok()
    }

    /// `None` if the connection broke, or nothing came for long.
    pub(crate) fn receive(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok().filter(|length| *length > 0)?;
        serde_json::from_str(&line).ok()
    }
}

/// At which UDP port a node listens.
pub(crate) fn port(node: usize) -> u16 {
    8_490 + node as u16
}

/// What a node is called.
pub(crate) fn name(node: usize) -> String {
    format!("px-{node}.example")
}

/// Whether a process was killed.
pub(crate) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n") + "\n"
}

/// Certificates are made for so many.
const MOST: usize = 5;

/// Far more than anything here takes on a machine that does nothing else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

const PROGRAM: &str = env!("CARGO_BIN_EXE_photongate");
