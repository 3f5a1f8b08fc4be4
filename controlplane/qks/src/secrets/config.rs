//! `[secrets]` of the configuration, and what it opens.

use std::sync::Arc;
use std::time::Duration;

use photongate_net::config::{FromValue, Reported, Section, Value};
use photongate_net::secret_file::{NotHex, parse_hex};
use photongate_net::tls::TlsError;
use photongate_wire::Nanos;
use url::{Host, Url};

use super::embedded::{Master, MasterKeys, SHORTEST_PASSPHRASE};
use super::vault::{Plain, Transit, VaultKeys};
use super::{Envelope, Limits, Login, SecretRef, SecretRefError, SecretsError, Vault, VaultSettings, WrappedKeys};

/// `[secrets]`.
#[derive(Clone, Debug)]
pub struct SecretsConfig {
    /// What guards the data keys.
    pub backend: Backend,
    /// The Vault, if there is one: other secrets of the configuration may lie in it, whatever the backend is.
    pub vault: Option<VaultSettings>,
}

/// What guards the data keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A master key.
    Key {
        /// The one in force: 64 hexadecimal digits.
        current: SecretRef,
        /// Those in force before, which still open what they have wrapped.
        previous: Vec<SecretRef>,
    },
    /// A passphrase that a master key is made from.
    Passphrase {
        /// The one in force.
        current: SecretRef,
        /// Those in force before.
        previous: Vec<SecretRef>,
    },
    /// A key of the Vault's transit engine.
    Transit {
        /// Where the engine is mounted.
        mount: String,
        /// The key's name.
        key: String,
    },
    /// The Vault's key-value store.
    KeyValue {
        /// The folder in it.
        folder: String,
    },
}

/// What `[secrets]` has opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Seals and opens what is stored.
    pub keyring: Envelope,
    /// The Vault, for [`SecretRef::resolve`] and for secrets of the server's own.
    pub vault: Option<Vault>,
}

/// Why the secrets cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The Vault's authorities cannot be used.
    #[error("secrets.vault.ca: {0}")]
    Ca(#[from] TlsError),
    /// A master key or passphrase cannot be had.
    #[error("secrets.{field}: {why}")]
    Reference {
        /// The field that names it.
        field: &'static str,
        /// Why not.
        why: SecretRefError,
    },
    /// It is there, and is no master key.
    #[error("secrets.master_key: {secret} is no master key: {why}; make one with `openssl rand -hex 32`")]
    NotAKey {
        /// Where it is.
        secret: SecretRef,
        /// What is wrong with it.
        why: NotHex,
    },
    /// It can be guessed.
    #[error("secrets.passphrase: {secret} has less than {SHORTEST_PASSPHRASE} characters, so it can be guessed")]
    ShortPassphrase {
        /// Where it is.
        secret: SecretRef,
    },
    /// The keys in the store were wrapped by something else.
    #[error(
        "what guards the keys is not what has wrapped them: bring the former master key back, as a previous one if need be"
    )]
    OtherGuard,
}

impl SecretsConfig {
    /// Reads `[secrets]`.
    ///
    /// # Errors
    /// Its mistakes have been reported.
    pub fn read(secrets: &mut Section<'_>) -> Result<Self, Reported> {
        let vault = secrets.optional_section("vault", vault);
        let master_key = secrets.optional("master_key");
        let previous_keys = secrets.list("previous_master_keys");
        let passphrase = secrets.optional("passphrase");
        let previous_passphrases = secrets.list("previous_passphrases");
        let vault = vault?;
        let in_vault = vault.as_ref().and_then(|(_, backend)| backend.clone());
        let (master_key, passphrase) = (master_key?, passphrase?);
        let (previous_keys, previous_passphrases) = (previous_keys?, previous_passphrases?);
        let backend = match (master_key, passphrase, in_vault) {
            (Some(current), None, None) => Backend::Key { current, previous: previous_keys },
            (None, Some(current), None) => Backend::Passphrase { current, previous: previous_passphrases },
            (None, None, Some(backend)) => backend,
            (None, None, None) => {
                return Err(secrets.refuse(
                    "master_key",
                    "nothing guards the keys at rest: add master_key = { file = \"master.key\" }, made with \
                     `openssl rand -hex 32`; or passphrase; or vault.transit_key or vault.key_folder",
                ));
            }
            _ => {
                let message = "keys at rest have one guard: keep one of master_key, passphrase, vault.transit_key and vault.key_folder";
                return Err(secrets.refuse("master_key", message));
            }
        };
        Ok(Self { backend, vault: vault.map(|(settings, _)| settings) })
    }

    /// Whether it names guards that were in force before.
    pub fn names_previous(&self) -> bool {
        match &self.backend {
            Backend::Key { previous, .. } | Backend::Passphrase { previous, .. } => !previous.is_empty(),
            Backend::Transit { .. } | Backend::KeyValue { .. } => false,
        }
    }

    /// Opens what guards the keys that lie in `storage`. A Vault is not waited for.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(&self, storage: Arc<dyn WrappedKeys>) -> Result<Opened, OpenError> {
        let vault = self.vault.clone().map(Vault::start).transpose()?;
        let limits = Limits::default();
        let keyring = match (&self.backend, &vault) {
            (Backend::Key { current, previous }, vault) => {
                let masters = masters(current, previous, vault.as_ref(), "master_key", master_key).await?;
                Envelope::new(masters, storage, limits)
            }
            (Backend::Passphrase { current, previous }, vault) => {
                let masters = masters(current, previous, vault.as_ref(), "passphrase", passphrase).await?;
                Envelope::new(masters, storage, limits)
            }
            (Backend::Transit { mount, key }, Some(vault)) => {
                Envelope::new(Transit::new(vault.clone(), mount.clone(), key.clone()), storage, limits)
            }
            (Backend::KeyValue { folder }, Some(vault)) => {
                Envelope::new(Plain, Arc::new(VaultKeys::new(vault.clone(), folder.clone())), limits)
            }
            (Backend::Transit { .. } | Backend::KeyValue { .. }, None) => {
                return Err(OpenError::Reference { field: "vault", why: SecretRefError::NoVault });
            }
        };
        match keyring.verify().await {
            Err(SecretsError::Broken) => Err(OpenError::OtherGuard),
            // It may come back by itself.
            Err(SecretsError::Unavailable(why)) => {
                tracing::warn!("it is not known yet whether keys at rest can be opened: {why}");
                Ok(Opened { keyring, vault })
            }
            Ok(()) => Ok(Opened { keyring, vault }),
        }
    }
}

async fn masters(
    current: &SecretRef,
    previous: &[SecretRef],
    vault: Option<&Vault>,
    field: &'static str,
    master: fn(&SecretRef, &str) -> Result<Master, OpenError>,
) -> Result<MasterKeys, OpenError> {
    let mut masters = Vec::with_capacity(previous.len());
    for secret in [current].into_iter().chain(previous) {
        let text = secret.resolve(vault).await.map_err(|why| OpenError::Reference { field, why })?;
        masters.push(master(secret, &text)?);
    }
    let current = masters.remove(0);
    Ok(MasterKeys::new(current, masters))
}

fn master_key(secret: &SecretRef, text: &str) -> Result<Master, OpenError> {
    let bytes = parse_hex(text.trim()).map_err(|why| OpenError::NotAKey { secret: secret.clone(), why })?;
    Ok(Master::Key(bytes))
}

fn passphrase(secret: &SecretRef, text: &str) -> Result<Master, OpenError> {
    if text.chars().count() < SHORTEST_PASSPHRASE {
        return Err(OpenError::ShortPassphrase { secret: secret.clone() });
    }
    Ok(Master::Passphrase(text.to_owned().into()))
}

/// Reads `[secrets.vault]`: the Vault, and whether it guards the keys at rest.
fn vault(vault: &mut Section<'_>) -> Result<(VaultSettings, Option<Backend>), Reported> {
    let address = vault.required_with("address", "\"https://vault.example:8200\"", address);
    let ca = vault.optional_with("ca", Value::path);
    let namespace = vault.optional("namespace");
    let role_id = vault.optional::<String>("role_id");
    let secret_id = vault.optional_with("secret_id", outside);
    let mount = vault.or_with("approle_mount", "approle".to_owned(), path);
    let token = vault.optional_with("token", outside);
    let kv_mount = vault.or_with("kv_mount", "secret".to_owned(), path);
    let transit_mount = vault.or_with("transit_mount", "transit".to_owned(), path);
    let transit_key = vault.optional_with("transit_key", path);
    let key_folder = vault.optional_with("key_folder", path);
    let patience = vault.or_with("timeout", DEFAULT_PATIENCE, patience);
    let login = match (role_id?, secret_id?, token?) {
        (Some(role_id), Some(secret_id), None) => Login::AppRole { mount: mount?, role_id, secret_id },
        (None, None, Some(token)) => Login::Token(token),
        (None, None, None) => return Err(vault.missing("role_id", "\"(the role's identifier)\"")),
        (Some(_), None, None) => return Err(vault.missing("secret_id", SecretRef::EXAMPLE)),
        (None, Some(_), None) => return Err(vault.missing("role_id", "\"(the role's identifier)\"")),
        (_, _, Some(_)) => {
            return Err(vault.refuse("token", "there is one way to log in: remove token, or role_id and secret_id"));
        }
    };
    let backend = match (transit_key?, key_folder?) {
        (Some(key), None) => Some(Backend::Transit { mount: transit_mount?, key }),
        (None, Some(folder)) => Some(Backend::KeyValue { folder }),
        (None, None) => None,
        (Some(_), Some(_)) => {
            return Err(vault.refuse("key_folder", "keys at rest have one guard: remove key_folder or transit_key"));
        }
    };
    let settings = VaultSettings {
        address: address?,
        ca: ca?,
        namespace: namespace?,
        login,
        kv_mount: kv_mount?,
        patience: patience?,
    };
    Ok((settings, backend))
}

fn address(value: &Value<'_>) -> Result<Url, Reported> {
    let url: Url =
        value.text()?.parse().map_err(|_| value.refuse("is no address: write it like https://vault.example:8200"))?;
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err(value.refuse("names no host: write it like https://vault.example:8200")),
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        "http" => Err(value.refuse("would carry secrets over a network in clear: write https://")),
        _ => Err(value.refuse("is no address of a Vault: write it like https://vault.example:8200")),
    }
}

/// What opens the Vault cannot lie in it.
fn outside(value: &Value<'_>) -> Result<SecretRef, Reported> {
    match SecretRef::from_value(value)? {
        SecretRef::Vault { .. } => {
            Err(value.refuse_secret("what opens the Vault cannot lie in it: write { file = \"…\" }"))
        }
        secret => Ok(secret),
    }
}

fn patience(value: &Value<'_>) -> Result<Duration, Reported> {
    let patience = Duration::from(Nanos::from_value(value)?);
    if !(SHORTEST_PATIENCE..=LONGEST_PATIENCE).contains(&patience) {
        return Err(value.refuse("is no time to wait for a Vault: at least 100ms, at most 60s"));
    }
    Ok(patience)
}

/// A path or a name in the Vault.
fn path(value: &Value<'_>) -> Result<String, Reported> {
    let path = value.text()?.trim_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if path.is_empty() || !path.bytes().all(is_plain) || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(value
            .refuse("is no path in a Vault: write letters, digits, \"-\", \"_\", \".\", with \"/\" between folders"));
    }
    Ok(path.to_owned())
}

const DEFAULT_PATIENCE: Duration = Duration::from_secs(2);
const SHORTEST_PATIENCE: Duration = Duration::from_millis(100);
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
