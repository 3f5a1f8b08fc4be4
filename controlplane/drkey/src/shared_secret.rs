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

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Nanos = Nanos(100);

    fn secret(byte: u8, not_before: u64) -> SharedSecret {
        SharedSecret::new(Key::from_bytes([byte; 16]), UnixNanos(not_before)).unwrap()
    }

    /// The first byte of the secret selected at `at`, and the start and end of the epoch.
    fn selected(secrets: &SharedSecrets, at: u64) -> Option<(u8, u64, u64)> {
        let (secret, epoch) = secrets.select(UnixNanos(at), LENGTH)?;
        Some((secret.secret().as_bytes()[0], epoch.start.0, epoch.end.0))
    }

    #[test]
    fn epochs_follow_one_another_from_the_beginning_of_the_secret() {
        let secrets = SharedSecrets::new(vec![secret(1, 1_030)]);
        assert_eq!(selected(&secrets, 1_029), None);
        assert_eq!(selected(&secrets, 1_030), Some((1, 1_030, 1_130)));
        assert_eq!(selected(&secrets, 1_129), Some((1, 1_030, 1_130)));
        assert_eq!(selected(&secrets, 1_130), Some((1, 1_130, 1_230)));
    }

    #[test]
    fn the_newest_secret_that_may_be_used_is_selected_in_whatever_order_they_are_given() {
        let secrets = SharedSecrets::new(vec![secret(2, 1_250), secret(3, 9_000), secret(1, 1_000)]);
        assert_eq!(selected(&secrets, 1_249), Some((1, 1_200, 1_300)));
        assert_eq!(selected(&secrets, 1_250), Some((2, 1_250, 1_350)));
        assert_eq!(selected(&secrets, 9_000), Some((3, 9_000, 9_100)));
    }

    #[test]
    fn of_secrets_that_begin_together_the_last_is_selected() {
        let secrets = SharedSecrets::new(vec![secret(1, 1_000), secret(2, 1_000)]);
        assert_eq!(selected(&secrets, 1_000), Some((2, 1_000, 1_100)));
    }

    #[test]
    fn an_epoch_beyond_the_end_of_all_clocks_ends_with_them() {
        let secrets = SharedSecrets::new(vec![secret(1, u64::MAX - 10)]);
        assert_eq!(selected(&secrets, u64::MAX), Some((1, u64::MAX - 10, u64::MAX)));
    }

    #[test]
    fn epochs_of_no_length_are_none() {
        let secrets = SharedSecrets::new(vec![secret(1, 1_000)]);
        assert!(secrets.select(UnixNanos(1_000), Nanos(0)).is_none());
    }

    #[test]
    fn a_secret_of_zeroes_is_refused() {
        assert_eq!(SharedSecret::new(Key::from_bytes([0; 16]), UnixNanos(0)).unwrap_err(), AllZeroSecret);
    }
}
