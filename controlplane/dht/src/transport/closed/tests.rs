//! Several ends in one process, over loopback.

use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::testing::{certificates, certificates_of, node_name};
use crate::transfer::Patience;

#[tokio::test]
async fn who_says_that_it_listens_where_another_node_does_keeps_nobody_from_that_one() {
    let site = Site::new(3);
    let [mut us, mut honest] = [site.start(0, None).await, site.start(1, None).await];
    let there = honest.0.address();
    let (liar, _heard) = site.start(2, Some(there.port())).await;
    liar.send(us.0.address(), "I am it".into());
    assert_eq!(heard(&mut us).await, (there, id(2), "I am it".into()));
    honest.0.send(us.0.address(), "no, I am".into());
    assert_eq!(heard(&mut us).await, (there, id(1), "no, I am".into()));
    us.0.send(there, "to you".into());
    assert_eq!(heard(&mut honest).await, (us.0.address(), id(0), "to you".into()));
    liar.send(us.0.address(), "I still am".into());
    us.0.send(there, "and again".into());
    assert_eq!(heard(&mut honest).await, (us.0.address(), id(0), "and again".into()));
}

#[tokio::test]
async fn who_is_connected_to_is_told_with_the_id_that_it_has_proven() {
    let site = Site::new(2);
    let [mut us, other] = [site.start(0, None).await, site.start(1, None).await];
    us.0.send(other.0.address(), "hello".into());
    let event = timeout(PATIENCE, us.1.recv()).await.unwrap().unwrap();
    let there = Contact { id: id(1), address: other.0.address() };
    assert!(matches!(event, Event::Connected(contact) if contact == there), "{event:?}");
}

#[tokio::test]
async fn only_the_node_that_was_named_is_asked_for_a_value() {
    let site = Site::new(2);
    let [(us, _), (other, _)] = [site.start(0, None).await, site.start(1, None).await];
    let named = |id| Source { address: other.address(), proven: Some(id) };
    let refused = us.ask(named(id(7)), Id::of(VALUE), None).await.unwrap_err();
    assert!(matches!(&refused, Refused::Broken(error) if error.to_string() == "another node is there"), "{refused:?}");
    assert_eq!(us.ask(named(id(1)), Id::of(VALUE), None).await.unwrap(), VALUE);
}

/// An end, and what it hears.
type End = (Closed, mpsc::Receiver<Event>);

struct Site(TempDir);

impl Site {
    fn new(nodes: usize) -> Self {
        let folder = TempDir::new().unwrap();
        certificates(&folder.path().join("pki"), nodes);
        Self(folder)
    }

    /// Starts a node, which may say that it listens at another port.
    async fn start(&self, node: usize, claimed: Option<u16>) -> End {
        let (events, heard) = mpsc::channel(64);
        let surroundings = Surroundings {
            events,
            find: Arc::new(|_| Box::pin(async { Some(VALUE.into()) })),
            patience: Patience::default(),
            connections: 8,
            traffic: Arc::default(),
        };
        let files = certificates_of(&self.0.path().join("pki"), node);
        let here = "127.0.0.1:0".parse().unwrap();
        (Closed::start_as(here, claimed, &files, Names::default(), surroundings).await.unwrap(), heard)
    }
}

async fn heard((_, heard): &mut End) -> (SocketAddr, Id, Bytes) {
    loop {
        if let Event::Arrived { from, datagram } = timeout(PATIENCE, heard.recv()).await.unwrap().unwrap() {
            return (from.address, from.proven.unwrap(), datagram);
        }
    }
}

fn id(node: usize) -> Id {
    Id::of_name(&node_name(node))
}

const VALUE: &[u8] = b"hello";
const PATIENCE: Duration = Duration::from_secs(60);
