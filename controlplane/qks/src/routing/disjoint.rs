//! Several ways to the same server that have no server in common but their ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::graph::{Graph, Place};

/// As many ways from `from` to `to` as there are, at most `most`, that share no server between and lead through none that is
/// `closed`. Of all such sets of ways of that
/// number it is the one that costs least in total; the ways come in ascending order of their first servers.
///
/// A flow of least cost through a graph in which every server is two nodes with one arc of capacity 1 between them, found one
/// unit at a time (Suurballe's algorithm, for more than two ways).
pub(super) fn disjoint_paths(
    graph: &Graph,
    from: Place,
    to: Place,
    most: usize,
    closed: impl Fn(Place) -> bool,
) -> Vec<Vec<Place>> {
    if from == to {
        return Vec::new();
    }
    let mut network = Network::of(graph, from, to, closed);
    for _ in 0..most {
        if !network.augment(exit(from), entry(to)) {
            break;
        }
    }
    network.ways(from, to)
}

/// The arcs of a flow network, each followed by its reverse.
struct Network {
    arcs: Vec<Arc>,
    leaving: Vec<Vec<usize>>,
    /// What keeps the costs of the remaining arcs from being negative.
    potential: Vec<i64>,
}

struct Arc {
    to: usize,
    cost: i64,
    free: bool,
}

impl Network {
    fn of(graph: &Graph, from: Place, to: Place, closed: impl Fn(Place) -> bool) -> Self {
        let nodes = 2 * graph.len();
        let mut network = Self { arcs: Vec::new(), leaving: vec![Vec::new(); nodes], potential: vec![0; nodes] };
        for place in (0..).take(graph.len()) {
            if place != from && place != to && !closed(place) {
                network.connect(entry(place), exit(place), 0);
            }
            for edge in graph.edges(place).iter().filter(|edge| edge.to != from && place != to) {
                network.connect(exit(place), entry(edge.to), i64::from(edge.cost) << 32 | 1);
            }
        }
        network
    }

    fn connect(&mut self, from: usize, to: usize, cost: i64) {
        self.leaving[from].push(self.arcs.len());
        self.arcs.push(Arc { to, cost, free: true });
        self.leaving[to].push(self.arcs.len());
        self.arcs.push(Arc { to: from, cost: -cost, free: false });
    }

    /// Sends one unit more along the cheapest way that is left. `false` if there is none.
    fn augment(&mut self, from: usize, to: usize) -> bool {
        let mut distance = vec![FAR; self.leaving.len()];
        let mut came_by = vec![None; self.leaving.len()];
        let mut next = BinaryHeap::from([Reverse((0, from))]);
        distance[from] = 0;
        while let Some(Reverse((so_far, at))) = next.pop() {
            if so_far > distance[at] {
                continue;
            }
            for &index in &self.leaving[at] {
                let arc = &self.arcs[index];
                let there = so_far + arc.cost + self.potential[at] - self.potential[arc.to];
                if arc.free && there < distance[arc.to] {
                    distance[arc.to] = there;
                    came_by[arc.to] = Some(index);
                    next.push(Reverse((there, arc.to)));
                }
            }
        }
        if distance[to] == FAR {
            return false;
        }
        // Nodes further than the destination move as far as it did: so no arc between near and far nodes becomes negative.
        let end = distance[to];
        self.potential.iter_mut().zip(&distance).for_each(|(potential, distance)| *potential += end.min(*distance));
        let mut at = to;
        while let Some(index) = came_by[at] {
            self.arcs[index].free = false;
            self.arcs[reverse(index)].free = true;
            at = self.arcs[reverse(index)].to;
        }
        true
    }

    /// Follows the flow.
    fn ways(&self, from: Place, to: Place) -> Vec<Vec<Place>> {
        let used = |node: usize| {
            let forward = self.leaving[node].iter().filter(|index| **index % 2 == 0 && !self.arcs[**index].free);
            forward.map(|index| place(self.arcs[*index].to))
        };
        let mut starts: Vec<_> = used(exit(from)).collect();
        starts.sort_unstable();
        let follow = |start: Place| {
            let mut way = vec![from, start];
            let mut at = start;
            while at != to {
                at = used(exit(at)).next().expect("what flows into a server flows out of it");
                way.push(at);
            }
            way
        };
        starts.into_iter().map(follow).collect()
    }
}

const fn entry(place: Place) -> usize {
    2 * place as usize
}

const fn exit(place: Place) -> usize {
    2 * place as usize + 1
}

fn place(node: usize) -> Place {
    Place::try_from(node / 2).expect("a graph has few enough servers")
}

const fn reverse(arc: usize) -> usize {
    arc ^ 1
}

const FAR: i64 = i64::MAX;
