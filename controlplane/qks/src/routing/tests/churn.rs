//! Networks in which servers and links die and come back.

use super::*;
use crate::routing::simulation::{Faults, LEFT};

#[test]
fn a_thousand_servers_under_churn_agree_on_the_map_and_forget_the_dead() {
    let settings = Settings {
        refresh: Nanos::from_secs(150),
        max_age: Nanos::from_secs(400),
        compare: Nanos::from_secs(30),
        most_servers: 1_000,
        ..Settings::default()
    };
    // All but a few servers would take most of the time by saying again what everybody knows. So only a few are old enough for that,
    // and these are the ones that die.
    let is_old = |at: usize| at.is_multiple_of(40);
    let mut network = Network::settled(7, 1_000, 300, settings, is_old);
    network.faults = Faults { lost: 1, doubled: 1, slowest: Nanos::from_millis(50) };
    assert_converged(&mut network, 6);
    let begin = network.now;
    let dead = churn(&mut network, 30, Nanos::from_secs(1), is_old);
    assert!(dead > 3, "{dead}");
    network.run(Nanos::from_secs(10));
    assert_converged(&mut network, 6);
    network.run(LEFT);
    assert_nothing_stale(&mut network, 6, begin);
    assert_converged(&mut network, 6);
}

#[test]
fn a_hundred_servers_that_start_at_once_agree_on_the_map_and_forget_the_dead() {
    let settings = Settings::default();
    let mut network = Network::ring(7, 100, 50, settings);
    network.faults = Faults { lost: 5, doubled: 5, slowest: Nanos::from_millis(200) };
    network.run(Nanos::from_secs(20));
    assert_converged(&mut network, 10);
    let dead = churn(&mut network, 40, Nanos::from_secs(1), |_| true);
    assert!(dead > 5, "{dead}");
    network.run(Nanos::from_secs(30));
    assert_converged(&mut network, 10);
    network.run(settings.max_age);
    assert_nothing_stale(&mut network, 10, Nanos(u64::MAX));
    assert_converged(&mut network, 10);
}

#[test]
fn small_networks_agree_whatever_is_lost_doubled_or_overtaken() {
    for seed in 0..20 {
        let settings = Settings::default();
        let mut network = Network::ring(seed, 15, 8, settings);
        network.faults = Faults { lost: 20, doubled: 20, slowest: Nanos::from_secs(2) };
        churn(&mut network, 60, Nanos::from_secs(3), |_| true);
        network.run(Nanos::from_secs(60));
        assert_converged(&mut network, 15);
        network.run(settings.max_age);
        assert_nothing_stale(&mut network, 15, Nanos(u64::MAX));
        assert_converged(&mut network, 15);
    }
}

#[test]
fn the_same_seed_makes_the_same_history() {
    let history = || {
        let mut network = Network::ring(3, 12, 6, Settings::default());
        network.faults = Faults { lost: 10, doubled: 10, slowest: Nanos::from_secs(1) };
        churn(&mut network, 20, Nanos::from_secs(2), |_| true);
        (network.delivered, network.random.next())
    };
    assert_eq!(history(), history());
}

/// Lets `events` happen, one every `pause`; only servers that are `mortal` die. Returns how many are dead afterwards.
fn churn(network: &mut Network, events: usize, pause: Nanos, mortal: impl Fn(usize) -> bool) -> usize {
    let mortal: Vec<usize> = (0..network.servers.len()).filter(|at| mortal(*at)).collect();
    for _ in 0..events {
        let at = mortal[network.random.below(mortal.len())];
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
