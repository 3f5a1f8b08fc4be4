//! Networks in which servers and links die and come back.

use super::*;
use crate::routing::simulation::Faults;

#[test]
fn hundreds_of_servers_under_churn_agree_on_the_map_and_forget_the_dead() {
    let settings = Settings {
        refresh: Nanos::from_secs(300),
        max_age: Nanos::from_secs(400),
        compare: Nanos::from_secs(60),
        most_servers: 1_000,
        ..Settings::default()
    };
    let mut network = Network::ring(7, 250, 125, settings);
    network.faults = Faults { lost: 1, doubled: 1, slowest: Nanos::from_millis(50) };
    network.run(Nanos::from_secs(20));
    assert_converged(&mut network, 6);
    let dead = churn(&mut network, 60, Nanos::from_secs(1));
    assert!(dead > 5);
    network.run(Nanos::from_secs(40));
    assert_converged(&mut network, 6);
    network.run(settings.max_age);
    assert_nothing_stale(&mut network, 6);
    assert_converged(&mut network, 6);
}

#[test]
fn small_networks_agree_whatever_is_lost_doubled_or_overtaken() {
    for seed in 0..20 {
        let settings = Settings::default();
        let mut network = Network::ring(seed, 15, 8, settings);
        network.faults = Faults { lost: 20, doubled: 20, slowest: Nanos::from_secs(2) };
        churn(&mut network, 60, Nanos::from_secs(3));
        network.run(Nanos::from_secs(60));
        assert_converged(&mut network, 15);
        network.run(settings.max_age);
        assert_nothing_stale(&mut network, 15);
        assert_converged(&mut network, 15);
    }
}

#[test]
fn the_same_seed_makes_the_same_history() {
    let history = || {
        let mut network = Network::ring(3, 12, 6, Settings::default());
        network.faults = Faults { lost: 10, doubled: 10, slowest: Nanos::from_secs(1) };
        churn(&mut network, 20, Nanos::from_secs(2));
        (network.delivered, network.random.next())
    };
    assert_eq!(history(), history());
}

/// Lets `events` happen, one every `pause`. Returns how many servers are dead afterwards.
fn churn(network: &mut Network, events: usize, pause: Nanos) -> usize {
    for _ in 0..events {
        let at = network.random.below(network.servers.len());
        let alive = network.servers[at].routing.is_some();
        match network.random.below(6) {
            0 | 1 if alive => network.stop(at),
            0..=2 if !alive => {
                let remembers = network.random.percent(50);
                network.start(at, remembers);
            }
            2 => {
                network.stop(at);
                let remembers = network.random.percent(50);
                network.start(at, remembers);
            }
            event => {
                let links: Vec<_> = network.links.iter().map(|(ends, link)| (*ends, link.up)).collect();
                let ((one, other), up) = links[network.random.below(links.len())];
                if event == 3 { network.set_up(one, other, !up) } else { network.drain(one, other) }
            }
        }
        network.run(pause);
    }
    network.servers.iter().filter(|server| server.routing.is_none()).count()
}
