//! Signatures of advertisements, with the key of a server's TLS certificate.
//!
//! What is signed begins with a word that nothing else signs, and no signature of TLS 1.3 can be mistaken for one: those are over 64
//! spaces first (RFC 8446, section 4.4.3).

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use photongate_net::tls::{Identity, Subject, TlsError, authorities, provider};
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::advertisement::LONGEST_CHAIN;
use super::{Seal, Signatures};
use crate::encoding::Bytes64;
use crate::ids::QksId;

/// Signs with this server's TLS key, and believes the authorities that issue certificates of key servers.
///
/// Those may issue certificates to others too, and an application may be called like a server. So a certificate that says what its
/// holder is, as those of `photongate pki` do, must say that it is this server: `photongate:qks:NAME`.
#[derive(Debug)]
pub struct TlsSignatures {
    current: ArcSwap<Current>,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
struct Current {
    identity: Identity,
    servers: Arc<dyn ClientCertVerifier>,
}

impl TlsSignatures {
    /// Signs as `identity`; the other servers' authorities are in the PEM file `ca`.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn new(identity: Identity, ca: &Path) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(Current::new(identity, ca)?);
        Ok(Self { current, algorithms: provider().signature_verification_algorithms })
    }

    /// Goes on with another key, and with the authorities that are in the file now.
    ///
    /// # Errors
    /// The file cannot be used; then nothing changes.
    pub fn replace(&self, identity: Identity, ca: &Path) -> Result<(), TlsError> {
        self.current.store(Arc::new(Current::new(identity, ca)?));
        Ok(())
    }

    /// `None` if anything about the seal is wrong.
    fn check(&self, origin: &QksId, bytes: &[u8], seal: &Seal) -> Option<()> {
        let chain: Vec<_> = seal.chain.iter().map(|link| CertificateDer::from(link.0.as_slice())).collect();
        let (signer, issuers) = chain.split_first()?;
        let (_, certificate) = X509Certificate::from_der(signer).ok()?;
        is_server(&Subject::of(signer)?, origin).then_some(())?;

        let scheme = SignatureScheme::from(seal.scheme);
        let (_, algorithms) = self.algorithms.mapping.iter().find(|(known, _)| *known == scheme)?;
        // The first is the only one that TLS 1.3 allows for the scheme.
        let algorithm = algorithms.first().filter(|_| SCHEMES.contains(&scheme))?;
        let key = certificate.public_key();
        is_of_kind(key.algorithm.algorithm.as_bytes(), algorithm.public_key_alg_id().as_ref()).then_some(())?;
        algorithm.verify_signature(&key.subject_public_key.data, bytes, &seal.signature.0).ok()?;

        self.current.load().servers.verify_client_cert(signer, issuers, UnixTime::now()).ok()?;
        Some(())
    }
}

impl Signatures for TlsSignatures {
    fn sign(&self, bytes: &[u8]) -> Option<Seal> {
        let certified = self.current.load().identity.certified();
        let signer = certified.key.choose_scheme(SCHEMES)?;
        let signature = Bytes64(signer.sign(bytes).ok()?);
        let chain = certified.cert.iter().take(LONGEST_CHAIN).map(|link| Bytes64(link.to_vec())).collect();
        Some(Seal { chain, scheme: signer.scheme().into(), signature })
    }

    fn verify(&self, origin: &QksId, bytes: &[u8], seal: &Seal) -> bool {
        self.check(origin, bytes, seal).is_some()
    }
}

impl Current {
    fn new(identity: Identity, ca: &Path) -> Result<Self, TlsError> {
        let roots = Arc::new(authorities(ca)?);
        let servers = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
        Ok(Self { identity, servers: servers.expect("authorities() finds one at least") })
    }
}

/// Whether a certificate of this subject is the server's.
pub(crate) fn is_server(subject: &Subject, origin: &QksId) -> bool {
    let mut names = subject.common_names();
    let named = names.next() == Some(origin.as_str()) && names.next().is_none();
    let mut roles = subject.uris().filter(|uri| uri.starts_with("photongate:")).peekable();
    let allowed =
        roles.peek().is_none() || roles.any(|uri| uri.strip_prefix("photongate:qks:") == Some(origin.as_str()));
    named && allowed
}

/// Whether an algorithm identifier (the content of its DER sequence) begins with this object identifier.
fn is_of_kind(oid: &[u8], identifier: &[u8]) -> bool {
    identifier.get(2..).is_some_and(|rest| rest.starts_with(oid)) && identifier[1] == oid.len() as u8
}

/// Of TLS 1.3 (RFC 8446, section 4.2.3), best first.
const SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
];

#[cfg(test)]
mod tests {
    use photongate_net::secret_file;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
        SignatureAlgorithm,
    };
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_a_server_signed_is_believed_with_every_kind_of_key() {
        let ca = Authority::new();
        for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
            let signer = ca.server("qks-a", &["photongate:qks:qks-a"], algorithm);
            let seal = signer.sign(b"what it says").unwrap();
            let other = ca.server("qks-b", &[], &rcgen::PKCS_ECDSA_P256_SHA256);
            assert!(other.verify(&"qks-a".parse().unwrap(), b"what it says", &seal));
            assert!(!other.verify(&"qks-a".parse().unwrap(), b"what it does not say", &seal));
            assert!(!other.verify(&"qks-b".parse().unwrap(), b"what it says", &seal));
        }
    }

    #[test]
    fn a_certificate_of_another_authority_is_not_believed() {
        let seal = Authority::new().server("qks-a", &[], &rcgen::PKCS_ED25519).sign(b"words").unwrap();
        let other = Authority::new().server("qks-b", &[], &rcgen::PKCS_ED25519);
        assert!(!other.verify(&"qks-a".parse().unwrap(), b"words", &seal));
    }

    #[test]
    fn an_application_that_is_called_like_a_server_is_not_one() {
        let ca = Authority::new();
        let seal = ca.server("qks-a", &["photongate:sae:qks-a"], &rcgen::PKCS_ED25519).sign(b"words").unwrap();
        let other = ca.server("qks-b", &[], &rcgen::PKCS_ED25519);
        assert!(!other.verify(&"qks-a".parse().unwrap(), b"words", &seal));
    }

    #[test]
    fn a_seal_that_was_changed_is_not_believed_and_does_no_harm() {
        let ca = Authority::new();
        let signer = ca.server("qks-a", &[], &rcgen::PKCS_ECDSA_P256_SHA256);
        let seal = signer.sign(b"words").unwrap();
        let believed = |seal: &Seal| signer.verify(&"qks-a".parse().unwrap(), b"words", seal);
        assert!(believed(&seal));
        assert!(!believed(&Seal { chain: Vec::new(), ..seal.clone() }));
        assert!(!believed(&Seal { scheme: SignatureScheme::ED25519.into(), ..seal.clone() }));
        assert!(!believed(&Seal { scheme: SignatureScheme::RSA_PKCS1_SHA256.into(), ..seal.clone() }));
        for place in 0..seal.signature.0.len() {
            let mut changed = seal.clone();
            changed.signature.0[place] ^= 1;
            assert!(!believed(&changed), "at {place}");
        }
        for place in 0..seal.chain[0].0.len() {
            let mut changed = seal.clone();
            changed.chain[0].0[place] ^= 1;
            assert!(!believed(&changed), "at {place} of the certificate");
        }
    }

    #[test]
    fn after_a_change_of_authorities_the_old_ones_are_not_believed() {
        let (old, new) = (Authority::new(), Authority::new());
        let server = old.server("qks-b", &[], &rcgen::PKCS_ED25519);
        let seal = old.server("qks-a", &[], &rcgen::PKCS_ED25519).sign(b"words").unwrap();
        assert!(server.verify(&"qks-a".parse().unwrap(), b"words", &seal));
        server.replace(new.issue("qks-b", &[], &rcgen::PKCS_ED25519), &new.file()).unwrap();
        assert!(!server.verify(&"qks-a".parse().unwrap(), b"words", &seal));
    }

    struct Authority {
        issuer: CertifiedIssuer<'static, KeyPair>,
        folder: TempDir,
    }

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            Self { issuer, folder: tempfile::tempdir().unwrap() }
        }

        fn server(&self, name: &str, uris: &[&str], algorithm: &'static SignatureAlgorithm) -> TlsSignatures {
            TlsSignatures::new(self.issue(name, uris, algorithm), &self.file()).unwrap()
        }

        fn issue(&self, name: &str, uris: &[&str], algorithm: &'static SignatureAlgorithm) -> Identity {
            let mut params = CertificateParams::default();
            params.distinguished_name.remove(DnType::CommonName);
            params.distinguished_name.push(DnType::CommonName, name);
            params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
            let key = KeyPair::generate_for(algorithm).unwrap();
            let certificate = params.signed_by(&key, &self.issuer).unwrap();
            let files = ["certificate", "key"].map(|file| self.folder.path().join(file));
            secret_file::replace(&files[0], certificate.pem().as_bytes()).unwrap();
            secret_file::replace(&files[1], key.serialize_pem().as_bytes()).unwrap();
            Identity::load(&files[0], &files[1]).unwrap()
        }

        fn file(&self) -> std::path::PathBuf {
            let file = self.folder.path().join("ca");
            secret_file::replace(&file, self.issuer.pem().as_bytes()).unwrap();
            file
        }
    }
}
