//! Ways through graphs, against slow but obvious searches.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::routing::disjoint::disjoint_paths;
use crate::routing::graph::Place;

proptest! {
    #[test]
    fn ways_cost_what_floyd_and_warshall_say(links in links(12)) {
        let graph = graph(12, &links);
        let mut costs = [[None; 12]; 12];
        for (from, row) in (0..).zip(&mut costs) {
            row[from as usize] = Some(0);
            graph.edges(from).iter().for_each(|edge| row[edge.to as usize] = Some(edge.cost));
        }
        for (via, from, to) in (0..12).flat_map(|via| (0..12).flat_map(move |from| (0..12).map(move |to| (via, from, to)))) {
            if let (Some(first), Some(second)) = (costs[from][via], costs[via][to]) {
                costs[from][to] = Some(costs[from][to].map_or(first + second, |cost: u32| cost.min(first + second)));
            }
        }
        for from in 0..12 {
            let tree = graph.tree(from, |_| false);
            for to in 0..12 {
                let cost = tree.path(from, to).map(|path| cost(&graph, &path));
                prop_assert_eq!(cost, costs[from as usize][to as usize], "{} to {}", from, to);
            }
        }
    }

    #[test]
    fn of_equal_ways_the_shortest_and_first_by_name_is_taken(links in vec((0..8_u32, 0..8_u32, Just((1, 1))), 0..20)) {
        let graph = graph(8, &links);
        for (from, to) in (0..8).flat_map(|from| (0..8).map(move |to| (from, to))) {
            let backwards = |path: &Vec<Place>| path.iter().rev().copied().collect::<Vec<_>>();
            let best = all_paths(&graph, from, to).into_iter().min_by_key(|path| (path.len(), backwards(path)));
            prop_assert_eq!(graph.tree(from, |_| false).path(from, to), best);
        }
    }

    #[test]
    fn disjoint_ways_are_as_many_and_as_cheap_as_can_be(links in links(7), most in 1..4_usize) {
        let graph = graph(7, &links);
        let found = disjoint_paths(&graph, 0, 6, most, |_| false);
        let best = cheapest_set(&all_paths(&graph, 0, 6), &graph, most);
        prop_assert_eq!(found.len(), best.0);
        prop_assert_eq!(found.iter().map(|path| cost(&graph, path)).sum::<u32>(), best.1);
        prop_assert!(found.iter().all(|path| path[0] == 0 && path[path.len() - 1] == 6));
        prop_assert!(are_disjoint(&found.iter().collect::<Vec<_>>()));
    }

    #[test]
    fn a_way_around_servers_is_the_cheapest_that_leads_through_none_of_them(links in links(7), closed in vec(1..6_u32, 0..3)) {
        let graph = graph(7, &links);
        let open = |path: &Vec<Place>| path[1..path.len() - 1].iter().all(|place| !closed.contains(place));
        let best = all_paths(&graph, 0, 6).iter().filter(|path| open(path)).map(|path| cost(&graph, path)).min();
        let found = graph.tree(0, |place| closed.contains(&place)).path(0, 6);
        prop_assert_eq!(found.as_ref().map(|path| cost(&graph, path)), best);
        prop_assert!(found.is_none_or(|path| open(&path)));
    }
}

#[test]
fn a_link_that_one_end_does_not_name_is_none() {
    let (a, b): (QksId, QksId) = ("a".parse().unwrap(), "b".parse().unwrap());
    let to_b = [Neighbour { server: b.clone(), cost: Cost::MIN, free_bits: 1 }];
    let graph = Graph::join([(&a, &to_b[..]), (&b, &[][..])].into_iter());
    assert!(graph.edges(0).is_empty() && graph.edges(1).is_empty());
}

#[test]
fn the_higher_of_both_ends_costs_and_the_smaller_stock_count() {
    let graph = graph(2, &[(0, 1, (30, 40))]);
    assert_eq!([graph.edges(0)[0].cost, graph.edges(1)[0].cost], [40, 40]);
    assert_eq!(graph.edges(0)[0].free_bits, 30);
}

/// Links with the cost that each end says.
fn links(servers: u32) -> impl Strategy<Value = Vec<(u32, u32, (u8, u8))>> {
    vec((0..servers, 0..servers, (1..=175_u8, 1..=175_u8)), 0..usize::try_from(3 * servers).unwrap())
}

/// Free key bits are as many as the cost, which tells them apart.
fn graph(servers: u32, links: &[(u32, u32, (u8, u8))]) -> Graph {
    let name = |place: u32| -> QksId { format!("{place:02}").parse().unwrap() };
    let mut said: BTreeMap<QksId, BTreeMap<QksId, u8>> = (0..servers).map(|at| (name(at), BTreeMap::new())).collect();
    for (one, other, (there, back)) in links.iter().filter(|(one, other, _)| one != other) {
        said.get_mut(&name(*one)).unwrap().insert(name(*other), *there);
        said.get_mut(&name(*other)).unwrap().insert(name(*one), *back);
    }
    let neighbour = |(server, cost): (&QksId, &u8)| Neighbour {
        server: server.clone(),
        cost: Cost::try_from(*cost).unwrap(),
        free_bits: u64::from(*cost),
    };
    let said: BTreeMap<_, Vec<_>> = said.iter().map(|(name, to)| (name, to.iter().map(neighbour).collect())).collect();
    Graph::join(said.iter().map(|(name, to)| (*name, to.as_slice())))
}

fn cost(graph: &Graph, path: &[Place]) -> u32 {
    path.windows(2).map(|step| graph.edge(step[0], step[1]).unwrap().cost).sum()
}

/// Every way that visits no server twice.
fn all_paths(graph: &Graph, from: Place, to: Place) -> Vec<Vec<Place>> {
    let mut found = Vec::new();
    let mut open = vec![vec![from]];
    while let Some(path) = open.pop() {
        let at = path[path.len() - 1];
        if at == to {
            found.push(path);
            continue;
        }
        for edge in graph.edges(at).iter().filter(|edge| !path.contains(&edge.to)) {
            open.push([path.as_slice(), &[edge.to]].concat());
        }
    }
    found
}

/// The most ways, up to `most`, that share no server between, and what the cheapest such set costs.
fn cheapest_set(paths: &[Vec<Place>], graph: &Graph, most: usize) -> (usize, u32) {
    let mut best = (0, 0);
    let mut sets: Vec<(usize, Vec<&Vec<Place>>)> = vec![(0, Vec::new())];
    while let Some((from, set)) = sets.pop() {
        let total = set.iter().map(|path| cost(graph, path)).sum();
        if set.len() > best.0 || set.len() == best.0 && total < best.1 {
            best = (set.len(), total);
        }
        if set.len() < most {
            for (index, path) in paths.iter().enumerate().skip(from) {
                let larger = [set.as_slice(), &[path]].concat();
                if are_disjoint(&larger) {
                    sets.push((index + 1, larger));
                }
            }
        }
    }
    best
}

fn are_disjoint(paths: &[&Vec<Place>]) -> bool {
    let mut between: Vec<_> = paths.iter().flat_map(|path| &path[1..path.len() - 1]).collect();
    let count = between.len();
    between.sort_unstable();
    between.dedup();
    between.len() == count && paths.iter().filter(|path| path.len() == 2).count() < 2
}
