//! Signatures of advertisements, with the key of a server's TLS certificate.
//!
//! What is signed begins with a word that nothing else signs, and no signature of TLS 1.3 can be mistaken for one: those are over 64
//! spaces first (RFC 8446, section 4.4.3).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use photongate_net::tls::{Identity, Subject, SubjectPattern, TlsError, authorities, provider};
use rustls::SignatureScheme;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{Seal, Signatures};
use crate::encoding::Bytes64;
use crate::ids::QksId;

/// Signs with this server's TLS key, and believes the authorities that issue certificates of key servers.
pub struct TlsSignatures {
    identity: Identity,
    servers: Arc<dyn ClientCertVerifier>,
}

impl TlsSignatures {
    /// Signs as `identity`; the other servers' authorities are in the PEM file `ca`.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn new(identity: Identity, ca: &std::path::Path) -> Result<Self, TlsError> {
        let roots = Arc::new(authorities(ca)?);
        let servers = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
        let servers = servers.expect("authorities() finds one at least");
        Ok(Self { identity, servers })
    }

    fn is_valid(&self, origin: &QksId, bytes: &[u8], seal: &Seal) -> Option<()> {
        let certificate = &seal.chain.first()?.0;
        let chain: Vec<_> =
            seal.chain.iter().take(LONGEST_CHAIN).map(|link| CertificateDer::from(link.0.as_slice())).collect();
        self.servers.verify_client_cert(&chain[0], &chain[1..], UnixTime::now()).ok()?;
        let named = SubjectPattern::CommonName(origin.to_string());
        Subject::of(certificate).filter(|subject| subject.is(&named))?;
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let algorithm = algorithm(SignatureScheme::from(seal.scheme))?;
        let key = &certificate.public_key().subject_public_key.data;
        UnparsedPublicKey::new(algorithm, key).verify(bytes, &seal.signature.0).ok()
    }
}

impl Signatures for TlsSignatures {
    fn sign(&self, bytes: &[u8]) -> Option<Seal> {
        let certified = self.identity.certified();
        let signer = certified.key.choose_scheme(&SCHEMES)?;
        let signature = Bytes64(signer.sign(bytes).ok()?);
        let chain = certified.cert.iter().take(LONGEST_CHAIN).map(|link| Bytes64(link.to_vec())).collect();
        Some(Seal { chain, scheme: signer.scheme().into(), signature })
    }

    fn verify(&self, origin: &QksId, bytes: &[u8], seal: &Seal) -> bool {
        self.is_valid(origin, bytes, seal).is_some()
    }
}

impl fmt::Debug for TlsSignatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsSignatures(..)")
    }
}

fn algorithm(scheme: SignatureScheme) -> Option<&'static dyn VerificationAlgorithm> {
    match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => Some(&ECDSA_P256_SHA256_ASN1),
        SignatureScheme::ECDSA_NISTP384_SHA384 => Some(&ECDSA_P384_SHA384_ASN1),
        SignatureScheme::ED25519 => Some(&ED25519),
        SignatureScheme::RSA_PSS_SHA256 => Some(&RSA_PSS_2048_8192_SHA256),
        _ => None,
    }
}

const SCHEMES: [SignatureScheme; 4] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
];

/// Certificates in a chain.
const LONGEST_CHAIN: usize = 4;
