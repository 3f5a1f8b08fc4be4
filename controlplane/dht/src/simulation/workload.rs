//! What networks are put to, and what is counted.

use photongate_wire::Nanos;
use proptest::prelude::Rng;

use super::{
    Network,
    network::{HOUR, SIZE},
};
use crate::{
    id::Id,
    node::{Found, Settings, Wanted},
};

/// What became of many look-ups.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    pub(super) lookups: usize,
    pub(super) succeeded: usize,
    hops: u64,
    queries: u64,
}

impl Figures {
    pub(super) fn success(&self) -> f64 {
        self.succeeded as f64 / self.lookups as f64
    }

    pub(super) fn mean_hops(&self) -> f64 {
        self.hops as f64 / self.lookups as f64
    }

    pub(super) fn mean_queries(&self) -> f64 {
        self.queries as f64 / self.lookups as f64
    }

    fn count(&mut self, found: &Found, is_success: bool) {
        self.lookups += 1;
        self.succeeded += usize::from(is_success);
        self.hops += u64::from(found.hops);
        self.queries += u64::from(found.queries);
    }
}

/// Look-ups of nodes in a network where all is well. One succeeds if it finds the nearest of all nodes.
pub(super) fn quiet(seed: u64, nodes: usize, lookups: usize) -> Figures {
    let mut network = Network::settled(seed, nodes, 0, Settings::default());
    let mut figures = Figures::default();
    let mut requests = Vec::new();
    for _ in 0..lookups {
        let target = network.random_id();
        let from = network.anybody();
        requests.push((network.find(from, Wanted::Nodes(target)), from, target));
        network.run_for(Nanos::from_millis(20));
    }
    network.run_for(PATIENCE);
    for (request, from, target) in requests {
        let found = network.found.remove(&request).expect("every look-up ends");
        let others = network.hosts.iter().filter(|host| host.contact != network.hosts[from].contact);
        let nearest = others.map(|host| host.contact).min_by_key(|contact| contact.id.distance(&target));
        figures.count(&found, found.nearest.first() == nearest.as_ref());
    }
    figures
}

/// Look-ups of values while `percent` of the nodes leave in an hour and as many come. One succeeds if it names somebody who has the value.
pub(super) fn churning(seed: u64, nodes: usize, percent: usize, lookups: usize) -> Figures {
    let mut network = Network::settled(seed, nodes, 0, Settings::default());
    let keys = network.put_values(VALUES);
    let until = network.now.saturating_add(HOUR).saturating_add(HOUR);
    network.exchange(nodes, percent, until);
    // By then whoever put a value into the network may have left, and it has been announced again.
    network.run_for(HOUR);
    network.look_for(&keys, lookups, HOUR, 0)
}

/// Look-ups of values while `percent` of the nodes lie.
pub(super) fn lying(seed: u64, nodes: usize, percent: usize, lookups: usize) -> Figures {
    let mut network = Network::settled(seed, nodes, percent, Settings::default());
    let keys = network.put_values(VALUES);
    network.look_for(&keys, lookups, Nanos::from_secs(60), 1)
}

/// What a node sends in an hour if nobody wants anything, in bytes and datagrams.
pub(super) fn idle(seed: u64, nodes: usize) -> (f64, f64) {
    let mut network = Network::settled(seed, nodes, 0, Settings::default());
    network.run_for(Nanos(HOUR.0 / 2));
    let before = network.traffic;
    network.run_for(HOUR);
    let per_node = |after: u64, before: u64| (after - before) as f64 / nodes as f64;
    (per_node(network.traffic.bytes, before.bytes), per_node(network.traffic.datagrams, before.datagrams))
}

/// Nodes that join one after the other by what they are told. How many find the nearest of all nodes at the end, of so many look-ups.
pub(super) fn grown(seed: u64, nodes: usize, lookups: usize) -> Figures {
    let mut network = Network::new(seed, Settings::default());
    network.add(false);
    network.grow(nodes - 1);
    let mut figures = Figures::default();
    for _ in 0..lookups {
        let (target, from) = (network.random_id(), network.anybody());
        let request = network.find(from, Wanted::Nodes(target));
        network.run_for(Nanos::from_secs(5));
        let found = network.found.remove(&request).expect("every look-up ends");
        let others = network.hosts.iter().filter(|host| host.contact != network.hosts[from].contact);
        let nearest = others.map(|host| host.contact).min_by_key(|contact| contact.id.distance(&target));
        figures.count(&found, found.nearest.first() == nearest.as_ref());
    }
    figures
}

/// Bytes of state of a node, on average.
pub(super) fn memory(seed: u64, nodes: usize) -> usize {
    let network = Network::settled(seed, nodes, 0, Settings::default());
    let weights = network.hosts.iter().filter_map(|host| host.node.as_ref()).map(crate::node::Node::weight);
    weights.sum::<usize>() / nodes
}

impl Network {
    fn put_values(&mut self, count: usize) -> Vec<Id> {
        let keys: Vec<_> = (0..count).map(|_| self.random_id()).collect();
        for key in &keys {
            let host = self.anybody();
            self.put(host, *key, SIZE);
            self.run_for(Nanos::from_millis(100));
        }
        self.run_for(PATIENCE);
        assert!(self.announced.values().all(|announced| announced.kept.len() > 1), "values are kept");
        keys
    }

    /// So many look-ups, evenly over a time. One that found nobody who gives the value is repeated as often as told, for all there are.
    fn look_for(&mut self, keys: &[Id], lookups: usize, span: Nanos, repeats: usize) -> Figures {
        let mut figures = Figures::default();
        let mut open = Vec::new();
        for number in 0..lookups {
            let host = self.anybody();
            let key = keys[number % keys.len()];
            open.push((self.find(host, Wanted::Value { key, providers: 2 }), host, key));
            self.run_for(Nanos(span.0 / lookups as u64));
        }
        for repeats in (0..=repeats).rev() {
            self.run_for(PATIENCE);
            for (request, host, key) in std::mem::take(&mut open) {
                match self.found.remove(&request) {
                    None => assert!(self.hosts[host].node.is_none(), "every look-up ends, unless its node does"),
                    Some(_) if repeats > 0 && !self.good.contains(&request) => {
                        open.push((self.find(host, Wanted::Value { key, providers: usize::MAX }), host, key));
                    }
                    Some(found) => figures.count(&found, self.good.contains(&request)),
                }
            }
        }
        figures
    }

    fn random_id(&mut self) -> Id {
        let mut id = Id([0; Id::LENGTH]);
        self.random.fill_bytes(&mut id.0);
        id
    }
}

/// Longer than any look-up takes.
const PATIENCE: Nanos = Nanos::from_secs(120);
/// Values in a network.
const VALUES: usize = 200;
