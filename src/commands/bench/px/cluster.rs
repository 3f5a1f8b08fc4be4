//! A px cluster on loopback: processes of this program, with certificates and configurations made for it.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use photongate_net::now;
use photongate_net::pki::{Host, Pki, Role, Site, Wanted};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::connection::{Answer, Connection};
use super::process::Process;

/// Some nodes, each with a name. Dropping it kills them.
pub(super) struct Cluster {
    folder: PathBuf,
    nodes: Vec<Node>,
}

struct Node {
    name: String,
    port: u16,
    process: Option<Process>,
}

impl Cluster {
    /// Starts the nodes in `folder`, and waits until they have a leader.
    pub(super) async fn start(folder: &Path, nodes: usize) -> Result<Self> {
        // Held until all have one, so that no two have the same.
        let sockets: Vec<_> =
            (0..nodes).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
        let nodes = sockets.iter().zip(1..).map(|(socket, number)| {
            Ok(Node { name: format!("px-{number}.example"), port: socket.local_addr()?.port(), process: None })
        });
        let mut cluster = Self { folder: folder.to_owned(), nodes: nodes.collect::<Result<_>>()? };
        cluster.configure()?;
        drop(sockets);
        for node in 0..cluster.nodes.len() {
            cluster.run(node)?;
        }
        cluster.wait_until_whole().await?;
        Ok(cluster)
    }

    /// Starts a node that does not run.
    pub(super) fn run(&mut self, node: usize) -> Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path(node, "log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("px").arg(self.path(node, "json"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.nodes[node].process = Some(Process::spawn(&mut command)?);
        Ok(())
    }

    /// Ends a node as a power cut would.
    pub(super) fn kill(&mut self, node: usize) {
        self.nodes[node].process = None;
    }

    /// Waits until all nodes are connected with each other, have the same state, and know the same leader; says which one.
    pub(super) async fn wait_until_whole(&self) -> Result<usize> {
        let waiting = async {
            loop {
                if let Ok(Some(leader)) = self.leader().await {
                    return leader;
                }
                sleep(LOOK_AROUND).await;
            }
        };
        let waited = timeout(PATIENCE, waiting).await;
        waited.with_context(|| format!("the nodes find no leader:\n{}", self.logs()))
    }

    /// How each node is.
    pub(super) async fn statuses(&self) -> Result<Vec<Answer>> {
        let mut statuses = Vec::new();
        for node in 0..self.nodes.len() {
            statuses.push(self.connect(node).await?.status().await?);
        }
        Ok(statuses)
    }

    /// A connection to a node.
    pub(super) async fn connect(&self, node: usize) -> Result<Connection> {
        Connection::open(&self.path(node, "sock")).await
    }

    /// So many connections, spread over the nodes beginning with the leader.
    pub(super) async fn connections(&self, count: usize) -> Result<Vec<Connection>> {
        let leader = self.wait_until_whole().await?;
        let mut connections = Vec::new();
        for connection in 0..count {
            connections.push(self.connect((leader + connection) % self.nodes.len()).await?);
        }
        Ok(connections)
    }

    /// The processes of the nodes that run.
    pub(super) fn processes(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(|node| node.process.as_ref().map(Process::id)).collect()
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    async fn leader(&self) -> Result<Option<usize>> {
        let statuses = self.statuses().await?;
        let first = statuses.first().context("a cluster has nodes")?;
        let agree = statuses.iter().all(|status| {
            let is_connected = status.peers.len() + 1 == self.nodes.len() && status.peers.iter().all(|peer| peer.up);
            is_connected && status.leader == first.leader && status.revision == first.revision
        });
        let leader = self.nodes.iter().position(|node| Some(&node.name) == first.leader.as_ref());
        Ok(leader.filter(|_| agree))
    }

    fn configure(&self) -> Result<()> {
        let wanted = |node: &Node| Wanted {
            name: node.name.clone(),
            role: Role::Px,
            hosts: vec![Host::Name(node.name.clone())],
            days: 1,
        };
        let certificates = self.nodes.iter().map(wanted).collect();
        let site = Site { authority: "photongate bench".to_owned(), years: 1, certificates };
        let pki = self.folder.join("pki");
        Pki::new(site, &pki).init(now())?;
        let address = |node: &Node| format!("127.0.0.1:{}", node.port);
        let servers: Vec<_> =
            self.nodes.iter().map(|node| json!({ "addr": address(node), "server_name": node.name })).collect();
        for (number, node) in self.nodes.iter().enumerate() {
            let pem = |end: &str| pki.join(format!("{}{end}.pem", node.name));
            let configuration = json!({
                "me": {
                    "id": node.name,
                    "addr": address(node),
                    "tls_config_info": { "cert_path": pem(""), "key_path": pem("-key"), "ca_cert_path": pki.join("ca.pem") },
                },
                "retry_delay": 50,
                "servers": servers,
                "state": { "directory": self.path(number, "state") },
                "socket": self.path(number, "sock"),
                "api": { "enabled": false },
            });
            fs::write(self.path(number, "json"), configuration.to_string())?;
        }
        Ok(())
    }

    fn path(&self, node: usize, what: &str) -> PathBuf {
        self.folder.join(format!("px-{}.{what}", node + 1))
    }

    fn logs(&self) -> String {
        let logs = (0..self.nodes.len()).map(|node| fs::read_to_string(self.path(node, "log")).unwrap_or_default());
        logs.collect()
    }
}

const LOOK_AROUND: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);
