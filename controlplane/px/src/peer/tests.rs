//! Real sockets on loopback, with certificates of authorities made on the way.

use std::fs;
use std::time::Instant;

use bytes::Bytes;
use photongate_net::pki::{Host, Pki, Role, Site, Wanted};
use photongate_net::quic::QuicFiles;
use photongate_net::{NodeAddress, now};
use s2n_quic::client::Connect;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::*;

#[tokio::test]
async fn two_nodes_are_up_for_each_other_and_messages_arrive_in_order() {
    let site = TestSite::new(&["a", "b"]);
    let (mut a, mut b) = site.pair(("a", "a"), ("b", "b")).await;
    a.up("b").await;
    b.up("a").await;
    for number in 0..1_000 {
        assert!(a.peers.send("b", &note(number)));
    }
    for number in 0..1_000 {
        assert_eq!(b.message().await, note(number));
    }
    assert!(b.peers.send("a", &note("x".repeat(1 << 20))));
    assert_eq!(a.message().await[0].as_str().unwrap().len(), 1 << 20);
    let status = a.peers.status();
    assert!(status[0].up && status[0].ping.rtt_us.is_some(), "{status:?}");
}

#[tokio::test]
async fn a_node_that_starts_anew_is_up_again_and_told_as_such() {
    let site = Arc::new(TestSite::new(&["a", "b"]));
    let mut a = site.node("a", "a", &[]).await;
    let to_a = [server("a", a.peers.address())];
    // Its sockets and tasks end with its runtime, as those of a process that dies.
    let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (same_site, same_server) = (Arc::clone(&site), to_a.clone());
    let first = process.spawn(async move { same_site.node("b", "b", &same_server).await }).await.unwrap();
    let address = first.peers.address();
    a.peers.set(&[server("b", address)]);
    a.up("b").await;
    process.shutdown_background();
    drop(first);
    let begun = Instant::now();
    let mut second = loop {
        // The port is free a moment later.
        match site.try_node("b", "b", address, &to_a).await {
            Ok(node) => break node,
            Err(error) => assert!(error.to_string().contains("in use") && begun.elapsed() < PATIENCE, "{error}"),
        }
        sleep(Duration::from_millis(20)).await;
    };
    a.down("b").await;
    a.up("b").await;
    second.up("a").await;
    assert!(a.peers.send("b", &note("hello again")));
    assert_eq!(second.message().await, note("hello again"));
}

#[tokio::test]
async fn a_node_of_another_authority_is_refused() {
    let (site, other) = (TestSite::new(&["a", "b"]), TestSite::new(&["a", "b"]));
    let mut a = site.node("a", "a", &[]).await;
    let b = other.node("b", "b", &[server("a", a.peers.address())]).await;
    a.peers.set(&[server("b", b.peers.address())]);
    a.refuses("b", "TLS fails").await;
}

#[tokio::test]
async fn a_node_with_the_certificate_of_another_is_refused() {
    let site = TestSite::new(&["a", "b", "c"]);
    // It listens where b should be, and says that it is c.
    let mut a = site.node("a", "a", &[]).await;
    let c = site.node("c", "c", &[server("a", a.peers.address())]).await;
    a.peers.set(&[server("b", c.peers.address())]);
    a.refuses("b", "TLS fails").await;
    // Its own connection to a is no better.
    assert!(!c.peers.status()[0].up);
}

#[tokio::test]
async fn a_certificate_for_another_node_is_told_before_anything_is_sent() {
    let site = TestSite::new(&["a", "b"]);
    let refused = site.try_node("a", "b", loopback(), &[]).await.unwrap_err().to_string();
    assert!(refused.contains("is not for \"a\", which is me.id, but for: CN=b SAN:b"), "{refused}");
}

#[tokio::test]
async fn what_makes_no_sense_or_is_too_long_is_counted_and_skipped() {
    let site = TestSite::new(&["a", "b"]);
    // Node a takes numbers only.
    let (events_in, mut events) = mpsc::channel(100);
    let strict = Peers::<Vec<u64>>::start(site.options("a", "a", loopback()), &[], events_in).await.unwrap();
    let mut b = site.node("b", "b", &[server("a", strict.address())]).await;
    strict.set(&[server("b", b.peers.address())]);
    b.up("a").await;
    b.peers.send("a", &note("no number"));
    b.peers.send("a", &note(7));
    loop {
        if let PeerEvent::Message(_, number) = timeout(PATIENCE, events.recv()).await.unwrap().unwrap() {
            assert_eq!(number, [7]);
            break;
        }
    }
    assert_eq!(strict.status()[0].bad_messages, 1);
    assert!(!b.peers.send("a", &note("x".repeat(LONGEST_MESSAGE))), "it is not even sent");
}

#[tokio::test]
async fn a_message_that_does_not_end_is_skipped_and_what_follows_is_heard() {
    let site = TestSite::new(&["a", "b"]);
    // Nobody answers where b should be, but somebody with its certificate connects.
    let silent = std::net::UdpSocket::bind(loopback()).unwrap();
    let mut a = site.node("a", "a", &[server("b", silent.local_addr().unwrap())]).await;
    let options = site.options("b", "b", loopback());
    let identity = QuicIdentity::load(&options.me.tls).unwrap();
    let client = connect_from(&identity, &options, loopback()).unwrap();
    let attempt = Connect::new(a.peers.address()).with_server_name("a");
    let mut connection = client.connect(attempt).await.unwrap();
    let mut stream = connection.open_send_stream().await.unwrap();
    let megabyte = Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..=LONGEST_MESSAGE / megabyte.len() {
        stream.send(megabyte.clone()).await.unwrap();
    }
    stream.send(Bytes::from_static(b"\r[7]\r")).await.unwrap();
    assert_eq!(a.message().await, note(7));
    assert_eq!(a.peers.status()[0].bad_messages, 1);
}

#[tokio::test]
async fn a_peer_that_takes_nothing_holds_up_nobody_and_costs_no_more_than_its_queue() {
    let site = TestSite::new(&["a", "b", "c"]);
    let mut a = site.node("a", "a", &[]).await;
    let (events_in, _nobody_takes_them) = mpsc::channel(16);
    let to_a = [server("a", a.peers.address())];
    let b = Peers::<Note>::start(site.options("b", "b", loopback()), &to_a, events_in).await.unwrap();
    let mut c = site.node("c", "c", &to_a).await;
    a.peers.set(&[server("b", b.address()), server("c", c.peers.address())]);
    a.up_all(&["b", "c"]).await;
    // It does not read its stream any more; once all room on the way is used up, messages wait here.
    let big = note("x".repeat(1 << 20));
    let overflown = async {
        while a.peers.send("b", &big) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, overflown).await.unwrap();
    a.peers.send("c", &note("quick"));
    assert_eq!(c.message().await, note("quick"));
}

/// A list, so that it is never taken for a ping.
type Note = Vec<Value>;

fn note(value: impl Into<Value>) -> Note {
    vec![value.into()]
}

#[derive(Debug)]
struct Node {
    peers: Peers<Note>,
    events: mpsc::Receiver<PeerEvent<Note>>,
}

impl Node {
    async fn up(&mut self, name: &str) {
        self.up_all(&[name]).await;
    }

    async fn up_all(&mut self, names: &[&str]) {
        let mut missing: Vec<_> = names.to_vec();
        while !missing.is_empty() {
            if let PeerEvent::Up(peer) = timeout(PATIENCE, self.events.recv()).await.unwrap().unwrap() {
                missing.retain(|name| *name != &*peer);
            }
        }
    }

    async fn down(&mut self, name: &str) {
        loop {
            if let PeerEvent::Down(peer) = timeout(PATIENCE, self.events.recv()).await.unwrap().unwrap() {
                assert_eq!(&*peer, name);
                return;
            }
        }
    }

    async fn message(&mut self) -> Note {
        loop {
            if let PeerEvent::Message(_, message) = timeout(PATIENCE, self.events.recv()).await.unwrap().unwrap() {
                return message;
            }
        }
    }

    /// Waits until the connection to a peer has failed, for a reason that is told.
    async fn refuses(&mut self, name: &str, why: &str) {
        let refused = async {
            loop {
                let status = self.peers.status().into_iter().find(|status| status.name == name).unwrap();
                assert!(!status.up);
                if status.reason.is_some_and(|reason| reason.contains(why)) {
                    return;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(PATIENCE, refused).await.is_err() {
            panic!("{:?}", self.peers.status());
        }
    }
}

/// An authority and the certificates of some nodes.
struct TestSite(TempDir);

impl TestSite {
    fn new(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let wanted = |name: &&str| Wanted {
            name: (*name).to_owned(),
            role: Role::Px,
            hosts: vec![Host::Name((*name).to_owned())],
            days: 90,
        };
        let site = Site { authority: "test".to_owned(), years: 1, certificates: names.iter().map(wanted).collect() };
        Pki::new(site, folder.path()).init(now()).unwrap();
        Self(folder)
    }

    async fn pair(&self, one: (&str, &str), other: (&str, &str)) -> (Node, Node) {
        let first = self.node(one.0, one.1, &[]).await;
        let second = self.node(other.0, other.1, &[server(one.0, first.peers.address())]).await;
        first.peers.set(&[server(other.0, second.peers.address())]);
        (first, second)
    }

    async fn node(&self, id: &str, certificate: &str, servers: &[ServerConfig]) -> Node {
        self.try_node(id, certificate, loopback(), servers).await.unwrap()
    }

    async fn try_node(
        &self,
        id: &str,
        certificate: &str,
        address: SocketAddr,
        servers: &[ServerConfig],
    ) -> Result<Node, PeerError> {
        let (events_in, events) = mpsc::channel(100);
        let peers = Peers::start(self.options(id, certificate, address), servers, events_in).await?;
        Ok(Node { peers, events })
    }

    fn options(&self, id: &str, certificate: &str, address: SocketAddr) -> PeerOptions {
        let file = |name: String| self.0.path().join(name);
        assert!(fs::exists(file("ca.pem".to_owned())).unwrap());
        PeerOptions {
            me: MeConfig {
                id: id.to_owned(),
                addr: NodeAddress { host: address.ip().to_string(), port: address.port() },
                tls: QuicFiles {
                    certificate: file(format!("{certificate}.pem")),
                    key: file(format!("{certificate}-key.pem")),
                    authority: file("ca.pem".to_owned()),
                },
            },
            retry_delay: Duration::from_millis(20),
            ping: Duration::from_millis(100),
            silence: Duration::from_secs(5),
            queue_bytes: 4 << 20,
            incarnation: getrandom::u64().unwrap(),
        }
    }
}

fn server(name: &str, address: SocketAddr) -> ServerConfig {
    let addr = NodeAddress { host: address.ip().to_string(), port: address.port() };
    ServerConfig { addr, server_name: name.to_owned() }
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
