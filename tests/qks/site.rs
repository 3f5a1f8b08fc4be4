//! Key servers as processes of their own, with certificates, configurations and links made on the way.

#![allow(dead_code, reason = "each test program uses a part")]

mod configuration;
#[allow(clippy::duplicate_mod, reason = "others that a test program includes need it too")]
#[path = "../support/ports.rs"]
mod ports;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Certificate, Client, Identity, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use configuration::Hosts;
pub(crate) use ports::free_port;

/// Some key servers: `a`, `b`, …, each with applications `sae-a`, `sae-a2`, `sae-b`, …, and a filter `filter-a` of the AS `1-ff00:0:a`.
/// A server may be several processes that share a database: `a`, `a.2`, `a.3`.
pub(crate) struct Site {
    folder: TempDir,
    ports: BTreeMap<String, (u16, u16)>,
    links: Vec<(String, String)>,
    running: BTreeMap<String, Child>,
    filled: u32,
    /// Appended to every configuration.
    pub(crate) more: String,
    /// The URLs of the databases of servers that do not have one of their own.
    pub(crate) databases: BTreeMap<String, String>,
    hosts: Hosts,
}

/// An answer: its status, its body as text, and as JSON if it is some.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<String>,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Site {
    /// Servers with links of key files between them. Nothing is started yet.
    pub(crate) fn new(servers: &[&str], links: &[(&str, &str)]) -> Self {
        Self::new_at(servers, links, Hosts::default())
    }

    /// The same, on hosts that are told.
    pub(crate) fn new_at(servers: &[&str], links: &[(&str, &str)], hosts: Hosts) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut wanted = String::new();
        for server in servers.iter().filter(|process| server_of(process) == **process) {
            for (name, role) in [
                (format!("qks-{server}"), "qks"),
                (format!("sae-{server}"), "sae"),
                (format!("sae-{server}2"), "sae"),
                (format!("filter-{server}"), "filter"),
            ] {
                let _ = write!(
                    wanted,
                    "[[certificates]]\nname = \"{name}\"\nrole = \"{role}\"\nhosts = [{}]\n",
                    hosts.all(server)
                );
            }
        }
        wanted.push_str("[[certificates]]\nname = \"stranger\"\nrole = \"sae\"\nhosts = [\"127.0.0.1\"]\n");
        for (authority, text) in [
            ("pki", wanted.as_str()),
            (
                "other-pki",
                "[[certificates]]\nname = \"sae-a\"\nrole = \"sae\"\nhosts = [\"127.0.0.1\"]\n\
                [[certificates]]\nname = \"qks-b\"\nrole = \"qks\"\nhosts = [\"127.0.0.1\"]\n",
            ),
        ] {
            let file = folder.path().join(format!("{authority}.toml"));
            fs::write(&file, text).unwrap();
            let made = photongate(&["pki", "init"])
                .arg(&file)
                .arg("--out")
                .arg(folder.path().join(authority))
                .output()
                .unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        let ports = servers.iter().map(|server| ((*server).to_owned(), (free_port(), free_port()))).collect();
        let links = links.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect();
        let site = Self {
            folder,
            ports,
            links,
            running: BTreeMap::new(),
            filled: 0,
            more: String::new(),
            databases: BTreeMap::new(),
            hosts,
        };
        for server in servers {
            fs::create_dir_all(site.path(server)).unwrap();
            if server_of(server) != *server {
                continue;
            }
            let key = site.path(server).join("master.key");
            fs::write(&key, "5a".repeat(32)).unwrap();
            fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            for (one, other) in &site.links {
                if one == server || other == server {
                    fs::create_dir_all(site.key_folder(server, one, other)).unwrap();
                }
            }
        }
        site
    }

    /// Starts a server, and waits until it answers.
    pub(crate) async fn start(&mut self, server: &str) {
        self.start_with(server, &[]).await;
    }

    /// The same, with further variables in its environment.
    pub(crate) async fn start_with(&mut self, server: &str, environment: &[(&str, &str)]) {
        self.launch(server, environment);
        self.wait_for_answers(server).await;
    }

    /// Starts all servers, at the same moment.
    pub(crate) async fn start_all(&mut self) {
        let servers: Vec<_> = self.ports.keys().cloned().collect();
        servers.iter().for_each(|server| self.launch(server, &[]));
        for server in servers {
            self.wait_for_answers(&server).await;
        }
    }

    /// Starts a server with further variables in its environment, and does not wait for anything.
    pub(crate) fn launch(&mut self, server: &str, environment: &[(&str, &str)]) {
        let config = self.path(server).join("qks.toml");
        fs::write(&config, self.configuration(server)).unwrap();
        let log = fs::File::options().create(true).append(true).open(self.path(server).join("log")).unwrap();
        let arguments = ["qks", "--log-level", "trace", "--config"];
        let mut command = match self.hosts.namespaces.get(server) {
            None => photongate(&arguments),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, env!("CARGO_BIN_EXE_photongate")]).args(arguments);
                command
            }
        };
        command.arg(&config).envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.running.insert(server.to_owned(), command.spawn().unwrap());
    }

    async fn wait_for_answers(&self, server: &str) {
        let client = self.client(&format!("sae-{}", server_of(server)));
        let begun = Instant::now();
        while client.get(self.url(server, "status", "status")).send().await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "qks {server} does not answer:\n{}", self.log(server));
            tokio::time::sleep(LOOK_AROUND).await;
        }
    }

    /// Kills a server: no signal handler runs.
    pub(crate) fn kill(&mut self, server: &str) {
        let mut child = self.running.remove(server).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Whether the process has ended by itself. It is then not running any more.
    pub(crate) fn has_ended(&mut self, server: &str) -> bool {
        let ended = self.running.get_mut(server).is_none_or(|child| child.try_wait().unwrap().is_some());
        if ended {
            self.running.remove(server);
        }
        ended
    }

    /// Holds a server up, as if its machine were, or lets it go on.
    pub(crate) fn hold(&self, server: &str, held: bool) {
        let signal = if held { Signal::SIGSTOP } else { Signal::SIGCONT };
        kill(Pid::from_raw(self.running[server].id() as i32), signal).unwrap();
    }

    /// Stops a server in order.
    pub(crate) fn stop(&mut self, server: &str) {
        let mut child = self.running.remove(server).unwrap();
        kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success(), "{}", self.log(server));
    }

    /// Puts so many random bytes into a link's key files, the same at both ends.
    pub(crate) fn fill(&mut self, one: &str, other: &str, bytes: usize) {
        let mut material = vec![0; bytes];
        std::io::Read::read_exact(&mut fs::File::open("/dev/urandom").unwrap(), &mut material).unwrap();
        self.filled += 1;
        for server in [one, other] {
            let folder = self.key_folder(server, one, other);
            let part = folder.join(format!("{}.part", self.filled));
            fs::write(&part, &material).unwrap();
            fs::rename(&part, folder.join(format!("{}.key", self.filled))).unwrap();
        }
    }

    /// Waits until `master` at a server has `count` keys to share with `slave`.
    pub(crate) async fn wait_for_keys(&self, server: &str, master: &str, slave: &str, count: u64) {
        let client = self.client(master);
        let begun = Instant::now();
        loop {
            let answer = get(&client, self.url(server, slave, "status")).await;
            if answer.json["stored_key_count"].as_u64().is_some_and(|stored| stored >= count) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{answer:?}\n{}", self.log(server));
            tokio::time::sleep(LOOK_AROUND).await;
        }
    }

    /// What a server says it shares with its neighbour: what it can give out, and what the neighbour can, in bytes. `None` if it does not
    /// say, or says that the neighbour does not answer.
    pub(crate) async fn stock(&self, server: &str, neighbour: &str) -> Option<(u64, u64)> {
        let token = fs::read_to_string(self.path(server).join("state/read.token")).ok()?;
        let client = Client::builder().unix_socket(self.path(server).join("state/admin.sock")).build().unwrap();
        let request = client.get("http://localhost/api/v1/neighbours").bearer_auth(token.trim_end()).timeout(PATIENCE);
        let neighbours: Value = serde_json::from_str(&request.send().await.ok()?.text().await.ok()?).ok()?;
        let neighbours = neighbours.as_array()?;
        let found = neighbours.iter().find(|found| found["id"] == format!("qks-{neighbour}") && found["up"] == true)?;
        let bytes = |name: &str| found["stock"][name].as_u64();
        Some((bytes("ready_bytes")? + bytes("unconfirmed_bytes")?, bytes("neighbours_bytes")?))
    }

    /// Waits until two servers agree on what each of them can give out.
    pub(crate) async fn wait_for_agreement(&self, one: &str, other: &str) {
        let begun = Instant::now();
        loop {
            let stocks = (self.stock(one, other).await, self.stock(other, one).await);
            if let (Some((own, others)), Some((others_own, ours))) = stocks
                && (own, others) == (ours, others_own)
            {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{one} and {other} do not agree: {stocks:?}");
            tokio::time::sleep(LOOK_AROUND).await;
        }
    }

    /// A client with the certificate of that name, which makes connections of its own.
    pub(crate) fn client(&self, name: &str) -> Client {
        self.client_of("pki", name).unwrap()
    }

    /// The same, with a certificate of the authority in that folder.
    pub(crate) fn client_of(&self, authority: &str, name: &str) -> reqwest::Result<Client> {
        let read = |file: &str| fs::read(self.folder.path().join(authority).join(file)).unwrap();
        let identity = [read(&format!("{name}-key.pem")), read(&format!("{name}.pem"))].concat();
        self.builder().identity(Identity::from_pem(&identity)?).build()
    }

    /// A client with any certificate and its key.
    pub(crate) fn with_identity(&self, identity: Identity) -> Client {
        self.builder().identity(identity).build().unwrap()
    }

    /// A client without a certificate.
    pub(crate) fn anonymous(&self) -> Client {
        self.builder().build().unwrap()
    }

    fn builder(&self) -> reqwest::ClientBuilder {
        let ca = fs::read(self.folder.path().join("pki/ca.pem")).unwrap();
        Client::builder().tls_certs_only([Certificate::from_pem(&ca).unwrap()]).timeout(PATIENCE).no_proxy()
    }

    /// Where a method about `sae` is found at a server.
    pub(crate) fn url(&self, server: &str, sae: &str, method: &str) -> String {
        format!("https://{}:{}/api/v1/keys/{sae}/{method}", self.hosts.address(server), self.ports[server].0)
    }

    /// Where a server's interface to other servers is.
    pub(crate) fn peer_url(&self, server: &str, path: &str) -> String {
        format!("https://{}:{}/peer/v1/{path}", self.hosts.address(server), self.ports[server].1)
    }

    /// The port of a server's interface to applications.
    pub(crate) fn sae_port(&self, server: &str) -> u16 {
        self.ports[server].0
    }

    /// Where a server answers filters.
    pub(crate) fn drkey_url(&self, server: &str, query: &str) -> String {
        format!("https://127.0.0.1:{}/api/v1/drkey/level1?{query}", self.ports[server].0)
    }

    /// A file of the site's authority.
    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.folder.path().join("pki").join(file)
    }

    /// What a server has logged, at the level of most detail.
    pub(crate) fn log(&self, server: &str) -> String {
        fs::read_to_string(self.path(server).join("log")).unwrap_or_default()
    }

    /// A server's folder.
    pub(crate) fn path(&self, server: &str) -> PathBuf {
        self.folder.path().join(format!("qks-{server}"))
    }

    fn key_folder(&self, server: &str, one: &str, other: &str) -> PathBuf {
        self.path(server).join(format!("keys-{one}{other}"))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Asks by GET.
pub(crate) async fn get(client: &Client, url: String) -> Answer {
    answer(client.get(url)).await
}

/// Asks by POST.
pub(crate) async fn post(client: &Client, url: String, body: &Value) -> Answer {
    answer(client.post(url).header("content-type", "application/json").body(body.to_string())).await
}

/// Sends a request and reads the answer.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status();
    let content_type = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let text = response.text().await.unwrap();
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer { status, content_type, text, json }
}

/// The IDs and the keys of a container.
pub(crate) fn keys(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let keys = answer.json["keys"].as_array().unwrap();
    keys.iter().map(|key| (text(&key["key_ID"]), text(&key["key"]))).collect()
}

/// The body that asks for keys by these IDs.
pub(crate) fn ids(keys: &[(String, String)]) -> Value {
    key_ids(&keys.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>())
}

/// The same, without the keys.
pub(crate) fn key_ids(ids: &[String]) -> Value {
    serde_json::json!({ "key_IDs": ids.iter().map(|id| serde_json::json!({ "key_ID": id })).collect::<Vec<_>>() })
}

/// The server that a process is, or is a part of.
pub(crate) fn server_of(process: &str) -> &str {
    process.split('.').next().unwrap_or(process)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn photongate(arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_photongate")));
    command.args(arguments);
    command
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
pub(crate) const LOOK_AROUND: Duration = Duration::from_millis(50);
