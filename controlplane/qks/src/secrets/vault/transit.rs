//! Data keys wrapped by a Vault's transit engine: the key that wraps them never leaves it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use vaultrs::api::transit::requests::{DecryptDataRequest, EncryptDataRequest};
use vaultrs::transit::data;
use zeroize::Zeroizing;

use super::{Trouble, Vault};
use crate::secrets::data_key::KeyBytes;
use crate::secrets::guard::Guard;
use crate::secrets::{Sealing, SecretsError};

/// A key of the transit engine. It must be one for authenticated encryption: `aes256-gcm96`, the default, or a `chacha20`.
pub(crate) struct Transit {
    vault: Vault,
    mount: String,
    key: String,
}

impl Transit {
    pub(crate) fn new(vault: Vault, mount: String, key: String) -> Self {
        Self { vault, mount, key }
    }
}

impl fmt::Debug for Transit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the Vault's key {}/{}", self.mount, self.key)
    }
}

impl Guard for Transit {
    fn wrap<'g>(&'g self, number: u32, key: &'g KeyBytes) -> Sealing<'g, Vec<u8>> {
        Box::pin(async move {
            let plain = Zeroizing::new(STANDARD.encode(key.as_slice()));
            let (plain, associated) = (&plain, &associated(number));
            let wrapped = self.vault.call(|session| async move {
                let mut options = EncryptDataRequest::builder();
                options.associated_data(associated.as_str());
                data::encrypt(session.client(), &self.mount, &self.key, plain, Some(&mut options)).await
            });
            Ok(wrapped.await?.ciphertext.into_bytes())
        })
    }

    fn unwrap<'g>(&'g self, number: u32, wrapped: &'g [u8]) -> Sealing<'g, KeyBytes> {
        Box::pin(async move {
            let wrapped = std::str::from_utf8(wrapped).map_err(|_| SecretsError::Broken)?;
            let associated = &associated(number);
            let opened = self.vault.call(|session| async move {
                let mut options = DecryptDataRequest::builder();
                options.associated_data(associated.as_str());
                data::decrypt(session.client(), &self.mount, &self.key, wrapped, Some(&mut options)).await
            });
            let plain = Zeroizing::new(opened.await.map_err(not_opened)?.plaintext);
            decode(&plain)
        })
    }
}

/// A data key from its base64.
pub(super) fn decode(text: &str) -> Result<KeyBytes, SecretsError> {
    let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| SecretsError::Broken)?);
    let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| SecretsError::Broken)?;
    Ok(Zeroizing::new(*bytes))
}

/// The Vault refuses both what was changed and a key that it does not have; only the latter can mend itself.
fn not_opened(trouble: Trouble) -> SecretsError {
    match trouble {
        Trouble::Refused { why, .. } if why.contains("key not found") => SecretsError::Unavailable(why),
        Trouble::Refused { .. } => SecretsError::Broken,
        trouble => trouble.into(),
    }
}

/// So that one wrapped key cannot stand in for another.
fn associated(number: u32) -> String {
    STANDARD.encode(format!("photongate data key {number}"))
}
