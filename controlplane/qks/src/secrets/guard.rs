//! What guards data keys.

use std::fmt;

use super::Sealing;
use super::data_key::KeyBytes;

/// Wraps data keys so that they can be stored: the embedded master key does, or a Vault.
pub(crate) trait Guard: fmt::Debug + Send + Sync {
    /// Makes the data key of this number useless to whoever does not have the guard.
    fn wrap<'g>(&'g self, number: u32, key: &'g KeyBytes) -> Sealing<'g, Vec<u8>>;

    /// Undoes [`wrap`](Self::wrap), for the same number.
    fn unwrap<'g>(&'g self, number: u32, wrapped: &'g [u8]) -> Sealing<'g, KeyBytes>;
}
