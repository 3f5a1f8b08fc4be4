//! Secrets at rest: what keeps key material unreadable in the database, and where the server's own secrets come from.
//!
//! Material is sealed by an [`Envelope`] with data keys. Those lie in the server's own store, wrapped with a master key that the operator
//! keeps or by a Vault's transit engine; or in a Vault's key-value store.

mod config;
mod data_key;
mod embedded;
mod envelope;
mod guard;
mod reference;
#[cfg(test)]
pub(crate) mod testing;
mod vault;

use std::fmt;
use std::pin::Pin;

use zeroize::Zeroizing;

pub use config::{Backend, OpenError, Opened, SecretsConfig};
pub use embedded::{Master, SHORTEST_PASSPHRASE};
pub use envelope::{Envelope, Limits, RewrapKeys};
pub use reference::{SecretRef, SecretRefError};
pub use vault::{Login, Vault, VaultHealth, VaultSettings};

/// Seals what is stored. Sealing many small things is cheap: a backend guards the keys that guard them, never each by itself.
pub trait Keyring: fmt::Debug + Send + Sync {
    /// Encrypts `plain` so that it can be opened only with the same `context`, which says what it is.
    fn seal<'k>(&'k self, context: &'k [u8], plain: &'k [u8]) -> Sealing<'k, Vec<u8>>;

    /// Decrypts what [`seal`](Self::seal) made.
    fn open<'k>(&'k self, context: &'k [u8], sealed: &'k [u8]) -> Sealing<'k, Zeroizing<Vec<u8>>>;
}

/// What sealing and opening return.
pub type Sealing<'k, T> = Pin<Box<dyn Future<Output = Result<T, SecretsError>> + Send + 'k>>;

/// Why something cannot be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// What guards the keys does not answer, is sealed, or refuses for now. It is worth asking again.
    #[error("the secret store is not available: {0}")]
    Unavailable(String),
    /// It was sealed by somebody else, for something else, or was changed.
    #[error("sealed material cannot be opened: it was changed, or belongs to another server")]
    Broken,
}

/// Where a [`Keyring`] keeps its wrapped keys: they are useless without what wrapped them.
pub trait WrappedKeys: fmt::Debug + Send + Sync {
    /// The wrapped key of that number, if there is one.
    fn load(&self, number: u32) -> Sealing<'_, Option<Vec<u8>>>;

    /// The highest number there is.
    fn latest(&self) -> Sealing<'_, Option<u32>>;

    /// Keeps a wrapped key. Returns `false`, and keeps nothing, if another process was faster with this number.
    fn add<'k>(&'k self, number: u32, wrapped: &'k [u8]) -> Sealing<'k, bool>;
}

/// A keyring of a process whose data keys are in `keys`, for tests of what is sealed.
#[cfg(test)]
pub(crate) fn keyring_of(keys: std::sync::Arc<dyn WrappedKeys>) -> std::sync::Arc<dyn Keyring> {
    let master = embedded::MasterKeys::new(Master::Key(Zeroizing::new([1; 32])), Vec::new());
    std::sync::Arc::new(Envelope::new(master, keys, Limits::default()))
}
