//! What is around a payload: by it the destination knows that nobody changed it, and the source that the destination holds it.
//!
//! An envelope is 32 random bytes, the payload, and 32 bytes of HMAC-SHA-256 under a key derived from the random bytes. It travels
//! whole, or as shares whose sum it is. A relay that changes its share changes the sum, which then no longer fits its own tag.

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Fill, Kind, RelayId, Secret};
use crate::encoding::Bytes64;
use crate::ids::QksId;

/// Whose payload it is, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Journey {
    /// The server that made the payload.
    pub source: QksId,
    /// The payload's journey.
    pub id: RelayId,
    /// What the payload is.
    pub kind: Kind,
    /// The server that it is for.
    pub destination: QksId,
}

/// What only those can compute who hold the payload. It gives nothing of the payload away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Proof(Bytes64);

/// The keys by which the ends of a journey convince one another.
pub(super) struct ProofKeys {
    context: Vec<u8>,
    salt: Zeroizing<[u8; SALT]>,
}

/// An envelope does not fit its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed;

/// Puts a payload into an envelope.
pub(super) fn wrap(journey: &Journey, payload: &[u8], fill: &mut Fill<'_>) -> (Secret, ProofKeys) {
    let mut salt = Zeroizing::new([0; SALT]);
    fill(&mut *salt);
    let keys = ProofKeys { context: journey.context(), salt };
    let mut envelope = Zeroizing::new(Vec::with_capacity(payload.len() + OVERHEAD));
    envelope.extend(&*keys.salt);
    envelope.extend(payload);
    let tag = keys.tag(Purpose::Payload, payload);
    envelope.extend(tag.as_ref());
    (envelope, keys)
}

/// Takes a payload out of its envelope.
pub(super) fn unwrap(journey: &Journey, envelope: &[u8]) -> Result<(Secret, ProofKeys), Changed> {
    let (salt, rest) = envelope.split_first_chunk::<SALT>().ok_or(Changed)?;
    let (payload, tag) = rest.split_last_chunk::<TAG>().ok_or(Changed)?;
    let keys = ProofKeys { context: journey.context(), salt: Zeroizing::new(*salt) };
    hmac::verify(&keys.key(Purpose::Payload), payload, tag).map_err(|_| Changed)?;
    Ok((Zeroizing::new(payload.to_vec()), keys))
}

/// Cuts an envelope into shares: all but the last are random, and the last is what makes their sum the envelope.
pub(super) fn split(envelope: &[u8], shares: usize, fill: &mut Fill<'_>) -> Vec<Secret> {
    let mut last = Zeroizing::new(envelope.to_vec());
    let mut all = Vec::with_capacity(shares);
    for _ in 1..shares {
        let mut share = Zeroizing::new(vec![0; envelope.len()]);
        fill(&mut share);
        add(&mut last, &share);
        all.push(share);
    }
    all.push(last);
    all
}

/// The sum of the shares. `None` if they differ in length.
pub(super) fn combine<'s>(shares: impl IntoIterator<Item = &'s Secret>) -> Option<Secret> {
    let mut shares = shares.into_iter();
    let mut sum = shares.next()?.clone();
    for share in shares {
        if share.len() != sum.len() {
            return None;
        }
        add(&mut sum, share);
    }
    Some(sum)
}

impl Journey {
    fn context(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind as u8];
        bytes.extend(self.id.0.as_bytes());
        for server in [&self.source, &self.destination] {
            bytes.push(u8::try_from(server.as_str().len()).expect("names are at most 255 bytes long"));
            bytes.extend(server.as_str().as_bytes());
        }
        bytes
    }
}

impl ProofKeys {
    /// The destination's word that it holds the payload.
    pub(super) fn held(&self) -> Proof {
        self.proof(Purpose::Held)
    }

    /// The source's word that the payload is not to be used.
    pub(super) fn void(&self) -> Proof {
        self.proof(Purpose::Void)
    }

    pub(super) fn is_held(&self, proof: &Proof) -> bool {
        self.verify(Purpose::Held, proof)
    }

    pub(super) fn is_void(&self, proof: &Proof) -> bool {
        self.verify(Purpose::Void, proof)
    }

    fn proof(&self, purpose: Purpose) -> Proof {
        Proof(Bytes64(self.tag(purpose, &[]).as_ref().to_vec()))
    }

    fn verify(&self, purpose: Purpose, proof: &Proof) -> bool {
        hmac::verify(&self.key(purpose), &[], &proof.0.0).is_ok()
    }

    fn tag(&self, purpose: Purpose, message: &[u8]) -> hmac::Tag {
        hmac::sign(&self.key(purpose), message)
    }

    /// One key for each purpose and journey.
    fn key(&self, purpose: Purpose) -> hmac::Key {
        let root = hmac::Key::new(hmac::HMAC_SHA256, &*self.salt);
        let mut context = b"photongate relay envelope 1\0".to_vec();
        context.push(purpose as u8);
        context.extend(&self.context);
        let key = hmac::sign(&root, &context);
        hmac::Key::new(hmac::HMAC_SHA256, key.as_ref())
    }
}

#[derive(Clone, Copy)]
enum Purpose {
    Payload,
    Held,
    Void,
}

/// Adds without carry: XOR.
pub(super) fn add(bytes: &mut [u8], other: &[u8]) {
    bytes.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
}

/// Bytes that an envelope has more than its payload.
pub const OVERHEAD: usize = SALT + TAG;
const SALT: usize = 32;
const TAG: usize = 32;
