//! Nodes that do harm, as processes of their own: in an open network `hostile.py`, in a closed one this very program.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use photongate_dht::testing::{self, Harm};
use photongate_net::quic::QuicFiles;

use crate::dht::{GUESTS, Mode, Nodes, guest_name};
use crate::network::{Guest, NOWHERE, Network, PORT, address};

/// A node that does harm. Dropping it kills it.
pub(crate) struct Hostile {
    harm: Harm,
    address: String,
    told: PathBuf,
    process: Child,
    sent_nowhere: u64,
}

impl Hostile {
    /// Starts one in the place of a node, at an address that nobody has met yet.
    pub(crate) fn start(harm: Harm, network: &Network, nodes: &Nodes, place: usize) -> Self {
        let guest = network.invite(place);
        let address = format!("{}:{PORT}", guest.address);
        let told = nodes.path(&format!("hostile-{}.txt", guest.number));
        let peers =
            (0..nodes.count()).filter(|node| *node != place).map(|node| format!("{}:{PORT}", self::address(node)));
        let mut command = match nodes.mode() {
            Mode::Plain => network.command(place, "python3"),
            Mode::Closed => network.command(place, env::current_exe().unwrap().to_str().unwrap()),
        };
        match nodes.mode() {
            Mode::Plain => command.args(["-B", SCRIPT, word(harm), &address]).args(peers).args([NOWHERE]),
            Mode::Closed => command.args(["--exact", "do_harm", "--nocapture"]).envs(described(harm, &guest, peers)),
        };
        let told_to = fs::File::create(&told).unwrap();
        let process = command.current_dir(nodes.folder.path()).stdout(Stdio::from(told_to)).spawn().unwrap();
        Self { harm, address, told, process, sent_nowhere: network.sent_nowhere() }
    }

    /// Whether it did harm, and the others say that they met with it.
    ///
    /// # Panics
    /// It has ended.
    pub(crate) fn was_met(&mut self, network: &Network, nodes: &Nodes) -> bool {
        assert_eq!(self.process.try_wait().unwrap(), None, "the node that does {:?} has ended", self.harm);
        let told = fs::read_to_string(&self.told).unwrap();
        let misdeeds = told.lines().filter(|line| line.contains("harm:")).count();
        let say = |words: &[&str]| {
            let has = |line: &str| line.contains(&self.address) && words.iter().all(|word| line.contains(word));
            (0..nodes.count()).any(|node| nodes.log(node).lines().any(has))
        };
        let is_seen = match self.harm {
            // It was to send a piece to a client of another node, which will never hear it again.
            Harm::Wrong => say(&["a value is not what it should be"]) && say(&["banned for a while"]),
            Harm::Neighbours => network.sent_nowhere() > self.sent_nowhere,
            Harm::Stall => say(&["a piece does not come", "stalls"]),
        };
        misdeeds > 0 && is_seen
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Is a node that does harm, if this process was started to be one; else it is over at once.
pub(crate) fn do_harm() {
    let Ok(harm) = env::var(HARM) else { return };
    let harm = ALL.into_iter().find(|one| word(*one) == harm).expect("it is one of them");
    let [listen, name, peers] = [LISTEN, NAME, PEERS].map(|variable| env::var(variable).unwrap());
    let peers: Vec<_> = peers.split(' ').map(|peer| peer.parse().unwrap()).collect();
    let pem = |end| PathBuf::from(format!("pki/{name}{end}.pem"));
    let files = QuicFiles { certificate: pem(""), key: pem("-key"), authority: "pki/ca.pem".into() };
    let nowhere = format!("{NOWHERE}.0").parse().unwrap();
    let harming =
        testing::do_harm(harm, listen.parse().unwrap(), &files, &peers, nowhere, |misdeed| println!("harm: {misdeed}"));
    tokio::runtime::Runtime::new().unwrap().block_on(harming).unwrap();
}

/// What the process is to be, in variables of its environment.
fn described(harm: Harm, guest: &Guest, peers: impl Iterator<Item = String>) -> [(&'static str, String); 4] {
    let peers: Vec<_> = peers.collect();
    let listen = format!("{}:{PORT}", guest.address);
    let name = guest_name(guest.number % GUESTS);
    [(HARM, word(harm).to_owned()), (LISTEN, listen), (NAME, name), (PEERS, peers.join(" "))]
}

const fn word(harm: Harm) -> &'static str {
    match harm {
        Harm::Wrong => "wrong",
        Harm::Neighbours => "neighbours",
        Harm::Stall => "stall",
    }
}

const ALL: [Harm; 3] = [Harm::Wrong, Harm::Neighbours, Harm::Stall];
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dht/hostile.py");
const HARM: &str = "PHOTONGATE_TEST_HARM";
const LISTEN: &str = "PHOTONGATE_TEST_LISTEN";
const NAME: &str = "PHOTONGATE_TEST_NAME";
const PEERS: &str = "PHOTONGATE_TEST_PEERS";
