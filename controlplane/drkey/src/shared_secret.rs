//! Secrets that two ASes were given by hand, in place of a key server. Compatible with LightningFilter's `shared_secrets`.

use photongate_crypto::{Key, Schedule};
use photongate_wire::UnixNanos;

use crate::derivation::{AsPair, shared_secret_input};
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
}

/// A shared secret consists of zeroes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a shared secret must not be all zeroes: generate one with `openssl rand -hex 16`")]
pub struct AllZeroSecret;

/// The AS-AS key of `pair` in `epoch`, made of a secret that both share.
#[must_use]
pub fn shared_secret_key(secret: &Key, pair: AsPair, epoch: Epoch) -> Key {
    Schedule::new(secret).derive(&shared_secret_input(pair, epoch.start))
}

/// The secrets shared with one peer, in the order in which they come into use. May be empty.
#[derive(Debug, Default)]
pub struct SharedSecrets(Vec<SharedSecret>);

impl SharedSecrets {
    /// Sorts `secrets`. Of several with the same `not_before` the last is used and the others are not.
    pub fn new(mut secrets: Vec<SharedSecret>) -> Self {
        secrets.sort_by_key(|secret| secret.not_before);
        Self(secrets)
    }

    /// The secret that comes into use at `not_before`.
    pub fn starting(&self, not_before: UnixNanos) -> Option<&SharedSecret> {
        self.0.iter().rfind(|secret| secret.not_before == not_before)
    }

    /// When the secrets come into use, ascending.
    pub fn starts(&self) -> impl Iterator<Item = UnixNanos> {
        self.0.iter().map(SharedSecret::not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_secrets_that_begin_together_the_last_is_used() {
        let secret = |byte, not_before| SharedSecret::new(Key::from_bytes([byte; 16]), UnixNanos(not_before)).unwrap();
        let secrets = SharedSecrets::new(vec![secret(3, 2_000), secret(1, 1_000), secret(2, 1_000)]);
        assert_eq!(secrets.starting(UnixNanos(1_000)).unwrap().secret().as_bytes()[0], 2);
        assert!(secrets.starting(UnixNanos(1_500)).is_none());
    }

    #[test]
    fn a_secret_of_zeroes_is_refused() {
        assert_eq!(SharedSecret::new(Key::from_bytes([0; 16]), UnixNanos(0)).unwrap_err(), AllZeroSecret);
    }
}
