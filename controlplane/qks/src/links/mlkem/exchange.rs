//! One exchange of ML-KEM-768 (FIPS 203) after the other, and the blocks that are made of them. No I/O.
//!
//! A session begins with a greeting: each end says a random number, and signs. From then on the leading end sends
//! fresh encapsulation keys, the other end answers with ciphertexts, and each side signs what it sends. What is signed contains the
//! hash of the greetings, so it is of no use in any other session, and numbers only go up, so it is of no use a second time.
//!
//! Each shared secret is stretched to [`SEGMENT_BYTES`] by HKDF-SHA256 (RFC 5869), which is the most that HKDF gives. A block is the
//! segments of several exchanges, one behind the other, rather than the key stream of a cipher: so no more than one segment hangs on
//! one shared secret, and no other assumption than that on HMAC-SHA256 is needed.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768, SharedSecret};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::super::signature::{Signer, WrongSignature, unverified_body};
use super::super::talk::{Names, hash};
use crate::encoding::Bytes64;
use crate::ids::StreamId;

/// A session, once both ends know one another.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) stream: StreamId,
    /// The names, the stream and both greetings, hashed.
    id: [u8; 32],
    signer: Signer,
}

/// What the leading end has to remember until its greeting is answered.
#[derive(Debug)]
pub(super) struct Greeting {
    stream: StreamId,
    body: Vec<u8>,
    signer: Signer,
}

/// What the leading end has to remember until its keys are answered.
#[derive(Debug)]
pub(super) struct Asked {
    number: u64,
    keys: Vec<DecapsulationKey>,
    hash: [u8; 32],
}

/// What the other end makes of keys.
pub(super) struct Answered {
    pub(super) number: u64,
    /// The block.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// For the leading end.
    pub(super) message: Vec<u8>,
}

/// Why a message is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error(transparent)]
    Signature(#[from] WrongSignature),
    #[error("this server's key cannot sign")]
    Sign,
    #[error("it is not what the protocol wants")]
    Malformed,
    #[error("it repeats number {0}")]
    Replayed(u64),
    #[error("the cryptography fails")]
    Cryptography,
}

#[derive(Serialize, Deserialize)]
struct Hello {
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<StreamId>,
    random: Bytes64,
}

#[derive(Serialize, Deserialize)]
struct Question {
    session: Bytes64,
    number: u64,
    keys: Vec<Bytes64>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    ciphertexts: Vec<Bytes64>,
}

impl Greeting {
    /// The leading end begins.
    ///
    /// # Errors
    /// [`ExchangeError::Sign`] or [`ExchangeError::Cryptography`].
    pub(super) fn new(names: &Names, signer: Signer) -> Result<(Self, Vec<u8>), ExchangeError> {
        let stream = StreamId(Uuid::new_v4());
        let body = json(&Hello { stream: Some(stream), random: random()? });
        let message = signer.sign(GREETING, &names.hash(&[]), body.clone()).ok_or(ExchangeError::Sign)?;
        Ok((Self { stream, body, signer }, message))
    }

    /// The answer has come.
    ///
    /// # Errors
    /// Why it is refused.
    pub(super) fn answered(self, names: &Names, answer: &[u8]) -> Result<Session, ExchangeError> {
        let body = self.signer.verify(GREETING_ANSWER, &names.hash(&[&self.body]), answer)?;
        let id = names.hash(&[&self.body, &body]);
        Ok(Session { stream: self.stream, id, signer: self.signer })
    }
}

/// The other end answers a greeting.
///
/// # Errors
/// Why the greeting is refused.
pub(super) fn greet(names: &Names, signer: Signer, greeting: &[u8]) -> Result<(Session, Vec<u8>), ExchangeError> {
    let asked = signer.verify(GREETING, &names.hash(&[]), greeting)?;
    let hello: Hello = parsed(&asked)?;
    let stream = hello.stream.ok_or(ExchangeError::Malformed)?;
    let body = json(&Hello { stream: None, random: random()? });
    let id = names.hash(&[&asked, &body]);
    let answer = signer.sign(GREETING_ANSWER, &names.hash(&[&asked]), body).ok_or(ExchangeError::Sign)?;
    Ok((Session { stream, id, signer }, answer))
}

impl Session {
    /// The leading end makes fresh keys for the block `number`, one for each of its segments.
    ///
    /// # Errors
    /// [`ExchangeError::Sign`] or [`ExchangeError::Cryptography`].
    pub(super) fn ask(&self, number: u64, segments: u16) -> Result<(Asked, Vec<u8>), ExchangeError> {
        let keys = (0..segments).map(|_| DecapsulationKey::generate(&ML_KEM_768));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let public = keys.iter().map(|key| Ok(Bytes64(key.encapsulation_key()?.key_bytes()?.as_ref().to_vec())));
        let public = public.collect::<Result<Vec<_>, Unspecified>>()?;
        let body = json(&Question { session: Bytes64(self.id.to_vec()), number, keys: public });
        let hash = hash(&[&self.id, &body]);
        let message = self.signer.sign(KEYS, &self.id, body).ok_or(ExchangeError::Sign)?;
        Ok((Asked { number, keys, hash }, message))
    }

    /// Whether keys claim to belong to this session.
    pub(super) fn is_asked(&self, question: &[u8]) -> bool {
        let body = unverified_body(question).and_then(|body| parsed::<Question>(&body).ok());
        body.is_some_and(|asked| asked.session.0 == self.id)
    }

    /// The other end answers keys. `last` is the last number of the session, if there was one.
    ///
    /// # Errors
    /// Why the question is refused.
    pub(super) fn answer(&self, names: &Names, last: Option<u64>, question: &[u8]) -> Result<Answered, ExchangeError> {
        let body = self.signer.verify(KEYS, &self.id, question)?;
        let asked: Question = parsed(&body)?;
        if last.is_some_and(|last| asked.number <= last) {
            return Err(ExchangeError::Replayed(asked.number));
        }
        if asked.keys.is_empty() || asked.keys.len() > usize::from(MOST_SEGMENTS) {
            return Err(ExchangeError::Malformed);
        }
        let encapsulated = asked.keys.iter().map(|key| {
            let key = EncapsulationKey::new(&ML_KEM_768, &key.0).map_err(|_| ExchangeError::Malformed)?;
            key.encapsulate().map_err(|_| ExchangeError::Malformed)
        });
        let encapsulated = encapsulated.collect::<Result<Vec<_>, _>>()?;
        let ciphertexts = encapsulated.iter().map(|(ciphertext, _)| Bytes64(ciphertext.as_ref().to_vec())).collect();
        let reply = json(&Answer { ciphertexts });
        let asked_hash = hash(&[&self.id, &body]);
        let secrets = encapsulated.iter().map(|(_, secret)| secret);
        let bytes = self.block(names, asked.number, &hash(&[&asked_hash, &reply]), secrets)?;
        let message = self.signer.sign(CIPHERTEXTS, &asked_hash, reply).ok_or(ExchangeError::Sign)?;
        Ok(Answered { number: asked.number, bytes, message })
    }

    /// The answer to keys has come: the block.
    ///
    /// # Errors
    /// Why it is refused.
    pub(super) fn answered(
        &self,
        names: &Names,
        asked: &Asked,
        answer: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, ExchangeError> {
        let body = self.signer.verify(CIPHERTEXTS, &asked.hash, answer)?;
        let Answer { ciphertexts } = parsed(&body)?;
        if ciphertexts.len() != asked.keys.len() {
            return Err(ExchangeError::Malformed);
        }
        let opened = asked.keys.iter().zip(&ciphertexts).map(|(key, ciphertext)| {
            let ciphertext = Ciphertext::from(ciphertext.0.as_slice());
            key.decapsulate(ciphertext).map_err(|_| ExchangeError::Malformed)
        });
        let secrets = opened.collect::<Result<Vec<_>, _>>()?;
        self.block(names, asked.number, &hash(&[&asked.hash, &body]), secrets.iter())
    }

    /// The segments of a block. `transcript` is the hash of all that was said in the session for it.
    fn block<'s>(
        &self,
        names: &Names,
        number: u64,
        transcript: &[u8; 32],
        secrets: impl Iterator<Item = &'s SharedSecret>,
    ) -> Result<Zeroizing<Vec<u8>>, ExchangeError> {
        let salt = Salt::new(HKDF_SHA256, transcript);
        let names = names.hash(&[self.stream.0.as_bytes()]);
        let mut block = Zeroizing::new(Vec::with_capacity(usize::from(MOST_SEGMENTS) * SEGMENT_BYTES));
        for (index, secret) in (0_u64..).zip(secrets) {
            let from = block.len();
            block.resize(from + SEGMENT_BYTES, 0);
            let (number, index) = (number.to_be_bytes(), index.to_be_bytes());
            let info: &[&[u8]] = &[b"photongate mlkem block", &names, &number, &index, transcript];
            salt.extract(secret.as_ref()).expand(info, SegmentLength)?.fill(&mut block[from..])?;
        }
        Ok(block)
    }
}

fn random() -> Result<Bytes64, Unspecified> {
    let mut bytes = vec![0; 32];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(Bytes64(bytes))
}

fn json(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("a message has only fields that JSON has, too")
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, ExchangeError> {
    serde_json::from_slice(body).map_err(|_| ExchangeError::Malformed)
}

impl From<Unspecified> for ExchangeError {
    fn from(_: Unspecified) -> Self {
        Self::Cryptography
    }
}

struct SegmentLength;

impl KeyType for SegmentLength {
    fn len(&self) -> usize {
        SEGMENT_BYTES
    }
}

/// What HKDF-SHA256 gives at most: 255 times 32 bytes (RFC 5869, section 2.3).
pub(super) const SEGMENT_BYTES: usize = 8_160;

/// In a block. A question with so many keys has about 100 kB.
pub(super) const MOST_SEGMENTS: u16 = 64;

const GREETING: &str = "mlkem greeting";
const GREETING_ANSWER: &str = "mlkem answer to a greeting";
const KEYS: &str = "mlkem keys";
const CIPHERTEXTS: &str = "mlkem ciphertexts";
