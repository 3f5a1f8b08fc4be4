//! An etcd cluster on loopback, as it is when nobody has set anything but who its members are.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{sleep, timeout};

use super::grpc::Connection;
use super::process::Process;

/// Some members. Dropping it kills them.
pub(super) struct Etcd {
    members: Vec<Member>,
}

struct Member {
    process: Process,
    /// Where clients reach it.
    port: u16,
}

impl Etcd {
    /// Starts the members in `folder`, and waits until they have a leader. `None` if etcd is not installed.
    pub(super) async fn start(folder: &Path, members: usize) -> Result<Option<Self>> {
        let ports = free_ports(2 * members)?;
        let (client_ports, peer_ports) = ports.split_at(members);
        let name = |member: usize| format!("etcd-{}", member + 1);
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let everybody: Vec<_> =
            peer_ports.iter().enumerate().map(|(member, port)| format!("{}={}", name(member), url(*port))).collect();
        let mut started = Vec::new();
        for (member, (client, peer)) in client_ports.iter().zip(peer_ports).enumerate() {
            let log = fs::File::create(folder.join(format!("{}.log", name(member))))?;
            let mut command = Command::new("etcd");
            command
                .args(["--name", &name(member)])
                .arg("--data-dir")
                .arg(folder.join(name(member)))
                .args(["--listen-client-urls", &url(*client), "--advertise-client-urls", &url(*client)])
                .args(["--listen-peer-urls", &url(*peer), "--initial-advertise-peer-urls", &url(*peer)])
                .args(["--initial-cluster", &everybody.join(","), "--initial-cluster-state", "new"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log);
            let process = match Process::spawn(&mut command) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                spawned => spawned.context("etcd cannot be started")?,
            };
            started.push(Member { process, port: *client });
        }
        let etcd = Self { members: started };
        etcd.leader().await?;
        Ok(Some(etcd))
    }

    /// So many connections, spread over the members beginning with the leader.
    pub(super) async fn connections(&self, count: usize) -> Result<Vec<Connection>> {
        let leader = self.leader().await?;
        let mut connections = Vec::new();
        for connection in 0..count {
            let member = &self.members[(leader + connection) % self.members.len()];
            connections.push(Connection::open(member.port).await?);
        }
        Ok(connections)
    }

    /// Their processes.
    pub(super) fn processes(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.process.id()).collect()
    }

    /// Waits until one of them leads; says which one.
    async fn leader(&self) -> Result<usize> {
        let looking = async {
            loop {
                for (number, member) in self.members.iter().enumerate() {
                    if member.leads().await.unwrap_or(false) {
                        return number;
                    }
                }
                sleep(LOOK_AROUND).await;
            }
        };
        timeout(PATIENCE, looking).await.context("etcd finds no leader")
    }
}

impl Member {
    async fn leads(&self) -> Result<bool> {
        Connection::open(self.port).await?.leads().await
    }
}

/// Ports that nobody listens on.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    // Held until all are known, so that no two are the same.
    let listeners: Vec<_> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

const LOOK_AROUND: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);
