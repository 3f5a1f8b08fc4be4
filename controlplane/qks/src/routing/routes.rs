//! What routing found out, for those who ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use photongate_wire::IsdAs;

use super::directory::{Conflict, Directory};
use super::disjoint::disjoint_paths;
use super::graph::{Graph, Place, Tree};
use crate::ids::{QksId, SaeId};

/// The ways from one server to all others, and what is attached where. It does not change; a clone is cheap.
#[derive(Clone, Debug)]
pub struct Routes {
    pub(super) local: QksId,
    pub(super) graph: Arc<Graph>,
    pub(super) tree: Arc<Tree>,
    pub(super) urls: Arc<BTreeMap<QksId, String>>,
    pub(super) directory: Arc<Directory>,
}

/// A way to another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The neighbour that it begins with.
    pub next: QksId,
    /// The sum of the costs of its links.
    pub cost: u32,
    /// The servers on it, from this one to the destination.
    pub path: Vec<QksId>,
    /// The free key bits of the link on it that has fewest.
    pub free_bits: u64,
}

#[cfg(test)]
impl Routes {
    /// The routes from `local` if these are all links there are: both ends, and what it costs.
    pub(crate) fn of_links(local: &str, links: &[(&str, &str, u8)]) -> Self {
        use super::{Cost, Neighbour};
        let name = |text: &str| -> QksId { text.parse().unwrap() };
        let mut said: BTreeMap<QksId, BTreeMap<QksId, Cost>> = BTreeMap::new();
        for (one, other, cost) in links {
            let cost = Cost::try_from(*cost).unwrap();
            said.entry(name(one)).or_default().insert(name(other), cost);
            said.entry(name(other)).or_default().insert(name(one), cost);
        }
        let neighbour =
            |(server, cost): (&QksId, &Cost)| Neighbour { server: server.clone(), cost: *cost, free_bits: 1 };
        let said: BTreeMap<QksId, Vec<Neighbour>> =
            said.into_iter().map(|(name, to)| (name, to.iter().map(neighbour).collect())).collect();
        let graph = Graph::join(said.iter().map(|(name, to)| (name, to.as_slice())));
        let local = name(local);
        let tree = graph.tree(graph.place(&local).unwrap(), |_| false);
        let directory = Arc::default();
        Self { local, graph: Arc::new(graph), tree: Arc::new(tree), urls: Arc::default(), directory }
    }
}

impl Routes {
    /// The cheapest way to a server. `None` if there is none, and for this server itself.
    pub fn route(&self, to: &QksId) -> Option<Route> {
        let (root, to) = self.ends(to)?;
        self.found(&self.tree.path(root, to)?)
    }

    /// The cheapest way to a server that leads through none of `avoid`.
    pub fn path_avoiding(&self, to: &QksId, avoid: &BTreeSet<QksId>) -> Option<Route> {
        let (root, to) = self.ends(to)?;
        let closed = |place: Place| avoid.contains(self.graph.name(place));
        self.found(&self.graph.tree(root, closed).path(root, to)?)
    }

    /// Ways to a server that have no server between in common and lead through none of `avoid`, as many as there are and at most
    /// `most`; together they cost as little as ways of that number can.
    pub fn disjoint_paths(&self, to: &QksId, most: usize, avoid: &BTreeSet<QksId>) -> Vec<Route> {
        let Some((root, to)) = self.ends(to) else { return Vec::new() };
        let closed = |place: Place| avoid.contains(self.graph.name(place));
        disjoint_paths(&self.graph, root, to, most, closed).iter().filter_map(|path| self.found(path)).collect()
    }

    /// The server that an application gets its keys from; this one too. It may be out of reach.
    pub fn server_of(&self, sae: &SaeId) -> Option<&QksId> {
        self.directory.saes.holder(sae)
    }

    /// The server that makes the DRKeys of an autonomous system; this one too. It may be out of reach.
    pub fn server_of_as(&self, isd_as: IsdAs) -> Option<&QksId> {
        self.directory.ases.holder(&isd_as)
    }

    /// Where a server says that others than its neighbours reach it.
    pub fn url_of(&self, server: &QksId) -> Option<&str> {
        self.urls.get(server).map(String::as_str)
    }

    /// The applications that are attached to a server, as it says.
    pub fn saes_of(&self, server: &QksId) -> impl Iterator<Item = &SaeId> {
        self.directory.saes.of(server).into_iter().flatten()
    }

    /// All servers that are known, this one too, in ascending order. Not all of them can be reached.
    pub fn servers(&self) -> &[QksId] {
        self.graph.names()
    }

    /// The links that a server and its neighbours agree on: other end, cost, free key bits.
    pub fn links_of(&self, server: &QksId) -> impl Iterator<Item = (&QksId, u32, u64)> {
        let edges = self.graph.place(server).map_or(&[][..], |place| self.graph.edges(place));
        edges.iter().map(|edge| (self.graph.name(edge.to), edge.cost, edge.free_bits))
    }

    /// What more than one server says to have.
    pub fn conflicts(&self) -> impl Iterator<Item = Conflict> {
        self.directory.conflicts()
    }

    fn ends(&self, to: &QksId) -> Option<(Place, Place)> {
        let (root, to) = (self.graph.place(&self.local)?, self.graph.place(to)?);
        (root != to).then_some((root, to))
    }

    fn found(&self, path: &[Place]) -> Option<Route> {
        let mut route = Route {
            next: self.graph.name(*path.get(1)?).clone(),
            cost: 0,
            path: path.iter().map(|place| self.graph.name(*place).clone()).collect(),
            free_bits: u64::MAX,
        };
        for step in path.windows(2) {
            let edge = self.graph.edge(step[0], step[1])?;
            route.cost += edge.cost;
            route.free_bits = route.free_bits.min(edge.free_bits);
        }
        Some(route)
    }
}
