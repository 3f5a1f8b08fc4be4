//! What routing promises, by subject.

mod attacks;
mod churn;
mod paths;
mod protocol;

use super::simulation::{Network, Server};
use super::*;

/// The servers that `at` can reach, itself too, and the links between them, as they really are.
fn truth(network: &Network, at: usize) -> BTreeMap<QksId, Vec<QksId>> {
    let mut all = network.truth();
    let mut component = BTreeMap::new();
    let mut next = vec![network.servers[at].name.clone()];
    while let Some(name) = next.pop() {
        if let Some(neighbours) = all.remove(&name) {
            next.extend(neighbours.iter().cloned());
            component.insert(name, neighbours);
        }
    }
    component
}

/// Some living servers, spread evenly over all.
fn sample(network: &Network, count: usize) -> Vec<usize> {
    let truth = network.truth();
    let step = truth.len().div_ceil(count);
    truth.keys().map(|name| network.number(name)).step_by(step).collect()
}

/// The sampled servers know the links and the applications of all that they can reach, and their next hops lead there.
fn assert_converged(network: &mut Network, sampled: usize) {
    for at in sample(network, sampled) {
        let (truth, routes) = (truth(network, at), network.routes(at));
        for (name, neighbours) in &truth {
            let links: Vec<_> = routes.links_of(name).map(|(to, ..)| to.clone()).collect();
            assert_eq!(&links, neighbours, "of {name}, as {at} sees it");
            let saes = &network.servers[network.number(name)].saes;
            assert!(saes.iter().all(|sae| routes.server_of(sae) == Some(name)), "of {name}, as {at} sees it");
        }
        let step = truth.len().div_ceil(sampled);
        for to in truth.keys().step_by(step) {
            assert_next_hops_lead_there(network, at, to);
        }
    }
}

/// Each next hop brings the destination strictly nearer, so there can be no loop.
fn assert_next_hops_lead_there(network: &mut Network, from: usize, to: &QksId) {
    let mut at = from;
    let mut left = u32::MAX;
    while network.servers[at].name != *to {
        let route = network.routes(at).route(to).unwrap_or_else(|| panic!("{at} knows no way to {to}"));
        assert!(route.cost < left, "a loop at {at} on the way from {from} to {to}");
        assert_eq!(route.path.last(), Some(to));
        left = route.cost;
        at = network.number(&route.next);
    }
}

/// Nobody who lives knows an application of a server that does not, or of one that is out of reach; of those that were started
/// before `since`.
fn assert_nothing_stale(network: &mut Network, sampled: usize, since: Nanos) {
    for at in sample(network, sampled) {
        let (truth, routes) = (truth(network, at), network.routes(at));
        let gone = |server: &&Server| server.started_at < since && !truth.contains_key(&server.name);
        for server in network.servers.iter().filter(gone) {
            assert!(server.saes.iter().all(|sae| routes.server_of(sae).is_none()), "{at} knows one of {}", server.name);
            assert!(!routes.servers().contains(&server.name), "{at} knows {}", server.name);
        }
    }
}
