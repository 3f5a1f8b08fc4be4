//! Key servers that die at each step of their work: no key is given twice, both sides get the same, and afterwards they agree on what
//! is left.

#[path = "qks/load.rs"]
mod load;
#[path = "qks/site.rs"]
mod site;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use load::{Ledger, Load};
use photongate_qks::faults::{POINTS, VARIABLE};
use serde_json::{Value, json};
use site::Site;

#[test]
fn every_point_is_among_the_cases() {
    let cases: BTreeSet<_> =
        [INTAKE, RESERVATION, HANDOVER, RELAY].into_iter().flatten().map(|(point, _)| *point).collect();
    assert_eq!(cases, POINTS.iter().copied().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_key_material_comes_in_gives_no_key_twice() {
    let mut trial = Trial::begin(&["a", "b"], &[("a", "b")]).await;
    for (point, victim) in INTAKE {
        trial.die(point, victim, &[("a", "b"), ("b", "a")], &json!({"number": 3}), Supply::Steady(1 << 18)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_at_any_step_of_a_reservation_gives_no_key_twice() {
    let mut trial = Trial::begin(&["a", "b"], &[("a", "b")]).await;
    for (point, victim) in RESERVATION {
        trial.die(point, victim, &[("a", "b"), ("a", "b"), ("b", "a")], &json!({"number": 3}), Supply::Stock).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_blocks_change_hands_gives_no_key_twice() {
    let mut trial = Trial::begin(&["a", "b"], &[("a", "b")]).await;
    for (point, victim) in HANDOVER {
        // Large keys at one end only, which so runs short again and again.
        trial.die(point, victim, &[("a", "b")], &json!({"number": 128, "size": 8192}), Supply::WhenLow(1 << 21)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_keys_travel_gives_no_key_twice() {
    let mut trial = Trial::begin(&["a", "b", "c"], &[("a", "b"), ("b", "c")]).await;
    for (point, victim) in RELAY {
        trial.die(point, victim, &[("a", "c"), ("c", "a")], &json!({"number": 2}), Supply::Stock).await;
    }
}

/// Servers, and all keys that applications ever got from them.
struct Trial {
    site: Site,
    links: Vec<(String, String)>,
    ledger: Ledger,
}

impl Trial {
    async fn begin(servers: &[&str], links: &[(&str, &str)]) -> Self {
        let mut site = Site::new(servers, links);
        site.start_all().await;
        let links: Vec<_> = links.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect();
        for (one, other) in &links {
            site.fill(one, other, 4 << 20);
        }
        Self { site, links, ledger: Ledger::default() }
    }

    /// Lets a server die at a point, sooner and later, while its applications ask, and looks at what they have got.
    async fn die(&mut self, point: &str, victim: &str, ways: &[(&str, &str)], request: &Value, supply: Supply) {
        for times in [0, 3] {
            self.wait(ways).await;
            self.site.stop(victim);
            self.site.launch(victim, &[(VARIABLE, &format!("{point}#{times}"))]);
            let load = Load::begin(&self.site, ways, request);
            let begun = Instant::now();
            let mut filled = None;
            while !self.site.has_ended(victim) {
                assert!(begun.elapsed() < PATIENCE, "{victim} never comes to {point}");
                tokio::time::sleep(Duration::from_millis(20)).await;
                if let Some(bytes) = self.wanted(supply, filled).await {
                    self.site.fill("a", "b", bytes);
                    filled = Some(Instant::now());
                }
            }
            let case = format!("{victim} died at {point}");
            load.end(&mut self.ledger, &case).await;
            self.site.start(victim).await;
            self.wait(ways).await;
            self.ledger.settle(&self.site, MOST_LOST, &case).await;
            for (one, other) in &self.links {
                self.site.wait_for_agreement(one, other).await;
            }
        }
    }

    /// How many bytes of key material are to come now.
    async fn wanted(&self, supply: Supply, filled: Option<Instant>) -> Option<usize> {
        if filled.is_some_and(|at| at.elapsed() < Duration::from_secs(2)) {
            return None;
        }
        match supply {
            Supply::Stock => None,
            Supply::Steady(bytes) => Some(bytes),
            Supply::WhenLow(bytes) => {
                let (own, others) = self.site.stock("a", "b").await?;
                (own + others < bytes as u64).then_some(bytes)
            }
        }
    }

    /// Waits until all servers have keys to give.
    async fn wait(&self, ways: &[(&str, &str)]) {
        for (from, to) in ways {
            self.site.wait_for_keys(from, &format!("sae-{from}"), &format!("sae-{to}"), 1).await;
        }
    }
}

/// What key material comes while applications ask.
#[derive(Clone, Copy)]
enum Supply {
    /// None: there is enough.
    Stock,
    /// So many bytes every two seconds.
    Steady(usize),
    /// So many bytes when there are fewer.
    WhenLow(usize),
}

/// Where servers die, and which.
type Cases = &'static [(&'static str, &'static str)];

const INTAKE: Cases = &[
    ("block-sealed", "a"),
    ("block-committed", "b"),
    ("block-in-stock", "a"),
    ("blocks-announced", "b"),
    ("blocks-confirmed", "a"),
    ("batch-collected", "b"),
    ("batch-committed", "a"),
];
const RESERVATION: Cases = &[
    ("pieces-taken", "a"),
    ("marks-written", "a"),
    ("reserve-to-send", "a"),
    ("reserve-heard", "b"),
    ("reserve-kept", "b"),
    ("reserve-answered", "a"),
    ("keys-confirmed", "a"),
    ("keys-opened", "a"),
    ("batch-collected", "a"),
    ("batch-committed", "b"),
    ("fetch-judged", "b"),
    ("fetch-opened", "b"),
];
const HANDOVER: Cases = &[("handover-written", "b"), ("handover-answered", "a"), ("handover-taken-on", "a")];
const RELAY: Cases = &[
    ("relay-sealed", "a"),
    ("relay-heard", "b"),
    ("relay-opened", "b"),
    ("relay-arrived", "c"),
    ("relay-kept", "c"),
    ("relay-passed-on", "b"),
    ("relay-answered", "a"),
    ("reserve-kept", "b"),
];

/// Keys whose answer may be on its way when a server dies: of all applications that ask.
const MOST_LOST: usize = 3 * 128;
const PATIENCE: Duration = Duration::from_secs(90);
