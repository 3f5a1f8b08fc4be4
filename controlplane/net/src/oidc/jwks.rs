//! Where a provider's keys come from, and how long they are kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use arc_swap::ArcSwapOption;
use http::StatusCode;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

use super::config::{JwksLocation, OidcConfig};
use super::key_set::KeySet;
use crate::https::{Https, NoAnswer};
use crate::tls::{ClientTls, ClientTlsFiles, TlsError};

/// The keys, as they were read last. They stay good while they cannot be read anew.
#[derive(Debug)]
pub(super) struct Jwks {
    source: Source,
    refresh: Duration,
    pause: Duration,
    held: ArcSwapOption<Held>,
    /// When they were asked for last, successfully or not. Locked while they are being asked for.
    attempt: Mutex<Option<Instant>>,
}

/// Why tokens of a provider cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The file cannot be read.
    #[error("the provider's keys cannot be read from {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// What was read is of no use.
    #[error("what {place} holds {problem}")]
    NoKeys {
        /// The file or URL.
        place: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The authorities that vouch for the provider.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The provider refuses.
    #[error("{url} answers with status {status}")]
    Refused {
        /// Where.
        url: Url,
        /// How.
        status: u16,
    },
    /// The provider does not answer.
    #[error("{url}: {problem}")]
    Unreachable {
        /// Where.
        url: Url,
        /// What happened.
        problem: NoAnswer,
    },
}

/// A set of keys.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) set: KeySet,
    since: Instant,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Url(Url, Https),
    Issuer { issuer: String, description: Url, https: Https },
}

/// What is of interest of an issuer's description (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Description {
    issuer: String,
    jwks_uri: String,
}

impl Jwks {
    /// Reads the keys, or begins to ask for them.
    pub(super) fn open(config: &OidcConfig) -> Result<Arc<Self>, OidcError> {
        let source = match &config.jwks {
            JwksLocation::File(path) => Source::File(path.clone()),
            JwksLocation::Url { url, ca } => Source::Url(url.clone(), client(url, ca.clone())?),
            JwksLocation::Issuer { description, ca } => Source::Issuer {
                issuer: config.issuer.clone(),
                description: description.clone(),
                https: client(description, ca.clone())?,
            },
        };
        let held = match &source {
            Source::File(path) => Some(read_file(path)?),
            Source::Url(..) | Source::Issuer { .. } => None,
        };
        let held = ArcSwapOption::from_pointee(held.map(|set| Held { set, since: Instant::now() }));
        let (refresh, pause) = (config.refresh, config.refresh_pause);
        let jwks = Arc::new(Self { source, refresh, pause, held, attempt: Mutex::default() });
        if jwks.held.load().is_none() {
            jwks.refresh_in_the_background(None);
        }
        Ok(jwks)
    }

    /// The keys, with the one called `id` among them if the provider has it; `None` if it has never answered.
    ///
    /// A key that is not known may be new, so the provider is asked again; and so it is for its own sake now and then, for keys that
    /// it has withdrawn.
    pub(super) async fn with(self: &Arc<Self>, id: &str) -> Option<Arc<Held>> {
        let held = self.held.load_full();
        let since = held.as_ref().map(|held| held.since);
        match &held {
            Some(held) if held.set.find(id).is_some() => {
                if held.since.elapsed() >= self.refresh {
                    self.refresh_in_the_background(since);
                }
            }
            _ => self.refresh(since).await,
        }
        self.held.load_full()
    }

    fn refresh_in_the_background(self: &Arc<Self>, since: Option<Instant>) {
        let jwks = Arc::clone(self);
        tokio::spawn(async move { jwks.refresh(since).await });
    }

    /// Asks for the keys, unless somebody has since `since`, or tried to a moment ago.
    async fn refresh(&self, since: Option<Instant>) {
        let mut attempt = self.attempt.lock().await;
        let is_newer = self.held.load().as_ref().map(|held| held.since) != since;
        if is_newer || attempt.is_some_and(|attempt| attempt.elapsed() < self.pause) {
            return;
        }
        *attempt = Some(Instant::now());
        match self.source.read().await {
            Ok(set) => self.held.store(Some(Arc::new(Held { set, since: Instant::now() }))),
            Err(error) => tracing::warn!(%error, "the OpenID provider's keys stay as they are"),
        }
    }
}

impl Source {
    async fn read(&self) -> Result<KeySet, OidcError> {
        match self {
            Self::File(path) => read_file(path),
            Self::Url(url, https) => read_url(url, https).await,
            // The keys may have moved: each time anew.
            Self::Issuer { issuer, description, https } => {
                let text = get(description, https).await?;
                let wrong = |problem| OidcError::NoKeys { place: description.to_string(), problem };
                let described = serde_json::from_slice::<Description>(&text);
                let described = described.map_err(|_| wrong("is no description of an OpenID provider"))?;
                // Section 4.3: otherwise one issuer could speak for another.
                if described.issuer != *issuer {
                    return Err(wrong("describes another issuer"));
                }
                let keys = Url::parse(&described.jwks_uri).ok().filter(|url| url.scheme() == "https");
                let keys = keys.ok_or_else(|| wrong("says that its keys are where anybody could change them"))?;
                read_url(&keys, https).await
            }
        }
    }
}

async fn read_url(url: &Url, https: &Https) -> Result<KeySet, OidcError> {
    let text = get(url, https).await?;
    KeySet::read(&text).map_err(|problem| OidcError::NoKeys { place: url.to_string(), problem })
}

async fn get(url: &Url, https: &Https) -> Result<Zeroizing<Vec<u8>>, OidcError> {
    let unreachable = |problem| OidcError::Unreachable { url: url.clone(), problem };
    let (status, text) = https.get(url.clone(), PATIENCE).await.map_err(unreachable)?;
    if status != StatusCode::OK {
        return Err(OidcError::Refused { url: url.clone(), status: status.as_u16() });
    }
    Ok(text)
}

fn read_file(path: &PathBuf) -> Result<KeySet, OidcError> {
    let text = fs::read(path).map_err(|source| OidcError::Unreadable { path: path.clone(), source })?;
    KeySet::read(&text).map_err(|problem| OidcError::NoKeys { place: path.display().to_string(), problem })
}

fn client(url: &Url, ca: PathBuf) -> Result<Https, OidcError> {
    let tls = ClientTls::load(ClientTlsFiles { ca, identity: None, expected: None })?;
    Https::new(&tls, LONGEST_SET).map_err(|problem| OidcError::Unreachable { url: url.clone(), problem })
}

/// For the whole answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// In bytes. Sets with certificate chains have some ten thousand.
const LONGEST_SET: usize = 512 * 1_024;
