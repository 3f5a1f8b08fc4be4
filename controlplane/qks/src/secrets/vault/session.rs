//! The conversation with a Vault: logging in, and staying so.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep, timeout};
use vaultrs::api::AuthInfo;
use vaultrs::auth::approle;
use vaultrs::client::{Client, VaultClient, VaultClientSettings};
use zeroize::{Zeroize, Zeroizing};

use super::{Inner, Login, Trouble};
use crate::secrets::{SecretRef, SecretsError};

/// A token, and what speaks with it.
pub(super) struct Session {
    client: VaultClient,
    /// How long the token lasts, from `since` on; `None` if it does not end.
    lease: Option<Duration>,
    since: Instant,
    renewable: bool,
}

impl Session {
    /// What the library's calls are made with.
    pub(super) fn client(&self) -> &VaultClient {
        &self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.client.settings.token.zeroize();
        self.client.middle.token.zeroize();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("lease", &self.lease)
            .field("renewable", &self.renewable)
            .finish_non_exhaustive()
    }
}

/// The session that is open, if one is.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    current: ArcSwapOption<Session>,
    /// Held while somebody logs in.
    opening: Mutex<()>,
    /// Told when a session was opened or forgotten.
    changed: Notify,
}

impl Sessions {
    fn put(&self, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        self.current.store(Some(Arc::clone(&session)));
        self.changed.notify_one();
        session
    }

    /// Forgets a session, unless another one has taken its place already.
    fn forget(&self, session: &Arc<Session>) {
        let previous = self.current.compare_and_swap(&Some(Arc::clone(session)), None);
        if previous.as_ref().is_some_and(|previous| Arc::ptr_eq(previous, session)) {
            self.changed.notify_one();
        }
    }
}

impl Inner {
    /// The session that is open. Logs in if there is none; everybody waits for whoever does so first.
    pub(super) async fn session(&self) -> Result<Arc<Session>, Trouble> {
        if let Some(session) = self.sessions.current.load_full() {
            return Ok(session);
        }
        let _opening = self.sessions.opening.lock().await;
        match self.sessions.current.load_full() {
            Some(session) => Ok(session),
            None => Ok(self.sessions.put(self.log_in().await?)),
        }
    }

    /// Whether the Vault has ended this session: then it is forgotten.
    pub(super) async fn has_ended(&self, session: &Arc<Session>) -> bool {
        let lookup = session.client.lookup().await;
        let ended = matches!(lookup.map_err(|error| Trouble::of(&error)), Err(Trouble::Denied(_)));
        if ended {
            self.sessions.forget(session);
        }
        ended
    }

    async fn log_in(&self) -> Result<Session, Trouble> {
        match &self.settings.login {
            Login::AppRole { mount, role_id, secret_id } => {
                let secret_id = own(secret_id)?;
                let stranger = self.client("")?;
                let since = Instant::now();
                let answer = approle::login(&stranger, mount, role_id, &secret_id).await;
                let auth = answer.map_err(|error| refused(Trouble::of(&error)))?;
                tracing::info!(seconds = auth.lease_duration, "logged in to the Vault");
                self.opened(auth, since)
            }
            Login::Token(token) => {
                let token = own(token)?;
                let client = self.client(&token)?;
                let since = Instant::now();
                let mut found = client.lookup().await.map_err(|error| refused(Trouble::of(&error)))?;
                found.id.zeroize();
                let lease = lease(found.ttl);
                Ok(Session { client, lease, since, renewable: found.renewable.unwrap_or(false) })
            }
        }
    }

    /// Makes the token last longer.
    async fn renew(&self, session: &Session) -> Result<Session, Trouble> {
        let since = Instant::now();
        let renewed = session.client.renew(None).await.map_err(|error| Trouble::of(&error))?;
        self.opened(renewed, since)
    }

    fn opened(&self, auth: AuthInfo, since: Instant) -> Result<Session, Trouble> {
        let token = Zeroizing::new(auth.client_token);
        let client = self.client(&token)?;
        Ok(Session { client, lease: lease(auth.lease_duration), since, renewable: auth.renewable })
    }

    /// A client with this token. The library would read the environment and the authorities of this machine; it gets our connections.
    fn client(&self, token: &str) -> Result<VaultClient, Trouble> {
        let settings = VaultClientSettings {
            address: NOWHERE.parse().expect("it is a URL"),
            ca_certs: Vec::new(),
            identity: None,
            timeout: None,
            token: token.to_owned(),
            verify: true,
            version: 1,
            wrapping: false,
            namespace: self.settings.namespace.clone(),
            proxy: None,
        };
        let mut client = VaultClient::new(settings).map_err(|error| Trouble::of(&error))?;
        client.settings.address = self.settings.address.clone();
        client.http.base = self.settings.address.to_string();
        client.http.http = self.http.clone();
        Ok(client)
    }
}

/// Logs in, renews the token before it ends, and logs in again when it cannot be renewed, for ever.
pub(super) async fn keep(inner: Arc<Inner>) {
    let mut pause = SHORTEST_PAUSE;
    let patience = inner.settings.patience;
    loop {
        let session = match timeout(patience, inner.session()).await {
            Ok(Ok(session)) => session,
            outcome => {
                match outcome {
                    Ok(Err(trouble)) => tracing::warn!("not logged in to the Vault: {}", SecretsError::from(trouble)),
                    _ => tracing::warn!("not logged in to the Vault: it does not answer in time"),
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
        };
        pause = SHORTEST_PAUSE;
        let changed = inner.sessions.changed.notified();
        match session.lease {
            None => changed.await,
            Some(lease) => {
                tokio::select! {
                    () = changed => continue,
                    () = tokio::time::sleep_until(session.since + lease.mul_f64(RENEW_AT)) => {}
                }
                refresh(&inner, &session, lease).await;
            }
        }
    }
}

/// Puts a session with more time in the place of this one.
async fn refresh(inner: &Inner, session: &Arc<Session>, lease: Duration) {
    let _opening = inner.sessions.opening.lock().await;
    let renewed = match session.renewable {
        true => timeout(inner.settings.patience, inner.renew(session)).await.ok().and_then(Result::ok),
        false => None,
    };
    // Near the end of the longest time that a token may have, renewing gives less and less.
    let outcome = match renewed.filter(|renewed| renewed.lease.is_none_or(|renewed| renewed >= lease / 2)) {
        Some(renewed) => Ok(Ok(renewed)),
        None => timeout(inner.settings.patience, inner.log_in()).await,
    };
    match outcome {
        Ok(Ok(session)) => drop(inner.sessions.put(session)),
        outcome => {
            if let Ok(Err(trouble)) = outcome {
                tracing::warn!("the token for the Vault could not be renewed: {}", SecretsError::from(trouble));
            }
            // It may still be good for a third of its time: it is tried again, until then or until it is denied.
            let left = (session.since + lease).saturating_duration_since(Instant::now());
            if left.is_zero() {
                inner.sessions.forget(session);
            } else {
                sleep((left / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
            }
        }
    }
}

/// What opens the Vault cannot lie in it.
fn own(secret: &SecretRef) -> Result<Zeroizing<String>, Trouble> {
    secret.resolve_outside().map_err(|error| Trouble::Closed(format!("there is nothing to log in with: {error}")))
}

fn refused(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Refused { why, .. } | Trouble::Denied(why) => {
            Trouble::Closed(format!("the Vault does not let us log in: {why}"))
        }
        trouble @ (Trouble::Away(_) | Trouble::Closed(_)) => trouble,
    }
}

fn lease(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// With a plain address, the library does not read certificates that nobody uses.
const NOWHERE: &str = "http://127.0.0.1";

/// Of a token's time.
const RENEW_AT: f64 = 2.0 / 3.0;

const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
