//! Five nodes under load, while machines die and stand still, the network falls apart, disks rot, and one of the nodes lies: to clients it must
//! never look as if a file had other bytes than were put into it. Whatever they ask for they get, or are told why not; and what was once on
//! other nodes is there in the end.
//!
//! Half a minute of it; `scripts/chaos-dht.sh` takes as long as it is told. Needs root, for namespaces.

#[path = "dht/clients.rs"]
mod clients;
#[path = "dht/mod.rs"]
mod dht;
#[path = "dht/hostile.rs"]
mod hostile;
#[allow(dead_code, unused_imports, reason = "the tests of filters use the rest")]
#[path = "../src/demo/lab/namespace.rs"]
mod namespace;
#[path = "dht/network.rs"]
mod network;
#[path = "support/star.rs"]
mod star;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clients::Clients;
use dht::{Mode, Nodes, PATIENCE};
use hostile::Hostile;
use network::{Cut, Network, address};
use photongate_dht::testing::Harm;
use photongate_px::testing::random::Random;

#[test]
fn in_an_open_network_with_hostile_nodes_every_get_ends_with_the_right_bytes_or_a_clear_error() {
    live_through(Mode::Plain, "dht-open");
}

#[test]
fn in_a_closed_network_with_hostile_members_every_get_ends_with_the_right_bytes_or_a_clear_error() {
    live_through(Mode::Closed, "dht-closed");
}

/// No test: the process of a node that does harm.
#[test]
fn do_harm() {
    hostile::do_harm();
}

fn live_through(mode: Mode, name: &str) {
    let Some(network) = Network::create(name, NODES) else { return };
    let number = |variable: &str, default| {
        env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
    };
    let span = Duration::from_secs(number("PHOTONGATE_CHAOS_SECONDS", 20));
    let seed = number("PHOTONGATE_CHAOS_SEED", 1);
    let can_be = |trouble: &Trouble| *trouble != Trouble::Slow || network.can_slow();
    let all: Vec<_> = ALL.into_iter().filter(can_be).collect();
    println!("{name}: {span:?}, seed {seed}, {} kinds of trouble", all.len());
    let mut nodes = Nodes::start_at(network.places(), mode, NODES, SETTINGS);
    let clients = Clients::new((0..NODES).map(|node| nodes.socket(node)).collect(), nodes.folder.path().to_owned());

    let (happened, kinds) = thread::scope(|scope| {
        // Also if what happens here fails.
        let _ended = clients.end_with_scope();
        for client in 0..CLIENTS {
            let clients = &clients;
            scope.spawn(move || clients.work(client));
        }
        let mut troubles = Troubles { name, dice: Random::new(seed), all: &all, drawn: Vec::new(), happened: 0 };
        // Each of them at least once, however short the time is.
        while (clients.elapsed() < span || troubles.happened < all.len()) && !clients.is_over() {
            troubles.next(&mut nodes, &network, &clients);
        }
        (troubles.happened, all.len())
    });
    let (puts, gets) = clients.ended();
    let files = clients.files();
    println!("{name}: {happened} troubles; by exit status: put {puts:?}, get {gets:?}; {} files", files.len());
    assert!(happened >= kinds && files.len() > happened && gets[&0] > happened, "what does not happen proves nothing");
    // All is well again: what was put is there for everybody. Whose disk rots keeps nothing for sure, but another node has shown to have it.
    thread::scope(|scope| {
        for node in 0..NODES {
            let (nodes, clients, files) = (&nodes, &clients, &files);
            scope.spawn(move || {
                nodes.wait_until_in(node);
                files.iter().for_each(|file| eventually(|| clients.get(node, file)));
            });
        }
    });
    no_honest_node_was_banned(&nodes);
    assert!(nodes.log(ROTTING).contains("a value on disk was damaged, and is dropped"), "{}", nodes.logs());
}

/// What happens, in an order by chance in which nothing is left out.
struct Troubles<'t> {
    name: &'t str,
    dice: Random,
    all: &'t [Trouble],
    drawn: Vec<Trouble>,
    happened: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// A node is killed.
    Kill,
    /// Two are.
    KillTwo,
    /// A node is told to stop, and started again.
    Restart,
    /// A node stands still for a while, in the middle of whatever it does, and goes on as if nothing had happened.
    StandStill,
    /// A node hears nobody, and nobody hears it.
    CutOff,
    /// Two nodes do not hear each other; the others hear both.
    CutPair,
    /// They are told so by the network.
    RefusePair,
    /// A node is heard by another and does not hear it.
    CutOneWay,
    /// The wire of a node is pulled out.
    Pull,
    /// What a node sends and gets comes slowly.
    Slow,
    /// Values on a disk are not what they were.
    Rot,
    /// In the place of a node stands one that does harm.
    Hostile(Harm),
}

impl Troubles<'_> {
    /// Lets something happen, and puts it right again.
    fn next(&mut self, nodes: &mut Nodes, network: &Network, clients: &Clients) {
        if self.drawn.is_empty() {
            self.drawn.extend(self.all);
        }
        let trouble = self.drawn.swap_remove(self.dice.index(self.drawn.len()));
        let node = self.dice.index(NODES);
        let other = (node + 1 + self.dice.index(NODES - 1)) % NODES;
        let pause = Duration::from_millis(self.dice.within(200..1_500));
        let at = clients.elapsed().as_secs_f64();
        println!("{}: {at:>6.1} s: {trouble:?}, node {node} (and {other}), {pause:?}", self.name);
        self.happened += 1;
        match trouble {
            Trouble::Kill => {
                nodes.kill(node);
                thread::sleep(pause);
                nodes.run(node);
            }
            Trouble::KillTwo => {
                [node, other].into_iter().for_each(|node| nodes.kill(node));
                thread::sleep(pause);
                [node, other].into_iter().for_each(|node| nodes.run(node));
            }
            Trouble::Restart => {
                let ended = nodes.stop(node);
                assert!(ended.success(), "{ended}: {}", nodes.log(node));
                nodes.run(node);
            }
            Trouble::StandStill => {
                nodes.signal(node, "-STOP");
                thread::sleep(pause);
                nodes.signal(node, "-CONT");
            }
            Trouble::CutOff => {
                network.cut_off(node, if self.dice.coin() { Cut::Silent } else { Cut::Refused });
                thread::sleep(pause);
            }
            Trouble::CutPair | Trouble::RefusePair => {
                let cut = if trouble == Trouble::CutPair { Cut::Silent } else { Cut::Refused };
                network.cut(node, other, cut);
                network.cut(other, node, cut);
                thread::sleep(pause);
            }
            Trouble::CutOneWay => {
                network.cut(other, node, Cut::Silent);
                thread::sleep(pause);
            }
            Trouble::Pull => {
                network.pull(node);
                thread::sleep(pause);
                network.plug(node);
            }
            Trouble::Slow => {
                network.slow(node);
                thread::sleep(pause);
                network.fast(node);
            }
            Trouble::Rot => {
                let values = nodes.path(&format!("state-{ROTTING}/values"));
                nodes.eventually("there are values on the disk", |_| spoil(&values) > 0);
                thread::sleep(pause);
            }
            Trouble::Hostile(harm) => play(harm, node, nodes, network, clients),
        }
        network.calm();
        // Some time in which all is well, or nothing would ever be on other nodes.
        thread::sleep(Duration::from_millis(self.dice.within(200..800)));
    }
}

/// Has a hostile node take the place of another one until the others have met with what it does. Meanwhile they get what they ask for.
fn play(harm: Harm, place: usize, nodes: &mut Nodes, network: &Network, clients: &Clients) {
    nodes.kill(place);
    let mut hostile = Hostile::start(harm, network, nodes, place);
    let honest: Vec<_> = (0..NODES).filter(|node| *node != place).collect();
    let begun = Instant::now();
    let mut rounds = 0;
    while !hostile.was_met(network, nodes) {
        assert!(begun.elapsed() < PATIENCE, "after {rounds} files nobody has met with {harm:?}:\n{}", nodes.logs());
        // Many pieces, so that each node is asked for some. That a node has not come to itself again since the last trouble is no fault.
        let by = honest[rounds % honest.len()];
        if let Ok(file) = clients.put(by, PIECES * PIECE) {
            honest.iter().filter(|node| **node != by).for_each(|node| eventually(|| clients.get(*node, &file)));
        }
        rounds += 1;
    }
    drop(hostile);
    nodes.run(place);
}

/// Tries until it is done.
fn eventually<E: std::fmt::Debug>(mut attempt: impl FnMut() -> Result<(), E>) {
    let begun = Instant::now();
    while let Err(why) = attempt() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {why:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Changes a byte of every other value in a folder. Gives how many.
fn spoil(folder: &Path) -> usize {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    let shelves: Vec<_> = entries(folder).iter().flat_map(|keep| entries(keep)).collect();
    let files = shelves.iter().flat_map(|shelf| entries(shelf)).step_by(2);
    // What has just been evicted, or is empty, cannot be spoilt.
    let spoilt = files.filter(|file| {
        fs::read(file).is_ok_and(|mut bytes| {
            bytes.first_mut().map(|first| *first ^= 1).is_some() && fs::write(file, bytes).is_ok()
        })
    });
    spoilt.count()
}

/// What hostile nodes say of others must not be held against these.
fn no_honest_node_was_banned(nodes: &Nodes) {
    let honest: BTreeSet<_> = (0..NODES).map(address).collect();
    for node in 0..NODES {
        let log = nodes.log(node);
        let mut banned = log.lines().filter(|line| line.contains("banned for a while"));
        let wrong = banned.find(|line| honest.iter().any(|address| line.contains(&format!("={address}:"))));
        assert_eq!(wrong, None, "node {node}");
    }
}

const ALL: [Trouble; 14] = [
    Trouble::Kill,
    Trouble::KillTwo,
    Trouble::Restart,
    Trouble::StandStill,
    Trouble::CutOff,
    Trouble::CutPair,
    Trouble::RefusePair,
    Trouble::CutOneWay,
    Trouble::Pull,
    Trouble::Slow,
    Trouble::Rot,
    Trouble::Hostile(Harm::Wrong),
    Trouble::Hostile(Harm::Neighbours),
    Trouble::Hostile(Harm::Stall),
];

/// Few copies, so that most of what is asked for has to be fetched; and not much patience, so that much happens.
const SETTINGS: &str = "[limits]\nreplicas = 2\n[timing]\nanswer = \"200ms\"\nsilence = \"1s\"\npatience = \"8s\"\n";

/// The node whose disk rots. If all did, nothing might be left in the end.
const ROTTING: usize = 2;
const NODES: usize = 5;
const CLIENTS: usize = 3;

/// Pieces of a file that hostile nodes are to be met with.
const PIECES: usize = 6;
const PIECE: usize = 256 << 10;
