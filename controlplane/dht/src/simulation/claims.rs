//! What is claimed of the network, at sizes that a test run has time for; and the figures for any size.

use super::workload::{churning, grown, idle, lying, memory, quiet};

#[test]
fn in_ten_thousand_nodes_a_lookup_takes_few_hops_and_finds_the_nearest() {
    let figures = quiet(1, 10_000, 1_000);
    assert!(figures.mean_hops() <= most_hops(10_000), "{figures:?}");
    assert!(figures.success() >= 0.999, "{figures:?}");
}

#[test]
fn values_are_found_while_three_in_ten_nodes_leave_in_an_hour() {
    let figures = churning(2, 1_000, 30, 2_000);
    assert!(figures.lookups >= 1_900, "{figures:?}");
    assert!(figures.success() >= 0.999, "{figures:?}");
}

#[test]
fn values_are_found_while_one_in_ten_nodes_lies() {
    let figures = lying(3, 2_000, 10, 1_000);
    assert!(figures.success() >= 0.99, "{figures:?}");
}

#[test]
fn where_most_nodes_lie_values_are_missed() {
    let figures = lying(3, 500, 70, 200);
    assert!(figures.success() < 0.99, "these lies would be noticed by nobody: {figures:?}");
}

#[test]
fn upkeep_grows_no_faster_than_the_logarithm_of_the_network() {
    let (small, large) = (idle(4, 1_000), idle(4, 10_000));
    assert!(
        small.0 > 0.0 && is_no_faster_than_the_logarithm((1_000, small.0), (10_000, large.0)),
        "{small:?} and {large:?}"
    );
}

#[test]
fn nodes_that_know_one_other_become_a_network() {
    let figures = grown(5, 300, 200);
    assert!(figures.success() >= 0.99, "{figures:?}");
}

// What follows prints the figures of `docs/protocol/dht.md`, and holds networks of any size to the same claims:
// `PHOTONGATE_DHT_NODES=1000,10000 cargo test -p photongate-dht figures -- --ignored --nocapture --test-threads 1`

#[test]
#[ignore = "takes minutes: prints the figures of networks of any size"]
fn figures_of_look_ups_when_all_is_well() {
    for nodes in sizes() {
        let quiet = quiet(1, nodes, 2_000);
        println!("{nodes}: {:.2} hops, {:.1} queries, {quiet:?}", quiet.mean_hops(), quiet.mean_queries());
        assert!(quiet.mean_hops() <= most_hops(nodes) && quiet.success() >= 0.999, "{quiet:?}");
    }
}

#[test]
#[ignore = "takes minutes: prints the figures of networks of any size"]
fn figures_of_look_ups_while_nodes_leave() {
    for nodes in sizes() {
        let churning = churning(2, nodes, 30, 5_000);
        println!("{nodes}: {} of {} found while 30 % leave per hour", churning.succeeded, churning.lookups);
        assert!(churning.success() >= 0.999, "{churning:?}");
    }
}

#[test]
#[ignore = "takes minutes: prints the figures of networks of any size"]
fn figures_of_look_ups_while_nodes_lie() {
    for nodes in sizes() {
        let lying = lying(3, nodes, 10, 5_000);
        println!("{nodes}: {} of {} found while 10 % lie", lying.succeeded, lying.lookups);
        assert!(lying.success() >= 0.99, "{lying:?}");
    }
}

#[test]
#[ignore = "takes minutes: prints the figures of networks of any size"]
fn figures_of_upkeep_and_state() {
    let mut smaller = None;
    for nodes in sizes() {
        let (bytes, datagrams) = idle(4, nodes);
        let state = memory(1, nodes);
        println!(
            "{nodes}: a node sends {bytes:.0} bytes in {datagrams:.0} datagrams an hour for upkeep, and has {state} bytes of state"
        );
        if let Some(smaller) = smaller.replace((nodes, bytes)) {
            assert!(is_no_faster_than_the_logarithm(smaller, (nodes, bytes)), "{smaller:?} and {bytes}");
        }
    }
}

fn sizes() -> Vec<usize> {
    let sizes = std::env::var("PHOTONGATE_DHT_NODES").unwrap_or_else(|_| "1000,10000".to_owned());
    sizes.split(',').map(|size| size.trim().parse().expect("sizes are numbers")).collect()
}

/// Whether upkeep, in nodes and bytes, grows so from one network to another.
fn is_no_faster_than_the_logarithm((few, small): (usize, f64), (many, large): (usize, f64)) -> bool {
    large / small <= (many as f64).log2() / (few as f64).log2()
}

fn most_hops(nodes: usize) -> f64 {
    (nodes as f64).log2() / 2.0 + 1.0
}
