//! Nodes in network namespaces of their own, each with a network and a wire of its own to another namespace in the middle. Needs root.

#![allow(dead_code, reason = "each test program uses a part")]

use std::env;
use std::process::Command;

use crate::namespace::{Namespace, missing, remove_leftovers};

/// The namespaces, and the wires between them. What a killed test left is removed by the next one.
pub(crate) struct Star {
    pub(crate) nodes: Vec<Namespace>,
    pub(crate) middle: Namespace,
}

impl Star {
    /// So many nodes, whose networks begin with `networks`, two numbers of an address; `None`, with a note, where the environment says to do
    /// without namespaces.
    ///
    /// # Panics
    /// They cannot be made, and the environment does not say so.
    pub(crate) fn create(name: &str, networks: &str, nodes: usize) -> Option<Self> {
        if !may_make_namespaces() {
            return None;
        }
        let middle = Namespace::create(&format!("{name}-mid")).unwrap();
        let nodes: Vec<_> = (0..nodes).map(|node| Namespace::create(&format!("{name}-{node}")).unwrap()).collect();
        for (node, namespace) in nodes.iter().enumerate() {
            join(&middle, networks, node, namespace);
        }
        Some(Self { nodes, middle })
    }

    /// What the namespaces of the nodes are called.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.nodes.iter().map(|namespace| namespace.name().to_owned())
    }

    /// Pulls out the wire of a node, which notices.
    pub(crate) fn pull(&self, node: usize) {
        self.nodes[node].ip(&format!("link set {OWN_END} down")).unwrap();
    }

    /// Puts it in again. Routes have gone with it.
    pub(crate) fn plug(&self, node: usize) {
        self.nodes[node].ip(&format!("link set {OWN_END} up")).unwrap();
    }
}

/// Whether there can be namespaces, and none is left of earlier tests. Notes that the environment says to do without.
///
/// # Panics
/// They cannot be made, and the environment does not say so.
pub(crate) fn may_make_namespaces() -> bool {
    if env::var_os("PHOTONGATE_WITHOUT_NAMESPACES").is_some_and(|value| value == "1") {
        eprintln!("SKIPPED, since PHOTONGATE_WITHOUT_NAMESPACES=1");
        return false;
    }
    remove_leftovers();
    if let Some(why) = missing() {
        panic!("{why}: run scripts/test.sh, or set PHOTONGATE_WITHOUT_NAMESPACES=1 to leave out what needs them");
    }
    true
}

/// Where a node is.
pub(crate) fn address_in(networks: &str, node: usize) -> String {
    format!("{networks}.{node}.2")
}

/// Where the middle is, on the network of a node.
pub(crate) fn middle_address_in(networks: &str, node: usize) -> String {
    format!("{networks}.{node}.1")
}

/// What the wire to a node is called, in the middle.
pub(crate) fn wire(node: usize) -> String {
    format!("to-{node}")
}

/// And at the node.
pub(crate) const OWN_END: &str = "uplink";

fn join(middle: &Namespace, networks: &str, node: usize, namespace: &Namespace) {
    let end = wire(node);
    let words = format!("link add {end} netns {} type veth peer name {OWN_END} netns", middle.name());
    let made = Command::new("ip").args(words.split_whitespace()).arg(namespace.name()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let ends = [(middle, &*end, middle_address_in(networks, node)), (namespace, OWN_END, address_in(networks, node))];
    for (place, end, address) in ends {
        place.ip(&format!("address add {address}/24 dev {end}")).unwrap();
        place.ip(&format!("link set {end} up")).unwrap();
    }
}
