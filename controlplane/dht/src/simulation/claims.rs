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
    let ((small, _), (large, _)) = (idle(4, 250), idle(4, 2_000));
    assert!(small > 0.0 && large / small <= 2_000_f64.log2() / 250_f64.log2(), "{small} and {large} bytes");
}

#[test]
fn nodes_that_know_one_other_become_a_network() {
    let figures = grown(5, 300, 200);
    assert!(figures.success() >= 0.99, "{figures:?}");
}

/// Prints the table of `docs/protocol/dht.md`, and holds all sizes to the same claims:
/// `PHOTONGATE_DHT_NODES=1000,10000 cargo test --release -p photongate-dht figures -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes: prints the figures of networks of any size"]
fn figures_of_networks_of_any_size() {
    let sizes = std::env::var("PHOTONGATE_DHT_NODES").unwrap_or_else(|_| "1000,10000".to_owned());
    println!(
        "| nodes | hops | queries | with 30 % leaving per hour | with 10 % lying | upkeep per node and hour | state per node |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for nodes in sizes.split(',').map(|size| size.trim().parse::<usize>().expect("sizes are numbers")) {
        let (quiet, churning, lying) =
            (quiet(1, nodes, 2_000), churning(2, nodes, 30, 5_000), lying(3, nodes, 10, 5_000));
        let (bytes, datagrams) = idle(4, nodes);
        println!(
            "| {nodes} | {:.2} of {:.2} | {:.1} | {:.2} % | {:.2} % | {:.0} KB in {datagrams:.0} datagrams | {:.1} KB |",
            quiet.mean_hops(),
            most_hops(nodes),
            quiet.mean_queries(),
            100.0 * churning.success(),
            100.0 * lying.success(),
            bytes / 1_000.0,
            memory(1, nodes) as f64 / 1_000.0,
        );
        assert!(quiet.mean_hops() <= most_hops(nodes) && quiet.success() >= 0.999, "{quiet:?}");
        assert!(churning.success() >= 0.999, "{churning:?}");
        assert!(lying.success() >= 0.99, "{lying:?}");
    }
}

fn most_hops(nodes: usize) -> f64 {
    (nodes as f64).log2() / 2.0 + 1.0
}
