//! A Vault (HashiCorp's, or OpenBao), where secrets are kept by others than us.
//!
//! There is one conversation with it, in which we are logged in; a task of its own renews the token before it ends and logs in again when
//! it cannot be renewed. While the Vault is sealed, gone or too slow, whatever needs it fails at once but for an attempt now and then,
//! and nothing has to be done for it to go on afterwards.
//!
//! The library in between (`vaultrs`) keeps requests and answers in memory that it does not wipe; what we take out of them is wiped.

mod key_value;
mod outage;
mod session;
mod transit;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use photongate_net::tls::{ClientTls, ClientTlsFiles, TlsError};
use reqwest::{redirect, tls};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use url::Url;
use vaultrs::error::ClientError;

pub(crate) use key_value::{Plain, VaultKeys};
pub(crate) use transit::Transit;

use super::{SecretRef, SecretsError};
use outage::Outage;
use session::{Session, Sessions};

/// Where a Vault is, and as whom we ask it.
#[derive(Clone, Debug)]
pub struct VaultSettings {
    /// Its address, as `https://vault.example:8200`.
    pub address: Url,
    /// The authorities that its certificate is believed from; those of this machine if `None`.
    pub ca: Option<PathBuf>,
    /// The namespace that all paths lie in.
    pub namespace: Option<String>,
    /// As whom we ask.
    pub login: Login,
    /// Where the key-value store, version 2, is mounted.
    pub kv_mount: String,
    /// How long any answer may take, attempts included.
    pub patience: Duration,
}

/// As whom a Vault is asked.
#[derive(Clone, Debug)]
pub enum Login {
    /// As a machine with a role.
    AppRole {
        /// Where the authentication method is mounted: `approle`, by default.
        mount: String,
        /// The role's identifier.
        role_id: String,
        /// What proves it.
        secret_id: SecretRef,
    },
    /// With a token that somebody else has got for us.
    Token(SecretRef),
}

/// How a Vault is, by its own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultHealth {
    /// It serves.
    Ready,
    /// It hands requests on to one that serves.
    Standby,
    /// Its operators have to unseal it.
    Sealed,
    /// Its operators have to initialise it.
    Uninitialised,
    /// Something else answers, or nothing.
    Unreachable(String),
}

/// A Vault. Clones share the conversation, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct Vault {
    inner: Arc<Inner>,
    _keeper: Arc<Keeper>,
}

impl Vault {
    /// Begins to log in. Must be called within a tokio runtime. It is not waited for the Vault, which may come later.
    ///
    /// # Errors
    /// The file of authorities cannot be used.
    pub fn start(settings: VaultSettings) -> Result<Self, TlsError> {
        let http = http(&settings)?;
        let inner = Arc::new(Inner { sessions: Sessions::default(), outage: Outage::default(), http, settings });
        let keeper = tokio::spawn(session::keep(Arc::clone(&inner))).abort_handle();
        Ok(Self { inner, _keeper: Arc::new(Keeper(keeper)) })
    }

    /// How it is, by its own account: asked without a token, and whatever happened before.
    pub async fn health(&self) -> VaultHealth {
        let mut url = self.inner.settings.address.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(["v1", "sys", "health"]),
            Err(()) => return VaultHealth::Unreachable("its address has no path".to_owned()),
        };
        match timeout(self.inner.settings.patience, self.inner.http.get(url).send()).await {
            Err(_) => VaultHealth::Unreachable("it does not answer in time".to_owned()),
            Ok(Err(error)) => VaultHealth::Unreachable(innermost(&error)),
            Ok(Ok(answer)) => match answer.status().as_u16() {
                200 => VaultHealth::Ready,
                429 | 473 => VaultHealth::Standby,
                501 => VaultHealth::Uninitialised,
                503 => VaultHealth::Sealed,
                status => VaultHealth::Unreachable(format!("it answers with status {status}")),
            },
        }
    }

    /// Whether it can be used now: it is well, and we are logged in.
    ///
    /// # Errors
    /// What keeps it from being used.
    pub async fn ready(&self) -> Result<(), SecretsError> {
        match self.health().await {
            VaultHealth::Ready | VaultHealth::Standby => {}
            VaultHealth::Sealed => return Err(unavailable("the Vault is sealed")),
            VaultHealth::Uninitialised => return Err(unavailable("the Vault is not initialised")),
            VaultHealth::Unreachable(why) => return Err(unavailable(&format!("the Vault cannot be reached: {why}"))),
        }
        let session = timeout(self.inner.settings.patience, self.inner.session()).await;
        match session {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(trouble)) => Err(trouble.into()),
            Err(_) => Err(unavailable("the Vault does not answer in time")),
        }
    }

    /// Makes a call, again if the token had ended or the connection was stale.
    async fn call<T, R>(&self, call: impl Fn(Arc<Session>) -> R) -> Result<T, Trouble>
    where
        R: Future<Output = Result<T, ClientError>>,
    {
        self.inner.call(call).await
    }

    fn settings(&self) -> &VaultSettings {
        &self.inner.settings
    }
}

#[derive(Debug)]
struct Inner {
    settings: VaultSettings,
    http: reqwest::Client,
    sessions: Sessions,
    outage: Outage,
}

impl Inner {
    async fn call<T, R>(&self, call: impl Fn(Arc<Session>) -> R) -> Result<T, Trouble>
    where
        R: Future<Output = Result<T, ClientError>>,
    {
        let patience = self.settings.patience;
        self.outage.check(patience)?;
        let outcome = match timeout(patience, self.attempts(call)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Trouble::Away(format!("the Vault does not answer within {patience:?}"))),
        };
        match &outcome {
            Err(Trouble::Away(why) | Trouble::Closed(why)) => self.outage.begin(why),
            Ok(_) | Err(Trouble::Denied(_) | Trouble::Refused { .. }) => self.outage.end(),
        }
        outcome
    }

    async fn attempts<T, R>(&self, call: impl Fn(Arc<Session>) -> R) -> Result<T, Trouble>
    where
        R: Future<Output = Result<T, ClientError>>,
    {
        let mut attempt = 1;
        loop {
            let session = self.session().await?;
            let trouble = match call(Arc::clone(&session)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => Trouble::of(&error),
            };
            let again = match &trouble {
                // The token may have been revoked, or have ended while the Vault was away; or it has no right to this.
                Trouble::Denied(_) => attempt == 1 && self.has_ended(&session).await,
                // A connection that was kept may have ended with the Vault that it led to.
                Trouble::Away(_) => attempt < MOST_ATTEMPTS,
                Trouble::Closed(_) | Trouble::Refused { .. } => false,
            };
            if !again {
                return Err(trouble);
            }
            tokio::time::sleep(BETWEEN_ATTEMPTS * attempt).await;
            attempt += 1;
        }
    }
}

/// Ends the task that keeps the conversation alive.
#[derive(Debug)]
struct Keeper(AbortHandle);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    /// The Vault is gone, too slow, or answers nonsense.
    Away(String),
    /// It says that it does not serve: it is sealed, or does not let us log in.
    Closed(String),
    /// The token is no good, or has no right to this.
    Denied(String),
    /// The request itself is refused.
    Refused { status: u16, why: String },
}

impl Trouble {
    /// Shows only what the Vault says is wrong, never the body of an answer.
    fn of(error: &ClientError) -> Self {
        match error {
            ClientError::APIError { code: 403, errors } => {
                Self::Denied(format!("the Vault denies it: {}", joined(errors)))
            }
            ClientError::APIError { code: code @ 400..500, errors } if *code != 429 => {
                Self::Refused { status: *code, why: joined(errors) }
            }
            ClientError::APIError { code, errors } => {
                Self::Closed(format!("the Vault answers {code}: {}", joined(errors)))
            }
            error => Self::Away(format!("the Vault cannot be asked: {}", innermost(error))),
        }
    }
}

impl From<Trouble> for SecretsError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Away(why) | Trouble::Closed(why) | Trouble::Denied(why) => Self::Unavailable(why),
            Trouble::Refused { status, why } => {
                Self::Unavailable(format!("the Vault refuses with status {status}: {why}"))
            }
        }
    }
}

fn unavailable(why: &str) -> SecretsError {
    SecretsError::Unavailable(why.to_owned())
}

fn joined(errors: &[String]) -> String {
    if errors.is_empty() { "no reason given".to_owned() } else { errors.join("; ").replace(['\n', '\t'], " ") }
}

/// What lies at the bottom of an error.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().expect("there is the first").to_string()
}

fn http(settings: &VaultSettings) -> Result<reqwest::Client, TlsError> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("photongate/", env!("CARGO_PKG_VERSION")))
        // A token goes nowhere but to the address in the configuration.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(settings.patience)
        .connect_timeout(settings.patience);
    let builder = match &settings.ca {
        Some(ca) => {
            let tls = ClientTls::load(ClientTlsFiles { ca: ca.clone(), identity: None, expected: None })?;
            builder.tls_backend_preconfigured(Arc::unwrap_or_clone(tls.config()))
        }
        None if settings.address.scheme() == "http" => builder.tls_certs_only([]),
        None => builder.tls_version_min(tls::Version::TLS_1_3),
    };
    Ok(builder.build().expect("nothing else in it can fail"))
}

const MOST_ATTEMPTS: u32 = 3;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);
