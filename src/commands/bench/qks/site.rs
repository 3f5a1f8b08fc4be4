//! A site of two key servers with a link of key files between them, in a folder that goes when the benchmark ends.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use photongate_net::pki::{Host, Pki, Role, Site as Certificates, Wanted};
use photongate_net::tls::{ClientTls, ClientTlsFiles};
use photongate_net::{now, secret_file};
use photongate_qks::client::SaeClient;
use photongate_qks::ids::SaeId;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use url::Url;

/// Two key servers, A and B.
pub(super) struct Site {
    folder: TempDir,
    ports: Ports,
    servers: Vec<Child>,
}

#[derive(Clone, Copy)]
struct Ports {
    sae: [u16; 2],
    peer: [u16; 2],
}

/// An application at one of the servers, and the one it shares keys with.
pub(super) struct Caller {
    base: Url,
    tls: ClientTls,
    pub(super) other: SaeId,
}

impl Caller {
    pub(super) fn client(&self) -> Result<SaeClient> {
        Ok(SaeClient::new(self.base.clone(), &self.tls)?)
    }
}

impl Site {
    /// Makes certificates and configurations.
    pub(super) async fn new(number: u16, size: u32) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("photongate-bench-").tempdir()?;
        let wanted = |name: &str, role| Wanted {
            name: name.to_owned(),
            role,
            hosts: vec![Host::Address(Ipv4Addr::LOCALHOST.into())],
            days: 1,
        };
        let certificates = Certificates {
            authority: "photongate bench".to_owned(),
            years: 1,
            certificates: vec![
                wanted("qks-a", Role::Qks),
                wanted("qks-b", Role::Qks),
                wanted("sae-a", Role::Sae),
                wanted("sae-b", Role::Sae),
            ],
        };
        Pki::new(certificates, &folder.path().join("pki")).init(now())?;
        let ports = Ports { sae: [free_port()?, free_port()?], peer: [free_port()?, free_port()?] };
        for side in [0, 1] {
            let here = folder.path().join(NAMES[side]);
            fs::create_dir_all(here.join("keys"))?;
            secret_file::create(&here.join("master.key"), &random_hex()?)?;
            fs::write(here.join("qks.toml"), configuration(folder.path(), side, ports, number, size))?;
        }
        Ok(Self { folder, ports, servers: Vec::new() })
    }

    /// Starts both servers.
    pub(super) async fn start(&mut self) -> Result<()> {
        for name in NAMES {
            let log = fs::File::create(self.folder.path().join(name).join("log"))?;
            let mut command = Command::new(std::env::current_exe()?);
            command
                .arg("qks")
                .arg("--config")
                .arg(self.folder.path().join(name).join("qks.toml"))
                .arg("--log-level")
                .arg("warn");
            let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true).spawn()?;
            self.servers.push(child);
        }
        Ok(())
    }

    /// Stops both servers in order.
    pub(super) async fn stop(&mut self) -> Result<()> {
        for server in &self.servers {
            if let Some(pid) = server.id() {
                kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
            }
        }
        for mut server in self.servers.drain(..) {
            let status = timeout(PATIENCE, server.wait()).await.context("a key server does not stop")??;
            if !status.success() {
                bail!("a key server ended with {status}");
            }
        }
        Ok(())
    }

    /// Puts `keys` keys into the stock of both.
    pub(super) async fn fill(&self, keys: u64) -> Result<()> {
        let size = self.key_bytes()?;
        let mut left = keys * u64::from(size);
        let mut random = fs::File::open("/dev/urandom")?;
        let mut part = vec![0; 1 << 20];
        let folders: Vec<PathBuf> = NAMES.iter().map(|name| self.folder.path().join(name).join("keys")).collect();
        let mut number = 0;
        while left > 0 {
            let file_bytes = left.min(FILE_BYTES);
            let mut files = Vec::new();
            for folder in &folders {
                files.push(fs::File::create(folder.join(format!("{number:06}.part")))?);
            }
            let mut to_write = file_bytes;
            while to_write > 0 {
                let length = to_write.min(part.len() as u64) as usize;
                random.read_exact(&mut part[..length])?;
                for file in &mut files {
                    file.write_all(&part[..length])?;
                }
                to_write -= length as u64;
            }
            for folder in &folders {
                fs::rename(folder.join(format!("{number:06}.part")), folder.join(format!("{number:06}.key")))?;
            }
            left -= file_bytes;
            number += 1;
        }
        let waiting = async {
            while folders.iter().any(|folder| fs::read_dir(folder).is_ok_and(|files| files.count() > 0)) {
                sleep(LOOK_AROUND).await;
            }
        };
        timeout(FILLING, waiting).await.context("the key servers do not take in the key files")?;
        self.wait_for_keys().await
    }

    /// Waits until A can give out keys.
    pub(super) async fn wait_for_keys(&self) -> Result<()> {
        let client = self.master()?.client()?;
        let slave: SaeId = "sae-b".parse()?;
        let waiting = async {
            loop {
                if client.status(&slave).await.is_ok_and(|status| status.stored_key_count > 0) {
                    return;
                }
                sleep(LOOK_AROUND).await;
            }
        };
        let waited = timeout(PATIENCE, waiting).await;
        waited.with_context(|| format!("the key servers do not get ready:\n{}", self.logs()))
    }

    /// The application at A, which asks for keys.
    pub(super) fn master(&self) -> Result<Caller> {
        self.caller("sae-a", "sae-b", self.ports.sae[0])
    }

    /// The application at B, which fetches them.
    pub(super) fn slave(&self) -> Result<Caller> {
        self.caller("sae-b", "sae-a", self.ports.sae[1])
    }

    /// Starts the server that always answers with the same keys. It ends when it is dropped.
    pub(super) async fn start_ceiling(&self, number: u16, size: u32) -> Result<(Child, Caller)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "qks", "--number", &number.to_string(), "--size", &size.to_string(), "--serve-ceiling"]);
        command.arg(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let server = command.spawn()?;
        let file = self.folder.path().join("ceiling.port");
        let port = async {
            loop {
                if let Some(port) = fs::read_to_string(&file).ok().and_then(|text| text.parse().ok()) {
                    return port;
                }
                sleep(LOOK_AROUND).await;
            }
        };
        let port = timeout(PATIENCE, port).await.context("the ceiling does not start")?;
        Ok((server, self.caller("sae-a", "sae-b", port)?))
    }

    /// Memory of each server, in MiB.
    pub(super) fn resident_mib(&self) -> Result<Vec<u64>> {
        let resident = self.servers.iter().map(|server| {
            let pid = server.id().context("a key server has ended")?;
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc")?;
            Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
        });
        resident.collect()
    }

    fn caller(&self, name: &str, other: &str, port: u16) -> Result<Caller> {
        let pki = self.folder.path().join("pki");
        let identity = Some((pki.join(format!("{name}.pem")), pki.join(format!("{name}-key.pem"))));
        let tls = ClientTls::load(ClientTlsFiles { ca: pki.join("ca.pem"), identity, expected: None })?;
        Ok(Caller { base: format!("https://127.0.0.1:{port}/").parse()?, tls, other: other.parse()? })
    }

    fn key_bytes(&self) -> Result<u32> {
        let text = fs::read_to_string(self.folder.path().join(NAMES[0]).join("qks.toml"))?;
        let bits = text.lines().find_map(|line| line.strip_prefix("size_bits = ")).context("size_bits")?;
        Ok(bits.parse::<u32>()? / 8)
    }

    fn logs(&self) -> String {
        NAMES.map(|name| fs::read_to_string(self.folder.path().join(name).join("log")).unwrap_or_default()).concat()
    }
}

fn configuration(folder: &Path, side: usize, ports: Ports, number: u16, size: u32) -> String {
    let other = 1 - side;
    let (name, neighbour) = (NAMES[side], NAMES[other]);
    let letter = ["a", "b"];
    let (here, there) = (letter[side], letter[other]);
    let Ports { sae, peer } = ports;
    let (sae_port, peer_port, neighbour_port) = (sae[side], peer[side], peer[other]);
    format!(
        r#"id = "{name}"
[state]
directory = "{root}/{name}/state"
[tls]
certificate = "{root}/pki/{name}.pem"
key = "{root}/pki/{name}-key.pem"
[sae]
listen = ["127.0.0.1:{sae_port}"]
client_ca = "{root}/pki/ca.pem"
[peers]
listen = ["127.0.0.1:{peer_port}"]
ca = "{root}/pki/ca.pem"
[keys]
size_bits = {size}
max_per_request = {number}
[secrets]
master_key = {{ file = "{root}/{name}/master.key" }}
[[saes]]
id = "sae-{here}"
[[neighbours]]
id = "{neighbour}"
url = "https://127.0.0.1:{neighbour_port}/"
saes = ["sae-{there}"]
[[links]]
name = "bench"
neighbour = "{neighbour}"
capacity_mib = 1048576
[[links.sources]]
kind = "keyfile"
directory = "{root}/{name}/keys"
period = "100ms"
"#,
        root = folder.display(),
    )
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn random_hex() -> Result<String> {
    let mut bytes = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

const NAMES: [&str; 2] = ["qks-a", "qks-b"];
const FILE_BYTES: u64 = 64 << 20;
const LOOK_AROUND: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);
const FILLING: Duration = Duration::from_secs(600);
