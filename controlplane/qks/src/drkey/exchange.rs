//! How a key travels between key servers: encrypted under key material that only the two have, and that is used for nothing else.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use photongate_crypto::Key;
use photongate_drkey::{AsPair, Epoch, Protocol};
use photongate_wire::{IsdAs, Nanos, UnixNanos};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{DrkeyError, LONGEST_EPOCH, Level1Request, SHORTEST_EPOCH};
use crate::encoding::{Bytes64, text};
use crate::stock::Piece;

/// `POST /peer/v1/drkey/level1`: the caller serves the slow side, and wants a key of a fast side that is served by who is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level1Question {
    #[serde(with = "text")]
    fast: IsdAs,
    #[serde(with = "text")]
    slow: IsdAs,
    protocol: u16,
    /// An instant of its epoch, in nanoseconds since 1970.
    at: u64,
}

/// The key, encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level1Answer {
    #[serde(flatten)]
    epoch: EpochSeconds,
    /// The key material it is encrypted with. The neighbour was told of it before.
    pub(super) pieces: Vec<Piece>,
    /// What AES-256-GCM makes of the key.
    ciphertext: Bytes64,
}

/// When a key's epoch begins and ends, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EpochSeconds {
    not_before: u64,
    not_after: u64,
}

impl Level1Question {
    pub(super) fn request(&self) -> Level1Request {
        let pair = AsPair { fast: self.fast, slow: self.slow };
        Level1Request { pair, protocol: Protocol(self.protocol), at: UnixNanos(self.at) }
    }
}

impl From<Level1Request> for Level1Question {
    fn from(Level1Request { pair, protocol, at }: Level1Request) -> Self {
        Self { fast: pair.fast, slow: pair.slow, protocol: protocol.0, at: at.0 }
    }
}

impl Level1Answer {
    /// The key's epoch, if it is one that answers the request.
    pub(super) fn epoch(&self, request: &Level1Request) -> Option<Epoch> {
        self.epoch.answers(request)
    }
}

impl EpochSeconds {
    /// The epoch, if a key of it answers the request.
    pub(super) fn answers(self, request: &Level1Request) -> Option<Epoch> {
        let instant = |seconds: u64| seconds.checked_mul(SECOND.0).map(UnixNanos);
        let epoch = Epoch { start: instant(self.not_before)?, end: instant(self.not_after)? };
        let length = epoch.end.since_epoch(epoch.start)?;
        let fits = (SHORTEST_EPOCH.0..=LONGEST_EPOCH.0).contains(&length.0) && epoch.contains(request.at);
        fits.then_some(epoch)
    }
}

impl From<Epoch> for EpochSeconds {
    fn from(epoch: Epoch) -> Self {
        let [not_before, not_after] = [epoch.start, epoch.end].map(|instant| instant.0 / SECOND.0);
        Self { not_before, not_after }
    }
}

/// Encrypts a key under `one_time`, the bytes of `pieces`.
///
/// # Errors
/// There are not [`KEY_BYTES`] of them.
pub(super) fn seal(
    request: &Level1Request,
    epoch: Epoch,
    key: &Key,
    pieces: Vec<Piece>,
    one_time: &[u8],
) -> Result<Level1Answer, DrkeyError> {
    let cipher = cipher(one_time).ok_or_else(|| DrkeyError::Unavailable("the key material is too short".to_owned()))?;
    let associated = associated(request, epoch, &pieces);
    // Encrypted in place: of the key in clear nothing is left.
    let mut ciphertext = Vec::with_capacity(Key::LEN + AES_256_GCM.tag_len());
    ciphertext.extend_from_slice(key.as_bytes());
    cipher
        .seal_in_place_append_tag(nonce(), Aad::from(&associated), &mut ciphertext)
        .expect("AES-GCM encrypts texts as short as a key");
    Ok(Level1Answer { epoch: epoch.into(), pieces, ciphertext: Bytes64(ciphertext) })
}

/// The key, if it was encrypted for this request, with this epoch, under these bytes.
pub(super) fn open(request: &Level1Request, epoch: Epoch, answer: &Level1Answer, one_time: &[u8]) -> Option<Key> {
    let associated = associated(request, epoch, &answer.pieces);
    let mut text = Zeroizing::new(answer.ciphertext.0.clone());
    let plain = cipher(one_time)?.open_in_place(nonce(), Aad::from(&associated), &mut text).ok()?;
    Some(Key::from_bytes((&*plain).try_into().ok()?))
}

fn cipher(one_time: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, one_time).ok().map(LessSafeKey::new)
}

/// Always the same: a key encrypts one message only.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// What the ciphertext is bound to: the key's sides, its protocol and epoch, and the name of what encrypts it.
fn associated(request: &Level1Request, epoch: Epoch, pieces: &[Piece]) -> Vec<u8> {
    let Level1Request { pair, protocol, .. } = request;
    let mut bytes = CONTEXT.to_vec();
    bytes.extend(pair.fast.to_be_bytes());
    bytes.extend(pair.slow.to_be_bytes());
    bytes.extend(protocol.to_be_bytes());
    bytes.extend(epoch.start.0.to_be_bytes());
    bytes.extend(epoch.end.0.to_be_bytes());
    for piece in pieces {
        bytes.extend(piece.block.stream.0.as_bytes());
        bytes.extend(piece.block.number.to_be_bytes());
        bytes.extend(piece.offset.to_be_bytes());
        bytes.extend(piece.length.to_be_bytes());
    }
    bytes
}

/// What a key is encrypted with, in bytes.
pub(super) const KEY_BYTES: u32 = 32;

const CONTEXT: &[u8] = b"photongate drkey level1";
const SECOND: Nanos = Nanos::from_secs(1);

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::StreamId;
    use crate::stock::BlockName;

    const ONE_TIME: [u8; 32] = [7; 32];

    fn request() -> Level1Request {
        let pair = AsPair { fast: IsdAs::from_bits(1), slow: IsdAs::from_bits(2) };
        Level1Request { pair, protocol: Protocol::GENERIC, at: UnixNanos(500 * SECOND.0) }
    }

    fn epoch() -> Epoch {
        Epoch { start: UnixNanos(360 * SECOND.0), end: UnixNanos(720 * SECOND.0) }
    }

    fn pieces() -> Vec<Piece> {
        vec![Piece { block: BlockName { stream: StreamId(Uuid::nil()), number: 4 }, offset: 64, length: 32 }]
    }

    fn answer() -> Level1Answer {
        seal(&request(), epoch(), &Key::from_bytes([9; 16]), pieces(), &ONE_TIME).unwrap()
    }

    #[test]
    fn a_key_arrives_as_it_was_sent() {
        let answer = answer();
        assert_eq!(answer.epoch(&request()), Some(epoch()));
        assert_eq!(open(&request(), epoch(), &answer, &ONE_TIME).unwrap().as_bytes(), &[9; 16]);
    }

    #[test]
    fn a_key_is_bound_to_its_sides_its_protocol_its_epoch_and_what_encrypts_it() {
        let of = |fast, slow| AsPair { fast: IsdAs::from_bits(fast), slow: IsdAs::from_bits(slow) };
        for other in [
            Level1Request { pair: of(2, 1), ..request() },
            Level1Request { pair: of(1, 3), ..request() },
            Level1Request { protocol: Protocol::SCMP, ..request() },
        ] {
            assert!(open(&other, epoch(), &answer(), &ONE_TIME).is_none(), "{other:?}");
        }
        let longer = Epoch { end: UnixNanos(721 * SECOND.0), ..epoch() };
        assert!(open(&request(), longer, &answer(), &ONE_TIME).is_none());
        assert!(open(&request(), epoch(), &answer(), &[8; 32]).is_none());
        let mut elsewhere = answer();
        elsewhere.pieces[0].offset += 1;
        assert!(open(&request(), epoch(), &elsewhere, &ONE_TIME).is_none());
        let mut changed = answer();
        changed.ciphertext.0[0] ^= 1;
        assert!(open(&request(), epoch(), &changed, &ONE_TIME).is_none());
    }

    #[test]
    fn an_epoch_of_another_time_or_beyond_the_bounds_answers_no_request() {
        for (not_before, not_after) in
            [(501, 900), (0, 500), (720, 360), (400, 600), (0, 4 * 24 * 3_600), (u64::MAX, u64::MAX), (0, u64::MAX)]
        {
            let answer = Level1Answer { epoch: EpochSeconds { not_before, not_after }, ..answer() };
            assert_eq!(answer.epoch(&request()), None, "{not_before} to {not_after}");
        }
    }
}
