//! A headless Chromium that opens a page, types into it and reads what it shows.

use std::fs::{self, File};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use url::{ParseError, Url};

use crate::support::lab::{Namespace, Patience};

/// A browser in a network namespace. It is closed when it is dropped; what is left of it then ends with the namespace.
pub(crate) struct Browser {
    client: Client,
    runtime: Runtime,
    driver: Driver,
}

impl Browser {
    /// Starts chromedriver, and a Chromium with a profile of its own, in `namespace`.
    ///
    /// # Errors
    /// They are not installed, which the error has the command for, or do not start.
    pub(crate) fn start(namespace: &Namespace, patience: &Patience) -> Result<Self> {
        let driver = Driver::start(namespace, patience)?;
        // Sockets belong to the namespace of the thread that makes them: this runtime's thread is started in there.
        let runtime = namespace.enter(|| Ok(Builder::new_multi_thread().worker_threads(1).enable_all().build()?))?;
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(driver.capabilities());
        let address = format!("http://127.0.0.1:{}", driver.port);
        let client = runtime.block_on(runtime.spawn(async move { builder.connect(&address).await }))?;
        let client = client.with_context(|| format!("Chromium does not start: {}", driver.output()))?;
        Ok(Self { client, runtime, driver })
    }

    /// Opens a page and waits until it has loaded.
    pub(crate) fn open(&self, url: &str) -> Result<()> {
        Ok(self.runtime.block_on(self.client.goto(url))?)
    }

    /// Types into the field that `selector` finds, in place of what is there.
    pub(crate) fn fill(&self, selector: &str, text: &str) -> Result<()> {
        self.runtime.block_on(async {
            let field = self.client.find(Locator::Css(selector)).await?;
            field.clear().await?;
            Ok(field.send_keys(text).await?)
        })
    }

    /// Clicks at what `selector` finds, which must be visible.
    pub(crate) fn click(&self, selector: &str) -> Result<()> {
        self.runtime.block_on(async { Ok(self.client.find(Locator::Css(selector)).await?.click().await?) })
    }

    /// The text in what `selector` finds; `None` if it finds nothing, or nothing that can be seen.
    pub(crate) fn text(&self, selector: &str) -> Result<Option<String>> {
        let script = "const found = document.querySelector(arguments[0]);
            return found?.checkVisibility() ? found.textContent : null";
        Ok(self.evaluate(script, json!(selector))?.as_str().map(str::to_owned))
    }

    /// The attribute of what `selector` finds.
    pub(crate) fn attribute(&self, selector: &str, name: &str) -> Result<Option<String>> {
        let script = "return document.querySelector(arguments[0][0])?.getAttribute(arguments[0][1]) ?? null";
        Ok(self.evaluate(script, json!([selector, name]))?.as_str().map(str::to_owned))
    }

    /// What a script returns that is given `argument`.
    pub(crate) fn evaluate(&self, script: &str, argument: Value) -> Result<Value> {
        Ok(self.runtime.block_on(self.client.execute(script, vec![argument]))?)
    }

    /// What the browser had to complain about since it was last asked: refused by the content security policy, not found,
    /// exceptions.
    pub(crate) fn complaints(&self) -> Result<Vec<String>> {
        let entries = self.runtime.block_on(self.client.issue_cmd(BrowserLog))?;
        let entries = entries.as_array().context("the browser's log is no list")?;
        let serious = entries.iter().filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        Ok(serious.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let client = self.client.clone();
        // The namespace's end is the end of what does not close.
        let _ = self.runtime.block_on(async { timeout(CLOSE_TIMEOUT, client.close()).await });
        self.driver.stop();
    }
}

/// A running chromedriver.
struct Driver {
    process: Child,
    port: u16,
    directory: TempDir,
}

impl Driver {
    fn start(namespace: &Namespace, patience: &Patience) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let output = File::create(directory.path().join(OUTPUT))?;
        let mut command = namespace.command("chromedriver");
        command.arg("--port=0").env("HOME", directory.path()).stdout(output.try_clone()?).stderr(output);
        let process = command.stdin(Stdio::null()).spawn().context(INSTALL)?;
        let mut driver = Self { process, port: 0, directory };
        driver.port = patience.until("chromedriver to start", START_TIMEOUT, || {
            if let Some(status) = driver.process.try_wait()? {
                bail!("chromedriver ended at once ({status}): {}\n{INSTALL}", driver.output());
            }
            let output = driver.output();
            let port = output.split_once("started successfully on port ").and_then(|(_, rest)| rest.split_once('.'));
            Ok(port.and_then(|(port, _)| port.parse().ok()))
        })?;
        Ok(driver)
    }

    fn capabilities(&self) -> Capabilities {
        let profile = format!("--user-data-dir={}", self.directory.path().join("profile").display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([profile.as_str()]).collect();
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        capabilities.as_object().expect("it is one").clone()
    }

    fn output(&self) -> String {
        fs::read_to_string(self.directory.path().join(OUTPUT)).unwrap_or_default().trim().to_owned()
    }

    fn stop(&mut self) {
        // Both fail only for a process that has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Takes what is new in the browser's log, which WebDriver itself does not know and chromedriver does.
#[derive(Debug)]
struct BrowserLog;

impl WebDriverCompatibleCommand for BrowserLog {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _request: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}

/// No window, no sandbox (which root cannot have), and nothing that a browser does of its own accord.
const ARGUMENTS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

const INSTALL: &str = "the test needs Chromium: apt-get install chromium chromium-driver, or run scripts/setup.sh";

/// What chromedriver prints.
const OUTPUT: &str = "chromedriver.log";

/// Machines under load take their time.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
