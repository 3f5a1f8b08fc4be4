//! Key servers whose network falls apart and comes together again. Needs root, for namespaces.

#[path = "qks/load.rs"]
mod load;
#[allow(dead_code, unused_imports, reason = "the tests of filters use the rest")]
#[path = "../src/demo/lab/namespace.rs"]
mod namespace;
#[path = "qks/network.rs"]
mod network;
#[path = "qks/site.rs"]
mod site;

use std::time::{Duration, Instant};

use load::{Ledger, Load};
use network::Network;
use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{Answer, Site, ids, keys, post};

#[test]
fn three_servers_relay_around_a_cut_fail_cleanly_without_a_way_and_agree_once_it_is_healed() {
    const LINKS: &[(&str, &str)] = &[("a", "b"), ("b", "c"), ("a", "c")];
    let Some((network, hosts)) = Network::create("three", &["a", "b", "c"], LINKS) else { return };
    network.run(async || {
        let mut world = World::start(&network, Site::new_at(&["a", "b", "c"], LINKS, hosts)).await;
        let ways = [("a", "c"), ("c", "a"), ("a", "b"), ("b", "c")];
        world.until_given(&ways).await;

        let load = world.ask(&ways);
        network.cut("a", "c");
        world.until_given(&ways).await;
        load.end(&mut world.ledger, "around the cut").await;
        world.ledger.settle(&world.site, 0, "around the cut").await;

        let load = world.ask(&ways);
        network.cut("b", "c");
        for (from, to) in [("a", "c"), ("c", "a"), ("b", "c")] {
            world.until_refused(from, to).await;
        }
        world.until_given(&[("a", "b")]).await;
        load.end(&mut world.ledger, "without a way").await;

        world.heal(&[("a", "c"), ("b", "c")]).await;
        world.until_given(&ways).await;
        world.agree("healed").await;
    });
}

#[test]
fn five_servers_in_two_halves_serve_each_half_and_find_each_other_again() {
    const LINKS: &[(&str, &str)] = &[("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("a", "e")];
    let Some((network, hosts)) = Network::create("five", &["a", "b", "c", "d", "e"], LINKS) else { return };
    network.run(async || {
        let mut world = World::start(&network, Site::new_at(&["a", "b", "c", "d", "e"], LINKS, hosts)).await;
        let ways = [("a", "c"), ("d", "a"), ("b", "c"), ("e", "b")];
        world.until_given(&ways).await;

        let load = world.ask(&ways);
        network.cut("a", "b");
        world.until_given(&ways).await;
        // Now there are two halves: a, e, d and b, c.
        network.cut("c", "d");
        for (from, to) in [("a", "c"), ("e", "b"), ("b", "a")] {
            world.until_refused(from, to).await;
        }
        world.until_given(&[("d", "a"), ("b", "c")]).await;
        load.end(&mut world.ledger, "in two halves").await;

        world.heal(&[("a", "b"), ("c", "d")]).await;
        world.until_given(&[("a", "c"), ("e", "b"), ("b", "a"), ("d", "b")]).await;
        world.agree("healed").await;
    });
}

/// Servers in a network, and what their applications got.
struct World<'n> {
    network: &'n Network,
    site: Site,
    ledger: Ledger,
}

impl<'n> World<'n> {
    async fn start(network: &'n Network, mut site: Site) -> Self {
        site.start_all().await;
        for (one, other) in network.links() {
            site.fill(one, other, 2 << 20);
        }
        Self { network, site, ledger: Ledger::default() }
    }

    fn ask(&self, ways: &[(&str, &str)]) -> Load {
        Load::begin(&self.site, ways, &json!({"number": 2}))
    }

    /// Waits until keys are given on all ways, and fetches them.
    async fn until_given(&self, ways: &[(&str, &str)]) {
        for (from, to) in ways {
            let given = keys(&self.until(from, to, StatusCode::OK).await);
            let url = self.site.url(to, &format!("sae-{from}"), "dec_keys");
            let fetched = post(&self.site.client(&format!("sae-{to}")), url, &ids(&given)).await;
            assert_eq!(keys(&fetched), given, "from {from} to {to}");
        }
    }

    /// Waits until there are no keys from one server to another any more: no way is left.
    async fn until_refused(&self, from: &str, to: &str) {
        self.until(from, to, StatusCode::SERVICE_UNAVAILABLE).await;
    }

    /// Until then, each answer is one of the two, within the time that clients wait.
    async fn until(&self, from: &str, to: &str, wanted: StatusCode) -> Answer {
        let client = self.site.client(&format!("sae-{from}"));
        let url = self.site.url(from, &format!("sae-{to}"), "enc_keys");
        let begun = Instant::now();
        loop {
            let answer = post(&client, url.clone(), &Value::Object(serde_json::Map::new())).await;
            if answer.status == wanted {
                return answer;
            }
            // At the start servers do not know one another yet: the application is unknown.
            let is_clean =
                [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_REQUEST].contains(&answer.status);
            assert!(is_clean && begun.elapsed() < PATIENCE, "from {from} to {to}: {answer:?}\n{}", self.site.log(from));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn heal(&self, links: &[(&str, &str)]) {
        for (one, other) in links {
            self.network.heal(one, other);
        }
    }

    /// Both ends of each link have the same in stock, and both sides of each pair of applications the same keys.
    async fn agree(&mut self, case: &str) {
        for (one, other) in self.network.links() {
            self.site.wait_for_agreement(one, other).await;
        }
        // What was on its way when the network fell apart may be gone: one answer of two keys for each application and cut.
        self.ledger.settle(&self.site, 16, case).await;
    }
}

const PATIENCE: Duration = Duration::from_secs(90);
