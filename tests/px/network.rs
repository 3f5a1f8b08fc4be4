//! Nodes in network namespaces of their own. Between them stands another one, whose relays carry what one node sends to another as badly as
//! they are told; and each node's wire to it can be pulled out. Needs root.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex};

use anyhow::Result;

use crate::px::{Places, port};
use crate::relay::{Relay, Sky, Weather};
use crate::star::{OWN_END, Star, address_in, middle_address_in, wire};

/// The namespaces, and all between them. What a killed test left is removed by the next one.
pub(crate) struct Network {
    /// In both directions between any two nodes.
    skies: BTreeMap<(usize, usize), Sky>,
    _relays: Vec<Relay>,
    /// With the relays in the middle.
    star: Star,
    /// Whether the kernel can disturb wires itself.
    has_netem: bool,
}

impl Network {
    /// A network for so many nodes; `None`, with a note, where the environment says to do without namespaces.
    ///
    /// # Panics
    /// They cannot be made, and the environment does not say so.
    pub(crate) fn create(name: &str, nodes: usize) -> Option<Self> {
        let star = Star::create(name, NETWORKS, nodes)?;
        let middle = &star.middle;
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
        Some(Self { skies, _relays: relays, star, has_netem })
    }

    /// Where nodes are, for their configurations.
    pub(crate) fn places(&self) -> Places {
        // The relay on the way to another node has its port.
        Places::Namespaces { names: self.star.names().collect(), address: |from, _| middle_address(from) }
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
        for other in (0..self.star.nodes.len()).filter(|other| *other != node) {
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
            let _ = self.star.middle.run(&format!("tc qdisc del dev {} root", wire(node)));
            let _ = self.star.nodes[node].run(&format!("tc qdisc del dev {OWN_END} root"));
        }
    }

    /// Pulls out the wire of a node, which notices.
    pub(crate) fn pull(&self, node: usize) {
        self.star.pull(node);
    }

    /// Puts it in again.
    pub(crate) fn plug(&self, node: usize) {
        self.star.plug(node);
    }

    fn netem(&self, node: usize, weather: &Weather) -> Result<()> {
        let Weather { lost, repeated, delay, rate } = weather;
        let (middle, spread) = ((delay.start + delay.end) / 2, (delay.end - delay.start) / 2);
        let mut how = format!("delay {middle}ms {spread}ms loss {lost}% duplicate {repeated}%");
        if let Some(rate) = rate {
            how += &format!(" rate {}bit", 8 * rate);
        }
        self.star.middle.run(&format!("tc qdisc replace dev {} root netem {how}", wire(node)))?;
        self.star.nodes[node].run(&format!("tc qdisc replace dev {OWN_END} root netem {how}")).map(drop)
    }
}

/// Where a relay hears a node, and where it speaks to another.
fn sockets(from: usize, to: usize) -> Result<(UdpSocket, UdpSocket)> {
    let near = UdpSocket::bind((middle_address(from), port(to)))?;
    let far = UdpSocket::bind((middle_address(to), 0))?;
    far.connect((address_in(NETWORKS, to), port(to)))?;
    Ok((near, far))
}

fn middle_address(node: usize) -> String {
    middle_address_in(NETWORKS, node)
}

/// How the addresses of the nodes' networks begin.
const NETWORKS: &str = "10.82";
