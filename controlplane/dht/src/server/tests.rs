//! Several nodes in one process, over real sockets on loopback.

use std::collections::BTreeMap;
use std::fs;

use bytes::Bytes;
use photongate_net::config::Loaded;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;
use crate::copies::{self, Copies};
use crate::fetch::{self, FetchError};
use crate::manifest::{Manifest, Piece};
use crate::store::Keep;
use crate::testing::{Harm, certificates, certificates_of, do_harm, node_name};

#[tokio::test]
async fn a_value_put_at_one_node_is_got_at_every_other() {
    let network = Network::plain(6).await;
    let value = Bytes::from(vec![7; 100_000]);
    let put = network.handle(1).put(value.clone()).await.unwrap();
    assert!(put.kept >= 3, "{put:?}");
    assert_eq!(copies::verified(network.handle(1), put.key, 3, PATIENCE).await.unwrap().verified, 3);
    for node in 0..6 {
        assert_eq!(fetch::value(network.handle(node), put.key, network.effort()).await.unwrap(), value, "node {node}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_answers_nobody_before_all_of_it_is_there() {
    let network = Network::plain(0).await;
    let dht = network.make(0, str::to_owned).await;
    let mut client = UnixStream::connect(network.folder.path().join("0/dht.sock")).await.unwrap();
    client.write_all(b"{\"op\": \"status\"}\n").await.unwrap();
    let mut answer = [0; 4_096];
    let early = timeout(std::time::Duration::from_millis(300), client.read(&mut answer)).await;
    assert!(early.is_err(), "its other ways in may not be there yet: {early:?}");
    let running = tokio::spawn(dht.run(std::future::pending()));
    let read = timeout(PATIENCE, client.read(&mut answer)).await.unwrap().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer[..read]).unwrap();
    assert_eq!(answer["ok"], true, "{answer}");
    running.abort();
}

#[tokio::test]
async fn a_file_is_got_whole_from_several_nodes() {
    let network = Network::plain(5).await;
    let (key, pieces) = network.put_file(0, 12).await;
    let got = network.get_file(4, key).await.unwrap();
    assert_eq!(got, pieces);
}

#[tokio::test]
async fn in_the_closed_mode_a_file_is_got_by_nodes_that_the_authority_has_named() {
    let network = Network::closed(4).await;
    let (key, pieces) = network.put_file(1, 5).await;
    assert_eq!(network.get_file(3, key).await.unwrap(), pieces);
    assert_eq!(network.handle(2).me().id, Id::of_name("dht-2.example"));
}

#[tokio::test]
async fn what_nobody_has_is_not_found_in_bounded_time() {
    let network = Network::plain(3).await;
    let key = Id::of(b"nobody has this");
    let error = timeout(PATIENCE, fetch::value(network.handle(0), key, network.effort())).await.unwrap().unwrap_err();
    assert_eq!(error, FetchError::Nowhere { keys: vec![key] });
}

#[tokio::test]
async fn a_value_that_is_no_file_is_told_from_one() {
    let network = Network::plain(2).await;
    let put = network.handle(0).put(Bytes::from_static(b"hello")).await.unwrap();
    let error = fetch::file(network.handle(1), put.key, network.effort()).await.unwrap_err();
    assert!(matches!(error, FetchError::NotAFile(_)), "{error}");
}

#[tokio::test]
async fn a_node_that_starts_anew_has_what_it_had_and_finds_the_others() {
    let mut network = Network::plain(3).await;
    let put = network.handle(2).put(Bytes::from_static(b"value")).await.unwrap();
    let before = network.handle(2).me();
    network.stop(2).await;
    network.start(2, |text| text.replace("bootstrap", "# bootstrap")).await;
    assert_eq!(network.handle(2).me().id, before.id);
    assert_eq!(network.handle(2).store().keep_of(put.key), Some(Keep::Own));
    network.wait_until_joined(2).await;
}

#[tokio::test]
async fn who_only_says_that_it_has_a_value_is_no_copy_of_it() {
    let network = Network::closed(2).await;
    let _liar = network.liar(Harm::Wrong).await;
    let put = network.handle(0).put(Bytes::from(vec![7; 100_000])).await.unwrap();
    assert_eq!(copies::claimed(network.handle(0), put.key, 2, PATIENCE).await.unwrap(), 2, "the liar is believed");
    let copies = copies::verified(network.handle(0), put.key, 2, PATIENCE).await.unwrap();
    assert_eq!(copies, Copies { verified: 1, claimed: 2 });
}

#[tokio::test]
async fn a_small_value_that_comes_with_the_answers_is_shown_by_them() {
    let network = Network::closed(4).await;
    let put = network.handle(0).put(Bytes::from_static(b"small")).await.unwrap();
    let copies = copies::verified(network.handle(0), put.key, 3, PATIENCE).await.unwrap();
    assert_eq!(copies.verified, 3);
    assert_eq!(network.handle(0).board().traffic.values_received.value(), 0, "nobody is asked for it");
}

#[tokio::test]
async fn a_liar_that_comes_back_from_another_port_is_not_heard() {
    let network = Network::closed(2).await;
    let liar = network.liar(Harm::Wrong).await;
    let first = network.handle(0).put(Bytes::from(vec![7; 100_000])).await.unwrap();
    copies::verified(network.handle(0), first.key, 2, PATIENCE).await.unwrap();
    let found_out = async {
        while network.handle(0).board().bans.value() == 0 {
            sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, found_out).await.expect("it is found out");

    liar.abort();
    assert!(liar.await.unwrap_err().is_cancelled());
    let _again = network.lie(Harm::Wrong);
    // Meanwhile it tells everybody several times that it is there.
    sleep(std::time::Duration::from_secs(3)).await;
    let second = network.handle(0).put(Bytes::from(vec![8; 100_000])).await.unwrap();
    let copies = copies::verified(network.handle(0), second.key, 1, PATIENCE).await.unwrap();
    assert_eq!(copies, Copies { verified: 1, claimed: 1 });
    let known = network.handle(0).contacts().await.unwrap();
    let honest = network.handle(1).me();
    assert_eq!(known, [honest], "at the same address of this machine it is none the worse for it");
}

#[tokio::test]
async fn a_node_finds_the_others_by_a_name_or_by_a_file() {
    let mut network = Network::plain(1).await;
    let port = network.handle(0).me().address.port();
    let configured = format!("bootstrap = [\"127.0.0.1:{port}\"]");
    network.start(1, |text| text.replace(&configured, &format!("bootstrap = [\"localhost:{port}\"]"))).await;
    network.wait_until_joined(1).await;
    fs::write(network.folder.path().join("others"), format!("# the first\n127.0.0.1:{port}\n")).unwrap();
    network.start(2, |text| text.replace(&configured, "bootstrap_file = \"others\"")).await;
    network.wait_until_joined(2).await;
}

/// Nodes, each with a folder of its own.
struct Network {
    folder: TempDir,
    nodes: BTreeMap<usize, Running>,
    is_closed: bool,
}

struct Running {
    handle: Handle,
    effort: Effort,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Network {
    async fn plain(nodes: usize) -> Self {
        Self { folder: TempDir::new().unwrap(), nodes: BTreeMap::new(), is_closed: false }.with(nodes).await
    }

    async fn closed(nodes: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let pki = folder.path().join("pki");
        // One is for somebody else.
        certificates(&pki, nodes + 1);
        Self { folder, nodes: BTreeMap::new(), is_closed: true }.with(nodes).await
    }

    async fn with(mut self, nodes: usize) -> Self {
        for node in 0..nodes {
            self.start(node, str::to_owned).await;
        }
        for node in 0..nodes {
            self.wait_until_joined(node).await;
        }
        self
    }

    /// Lets a node in that lies, and waits until all others know it.
    async fn liar(&self, harm: Harm) -> JoinHandle<()> {
        let liar = self.lie(harm);
        let id = Id::of_name(&node_name(self.nodes.len()));
        let known = async {
            for node in self.nodes.values() {
                while !node.handle.contacts().await.unwrap().iter().any(|contact| contact.id == id) {
                    sleep(std::time::Duration::from_millis(10)).await;
                }
            }
        };
        timeout(PATIENCE, known).await.expect("the liar is known to all");
        liar
    }

    fn lie(&self, harm: Harm) -> JoinHandle<()> {
        let files = certificates_of(&self.folder.path().join("pki"), self.nodes.len());
        let peers: Vec<_> = self.nodes.values().map(|node| node.handle.me().address).collect();
        tokio::spawn(async move {
            let (here, nowhere) = ("127.0.0.1:0".parse().unwrap(), "192.0.2.0".parse().unwrap());
            do_harm(harm, here, &files, &peers, nowhere, |_| ()).await.unwrap();
        })
    }

    async fn start(&mut self, node: usize, change: impl FnOnce(&str) -> String) {
        let dht = self.make(node, change).await;
        let (handle, effort) = (dht.handle().clone(), dht.effort());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(dht.run(async {
            let _ = stopped.await;
        }));
        self.nodes.insert(node, Running { handle, effort, stop, task });
    }

    /// A node that does not run yet.
    async fn make(&self, node: usize, change: impl FnOnce(&str) -> String) -> Dht {
        let folder = self.folder.path();
        let bootstrap = self.nodes.values().next().map(|first| first.handle.me().address.to_string());
        let bootstrap = bootstrap.map(|address| format!("bootstrap = [{address:?}]\n")).unwrap_or_default();
        let mode = if self.is_closed {
            format!(
                "[tls]\ncertificate = \"pki/dht-{node}.example.pem\"\nkey = \"pki/dht-{node}.example-key.pem\"\nca = \"pki/ca.pem\"\n"
            )
        } else {
            "mode = \"plain\"\nplain = { ids = \"free\" }\n".to_owned()
        };
        let text = format!(
            "listen = \"127.0.0.1:0\"\n{bootstrap}{mode}[state]\ndirectory = \"{node}\"\n[api]\nenabled = false\n"
        );
        let path = folder.join("dht.toml");
        let Loaded { config, .. } = DhtConfig::parse(&path, &change(&text)).unwrap_or_else(|error| panic!("{error}"));
        Dht::start(config).await.unwrap()
    }

    async fn stop(&mut self, node: usize) {
        let Running { stop, task, handle, .. } = self.nodes.remove(&node).unwrap();
        stop.send(()).unwrap();
        task.await.unwrap();
        drop(handle);
    }

    fn handle(&self, node: usize) -> &Handle {
        &self.nodes[&node].handle
    }

    fn effort(&self) -> Effort {
        self.nodes[&0].effort
    }

    async fn wait_until_joined(&self, node: usize) {
        let all = self.nodes.len() > 1;
        let joined = async {
            while all && self.handle(node).contacts().await.unwrap().is_empty() {
                sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, joined).await.unwrap_or_else(|_| panic!("node {node} stays alone"));
    }

    async fn put_file(&self, node: usize, pieces: usize) -> (Id, Vec<Bytes>) {
        let pieces: Vec<_> = (0..pieces).map(|piece| Bytes::from(vec![piece as u8; 50_000 + piece])).collect();
        let mut list = Vec::new();
        for piece in &pieces {
            list.push(Piece::of(piece));
            self.handle(node).put(piece.clone()).await.unwrap();
        }
        let manifest = Manifest::new(list).unwrap();
        (self.handle(node).put(manifest.to_bytes().into()).await.unwrap().key, pieces)
    }

    async fn get_file(&self, node: usize, key: Id) -> Result<Vec<Bytes>, FetchError> {
        let (handle, effort) = (self.handle(node), self.effort());
        let file = fetch::file(handle, key, effort).await?;
        let count = file.manifest.pieces().len();
        let (arrived_in, mut arrived) = mpsc::channel::<fetch::Arrived>(1);
        let taking = async {
            let mut pieces = vec![Bytes::new(); count];
            while let Some(piece) = arrived.recv().await {
                pieces[piece.piece] = piece.bytes;
            }
            pieces
        };
        let (fetched, pieces) = tokio::join!(fetch::file_pieces(handle, &file, 0..count, effort, arrived_in), taking);
        fetched.map(|()| pieces)
    }
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
