//! The dashboard of a key server, as an operator sees it in a browser: two running servers with a simulated QKD link between them, and
//! the numbers on the page. Needs root, for namespaces, and Chromium.

#![cfg(feature = "dataplane")]

#[path = "support/browser.rs"]
mod browser;
#[path = "qks/site.rs"]
mod site;
mod support;

use std::fmt::Write as _;
use std::fs;

use browser::Browser;
use photongate_net::secret_file;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use site::{Site, answer, post};
use support::lab::{Namespace, Patience};
use tokio::runtime::{Builder, Runtime};

#[test]
fn the_page_shows_links_stock_rates_an_eavesdropper_and_what_is_detached() {
    let Some(_only_one) = support::namespaces() else { return };
    let patience = support::patience();
    let namespace = Namespace::create("qks").unwrap();
    // Processes and sockets belong to the namespace of the thread that makes them.
    namespace
        .enter(|| {
            look_at_the_page(&namespace, &patience);
            Ok(())
        })
        .unwrap();
}

fn look_at_the_page(namespace: &Namespace, patience: &Patience) {
    let servers = Servers::start();
    let page = Page { browser: Browser::start(namespace, patience).unwrap(), patience };
    page.browser.open(&format!("http://127.0.0.1:{ADMIN_PORT}/")).unwrap();
    page.eventually("the page to ask for a token", || page.text("#token-form").is_some());
    page.browser.fill("#token", &servers.token("read")).unwrap();
    page.browser.click("#token-form button").unwrap();

    page.shows("#server", "qks-a");
    page.shows("#state", "ready");
    page.shows("#connection", "live");
    page.shows("[data-fact='neighbours-up']", "1");
    page.shows("[data-fact='sources-producing']", "2");
    // The map: both servers, and the link between them with its error ratio.
    page.eventually("the map to show the link", || {
        page.attribute("#map [data-node='qks-b']", "class").as_deref() == Some("node up")
            && page.attribute("#map [data-edge='qks-a qks-b']", "class").as_deref() == Some("edge good")
            && page
                .text("#map [data-label='qks-b']")
                .is_some_and(|text| text.contains("ready") && text.contains("QBER"))
    });
    page.eventually("the page to show a key rate", || {
        let rate = page.attribute("[data-link='sim'][data-unit='rate']", "data-value");
        rate.is_some_and(|rate| rate.parse::<f64>().is_ok_and(|rate| rate > 0.0))
    });
    // Numbers of the page are those of the interface; they stand still once no light comes any more.
    servers.set_channel("pulses_per_second", &json!(1));
    page.eventually("the page to show the stock", || {
        let stock = servers.read("neighbours")[0]["stock"].clone();
        ["ready", "neighbours"].iter().all(|part| {
            let shown = page.attribute(&format!("[data-neighbour='qks-b'] [data-stock='{part}']"), "data-value");
            let bytes = stock[format!("{part}_bytes")].as_u64().filter(|bytes| *bytes > 0);
            bytes.is_some() && shown.and_then(|shown| shown.parse().ok()) == bytes
        })
    });
    page.eventually("the page to show the error ratio", || {
        let quality = servers.read("links")[1]["sources"][0]["quality"].clone();
        let shown = page.attribute("[data-link='sim'][data-unit='qber']", "data-value");
        let leaked = page.attribute("[data-link='sim'][data-unit='leaked']", "data-value");
        shown.is_some_and(|shown| shown.parse::<f64>().ok() == quality["qber"].as_f64())
            && leaked.is_some_and(|leaked| leaked.parse().ok() == quality["leaked_bits"].as_u64())
    });
    servers.take_keys(7);
    page.eventually("the page to show the keys that were delivered", || {
        page.attribute("[data-fact='keys-delivered']", "data-value").as_deref() == Some("7")
    });
    assert!(page.text("#alarms-panel").is_none(), "no alarm can be seen");

    servers.set_channel("eavesdropper", &json!(1.0));
    servers.set_channel("pulses_per_second", &json!(50_000_000));
    page.shows("#alarms [data-alarm='qber']", "Somebody may be listening");
    page.shows("#alarms [data-alarm='qber'] [data-alarm-part='message']", "of the bits are wrong");
    page.shows("#alarms [data-alarm='qber'] [data-alarm-part='advice']", "Look at the fibre");
    page.shows("[data-link='sim'][data-unit='phase']", "alarm");
    page.eventually("the map to show the alarm", || {
        page.attribute("#map [data-edge='qks-a qks-b']", "class").as_deref() == Some("edge alarm")
    });
    servers.set_channel("eavesdropper", &json!(0.0));
    page.eventually("the alarm to end", || page.text("#alarms [data-alarm='qber']").is_none());
    page.shows("[data-link='sim'][data-unit='phase']", "keys come");

    servers.set_attached("ab", false);
    page.shows("[data-link='ab'][data-unit='phase']", "detached");
    page.shows("[data-fact='sources']", "1");
    assert!(!page.text("#links").unwrap().contains("keyfile"), "its source is not there any more");
    servers.set_attached("ab", true);
    page.shows("#links", "keyfile");
    page.eventually("the link to be attached again", || {
        let phase = page.attribute("[data-link='ab'][data-unit='phase']", "data-phase");
        phase.is_some_and(|phase| phase != "detached")
    });
    page.plots_something();
    assert_eq!(page.browser.complaints().unwrap(), Vec::<String>::new());
}

/// Key servers A and B, with a link of key files and a simulated one.
struct Servers {
    site: Site,
    runtime: Runtime,
}

impl Servers {
    fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let mut site = Site::new(&["a", "b"], &[("a", "b")]);
        secret_file::replace(&site.path("a").join("secret"), b"0123456789abcdef").unwrap();
        site.fill("a", "b", 1 << 20);
        runtime.block_on(async {
            for server in ["b", "a"] {
                site.more = simulated(&site, server);
                if server == "a" {
                    let _ = write!(site.more, "[admin]\nlisten = [\"127.0.0.1:{ADMIN_PORT}\"]\n");
                }
                site.start(server).await;
            }
            site.wait_for_keys("a", "sae-a", "sae-b", 1_000).await;
        });
        Self { site, runtime }
    }

    fn token(&self, role: &str) -> String {
        let file = self.site.path("a").join(format!("state/{role}.token"));
        fs::read_to_string(file).unwrap().trim_end().to_owned()
    }

    fn ask(&self, method: Method, path: &str, body: &Value) -> Value {
        let client = Client::builder().no_proxy().build().unwrap();
        let request = client.request(method, format!("http://127.0.0.1:{ADMIN_PORT}/api/v1/{path}"));
        let request = request.bearer_auth(self.token("admin")).header("content-type", "application/json");
        let answer = self.runtime.block_on(answer(request.body(body.to_string())));
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        answer.json
    }

    fn read(&self, path: &str) -> Value {
        self.ask(Method::GET, path, &Value::Null)
    }

    /// Changes one thing about the channel of the simulated link.
    fn set_channel(&self, setting: &str, value: &Value) {
        let path = "links/sim/sources/0/channels/0";
        let mut channel = self.read(path);
        channel[setting] = value.clone();
        assert_eq!(&self.ask(Method::PUT, path, &channel)[setting], value);
    }

    /// Attaches the QKD modules of a link, or detaches them.
    fn set_attached(&self, link: &str, attached: bool) {
        let answer = self.ask(Method::PUT, &format!("links/{link}/attachment"), &json!({ "attached": attached }));
        assert_eq!(answer["attached"], attached, "{answer}");
    }

    fn take_keys(&self, number: u64) {
        let url = self.site.url("a", "sae-b", "enc_keys");
        let (client, body) = (self.site.client("sae-a"), json!({ "number": number }));
        let taken = self.runtime.block_on(post(&client, url, &body));
        assert_eq!(taken.status, StatusCode::OK, "{taken:?}");
    }
}

/// A simulated link, whose blocks and probes take little time.
fn simulated(site: &Site, server: &str) -> String {
    let (other, end) = if server == "a" { ("b", "connect") } else { ("a", "listen") };
    let secret = site.path("a").join("secret");
    format!(
        r#"
[[links]]
name = "sim"
neighbour = "qks-{other}"
[[links.sources]]
kind = "bb84"
{end} = "127.0.0.1:{LIGHT_PORT}"
secret = {{ file = "{}" }}
block_bits = 65536
probe_bits = 4096
probes = 1
probe_pause_ms = 200
"#,
        secret.display()
    )
}

/// The dashboard of server A, in a browser.
struct Page<'p> {
    browser: Browser,
    patience: &'p Patience,
}

impl Page<'_> {
    #[track_caller]
    fn eventually(&self, what: &str, happened: impl Fn() -> bool) {
        let happened = self.patience.until(what, support::TIMEOUT, || Ok(happened().then_some(())));
        happened.unwrap_or_else(|error| {
            panic!(
                "{error:#}; the page shows {:?}, the browser says {:?}",
                self.text("body"),
                self.browser.complaints()
            )
        });
    }

    /// Waits until what `selector` finds can be seen and contains `text`.
    #[track_caller]
    fn shows(&self, selector: &str, text: &str) {
        let what = format!("{selector} to show {text:?}");
        self.eventually(&what, || self.text(selector).is_some_and(|shown| shown.contains(text)));
    }

    fn text(&self, selector: &str) -> Option<String> {
        self.browser.text(selector).unwrap()
    }

    fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        self.browser.attribute(selector, name).unwrap()
    }

    /// Checks that there is something on the canvas.
    fn plots_something(&self) {
        let script = "const canvas = document.querySelector('#plot canvas');
            const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            return pixels.some((part) => part !== 0)";
        assert_eq!(self.browser.evaluate(script, json!(null)).unwrap(), true, "the plot is empty");
    }
}

/// In a namespace of our own all ports are free, but for 8480, where server B is administered by default.
const ADMIN_PORT: u16 = 8490;
const LIGHT_PORT: u16 = 8450;
