//! Secret values: the keys at the top of SCION's DRKey hierarchy, known to one AS only.

use pbkdf2::pbkdf2_hmac;
use pbkdf2::sha2::Sha256;
use photongate_crypto::Key;
use photongate_wire::{Nanos, UnixNanos};
use zeroize::Zeroizing;

use crate::epoch::Epoch;
use crate::protocol::Protocol;

/// The secret value of an AS for `protocol` and `epoch`, from the AS's master secret.
///
/// Source: scionproto `pkg/drkey`, `DeriveSV`: PBKDF2 with HMAC-SHA-256, 1,000 iterations.
///
/// # Errors
/// [`EpochNotInSeconds`] if an end of the epoch is not a whole second that fits 32 bits.
pub fn secret_value(master: &[u8], protocol: Protocol, epoch: Epoch) -> Result<Key, EpochNotInSeconds> {
    let start = whole_seconds(epoch.start).ok_or(EpochNotInSeconds(epoch))?;
    let end = whole_seconds(epoch.end).ok_or(EpochNotInSeconds(epoch))?;

    // Room for all of it at once: a vector that grows would leave part of the secret behind, unwiped.
    let mut password = Zeroizing::new(Vec::with_capacity(master.len() + 18));
    password.extend_from_slice(&(master.len() as u64).to_be_bytes());
    password.extend_from_slice(master);
    password.extend_from_slice(&protocol.to_be_bytes());
    password.extend_from_slice(&start.to_be_bytes());
    password.extend_from_slice(&end.to_be_bytes());

    let mut bytes = Zeroizing::new([0; Key::LEN]);
    pbkdf2_hmac::<Sha256>(&password, SALT, ITERATIONS, bytes.as_mut_slice());
    Ok(Key::from_bytes(*bytes))
}

/// The epoch does not begin and end at whole seconds, or lies after 2106.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an epoch of secret values must begin and end at whole seconds before 2106, not {0}")]
pub struct EpochNotInSeconds(pub Epoch);

fn whole_seconds(instant: UnixNanos) -> Option<u32> {
    let second = Nanos::from_secs(1).0;
    u32::try_from(instant.0 / second).ok().filter(|_| instant.0.is_multiple_of(second))
}

const SALT: &[u8] = b"Derive DRKey Key";
const ITERATIONS: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_that_is_not_whole_seconds_of_32_bits_has_no_secret_value() {
        let second = 1_000_000_000;
        for (start, end) in [(0, second + 1), (1, second), (0, (1 << 32) * second)] {
            let epoch = Epoch { start: UnixNanos(start), end: UnixNanos(end) };
            assert_eq!(secret_value(b"secret", Protocol::GENERIC, epoch).unwrap_err(), EpochNotInSeconds(epoch));
        }
    }
}
