//! What travels over one hop: a share, encrypted with key material of that hop's link that is used for nothing else.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::envelope::add;
use super::{Kind, LARGEST_PAYLOAD, LONGEST_PATH, MOST_SHARES, RelayId, Secret, envelope};
use crate::encoding::Bytes64;
use crate::ids::QksId;
use crate::stock::Piece;

/// A share on its way over one hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// What it is a part of, and where it goes.
    pub header: Header,
    /// How it is encrypted.
    pub cipher: Cipher,
    /// With which key material of the link.
    pub key: HopKeyName,
    /// The share, encrypted.
    pub ciphertext: Bytes64,
    /// Proves that neither the share nor anything else in the frame was changed.
    pub tag: Bytes64,
}

/// What a share is a part of, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The payload's journey.
    pub id: RelayId,
    /// What the payload is.
    pub kind: Kind,
    /// Which attempt of the source this is. Every attempt has shares of its own.
    pub attempt: u8,
    /// Which share, counted from 0.
    pub share: u8,
    /// Of how many.
    pub shares: u8,
    /// The source, the relays, and the destination.
    pub path: Vec<QksId>,
    /// The receiver's place in the path; 1 for the first hop.
    pub hop: u8,
}

/// How a share is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cipher {
    /// Added to as many fresh key bytes as it has; HMAC-SHA-256 under 32 more.
    OneTimePad,
    /// AES-256-GCM under 32 fresh key bytes.
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
}

/// Where in a link's key material a hop key lies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HopKeyName(pub Vec<Piece>);

/// A share that arrived. It is with this server and in no frame; forwarding takes it away.
#[derive(Debug)]
pub struct Arrived {
    /// What it is a part of.
    pub header: Header,
    share: Share,
}

/// A share in clear.
pub(super) struct Share(pub(super) Secret);

/// What a server is to a frame that it received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It passes the share on.
    Relay {
        /// To this server.
        next: QksId,
    },
    /// It keeps the share.
    Destination,
}

/// Why a frame is refused. It says nothing about key bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Something in it is larger than allowed, or cannot be.
    #[error("the frame does not keep to the bounds")]
    Malformed,
    /// A server stands on its path twice.
    #[error("the path of the frame has a loop")]
    Loop,
    /// This server is not the one whose turn it is.
    #[error("the frame is not for this server")]
    NotForUs,
    /// The server that brought it is not the one before on its path.
    #[error("the frame came from a server that is not the one before on its path")]
    WrongSender,
    /// The key material is not as much as the cipher takes.
    #[error("the frame names more or less key material than its cipher takes")]
    WrongKey,
    /// It was changed on the way, or sealed with another key.
    #[error("the frame was changed, or sealed with another key")]
    Broken,
}

impl Cipher {
    /// The one-time pad, unless that would leave the link with fewer than `reserve_bits` free.
    pub const fn choose(free_bits: u64, reserve_bits: u64, share_bytes: usize) -> Self {
        let left = free_bits.checked_sub(8 * Self::OneTimePad.key_bytes(share_bytes) as u64);
        match left {
            Some(left) if left >= reserve_bits => Self::OneTimePad,
            _ => Self::Aes256Gcm,
        }
    }

    /// How many fresh key bytes of the link it takes to seal a share of that many bytes.
    pub const fn key_bytes(self, share_bytes: usize) -> usize {
        match self {
            Self::OneTimePad => share_bytes + MAC_KEY_BYTES,
            Self::Aes256Gcm => GCM_KEY_BYTES,
        }
    }

    const fn tag_bytes(self) -> usize {
        match self {
            Self::OneTimePad => 32,
            Self::Aes256Gcm => 16,
        }
    }
}

impl HopKeyName {
    /// How many bytes the pieces have; `None` if there are too many to be a key.
    pub fn length(&self) -> Option<usize> {
        let total: u64 = self.0.iter().map(|piece| u64::from(piece.length)).sum();
        usize::try_from(total).ok().filter(|length| *length <= Cipher::OneTimePad.key_bytes(LARGEST_SHARE))
    }
}

impl Frame {
    /// What this server has to do with a frame that `from` brought, which the channel proved. Nothing was decrypted yet: to be asked
    /// before any key material is touched.
    ///
    /// # Errors
    /// Why the frame is refused.
    pub fn role(&self, local: &QksId, from: &QksId) -> Result<Role, Refusal> {
        self.header.check()?;
        let length = self.ciphertext.0.len();
        if length > LARGEST_SHARE || self.tag.0.len() != self.cipher.tag_bytes() || self.key.0.len() > MOST_PIECES {
            return Err(Refusal::Malformed);
        }
        if self.key.length() != Some(self.cipher.key_bytes(length)) {
            return Err(Refusal::WrongKey);
        }
        let hop = usize::from(self.header.hop);
        if self.header.path[hop] != *local {
            return Err(Refusal::NotForUs);
        }
        if self.header.path[hop - 1] != *from {
            return Err(Refusal::WrongSender);
        }
        Ok(self.header.path.get(hop + 1).map_or(Role::Destination, |next| Role::Relay { next: next.clone() }))
    }

    /// Decrypts the share. `key` is what the frame's key name stands for, and is used up.
    ///
    /// # Errors
    /// [`Refusal::WrongKey`] if the key has not the length that the cipher takes; [`Refusal::Broken`] if the frame was
    /// changed.
    #[expect(clippy::needless_pass_by_value, reason = "a key that was used is gone")]
    pub fn open(self, key: Secret) -> Result<Arrived, Refusal> {
        if key.len() != self.cipher.key_bytes(self.ciphertext.0.len()) {
            return Err(Refusal::WrongKey);
        }
        let context = context(&self.header, self.cipher, &self.key);
        let mut share = Zeroizing::new(self.ciphertext.0);
        match self.cipher {
            Cipher::OneTimePad => {
                let (pad, mac_key) = key.split_at(share.len());
                let message = authenticated(&context, &share);
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, mac_key), &message, &self.tag.0)
                    .map_err(|_| Refusal::Broken)?;
                add(&mut share, pad);
            }
            Cipher::Aes256Gcm => {
                share.extend(&self.tag.0);
                gcm(&key).open_in_place(nonce(), Aad::from(context), &mut share).map_err(|_| Refusal::Broken)?;
                let length = share.len() - self.cipher.tag_bytes();
                share.truncate(length);
            }
        }
        Ok(Arrived { header: self.header, share: Share(share) })
    }
}

impl Arrived {
    /// A share that begins its journey.
    pub(super) const fn at_source(header: Header, share: Secret) -> Self {
        Self { header, share: Share(share) }
    }

    /// How many bytes the share has.
    pub fn share_bytes(&self) -> usize {
        self.share.0.len()
    }

    /// The server that it goes to from the source.
    pub fn first_hop(&self) -> &QksId {
        &self.header.path[usize::from(self.header.hop)]
    }

    /// Encrypts the share for the first hop: for the source.
    ///
    /// # Errors
    /// [`Refusal::WrongKey`] if the key, or what its name stands for, has not the length that the cipher takes.
    pub fn depart(self, cipher: Cipher, name: HopKeyName, key: Secret) -> Result<Frame, Refusal> {
        self.seal(cipher, name, key)
    }

    /// Encrypts the share for the next hop: for a relay, which has nothing left of it afterwards.
    ///
    /// # Errors
    /// [`Refusal::WrongKey`] as for [`depart`](Self::depart); [`Refusal::NotForUs`] if the path ends here.
    pub fn forward(mut self, cipher: Cipher, name: HopKeyName, key: Secret) -> Result<Frame, Refusal> {
        self.header.hop += 1;
        if usize::from(self.header.hop) >= self.header.path.len() {
            return Err(Refusal::NotForUs);
        }
        self.seal(cipher, name, key)
    }

    pub(super) fn into_share(self) -> (Header, Share) {
        (self.header, self.share)
    }

    #[expect(clippy::needless_pass_by_value, reason = "a key that was used is gone")]
    fn seal(self, cipher: Cipher, name: HopKeyName, key: Secret) -> Result<Frame, Refusal> {
        let mut share = self.share.0;
        let needed = cipher.key_bytes(share.len());
        if key.len() != needed || name.length() != Some(needed) {
            return Err(Refusal::WrongKey);
        }
        let context = context(&self.header, cipher, &name);
        let tag = match cipher {
            Cipher::OneTimePad => {
                let (pad, mac_key) = key.split_at(share.len());
                add(&mut share, pad);
                let message = authenticated(&context, &share);
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, mac_key), &message).as_ref().to_vec()
            }
            Cipher::Aes256Gcm => {
                let tag = gcm(&key).seal_in_place_separate_tag(nonce(), Aad::from(context), &mut share);
                tag.expect("a share is far shorter than what GCM can encrypt").as_ref().to_vec()
            }
        };
        let ciphertext = Bytes64(std::mem::take(&mut *share));
        Ok(Frame { header: self.header, cipher, key: name, ciphertext, tag: Bytes64(tag) })
    }
}

impl Header {
    /// The server that made the payload.
    pub fn source(&self) -> &QksId {
        &self.path[0]
    }

    /// The server that the payload is for.
    pub fn destination(&self) -> &QksId {
        &self.path[self.path.len() - 1]
    }

    fn check(&self) -> Result<(), Refusal> {
        let path = 2..=LONGEST_PATH;
        let shares = 1..=MOST_SHARES;
        let hop = usize::from(self.hop);
        if !path.contains(&self.path.len()) || hop == 0 || hop >= self.path.len() {
            return Err(Refusal::Malformed);
        }
        if !shares.contains(&usize::from(self.shares)) || self.share >= self.shares {
            return Err(Refusal::Malformed);
        }
        let twice = |(at, server): (usize, &QksId)| self.path[..at].contains(server);
        if self.path.iter().enumerate().any(twice) { Err(Refusal::Loop) } else { Ok(()) }
    }
}

/// What a frame's tag covers beside the share. No two different frames have the same.
fn context(header: &Header, cipher: Cipher, key: &HopKeyName) -> Vec<u8> {
    let mut bytes = b"photongate relay hop 1\0".to_vec();
    bytes.extend(header.id.0.as_bytes());
    bytes.extend([header.kind as u8, header.attempt, header.share, header.shares, header.hop, cipher as u8]);
    bytes.push(u8::try_from(header.path.len()).expect("paths are short"));
    for server in &header.path {
        bytes.push(u8::try_from(server.as_str().len()).expect("names are at most 255 bytes long"));
        bytes.extend(server.as_str().as_bytes());
    }
    for piece in &key.0 {
        bytes.extend(piece.block.stream.0.as_bytes());
        bytes.extend(piece.block.number.to_be_bytes());
        bytes.extend(piece.offset.to_be_bytes());
        bytes.extend(piece.length.to_be_bytes());
    }
    bytes
}

fn authenticated(context: &[u8], ciphertext: &[u8]) -> Vec<u8> {
    [context, ciphertext, &(context.len() as u64).to_be_bytes()].concat()
}

fn gcm(key: &[u8]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the key has 32 bytes"))
}

/// Always the same: a key seals one frame only.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secret bytes", self.0.len())
    }
}

/// Of a share, which is as long as the payload with what is around it.
pub const LARGEST_SHARE: usize = LARGEST_PAYLOAD + envelope::OVERHEAD;
const MAC_KEY_BYTES: usize = 32;
const GCM_KEY_BYTES: usize = 32;
/// Of one hop key.
const MOST_PIECES: usize = 1024;
