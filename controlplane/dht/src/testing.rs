//! A node that does harm, for tests: it has a certificate of the network, so it is let in, and then it lies. No program is built with it. And
//! certificates for tests of this crate.

use std::collections::HashMap;
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use photongate_net::quic::QuicFiles;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::message::{Answer, Known, Magic, Message, Query, Question, Stored};
use crate::node::Source;
use crate::transfer::Patience;
use crate::transport::{Closed, Event, Find, Names, Surroundings, Transport, TransportError};
use crate::{Contact, Id};

/// What harm it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// It claims to have every value, and serves something else.
    Wrong,
    /// It names nodes that do not exist.
    Neighbours,
    /// It claims to have every value, and never sends any.
    Stall,
}

/// Does harm to a closed network, of which it knows these peers, for ever. Each time, `misdeed` is told which. The nodes that do not exist are on
/// the network of `nowhere`: its address, but for the last byte.
///
/// # Errors
/// It cannot listen.
///
/// # Panics
/// `nowhere` is no IPv4 address.
pub async fn do_harm(
    harm: Harm,
    listen: SocketAddr,
    files: &QuicFiles,
    peers: &[SocketAddr],
    nowhere: IpAddr,
    misdeed: fn(&str),
) -> Result<(), TransportError> {
    let (events_in, mut events) = mpsc::channel(EVENTS);
    let offered = Offered::default();
    let surroundings = Surroundings {
        events: events_in,
        find: finder(harm, offered.clone(), misdeed),
        patience: Patience::default(),
        connections: EVENTS,
        traffic: Arc::default(),
    };
    let closed = Closed::start(listen, files, Names::new(&[]), surroundings).await?;
    let id = Id::of_name(closed.name());
    let transport = Transport::Closed(closed);
    let me = Contact { id, address: transport.address() };
    let mut liar = Liar { harm, me, transport, offered, known: HashMap::new(), nowhere, misdeed };
    let mut introduce = interval(INTRODUCE);
    introduce.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = introduce.tick() => peers.iter().for_each(|peer| liar.introduce(*peer)),
            Some(event) = events.recv() => if let Event::Arrived { from, datagram } = event {
                match Message::decode(&datagram) {
                    Ok(Message::Query(query)) => liar.answer(&from, &query),
                    Ok(Message::Answer(answer)) => {
                        liar.known.insert(answer.id, from.address);
                    }
                    Ok(Message::Error(_)) | Err(_) => {}
                }
            },
        }
    }
}

struct Liar {
    harm: Harm,
    me: Contact,
    transport: Transport,
    offered: Offered,
    known: HashMap<Id, SocketAddr>,
    nowhere: IpAddr,
    misdeed: fn(&str),
}

impl Liar {
    /// Asks somebody, who so gets to know it; and announces what there is not.
    fn introduce(&self, peer: SocketAddr) {
        self.ask(peer, Question::FindNode(self.me.id));
        let mut offered = lock(&self.offered);
        if offered.was_asked {
            let key = random_id();
            offered.sizes.insert(key, PIECE);
            self.ask(peer, Question::StoreValue { key, size: PIECE as u64, data: None });
        }
    }

    fn ask(&self, peer: SocketAddr, question: Question) {
        let magic = Magic(u64::from(random_byte()));
        self.send(peer, &Message::Query(Query { magic, requestor: self.me, question, token: None, padded: false }));
    }

    fn send(&self, to: SocketAddr, message: &Message) {
        self.transport.send(to, message.encode());
    }

    fn answer(&self, from: &Source, query: &Query) {
        let mut answer =
            Answer { magic: query.magic, id: self.me.id, nodes: Vec::new(), token: None, value: None, stored: None };
        match query.question {
            Question::Ping => {}
            Question::FindNode(target) => answer.nodes = self.neighbours(target),
            Question::FindValue(key) => {
                answer.nodes = self.neighbours(key);
                let providers = [self.me].into_iter().chain(answer.nodes.iter().copied()).take(3).collect();
                let is_small = self.harm == Harm::Wrong && lock(&self.offered).was_asked && random_byte() < 64;
                if is_small {
                    (self.misdeed)("wrong data in an answer");
                }
                answer.value = Some(Known { providers, count: 3, data: is_small.then(|| vec![random_byte(); 30]) });
            }
            Question::StoreValue { key, size, .. } => {
                lock(&self.offered).sizes.insert(key, usize::try_from(size).unwrap_or(PIECE).min(1 << 20));
                answer.stored = Some(Stored::Kept);
            }
        }
        self.send(from.address, &Message::Answer(answer));
    }

    fn neighbours(&self, target: Id) -> Vec<Contact> {
        if self.harm != Harm::Neighbours {
            return self.known.iter().map(|(&id, &address)| Contact { id, address }).take(7).collect();
        }
        (self.misdeed)("false neighbours");
        let invented = |_| {
            // Nearer to what is looked for than any that exists.
            let mut id = random_id();
            id.0[..8].copy_from_slice(&target.0[..8]);
            let IpAddr::V4(nowhere) = self.nowhere else { panic!("{} is no IPv4 address", self.nowhere) };
            let [a, b, c, _] = nowhere.octets();
            Contact { id, address: SocketAddr::from(([a, b, c, random_byte().max(2)], self.me.address.port())) }
        };
        (0..7).map(invented).collect()
    }
}

/// What is sent to whoever asks for a value.
fn finder(harm: Harm, offered: Offered, misdeed: fn(&str)) -> Find {
    Arc::new(move |key| {
        let size = {
            let mut offered = lock(&offered);
            offered.was_asked |= harm != Harm::Neighbours;
            offered.sizes.get(&key).copied().unwrap_or(PIECE)
        };
        Box::pin(async move {
            match harm {
                Harm::Wrong => {
                    misdeed("a wrong value");
                    Some(Bytes::from(vec![random_byte(); size]))
                }
                Harm::Neighbours => None,
                Harm::Stall => {
                    misdeed("a value that does not come");
                    pending().await
                }
            }
        })
    })
}

/// What it and others said that they have.
type Offered = Arc<Mutex<Offers>>;

#[derive(Default)]
struct Offers {
    /// Lengths, by the key.
    sizes: HashMap<Id, usize>,
    /// Whether somebody has asked it for a value. Before that it must not be found out, or nobody would.
    was_asked: bool,
}

/// The name of a node, in its certificate.
#[cfg(test)]
pub(crate) fn node_name(node: usize) -> String {
    format!("dht-{node}.example")
}

/// Makes certificates for so many nodes, in a folder that is not there yet.
#[cfg(test)]
pub(crate) fn certificates(folder: &std::path::Path, nodes: usize) {
    use photongate_net::pki::{Host, Pki, Role, Site, Wanted};

    let wanted = |node: usize| {
        let name = node_name(node);
        Wanted { hosts: vec![Host::Name(name.clone())], name, role: Role::Dht, days: 90 }
    };
    let site = Site { authority: "test".to_owned(), years: 1, certificates: (0..nodes).map(wanted).collect() };
    std::fs::create_dir(folder).unwrap();
    Pki::new(site, folder).init(photongate_net::now()).unwrap();
}

/// The files of a node in that folder.
#[cfg(test)]
pub(crate) fn certificates_of(folder: &std::path::Path, node: usize) -> QuicFiles {
    let name = node_name(node);
    let pem = |end| folder.join(format!("{name}{end}.pem"));
    QuicFiles { certificate: pem(""), key: pem("-key"), authority: folder.join("ca.pem") }
}

fn lock(offered: &Offered) -> MutexGuard<'_, Offers> {
    offered.lock().unwrap_or_else(PoisonError::into_inner)
}

fn random_id() -> Id {
    let mut id = Id([0; Id::LENGTH]);
    getrandom::fill(&mut id.0).expect("the operating system has randomness");
    id
}

fn random_byte() -> u8 {
    random_id().0[0]
}

const EVENTS: usize = 1_024;

/// How often it says that it is there.
const INTRODUCE: Duration = Duration::from_millis(500);

/// What most pieces are long.
const PIECE: usize = 256 << 10;
