//! Keys from the key server of the filter's AS, which derives or fetches them.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use photongate_crypto::Key;
use photongate_drkey::{AsPair, Epoch, Protocol, calendar};
use photongate_net::tls::{ClientTls, ClientTlsFiles, SubjectPattern, TlsError};
use photongate_wire::{IsdAs, UnixNanos};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Direction, FetchError, FetchedKey, KeyRequest, KeySource};

/// Which key server, and what it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyServerOptions {
    /// Where its interface to applications is: an `https` URL that ends in `/`.
    pub url: Url,
    /// Where it is also, if several processes are that server.
    pub other_urls: Vec<Url>,
    /// The authorities that vouch for it, a PEM file.
    pub ca: PathBuf,
    /// The filter's certificate, a PEM file. The key server knows the filter by it.
    pub certificate: PathBuf,
    /// Its private key, a PEM file.
    pub key: PathBuf,
    /// What the key server's certificate must be called.
    pub server: SubjectPattern,
}

/// Asks the key server. All peers share one.
pub struct KeyServer {
    bases: Vec<Url>,
    /// The one that gave a key last.
    current: AtomicUsize,
    http: reqwest::Client,
    tls: ClientTls,
}

/// Why the key server cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum KeyServerError {
    /// A certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What the HTTP library says about the rest.
    #[error("{0}")]
    Http(String),
}

/// The keys shared with one peer.
#[derive(Debug)]
pub struct KeyServerSource {
    server: Arc<KeyServer>,
    local: IsdAs,
    peer: IsdAs,
    protocol: Protocol,
}

impl KeyServer {
    /// A client that has not asked yet.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn new(options: &KeyServerOptions) -> Result<Self, KeyServerError> {
        let tls = ClientTls::load(ClientTlsFiles {
            ca: options.ca.clone(),
            identity: Some((options.certificate.clone(), options.key.clone())),
            expected: Some(options.server.clone()),
        })?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.config().as_ref().clone())
            .user_agent(concat!("photongate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| KeyServerError::Http(causes(&error)))?;
        let bases = std::iter::once(&options.url).chain(&options.other_urls).cloned().collect();
        Ok(Self { bases, current: AtomicUsize::new(0), http, tls })
    }

    /// Reads certificates and key anew. Connections that begin from now on use them.
    ///
    /// # Errors
    /// A file cannot be used. What was read before stays in use.
    pub fn reload(&self) -> Result<(), KeyServerError> {
        Ok(self.tls.reload()?)
    }

    /// A key, from whichever process of the server has it.
    async fn level1(&self, pair: AsPair, protocol: Protocol, at: UnixNanos) -> Result<(Key, Epoch), FetchError> {
        let (count, first) = (self.bases.len(), self.current.load(Ordering::Relaxed));
        let mut outcome = Err(FetchError::Unavailable("the key server has no URL".to_owned()));
        for place in (first..).take(count).map(|place| place % count) {
            outcome = self.level1_of(&self.bases[place], pair, protocol, at).await;
            if !matches!(outcome, Err(FetchError::Unavailable(_))) {
                self.current.store(place, Ordering::Relaxed);
                break;
            }
        }
        outcome
    }

    async fn level1_of(
        &self,
        base: &Url,
        pair: AsPair,
        protocol: Protocol,
        at: UnixNanos,
    ) -> Result<(Key, Epoch), FetchError> {
        let unavailable = |why: &str| FetchError::Unavailable(format!("the key server {base}: {why}"));
        let mut url = base.join(PATH).map_err(|error| unavailable(&error.to_string()))?;
        url.query_pairs_mut()
            .append_pair("fast", &pair.fast.to_string())
            .append_pair("slow", &pair.slow.to_string())
            .append_pair("protocol", &protocol.to_string())
            .append_pair("at", &calendar(at).to_string());
        let answer = self.http.get(url).send().await.map_err(|error| unavailable(&causes(&error)))?;
        let status = answer.status();
        let body = body(answer).await.map_err(|why| unavailable(&why))?;
        if status != StatusCode::OK {
            return Err(refused(base, status, &body));
        }
        let document: Level1 = serde_json::from_slice(&body).map_err(|_| unavailable("its answer cannot be read"))?;
        document.key(pair, protocol).ok_or_else(|| unavailable("it answers for another key"))
    }
}

impl KeyServerSource {
    /// The keys between `local` and `peer`, from `server`.
    pub fn new(server: Arc<KeyServer>, local: IsdAs, peer: IsdAs, protocol: Protocol) -> Self {
        Self { server, local, peer, protocol }
    }

    async fn fetch_key(&self, request: KeyRequest) -> Result<FetchedKey, FetchError> {
        let pair = match request.direction {
            Direction::Inbound => AsPair { fast: self.local, slow: self.peer },
            Direction::Outbound => AsPair { fast: self.peer, slow: self.local },
        };
        let (key, epoch) = self.server.level1(pair, self.protocol.level1(), request.at).await?;
        Ok(FetchedKey { key, epoch, successor_from: None })
    }
}

impl KeySource for KeyServerSource {
    fn kind(&self) -> &'static str {
        "qks"
    }

    fn fetch(&self, request: KeyRequest) -> Pin<Box<dyn Future<Output = Result<FetchedKey, FetchError>> + Send + '_>> {
        Box::pin(self.fetch_key(request))
    }
}

impl fmt::Debug for KeyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyServer({})", self.bases[0])
    }
}

/// What the key server answers.
#[derive(Deserialize)]
struct Level1 {
    fast: String,
    slow: String,
    protocol: u16,
    epoch: Level1Epoch,
    key: Zeroizing<String>,
}

#[derive(Deserialize)]
struct Level1Epoch {
    not_before: String,
    not_after: String,
}

impl Level1 {
    /// The key, if it is the one that was asked for.
    fn key(&self, pair: AsPair, protocol: Protocol) -> Option<(Key, Epoch)> {
        let is_it =
            self.fast.parse() == Ok(pair.fast) && self.slow.parse() == Ok(pair.slow) && self.protocol == protocol.0;
        let instant = |time: &str| u64::try_from(time.parse::<Timestamp>().ok()?.as_nanosecond()).ok().map(UnixNanos);
        let epoch = Epoch { start: instant(&self.epoch.not_before)?, end: instant(&self.epoch.not_after)? };
        let mut bytes = Zeroizing::new([0; Key::LEN + 2]);
        let length = BASE64_STANDARD.decode_slice(self.key.as_bytes(), bytes.as_mut_slice()).ok()?;
        let bytes = bytes.first_chunk::<{ Key::LEN }>().filter(|_| length == Key::LEN && is_it)?;
        Some((Key::from_bytes(*bytes), epoch))
    }
}

async fn body(mut answer: Response) -> Result<Zeroizing<Vec<u8>>, String> {
    // As long as it can be: a vector that grows would leave parts of the key behind.
    let mut body = Zeroizing::new(Vec::with_capacity(LONGEST_ANSWER));
    while let Some(chunk) = answer.chunk().await.map_err(|error| causes(&error))? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err("its answer is too long".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn refused(server: &Url, status: StatusCode, body: &[u8]) -> FetchError {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let message = serde_json::from_slice(body).map_or_else(|_| status.to_string(), |Refusal { message }| message);
    let why = format!("the key server {server}: {message}");
    match status {
        StatusCode::UNAUTHORIZED => {
            let reason = format!(
                "the key server {server} has not registered this filter for the filter's AS: see [[drkey.filters]] there"
            );
            FetchError::NoKey { reason, until: None }
        }
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => FetchError::NoKey { reason: why, until: None },
        _ => FetchError::Unavailable(why),
    }
}

/// The whole chain of causes: the outermost says only that a request failed.
fn causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

const PATH: &str = "api/v1/drkey/level1";

/// The caller gives up sooner, if its keys are to be had in less.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Fetches come in waves, hours apart.
const IDLE: Duration = Duration::from_secs(30);
const LONGEST_ANSWER: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> AsPair {
        AsPair { fast: "1-ff00:0:111".parse().unwrap(), slow: "1-ff00:0:112".parse().unwrap() }
    }

    fn answer(changes: &[(&str, &str)]) -> Option<(Key, Epoch)> {
        let mut text = r#"{"fast":"1-ff00:0:111","slow":"1-ff00:0:112","protocol":0,
            "epoch":{"not_before":"2026-01-01T00:00:00Z","not_after":"2026-01-02T00:00:00Z"},"key":"CQkJCQkJCQkJCQkJCQkJCQ=="}"#
            .to_owned();
        for (from, to) in changes {
            assert!(text.contains(from));
            text = text.replacen(from, to, 1);
        }
        serde_json::from_str::<Level1>(&text).ok()?.key(pair(), Protocol::GENERIC)
    }

    #[test]
    fn an_answer_has_the_key_and_the_times_of_its_epoch() {
        let (key, epoch) = answer(&[]).unwrap();
        assert_eq!(key.as_bytes(), &[9; 16]);
        assert_eq!(epoch.to_string(), "2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z");
    }

    #[test]
    fn an_answer_about_another_key_or_with_no_whole_key_is_refused() {
        for change in [
            ("\"fast\":\"1-ff00:0:111\"", "\"fast\":\"1-ff00:0:112\""),
            ("\"slow\":\"1-ff00:0:112\"", "\"slow\":\"1-ff00:0:113\""),
            ("\"protocol\":0", "\"protocol\":1"),
            ("CQkJCQkJCQkJCQkJCQkJCQ==", "CQkJCQkJCQkJCQkJCQkJ"),
            ("CQkJCQkJCQkJCQkJCQkJCQ==", "CQkJCQkJCQkJCQkJCQkJCQkJ"),
            ("CQkJCQkJCQkJCQkJCQkJCQ==", "not base64"),
            ("2026-01-01T00:00:00Z", "1960-01-01T00:00:00Z"),
        ] {
            assert!(answer(&[change]).is_none(), "{change:?}");
        }
    }
}
