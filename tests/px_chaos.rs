//! Three nodes under load, while machines die and stand still and the network falls apart: to clients it must look as if one machine had done
//! everything, one thing after the other; nothing that was acknowledged may be gone, and nothing may have been done twice.
//!
//! Half a minute of it; `scripts/chaos-px.sh` takes as long as it is told. Needs root, for namespaces.

#[allow(dead_code, unused_imports, reason = "the tests of filters use the rest")]
#[path = "../src/demo/lab/namespace.rs"]
mod namespace;
#[path = "px/network.rs"]
mod network;
#[path = "px/mod.rs"]
mod px;
#[path = "px/relay.rs"]
mod relay;
#[path = "support/star.rs"]
mod star;
#[path = "px/workload.rs"]
mod workload;

use std::env;
use std::thread;
use std::time::Duration;

use network::Network;
use photongate_px::testing::random::Random;
use px::{Cluster, name};
use relay::Weather;
use serde_json::json;
use workload::Workload;

#[test]
fn whatever_happens_to_machines_and_network_clients_see_one_order_and_lose_nothing() {
    let Some(network) = Network::create("px", NODES) else { return };
    let number = |variable: &str, default| {
        env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
    };
    let span = Duration::from_secs(number("PHOTONGATE_CHAOS_SECONDS", 30));
    let seed = number("PHOTONGATE_CHAOS_SEED", 1);
    println!("{span:?}, seed {seed}; what disturbs: {}", network.disturbed_by());
    let mut cluster = Cluster::prepare_at(network.places(), NODES, json!({ "timing": { "command": "1s" } }));
    (0..NODES).for_each(|node| cluster.run(node));
    cluster.wait_for_leader();

    let workload = Workload::new((0..NODES).map(|node| cluster.path(&format!("{node}.sock"))).collect());
    let happened = thread::scope(|scope| {
        // Also if what happens here fails.
        let _ended = workload.end_with_scope();
        for client in 0..CLIENTS {
            let workload = &workload;
            scope.spawn(move || workload.work(client));
        }
        let mut troubles = Troubles { dice: Random::new(seed), drawn: Vec::new(), happened: 0 };
        while workload.elapsed() < span && !workload.is_over() {
            troubles.next(&mut cluster, &network, workload.elapsed());
        }
        troubles.happened
    });
    cluster.wait_for_leader();
    // Each node is asked for all, in a way in which it must know all that was acknowledged.
    for node in 0..NODES {
        let from = workload.elapsed();
        let documents = cluster.eventually_some("all documents", |cluster| cluster.all_documents(node));
        workload.note_all(&documents, from);
    }
    let totals = workload.judge();
    println!("{happened} troubles; {totals:?}");
    assert!(
        totals.documents > 1 && totals.acknowledged > happened && totals.reads > happened,
        "what does not happen proves nothing"
    );
    cluster.eventually("all nodes end with the same documents", |cluster| {
        let first = cluster.documents(0);
        first.len() > 1 && (1..NODES).all(|node| cluster.documents(node) == first)
    });
}

/// What happens, in an order by chance in which nothing is left out.
struct Troubles {
    dice: Random,
    drawn: Vec<Trouble>,
    happened: usize,
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// A node is killed.
    Kill,
    /// The leader is.
    KillLeader,
    /// All are, as when the power fails.
    KillAll,
    /// A node is told to stop, and started again.
    Restart,
    /// The leader stands still for a while, and goes on as if nothing had happened.
    StandStill,
    /// The leader hears nobody, and nobody hears it.
    CutOff,
    /// Two nodes do not hear each other; the third one hears both.
    CutPair,
    /// A node is heard and does not hear.
    CutOneWay,
    /// The wire of a node is pulled out.
    Pull,
    /// What a node sends and gets comes slowly.
    Slow,
    /// It comes late, twice, out of order, or not at all.
    Disturb,
    /// The same for all nodes.
    DisturbAll,
}

impl Troubles {
    /// Lets something happen, and puts it right again.
    fn next(&mut self, cluster: &mut Cluster, network: &Network, at: Duration) {
        if self.drawn.is_empty() {
            self.drawn.extend(ALL);
        }
        let trouble = self.drawn.swap_remove(self.dice.index(self.drawn.len()));
        let any = self.dice.index(NODES);
        let leads = |cluster: &Cluster| leader_as_far_as_known(cluster).unwrap_or(any);
        let node = match trouble {
            Trouble::KillLeader | Trouble::StandStill | Trouble::CutOff => leads(cluster),
            _ => any,
        };
        let other = (node + 1 + self.dice.index(NODES - 1)) % NODES;
        let pause = Duration::from_millis(self.dice.within(200..2_000));
        println!("{:>6.1} s: {trouble:?}, node {node}, {pause:?}", at.as_secs_f64());
        self.happened += 1;
        match trouble {
            Trouble::Kill | Trouble::KillLeader => {
                cluster.kill(node);
                thread::sleep(pause);
                cluster.run(node);
            }
            Trouble::KillAll => {
                (0..NODES).for_each(|node| cluster.kill(node));
                (0..NODES).for_each(|node| cluster.run(node));
            }
            Trouble::Restart => {
                assert!(cluster.stop(node).success(), "{}", cluster.log(node));
                cluster.run(node);
            }
            Trouble::StandStill => {
                cluster.signal(node, "-STOP");
                thread::sleep(pause);
                cluster.signal(node, "-CONT");
            }
            Trouble::CutOff => {
                network.set_around(node, &Weather::CUT);
                thread::sleep(pause);
            }
            Trouble::CutPair => {
                network.set(node, other, &Weather::CUT);
                network.set(other, node, &Weather::CUT);
                thread::sleep(pause);
            }
            Trouble::CutOneWay => {
                (0..NODES).filter(|other| *other != node).for_each(|other| network.set(other, node, &Weather::CUT));
                thread::sleep(pause);
            }
            Trouble::Pull => {
                network.pull(node);
                thread::sleep(pause);
                network.plug(node);
            }
            Trouble::Slow => {
                network.disturb(node, &Weather { delay: 40..45, rate: Some(SLOW), ..Weather::CALM });
                thread::sleep(pause);
            }
            Trouble::Disturb => {
                network.disturb(node, &BAD);
                thread::sleep(pause);
            }
            Trouble::DisturbAll => {
                (0..NODES).for_each(|node| network.disturb(node, &BAD));
                thread::sleep(pause);
            }
        }
        (0..NODES).for_each(|node| network.calm(node));
        // Some time in which all is well, or nothing would ever be acknowledged.
        thread::sleep(Duration::from_millis(self.dice.within(200..800)));
    }
}

/// Who leads, if one of the nodes says so at once.
fn leader_as_far_as_known(cluster: &Cluster) -> Option<usize> {
    cluster.running().into_iter().find_map(|node| {
        let status = cluster.try_ask(node, &json!({ "op": "status" }))?;
        (0..NODES).find(|leader| status["leader"] == name(*leader))
    })
}

const ALL: [Trouble; 12] = [
    Trouble::Kill,
    Trouble::KillLeader,
    Trouble::KillAll,
    Trouble::Restart,
    Trouble::StandStill,
    Trouble::CutOff,
    Trouble::CutPair,
    Trouble::CutOneWay,
    Trouble::Pull,
    Trouble::Slow,
    Trouble::Disturb,
    Trouble::DisturbAll,
];

/// Of a hundred datagrams so many are lost, and so many come twice; all are late, and overtake each other.
const BAD: Weather = Weather { lost: 5, repeated: 3, delay: 10..40, rate: None };

/// Bytes a second: a megabit.
const SLOW: u64 = 125_000;
const NODES: usize = 3;
const CLIENTS: usize = 6;
