//! The servers and links of the network, and the cheapest ways through it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::advertisement::Neighbour;
use crate::ids::QksId;

/// Servers and the links that both of their ends name.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// In ascending order, so that places compare as names do.
    names: Vec<QksId>,
    edges: Vec<Vec<Edge>>,
}

/// One direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) to: Place,
    pub(super) cost: u32,
    pub(super) free_bits: u64,
}

/// A server's place in a [`Graph`].
pub(super) type Place = u32;

/// The cheapest ways from one server to all others.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// What the way costs; [`FAR`] where there is none.
    distance: Vec<u64>,
    /// The server before this one on its way.
    before: Vec<Place>,
}

impl Graph {
    /// Joins what the servers say of their links. They come in ascending order.
    ///
    /// A link that only one end names is left out. Where the ends do not agree on the cost, the higher one counts: relaying takes key
    /// material of the link whichever way it goes, and the end that has less of it, or sees it shrink, is the one that will run dry.
    pub(super) fn join<'a>(said: impl Iterator<Item = (&'a QksId, &'a [Neighbour])>) -> Self {
        let (names, said): (Vec<QksId>, Vec<&[Neighbour]>) = said.map(|(name, links)| (name.clone(), links)).unzip();
        debug_assert!(names.is_sorted());
        let edges = said.iter().zip(&names).map(|(links, name)| {
            let edge = |link: &Neighbour| {
                let to = names.binary_search(&link.server).ok()?;
                let back = said[to].binary_search_by(|back| back.server.cmp(name)).ok()?;
                let back = &said[to][back];
                let cost = u32::from(link.cost.max(back.cost).get());
                Some(Edge { to: place(to), cost, free_bits: link.free_bits.min(back.free_bits) })
            };
            links.iter().filter_map(edge).collect()
        });
        Self { edges: edges.collect(), names }
    }

    pub(super) fn place(&self, name: &QksId) -> Option<Place> {
        self.names.binary_search(name).ok().map(place)
    }

    pub(super) fn name(&self, place: Place) -> &QksId {
        &self.names[place as usize]
    }

    /// The links of a server, in ascending order of their other ends.
    pub(super) fn edges(&self, from: Place) -> &[Edge] {
        &self.edges[from as usize]
    }

    /// The link from one server to another.
    pub(super) fn edge(&self, from: Place, to: Place) -> Option<&Edge> {
        let edges = self.edges(from);
        edges.binary_search_by_key(&to, |edge| edge.to).ok().map(|index| &edges[index])
    }

    /// How many servers there are.
    pub(super) const fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn names(&self) -> &[QksId] {
        &self.names
    }

    /// The cheapest ways from `root`, none of them through a place that is `closed` (they may end there).
    ///
    /// Of ways that cost the same, the one over fewer servers counts; of those, the one whose last server but one has the smaller
    /// name, and so on towards the root. So every server that knows the same finds the same.
    pub(super) fn tree(&self, root: Place, closed: impl Fn(Place) -> bool) -> Tree {
        let mut tree = Tree { distance: vec![FAR; self.len()], before: vec![root; self.len()] };
        let mut next = BinaryHeap::from([Reverse((0, root))]);
        tree.distance[root as usize] = 0;
        while let Some(Reverse((distance, from))) = next.pop() {
            if distance > tree.distance[from as usize] || from != root && closed(from) {
                continue;
            }
            for edge in self.edges(from) {
                let to = edge.to as usize;
                let new = distance + edge.weight();
                if new < tree.distance[to] {
                    tree.distance[to] = new;
                    tree.before[to] = from;
                    next.push(Reverse((new, edge.to)));
                } else if new == tree.distance[to] && from < tree.before[to] {
                    tree.before[to] = from;
                }
            }
        }
        tree
    }
}

impl Edge {
    /// The cost, then one server more.
    const fn weight(self) -> u64 {
        (self.cost as u64) << 32 | 1
    }
}

impl Tree {
    /// The servers on the way to `to`, from the root on; `None` if there is no way.
    pub(super) fn path(&self, root: Place, to: Place) -> Option<Vec<Place>> {
        if self.distance[to as usize] == FAR {
            return None;
        }
        let mut path = vec![to];
        let mut at = to;
        while at != root {
            at = self.before[at as usize];
            path.push(at);
        }
        path.reverse();
        Some(path)
    }
}

fn place(index: usize) -> Place {
    Place::try_from(index).expect("there are fewer servers than that")
}

const FAR: u64 = u64::MAX;
