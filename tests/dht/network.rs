//! Nodes in network namespaces of their own, each on a network of its own, and a router between them that can forget the way from one to
//! another. Needs root.

use std::net::UdpSocket;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::dht::Places;
use crate::namespace::Namespace;
use crate::star::{OWN_END, Star, address_in, middle_address_in, wire};

/// The namespaces, and all between them. What a killed test left is removed by the next one.
pub(crate) struct Network {
    nobody: Nobody,
    /// With the router in the middle.
    star: Star,
    /// Ways that the router has forgotten.
    forgotten: Mutex<Vec<String>>,
    guests: AtomicUsize,
    /// Whether the kernel can slow wires down.
    can_slow: bool,
}

/// Somebody who is where a node is.
pub(crate) struct Guest {
    /// How many were there before.
    pub(crate) number: usize,
    pub(crate) address: String,
}

/// How the router treats what it is not to carry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// It is gone, and nobody is told.
    Silent,
    /// Who sent it is told.
    Refused,
}

impl Network {
    /// A network for so many nodes; `None`, with a note, where the environment says to do without namespaces.
    ///
    /// # Panics
    /// They cannot be made, and the environment does not say so.
    pub(crate) fn create(name: &str, nodes: usize) -> Option<Self> {
        let star = Star::create(name, NETWORKS, nodes)?;
        let router = &star.middle;
        router.sysctl(&["net.ipv4.ip_forward=1"]).unwrap();
        // Whoever is sent there is heard here, whichever address of it is used.
        router.ip(&format!("address add {NOWHERE}.1/24 dev lo")).unwrap();
        for (node, namespace) in star.nodes.iter().enumerate() {
            namespace.ip(&default_route(node)).unwrap();
        }
        let can_slow = router.run(&slow(&wire(0))).is_ok() && router.run(&fast(&wire(0))).is_ok();
        let nobody = Nobody::listen(router);
        Some(Self { nobody, star, forgotten: Mutex::default(), guests: AtomicUsize::new(0), can_slow })
    }

    /// Where nodes are, for their configurations.
    pub(crate) fn places(&self) -> Places {
        Places::Namespaces(self.star.names().enumerate().map(|(node, name)| (name, address(node))).collect())
    }

    /// Whether it can [`slow`](Self::slow) things down.
    pub(crate) const fn can_slow(&self) -> bool {
        self.can_slow
    }

    /// A program that will run where a node is.
    pub(crate) fn command(&self, node: usize, program: &str) -> Command {
        self.star.nodes[node].command(program)
    }

    /// A further address where a node is, on a network that nobody ever had before.
    pub(crate) fn invite(&self, node: usize) -> Guest {
        let number = self.guests.fetch_add(1, Ordering::Relaxed);
        let network = format!("10.{}.{}", 100 + number / 250, number % 250);
        self.star.nodes[node].ip(&format!("address add {network}.2/32 dev {OWN_END}")).unwrap();
        self.star.middle.ip(&format!("route add {network}.0/24 via {}", address(node))).unwrap();
        Guest { number, address: format!("{network}.2") }
    }

    /// From now on nothing gets from one node to another.
    pub(crate) fn cut(&self, from: usize, to: usize, cut: Cut) {
        let how = match cut {
            Cut::Silent => "blackhole",
            Cut::Refused => "prohibit",
        };
        let rule = format!("from {}/24 to {}/24 {how}", address(from), address(to));
        self.star.middle.ip(&format!("rule add {rule}")).unwrap();
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    /// From now on a node hears nobody, and nobody hears it.
    pub(crate) fn cut_off(&self, node: usize, cut: Cut) {
        for other in (0..self.star.nodes.len()).filter(|other| *other != node) {
            self.cut(node, other, cut);
            self.cut(other, node, cut);
        }
    }

    /// Pulls out the wire of a node, which notices.
    pub(crate) fn pull(&self, node: usize) {
        self.star.pull(node);
    }

    /// Puts it in again.
    pub(crate) fn plug(&self, node: usize) {
        self.star.plug(node);
        self.star.nodes[node].ip(&default_route(node)).unwrap();
    }

    /// What a node sends and gets comes slowly from now on.
    pub(crate) fn slow(&self, node: usize) {
        self.star.middle.run(&slow(&wire(node))).unwrap();
        self.star.nodes[node].run(&slow(OWN_END)).unwrap();
    }

    /// All is well again, but for wires that are out.
    pub(crate) fn calm(&self) {
        for rule in self.forgotten.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            self.star.middle.ip(&format!("rule del {rule}")).unwrap();
        }
    }

    /// What a node sends and gets is fast again.
    pub(crate) fn fast(&self, node: usize) {
        self.star.middle.run(&fast(&wire(node))).unwrap();
        self.star.nodes[node].run(&fast(OWN_END)).unwrap();
    }

    /// How many datagrams were sent to nodes that do not exist.
    pub(crate) fn sent_nowhere(&self) -> u64 {
        self.nobody.heard.load(Ordering::Relaxed)
    }
}

/// Hears what is sent to nodes that do not exist, and does not answer.
struct Nobody {
    heard: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl Nobody {
    fn listen(router: &Namespace) -> Self {
        let socket = router.enter(|| Ok(UdpSocket::bind(("0.0.0.0", PORT))?)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (heard, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let listening = thread::spawn({
            let (heard, is_over) = (Arc::clone(&heard), Arc::clone(&is_over));
            move || {
                while !is_over.load(Ordering::Relaxed) {
                    heard.fetch_add(u64::from(socket.recv(&mut [0; 2_048]).is_ok()), Ordering::Relaxed);
                }
            }
        });
        Self { heard, is_over, listening: Some(listening) }
    }
}

impl Drop for Nobody {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It panics nowhere, and a drop must not.
        let _ = self.listening.take().map(JoinHandle::join);
    }
}

fn slow(end: &str) -> String {
    format!("tc qdisc replace dev {end} root tbf rate 8mbit burst 32kb latency 100ms")
}

fn fast(end: &str) -> String {
    format!("tc qdisc del dev {end} root")
}

/// Where a node is.
pub(crate) fn address(node: usize) -> String {
    address_in(NETWORKS, node)
}

/// For a node: by the router.
fn default_route(node: usize) -> String {
    format!("route replace default via {}", middle_address_in(NETWORKS, node))
}

/// How the addresses of the nodes' networks begin.
const NETWORKS: &str = "10.83";

/// How those of nodes begin that do not exist.
pub(crate) const NOWHERE: &str = "10.84.0";

/// Where all nodes listen.
pub(crate) const PORT: u16 = 8_484;
