//! Messages that one server signs for another, with the key of its TLS certificate.
//!
//! The channel between servers is authenticated already. A signature says the same of the message itself, whatever carried it.

use std::path::PathBuf;

use photongate_net::tls::{Identity, TlsError};
use serde::{Deserialize, Serialize};

use crate::encoding::Bytes64;
use crate::ids::QksId;
use crate::routing::{Seal, Signatures, TlsSignatures};

/// A certificate and its key, and which authorities are believed. PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The certificate, with those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of those at the other side.
    pub ca: PathBuf,
}

/// Signs, and judges what the other server signed. The files are read once: whoever wants a renewed certificate opens the
/// credentials anew.
#[derive(Debug)]
pub(super) struct Signer {
    signatures: TlsSignatures,
    other: QksId,
}

/// Who should have signed did not, or the message was changed, or the certificate is not believed or over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its signature is wrong, or its certificate is not believed")]
pub(super) struct WrongSignature;

/// A message on its way.
#[derive(Serialize, Deserialize)]
struct Sealed {
    seal: Seal,
    body: Bytes64,
}

impl Credentials {
    /// Reads the files, to talk to the server called `other`.
    ///
    /// # Errors
    /// What is wrong with the first file that cannot be used.
    pub(super) fn open(&self, other: &QksId) -> Result<Signer, TlsError> {
        let identity = Identity::load(&self.certificate, &self.key)?;
        Ok(Signer { signatures: TlsSignatures::new(identity, &self.ca)?, other: other.clone() })
    }
}

impl Signer {
    /// `body` with a signature. `purpose` says what is signed; `context` is what both sides know, and is signed too. `None` if the key
    /// cannot sign.
    pub(super) fn sign(&self, purpose: &str, context: &[u8; 32], body: Vec<u8>) -> Option<Vec<u8>> {
        let seal = self.signatures.sign(&signed(purpose, context, &body))?;
        serde_json::to_vec(&Sealed { seal, body: Bytes64(body) }).ok()
    }

    /// The body of a message that the other server signed for the same purpose and context.
    pub(super) fn verify(&self, purpose: &str, context: &[u8; 32], message: &[u8]) -> Result<Vec<u8>, WrongSignature> {
        let Sealed { seal, body } = serde_json::from_slice(message).map_err(|_| WrongSignature)?;
        let is_good = self.signatures.verify(&self.other, &signed(purpose, context, &body.0), &seal);
        if is_good { Ok(body.0) } else { Err(WrongSignature) }
    }
}

/// What a message says, before anybody knows who says it.
pub(super) fn unverified_body(message: &[u8]) -> Option<Vec<u8>> {
    serde_json::from_slice(message).ok().map(|Sealed { body, .. }| body.0)
}

/// What is signed begins with a word that nothing else signs. Of what follows, only the body has no fixed length.
fn signed(purpose: &str, context: &[u8; 32], body: &[u8]) -> Vec<u8> {
    [b"photongate link message\n", purpose.as_bytes(), b"\n", context, body].concat()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Site;
    use super::*;

    #[test]
    fn a_signature_is_good_for_its_purpose_context_body_and_signer_only() {
        let site = Site::new();
        let (a, b) = (site.open("a", "b"), site.open("b", "a"));
        let message = a.sign("test", &[1; 32], b"body".to_vec()).unwrap();
        assert_eq!(b.verify("test", &[1; 32], &message), Ok(b"body".to_vec()));
        assert_eq!(b.verify("tests", &[1; 32], &message), Err(WrongSignature));
        assert_eq!(b.verify("test", &[2; 32], &message), Err(WrongSignature));
        assert_eq!(a.verify("test", &[1; 32], &message), Err(WrongSignature));
        let mut changed: Sealed = serde_json::from_slice(&message).unwrap();
        changed.body.0[0] ^= 1;
        let changed = serde_json::to_vec(&changed).unwrap();
        assert_eq!(b.verify("test", &[1; 32], &changed), Err(WrongSignature));
    }

    #[test]
    fn what_is_cut_short_has_no_signature() {
        let site = Site::new();
        let (a, b) = (site.open("a", "b"), site.open("b", "a"));
        let message = a.sign("test", &[1; 32], Vec::new()).unwrap();
        for length in 0..message.len() {
            assert_eq!(b.verify("test", &[1; 32], &message[..length]), Err(WrongSignature), "{length}");
        }
    }
}
