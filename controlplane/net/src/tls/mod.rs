//! TLS identities: who we are, and which certificates of others we believe. TLS 1.3 (RFC 8446) and nothing older.

mod certificate;
mod client;
mod error;
mod server;
mod subject;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use photongate_wire::UnixNanos;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, sign};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use zeroize::Zeroize;

pub use certificate::{CertificateInfo, Fingerprint, NotAFingerprint};
pub use client::{ClientTls, ClientTlsFiles, OtherServer};
pub use error::{Mistake, TlsError};
pub use server::{ClientCertificates, ServerTls, TlsFiles};
pub use subject::{NotASubject, Subject, SubjectPattern};

use crate::{now, secret_file};

/// A certificate chain and the private key of its first certificate.
#[derive(Clone, Debug)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    not_after: UnixNanos,
}

impl Identity {
    /// Reads a certificate, with those that issued it behind it, and its private key. Both files are PEM.
    ///
    /// A certificate whose time is over is read all the same, so that an old certificate does not keep a server from
    /// starting; a warning is logged.
    ///
    /// # Errors
    /// A file cannot be read or holds something else; the key file can be used by others than its owner; or
    /// certificate and key do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let (_, first) = X509Certificate::from_der(&chain[0])
            .map_err(|error| TlsError::new(certificate, Mistake::Certificate(error.to_string())))?;
        let not_after = unix_nanos(first.validity().not_after.timestamp());
        if not_after < now() {
            tracing::warn!(certificate = %certificate.display(), "its time is over: clients will refuse it");
        }
        let certified = CertifiedKey::new(chain, signing_key(key)?);
        certified.keys_match().map_err(|_| {
            let key = key.display().to_string();
            TlsError::new(certificate, Mistake::OtherKey { key })
        })?;
        Ok(Self { certified: Arc::new(certified), not_after })
    }

    /// When the certificate's time is over.
    pub const fn not_after(&self) -> UnixNanos {
        self.not_after
    }

    /// The chain and the key, as rustls wants them.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

/// Reads the certificates of the authorities that are believed, a PEM file.
///
/// # Errors
/// The file cannot be read, or one of the certificates in it cannot be an authority's.
pub fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(path)? {
        authorities.add(certificate).map_err(|error| TlsError::new(path, Mistake::Certificate(error.to_string())))?;
    }
    Ok(authorities)
}

/// The cryptography that TLS uses everywhere in this program.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Reads the certificates in a PEM file: at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = fs::read(path).map_err(|error| TlsError::new(path, Mistake::Unreadable(error)))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(TlsError::new(path, Mistake::NoCertificate)),
        Ok(chain) => Ok(chain),
        Err(error) => Err(TlsError::new(path, Mistake::Certificate(error.to_string()))),
    }
}

fn signing_key(path: &Path) -> Result<Arc<dyn rustls::sign::SigningKey>, TlsError> {
    let text = secret_file::read(path).map_err(|error| TlsError::new(path, Mistake::KeyFile(error)))?;
    // What the parser says may quote the text, which is secret.
    let mut key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| TlsError::new(path, Mistake::NoKey))?;
    let signing = sign::any_supported_type(&key);
    key.zeroize();
    signing.map_err(|_| TlsError::new(path, Mistake::UnknownKey))
}

fn unix_nanos(seconds: i64) -> UnixNanos {
    UnixNanos(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000))
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
