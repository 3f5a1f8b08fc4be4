//! Nodes in network namespaces of their own. Between them stands another one, whose relays carry what one node sends to another as badly as
//! they are told; and each node's wire to it can be pulled out. Needs root.

use std::collections::BTreeMap;
use std::env;
use std::net::UdpSocket;
use std::process::Command;
use std::sync::{Arc, Mutex};

use anyhow::Result;

use crate::namespace::{Namespace, missing, remove_leftovers};
use crate::px::{Places, port};
use crate::relay::{Relay, Sky, Weather};

/// The namespaces, and all between them. What a killed test left is removed by the next one.
pub(crate) struct Network {
    /// In both directions between any two nodes.
    skies: BTreeMap<(usize, usize), Sky>,
    _relays: Vec<Relay>,
    nodes: Vec<Namespace>,
    /// Where the relays are.
    middle: Namespace,
    /// Whether the kernel can disturb wires itself.
    has_netem: bool,
}

impl Network {
    /// A network for so many nodes; `None`, with a note, where the environment says to do without namespaces.
    ///
    /// # Panics
    /// They cannot be made, and the environment does not say so.
    pub(crate) fn create(name: &str, nodes: usize) -> Option<Self> {
        if env::var_os("PHOTONGATE_WITHOUT_NAMESPACES").is_some_and(|value| value == "1") {
            eprintln!("SKIPPED, since PHOTONGATE_WITHOUT_NAMESPACES=1");
            return None;
        }
        remove_leftovers();
        if let Some(why) = missing() {
            panic!("{why}: run scripts/test.sh, or set PHOTONGATE_WITHOUT_NAMESPACES=1 to leave out what needs them");
        }
        let middle = Namespace::create(&format!("{name}-mid")).unwrap();
        let namespaces: Vec<_> = (0..nodes).map(|node| Namespace::create(&format!("{name}-{node}")).unwrap()).collect();
        for (node, namespace) in namespaces.iter().enumerate() {
            join(&middle, node, namespace);
        }
        let pairs = || (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))).filter(|(from, to)| from != to);
        let skies: BTreeMap<_, _> = pairs().map(|pair| (pair, Arc::new(Mutex::new(Weather::CALM)))).collect();
        let relays = pairs()
            .map(|(from, to)| {
                let (near, far) = middle.enter(|| sockets(from, to)).unwrap();
                Relay::start(near, far, Arc::clone(&skies[&(from, to)]), Arc::clone(&skies[&(to, from)]))
            })
            .collect();
        let tried = middle.run(&format!("tc qdisc replace dev {} root netem delay 1ms", wire(0)));
        let has_netem = tried.is_ok() && middle.run(&format!("tc qdisc del dev {} root", wire(0))).is_ok();
        Some(Self { skies, _relays: relays, nodes: namespaces, middle, has_netem })
    }

    /// Where nodes are, for their configurations.
    pub(crate) fn places(&self) -> Places {
        let names = self.nodes.iter().map(|namespace| namespace.name().to_owned()).collect();
        // The relay on the way to another node has its port.
        Places::Namespaces { names, address: |from, _| middle_address(from) }
    }

    /// What the kernel has, for those who read the log.
    pub(crate) fn disturbed_by(&self) -> &'static str {
        if self.has_netem { "netem and relays" } else { "relays, as this kernel has no netem" }
    }

    /// From now on the weather from one node to another is like this.
    pub(crate) fn set(&self, from: usize, to: usize, weather: &Weather) {
        weather.clone_into(&mut self.skies[&(from, to)].lock().unwrap());
    }

    /// From now on the weather between a node and the others is like this, in both directions.
    pub(crate) fn set_around(&self, node: usize, weather: &Weather) {
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            self.set(node, other, weather);
            self.set(other, node, weather);
        }
    }

    /// Has the kernel disturb what goes to a node and comes from it, where it can; else the relays do it.
    pub(crate) fn disturb(&self, node: usize, weather: &Weather) {
        if !self.has_netem {
            return self.set_around(node, weather);
        }
        let netem = self.netem(node, weather);
        netem.unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// All is well again.
    pub(crate) fn calm(&self, node: usize) {
        self.set_around(node, &Weather::CALM);
        if self.has_netem {
            // Where nothing is disturbed there is nothing to remove.
            let _ = self.middle.run(&format!("tc qdisc del dev {} root", wire(node)));
            let _ = self.nodes[node].run(&format!("tc qdisc del dev {OWN_END} root"));
        }
    }

    /// Pulls out the wire of a node, which notices.
    pub(crate) fn pull(&self, node: usize) {
        self.nodes[node].ip(&format!("link set {OWN_END} down")).unwrap();
    }

    /// Puts it in again.
    pub(crate) fn plug(&self, node: usize) {
        self.nodes[node].ip(&format!("link set {OWN_END} up")).unwrap();
    }

    fn netem(&self, node: usize, weather: &Weather) -> Result<()> {
        let Weather { lost, repeated, delay, rate } = weather;
        let (middle, spread) = ((delay.start + delay.end) / 2, (delay.end - delay.start) / 2);
        let mut how = format!("delay {middle}ms {spread}ms loss {lost}% duplicate {repeated}%");
        if let Some(rate) = rate {
            how += &format!(" rate {}bit", 8 * rate);
        }
        self.middle.run(&format!("tc qdisc replace dev {} root netem {how}", wire(node)))?;
        self.nodes[node].run(&format!("tc qdisc replace dev {OWN_END} root netem {how}")).map(drop)
    }
}

/// A wire from a node to the middle.
fn join(middle: &Namespace, node: usize, namespace: &Namespace) {
    let end = wire(node);
    let words = format!("link add {end} netns {} type veth peer name {OWN_END} netns", middle.name());
    let made = Command::new("ip").args(words.split_whitespace()).arg(namespace.name()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    for (place, end, address) in [(middle, &*end, middle_address(node)), (namespace, OWN_END, own_address(node))] {
        place.ip(&format!("address add {address}/24 dev {end}")).unwrap();
        place.ip(&format!("link set {end} up")).unwrap();
    }
}

/// Where a relay hears a node, and where it speaks to another.
fn sockets(from: usize, to: usize) -> Result<(UdpSocket, UdpSocket)> {
    let near = UdpSocket::bind((middle_address(from), port(to)))?;
    let far = UdpSocket::bind((middle_address(to), 0))?;
    far.connect((own_address(to), port(to)))?;
    Ok((near, far))
}

fn middle_address(node: usize) -> String {
    format!("10.82.{node}.1")
}

fn own_address(node: usize) -> String {
    format!("10.82.{node}.2")
}

/// What the wire to a node is called, in the middle.
fn wire(node: usize) -> String {
    format!("to-{node}")
}

/// And at the node.
const OWN_END: &str = "uplink";
