//! Two key servers with a link between them, and the certificates that they and their filters need.

use std::fs::{self, File};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use photongate_net::pki::{Host, Pki, Role, Site, Wanted};
use photongate_net::secret_file;
use serde_json::Value;

use super::process::Process;
use super::{Patience, ask};

/// Key server A and key server B. They are killed if they still run when this is dropped.
#[derive(Debug)]
pub(crate) struct KeyServers(pub(crate) [KeyServer; 2]);

/// A running `photongate qks`.
#[derive(Debug)]
pub(crate) struct KeyServer {
    name: String,
    process: Process,
    socket: PathBuf,
}

/// What the two are to be like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyServersPlan<'p> {
    /// Where all files go: certificates into `pki`.
    pub(crate) directory: &'p Path,
    /// Where each is reached.
    pub(crate) places: [Place; 2],
    /// The AS that each makes keys for, with the filter that asks for them, `filter-a` and `filter-b`.
    pub(crate) ases: [&'p str; 2],
    /// The sources of their link, as each has them in its configuration.
    pub(crate) sources: [&'p str; 2],
}

/// Where a key server is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// By its filter.
    pub(crate) filters: SocketAddr,
    /// By the other key server.
    pub(crate) servers: SocketAddr,
}

impl KeyServersPlan<'_> {
    /// Makes certificates, keys and configurations. [`LINK_SECRET`] is a file with a secret that both ends of a link can use.
    ///
    /// # Errors
    /// Files cannot be made.
    pub(crate) fn prepare(&self) -> Result<()> {
        let wanted = |name: String, role, hosts: Vec<IpAddr>| {
            let hosts = hosts.into_iter().map(Host::Address).collect();
            Wanted { name, role, hosts, days: 1 }
        };
        let mut certificates = Vec::new();
        for (letter, place) in LETTERS.into_iter().zip(self.places) {
            let mut hosts = vec![place.filters.ip(), place.servers.ip()];
            hosts.dedup();
            certificates.push(wanted(format!("qks-{letter}"), Role::Qks, hosts));
            certificates.push(wanted(format!("filter-{letter}"), Role::Filter, Vec::new()));
        }
        let site = Site { authority: "photongate on one machine".to_owned(), years: 1, certificates };
        Pki::new(site, &self.directory.join("pki")).init(photongate_net::now()).context("making certificates")?;
        let secret =
            |name: &str| secret_file::create(&self.directory.join(name), &random_hex()?).context("making secrets");
        secret(LINK_SECRET)?;
        for side in [0, 1] {
            let name = name(side);
            secret(&format!("{name}-master.key"))?;
            fs::write(self.directory.join(format!("{name}.toml")), self.configuration(side))?;
        }
        Ok(())
    }

    /// Starts what was [prepared](Self::prepare). `commands` say where the program runs.
    ///
    /// # Errors
    /// One does not start; what it printed is part of the error.
    pub(crate) fn start(&self, commands: [Command; 2], patience: &Patience) -> Result<KeyServers> {
        let mut sides = 0..2;
        let servers = commands.map(|mut command| {
            let name = name(sides.next().expect("there are two"));
            command.args(["qks", "--config"]).arg(self.directory.join(format!("{name}.toml")));
            let process = Process::start(command, &self.directory.join(format!("{name}.log")))?;
            Ok::<_, anyhow::Error>(KeyServer { socket: self.directory.join(format!("{name}.sock")), name, process })
        });
        let [a, b] = servers;
        let mut servers = KeyServers([a?, b?]);
        for server in &mut servers.0 {
            server.wait_until_ready(patience)?;
        }
        Ok(servers)
    }

    fn configuration(&self, side: usize) -> String {
        let other = 1 - side;
        let (name, neighbour) = (name(side), name(other));
        let Place { filters, servers } = self.places[side];
        format!(
            r#"id = "{name}"

[state]
directory = "{name}-state"

[secrets]
master_key = {{ file = "{name}-master.key" }}

[tls]
certificate = "pki/{name}.pem"
key = "pki/{name}-key.pem"

[sae]
listen = ["{filters}"]
client_ca = "pki/ca.pem"

[peers]
listen = ["{servers}"]
ca = "pki/ca.pem"

[admin]
socket = "{name}.sock"
listen = []

[drkey]
isd_as = ["{isd_as}"]

[[drkey.filters]]
name = "filter-{letter}"
isd_as = "{isd_as}"

[[neighbours]]
id = "{neighbour}"
url = "https://{there}/"
isd_as = ["{as_there}"]

[[links]]
name = "fibre"
neighbour = "{neighbour}"

{sources}"#,
            letter = LETTERS[side],
            isd_as = self.ases[side],
            as_there = self.ases[other],
            there = self.places[other].servers,
            sources = self.sources[side],
        )
    }
}

impl KeyServers {
    /// Asks both to stop, and waits until they have.
    ///
    /// # Errors
    /// One does not, or not in order.
    pub(crate) fn stop(self, patience: &Patience) -> Result<()> {
        for mut server in self.0 {
            let ended = server.process.stop(&server.name, patience)?;
            ensure!(ended.with(0), "{} ended with {}:\n{}", server.name, ended.status, ended.output);
        }
        Ok(())
    }
}

impl KeyServer {
    /// Asks the server over the socket that it is managed by.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let (status, answer) = ask(&self.socket, "GET", path, None)?;
        ensure!(status == 200, "{} answers {path} with {status}: {answer}", self.name);
        Ok(answer)
    }

    /// Where it is managed.
    #[allow(dead_code, reason = "the tests are more curious than the demo")]
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The bytes of key material that it can give out to the other server now.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn ready_bytes(&self) -> Result<u64> {
        let neighbours = self.get("/api/v1/neighbours")?;
        Ok(neighbours.pointer("/0/stock/ready_bytes").and_then(Value::as_u64).unwrap_or_default())
    }

    /// Waits until there is something to encrypt a key with.
    fn wait_until_ready(&mut self, patience: &Patience) -> Result<()> {
        let ready = patience.until(&format!("{} and its link", self.name), START_TIMEOUT, || {
            self.process.check()?;
            Ok(self.ready_bytes().ok().filter(|ready| *ready >= ENOUGH_BYTES))
        });
        ready.map(drop).with_context(|| format!("{} printed: {}", self.name, self.process.output()))
    }
}

fn name(side: usize) -> String {
    format!("qks-{}", LETTERS[side])
}

fn random_hex() -> Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).context("/dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the file of the link's secret is called.
pub(crate) const LINK_SECRET: &str = "link-secret";

const LETTERS: [char; 2] = ['a', 'b'];

/// For a key of each direction, and some more.
const ENOUGH_BYTES: u64 = 128;

/// Machines under load take their time.
const START_TIMEOUT: Duration = Duration::from_secs(60);
