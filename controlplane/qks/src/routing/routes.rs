//! What routing found out, for those who ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use photongate_wire::{IsdAs, Nanos};
use serde::{Deserialize, Serialize};

use super::advertisement::Neighbour;
use super::cost::Cost;
use super::directory::{Conflict, Directory};
use super::disjoint::disjoint_paths;
use super::graph::{Graph, Place, Tree};
use crate::encoding;
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

/// What [`Routes`] are made of, for another process of the same server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    local: QksId,
    servers: BTreeMap<QksId, Server>,
}

/// A server on a [`Map`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Server {
    /// The links that both ends agree on.
    links: Vec<Neighbour>,
    url: Option<String>,
    saes: Vec<SaeId>,
    #[serde(with = "encoding::texts")]
    ases: Vec<IsdAs>,
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

impl From<Map> for Routes {
    fn from(map: Map) -> Self {
        let Map { local, servers } = map;
        let graph = Graph::join(servers.iter().map(|(name, server)| (name, server.links.as_slice())));
        let tree = graph.place(&local).map(|root| graph.tree(root, |_| false)).unwrap_or_default();
        let mut directory = Directory::default();
        for (name, server) in &servers {
            directory.saes.replace(name, server.saes.iter().cloned().collect(), true, Nanos(0));
            directory.ases.replace(name, server.ases.iter().copied().collect(), true, Nanos(0));
        }
        let urls = servers.into_iter().filter_map(|(name, server)| Some((name, server.url?))).collect();
        let (graph, tree) = (Arc::new(graph), Arc::new(tree));
        Self { local, graph, tree, urls: Arc::new(urls), directory: Arc::new(directory) }
    }
}

#[cfg(test)]
impl Routes {
    /// The routes from `local` if these are all links there are: both ends, and what it costs.
    pub(crate) fn of_links(local: &str, links: &[(&str, &str, u8)]) -> Self {
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

    /// Whether there is a way to a server that leads over others.
    pub fn lead_around(&self, to: &QksId) -> bool {
        self.disjoint_paths(to, 2, &BTreeSet::new()).iter().any(|route| route.path.len() > 2)
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

    /// What they are made of. Of what several servers say to have, only what counts.
    pub fn map(&self) -> Map {
        let server = |name: &QksId| {
            let link = |(server, cost, free_bits): (&QksId, u32, u64)| {
                let cost = u8::try_from(cost).ok().and_then(|cost| Cost::try_from(cost).ok()).unwrap_or(Cost::MAX);
                Neighbour { server: server.clone(), cost, free_bits }
            };
            let ases = self.directory.ases.of(name).into_iter().flatten();
            Server {
                links: self.links_of(name).map(link).collect(),
                url: self.urls.get(name).cloned(),
                saes: self.saes_of(name).filter(|sae| self.server_of(sae) == Some(name)).cloned().collect(),
                ases: ases.filter(|isd_as| self.server_of_as(**isd_as) == Some(name)).copied().collect(),
            }
        };
        let servers = self.servers().iter().map(|name| (name.clone(), server(name))).collect();
        Map { local: self.local.clone(), servers }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_that_are_made_of_their_map_are_the_same() {
        let routes = Routes::of_links("a", &[("a", "b", 1), ("b", "c", 30), ("a", "c", 100), ("d", "e", 2)]);
        let text = serde_json::to_string(&routes.map()).unwrap();
        let copy = Routes::from(serde_json::from_str::<Map>(&text).unwrap());
        assert_eq!(copy.map(), routes.map());
        for to in ["a", "b", "c", "d", "x"].map(|name| name.parse().unwrap()) {
            assert_eq!(copy.route(&to), routes.route(&to), "{to}");
        }
        assert_eq!(copy.route(&"c".parse().unwrap()).unwrap().path.len(), 3);
    }
}
