//! Secrets that two ASes were given by hand, in place of a key server. Compatible with LightningFilter's `shared_secrets`.

use photongate_crypto::Key;
use photongate_wire::{Nanos, UnixNanos};

use crate::epoch::Epoch;

/// One secret, and from when on it is used.
#[derive(Debug)]
pub struct SharedSecret {
    secret: Key,
    not_before: UnixNanos,
}

impl SharedSecret {
    /// The secret that is used from `not_before` on. Epochs are counted from there.
    ///
    /// # Errors
    /// [`AllZeroSecret`] if nobody filled in the secret.
    pub fn new(secret: Key, not_before: UnixNanos) -> Result<Self, AllZeroSecret> {
        if secret.is_zero() { Err(AllZeroSecret) } else { Ok(Self { secret, not_before }) }
    }

    /// The secret itself.
    pub const fn secret(&self) -> &Key {
        &self.secret
    }

    /// The first instant at which the secret may be used.
    pub const fn not_before(&self) -> UnixNanos {
        self.not_before
    }

    /// The epoch of this secret in which `at` lies; `None` before the first, or if `length` is zero.
    pub(crate) fn epoch(&self, at: UnixNanos, length: Nanos) -> Option<Epoch> {
        let since = at.since_epoch(self.not_before)?;
        let past = since.0.checked_div(length.0)?;
        let start = self.not_before.saturating_add(Nanos(past * length.0));
        Some(Epoch { start, end: start.saturating_add(length) })
    }
}

/// A shared secret consists of zeroes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a shared secret must not be all zeroes: generate one with `openssl rand -hex 16`")]
pub struct AllZeroSecret;

/// The secrets shared with one peer, in the order in which they come into use. May be empty.
#[derive(Debug, Default)]
pub struct SharedSecrets(Vec<SharedSecret>);

impl SharedSecrets {
    /// Sorts `secrets`. Of several with the same `not_before` the last is used and the others are not.
    pub fn new(mut secrets: Vec<SharedSecret>) -> Self {
        secrets.sort_by_key(|secret| secret.not_before);
        Self(secrets)
    }

    /// The secret that a key fetched at `at` is made of, and the epoch of `length` that `at` lies in.
    ///
    /// It is the newest secret that may be used at `at`; its epochs follow one another from its `not_before`. `None` if
    /// no secret may be used yet.
    pub fn select(&self, at: UnixNanos, length: Nanos) -> Option<(&SharedSecret, Epoch)> {
        let newest = self.0.iter().rfind(|secret| secret.not_before <= at)?;
        Some((newest, newest.epoch(at, length)?))
    }

    /// When the first secret comes into use.
    pub(crate) fn first(&self) -> Option<UnixNanos> {
        self.0.first().map(SharedSecret::not_before)
    }

    /// When the next secret after `not_before` comes into use.
    pub(crate) fn next_after(&self, not_before: UnixNanos) -> Option<UnixNanos> {
        self.0.iter().map(SharedSecret::not_before).find(|next| *next > not_before)
    }
}
