//! The dashboard, as an operator sees it in a browser: a filter, real packets, and the numbers on the page. Needs root, for
//! namespaces, and Chromium.

#![cfg(feature = "dataplane")]

#[path = "support/browser.rs"]
mod browser;
mod support;

use std::fs;

use anyhow::{Context, Result};
use browser::Browser;
use reqwest::Client;
use serde_json::json;
use support::{Network, Setup, filter_name, host};

#[test]
fn the_numbers_on_the_page_are_those_of_the_packets_that_were_sent() {
    let Some(network) = Network::start(setup()) else { return };
    network.connect_hosts();
    let attacker = network.internet.attacker_socket().unwrap();
    let _listening = host::listen_udp(&network.sides[1].host, &support::HOST_B, 7000).unwrap();
    let page = Page::sign_in(&network);

    let before = page.all_packets("accepted");
    let genuine = network.overhear(&attacker, 7000, 50);
    page.shows_packets("verdict", "accepted", before + 100);
    network.refused(&attacker, "duplicate", genuine.iter().map(|packet| packet.frame().to_vec()));
    page.shows_packets("reason", "duplicate", 100);

    let held_back = network.intercept(&attacker, 7000, 50);
    let flipped = held_back.iter().enumerate().map(|(index, packet)| packet.with_header_bit_flipped(index));
    network.refused(&attacker, "bad_mac", flipped);
    page.shows_packets("reason", "bad_mac", 100);
    page.shows_packets("verdict", "dropped", 200);
    let explanation = page.browser.text("#drops tr:has([data-reason='bad_mac']) .explanation").unwrap().unwrap();
    assert!(explanation.starts_with("The MAC does not match"), "{explanation}");

    let counters = network.filters[1].counters().unwrap();
    for verdict in ["accepted", "outbound", "best_effort", "control"] {
        page.shows_packets("verdict", verdict, counters.forwarded(verdict));
    }
    page.shows_packets("verdict", "received", counters.received);
    page.plots_what_came();
    page.is_content();
    drop(page);
    network.stop();
}

#[test]
fn the_page_says_what_is_wrong_with_the_token_the_keys_and_the_connection() {
    let Some(network) = Network::start(setup()) else { return };
    let page = Page::open(&network);
    page.enter_token(&format!("pgt_{}", "0".repeat(64)));
    page.shows("#token-error", "refused this token");
    page.enter_token(&page.token("read"));
    page.shows("#state", "ready");
    page.shows("#connection", "live");
    page.shows("#isd-as", "20-ff00:0:112");
    page.shows("[data-fact='peers-with-keys']", "1");
    page.shows("#peers [data-peer='1-ff00:0:111'] [data-part='inbound']", "left");
    page.shows("#peers [data-peer='1-ff00:0:111'] [data-part='name']", "protocol 3 · lf");

    page.revoke_keys_of("1-ff00:0:111/3").unwrap();
    page.shows("#state", "not ready");
    page.shows("#reasons-not-ready", "1-ff00:0:111");
    page.shows("[data-fact='dark']", "1");
    page.shows("#degraded [data-peer='1-ff00:0:111'] [data-degraded='dark']", "dark");
    page.shows("#peers [data-peer='1-ff00:0:111'] [data-part='inbound']", "no key");

    let Page { browser, .. } = page;
    let [_, filter] = network.filters;
    filter.stop(&network.patience).unwrap();
    let lost = || Ok(browser.text("#lost")?.is_some_and(|text| text.contains("Next attempt in")).then_some(()));
    network.patience.until("the page to miss the filter", support::TIMEOUT, lost).unwrap();
    assert_eq!(browser.text("#connection").unwrap().as_deref(), Some("connection lost"));
}

/// The dashboard of filter B, in a browser.
struct Page<'n> {
    browser: Browser,
    network: &'n Network,
}

impl<'n> Page<'n> {
    /// Opens it; it asks for a token.
    fn open(network: &'n Network) -> Self {
        let browser = Browser::start(&network.sides[1].filter, &network.patience).unwrap();
        browser.open("http://127.0.0.1:8479/").unwrap();
        Self { browser, network }
    }

    /// Opens it with the token of somebody who may look.
    fn sign_in(network: &'n Network) -> Self {
        let page = Self::open(network);
        page.enter_token(&page.token("read"));
        page.shows("#state", "ready");
        page
    }

    fn enter_token(&self, token: &str) {
        self.network.eventually("the page to ask for a token", || Ok(self.browser.text("#token-form")?.is_some()));
        self.browser.fill("#token", token).unwrap();
        self.browser.click("#token-form button").unwrap();
    }

    /// A token of filter B's.
    fn token(&self, role: &str) -> String {
        let folder = self.network.directory.path().join(format!("{}-state", filter_name('b')));
        fs::read_to_string(folder.join(format!("{role}.token"))).unwrap().trim().to_owned()
    }

    /// Waits until what `selector` finds can be seen and contains `text`.
    #[track_caller]
    fn shows(&self, selector: &str, text: &str) {
        let what = format!("{selector} to show {text:?}");
        self.network.eventually(&what, || Ok(self.browser.text(selector)?.is_some_and(|shown| shown.contains(text))));
    }

    /// Waits until the page shows `packets` packets of a `verdict` or dropped for a `reason`.
    #[track_caller]
    fn shows_packets(&self, kind: &str, name: &str, packets: u64) {
        let what = format!("the page to show {packets} packets of {name}");
        self.network.eventually(&what, || Ok(self.packets(kind, name)? == Some(packets)));
    }

    /// The packets of a verdict, once the page shows as many as the filter has counted.
    fn all_packets(&self, verdict: &str) -> u64 {
        let counted = self.network.filters[1].counters().unwrap().forwarded(verdict);
        self.shows_packets("verdict", verdict, counted);
        counted
    }

    fn packets(&self, kind: &str, name: &str) -> Result<Option<u64>> {
        let cell = format!("[data-{kind}='{name}'][data-unit='packets']");
        // What people read, without the spaces between groups of digits.
        let shown = self.browser.text(&cell)?.unwrap_or_default();
        let digits: String = shown.chars().filter(|sign| !sign.is_whitespace()).collect();
        let value = self.browser.attribute(&cell, "data-value")?;
        Ok(value.filter(|value| *value == digits).and_then(|value| value.parse().ok()))
    }

    /// Checks that there is something on the canvas.
    fn plots_what_came(&self) {
        let script = "const canvas = document.querySelector('#plot canvas');
            const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            return pixels.some((part) => part !== 0)";
        assert_eq!(self.browser.evaluate(script, json!(null)).unwrap(), true, "the plot is empty");
    }

    /// Checks that nothing was refused by the policy or not found, and that nothing came from another host.
    fn is_content(&self) {
        assert_eq!(self.browser.complaints().unwrap(), Vec::<String>::new());
        let script = "return performance.getEntriesByType('resource').map(({ name }) => name)
            .filter((name) => !name.startsWith(location.origin + '/'))";
        assert_eq!(self.browser.evaluate(script, json!(null)).unwrap(), json!([]), "requests to other hosts");
    }

    /// Revokes all keys of a peer of filter B's, as root may over the Unix socket.
    fn revoke_keys_of(&self, peer: &str) -> Result<()> {
        let socket = self.network.directory.path().join(format!("{}-api.sock", filter_name('b')));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = Client::builder().unix_socket(socket).build()?;
            let request = client.post(format!("http://localhost/api/v1/peers/{peer}/revoke")).json(&json!({}));
            request.send().await?.error_for_status().map(drop).context("the filter does not revoke")
        })
    }
}

/// Where the filters can be managed, each in its own namespace.
fn setup() -> Setup {
    Setup { listen: r#""127.0.0.1:8479""#, ..Setup::default() }
}
