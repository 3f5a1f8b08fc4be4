//! The key-value store of a Vault, version 2: secrets by name, and data keys.

use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use vaultrs::api::kv2::requests::SetSecretRequestOptions;
use vaultrs::kv2;
use zeroize::Zeroizing;

use super::transit::decode;
use super::{Trouble, Vault};
use crate::secrets::data_key::KeyBytes;
use crate::secrets::guard::Guard;
use crate::secrets::{Sealing, SecretsError, WrappedKeys};

impl Vault {
    /// The secret bytes at `path`, as [`create`](Self::create) keeps them; `None` if there are none.
    ///
    /// # Errors
    /// [`SecretsError::Unavailable`]; [`SecretsError::Broken`] if something else lies there.
    pub async fn load(&self, path: &str) -> Result<Option<Zeroizing<Vec<u8>>>, SecretsError> {
        let Some(text) = self.read_field(path, FIELD).await? else { return Ok(None) };
        let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| SecretsError::Broken)?;
        Ok(Some(Zeroizing::new(bytes)))
    }

    /// Keeps secret bytes at `path`. Returns `false`, and keeps nothing, if something was there already.
    ///
    /// # Errors
    /// [`SecretsError::Unavailable`]: they may have been kept all the same.
    pub async fn create(&self, path: &str, secret: &[u8]) -> Result<bool, SecretsError> {
        let content = &Content { value: Zeroizing::new(STANDARD.encode(secret)) };
        let mount = &self.settings().kv_mount;
        let outcome = self.call(|session| async move {
            kv2::set_with_options(session.client(), mount, path, content, SetSecretRequestOptions { cas: 0 }).await
        });
        match outcome.await {
            Ok(_) => Ok(true),
            Err(Trouble::Refused { status: 400, why }) if why.contains("check-and-set") => Ok(false),
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// The text in a field of the secret at `path`; `None` if there is none.
    pub(crate) async fn read_field(&self, path: &str, field: &str) -> Result<Option<Zeroizing<String>>, SecretsError> {
        let mount = &self.settings().kv_mount;
        let found = self
            .call(|session| async move { kv2::read::<HashMap<String, Field>>(session.client(), mount, path).await });
        match found.await {
            Ok(mut fields) => Ok(fields.remove(field).and_then(Field::text)),
            Err(Trouble::Refused { status: 404, .. }) => Ok(None),
            Err(trouble) => Err(trouble.into()),
        }
    }
}

/// Data keys in the key-value store, one a secret, in a folder of it. The Vault guards them, so they are not wrapped.
pub(crate) struct VaultKeys {
    vault: Vault,
    folder: String,
}

impl VaultKeys {
    pub(crate) fn new(vault: Vault, folder: String) -> Self {
        Self { vault, folder }
    }

    fn path(&self, number: u32) -> String {
        format!("{}/{number}", self.folder)
    }
}

impl fmt::Debug for VaultKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the Vault's {}/{}", self.vault.settings().kv_mount, self.folder)
    }
}

impl WrappedKeys for VaultKeys {
    fn load(&self, number: u32) -> Sealing<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let found = self.vault.read_field(&self.path(number), FIELD).await?;
            Ok(found.map(|text| text.as_bytes().to_vec()))
        })
    }

    fn latest(&self) -> Sealing<'_, Option<u32>> {
        Box::pin(async move {
            let mount = &self.vault.settings().kv_mount;
            let listed =
                self.vault.call(|session| async move { kv2::list(session.client(), mount, &self.folder).await });
            match listed.await {
                Ok(names) => Ok(names.iter().filter_map(|name| name.parse().ok()).max()),
                Err(Trouble::Refused { status: 404, .. }) => Ok(None),
                Err(trouble) => Err(trouble.into()),
            }
        })
    }

    fn add<'k>(&'k self, number: u32, wrapped: &'k [u8]) -> Sealing<'k, bool> {
        Box::pin(async move {
            let key = decode(std::str::from_utf8(wrapped).map_err(|_| SecretsError::Broken)?)?;
            self.vault.create(&self.path(number), key.as_slice()).await
        })
    }
}

/// What guards keys that lie in the Vault: nothing else. They are only written as text.
#[derive(Debug)]
pub(crate) struct Plain;

impl Guard for Plain {
    fn wrap<'g>(&'g self, _: u32, key: &'g KeyBytes) -> Sealing<'g, Vec<u8>> {
        Box::pin(async move { Ok(STANDARD.encode(key.as_slice()).into_bytes()) })
    }

    fn unwrap<'g>(&'g self, _: u32, wrapped: &'g [u8]) -> Sealing<'g, KeyBytes> {
        Box::pin(async move { decode(std::str::from_utf8(wrapped).map_err(|_| SecretsError::Broken)?) })
    }
}

/// What a secret with bytes in it looks like.
#[derive(Serialize)]
struct Content {
    #[serde(serialize_with = "as_text")]
    value: Zeroizing<String>,
}

/// One field of a secret: only text can be used.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Text(String),
    Other(IgnoredAny),
}

impl Field {
    fn text(self) -> Option<Zeroizing<String>> {
        match self {
            Self::Text(text) => Some(Zeroizing::new(text)),
            Self::Other(_) => None,
        }
    }
}

fn as_text<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// Where bytes lie in a secret, as base64.
const FIELD: &str = "value";
