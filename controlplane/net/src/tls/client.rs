//! The TLS side of a client, which may insist on one server, and whose files may be exchanged while it runs.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use photongate_wire::UnixNanos;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{Identity, Mistake, Subject, SubjectPattern, TlsError, authorities, provider};

/// What a client's TLS is made of. All files are PEM.
#[derive(Clone, Debug)]
pub struct ClientTlsFiles {
    /// The authorities whose servers are believed, and no others.
    pub ca: PathBuf,
    /// The client's certificate with those that issued it behind it, and its private key, which only its owner may read.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Which of those servers is meant, beside the host name or address that it is called by: its certificate must have this name.
    pub expected: Option<SubjectPattern>,
}

/// The TLS side of a client: TLS 1.3 only, HTTP/1.1 only.
///
/// Sessions are not resumed: a handshake that resumes one would not look at the server's certificate, which the files read last may
/// no longer believe.
#[derive(Debug)]
pub struct ClientTls {
    files: ClientTlsFiles,
    current: Arc<ArcSwap<Current>>,
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with the first file that cannot be used.
    pub fn load(files: ClientTlsFiles) -> Result<Self, TlsError> {
        let current = Arc::new(ArcSwap::from_pointee(Current::load(&files)?));
        let verifier = Verifier { current: Arc::clone(&current), expected: files.expected.clone() };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has cipher suites of TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(OwnCertificate(Arc::clone(&current))));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Self { files, current, config: Arc::new(config) })
    }

    /// Reads the files anew. Connections that begin from now on use them, also those of whoever has the [`config`](Self::config)
    /// already; those that are open go on as they began.
    ///
    /// # Errors
    /// What is wrong with the first file that cannot be used. What was read before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(Current::load(&self.files)?));
        Ok(())
    }

    /// When the time of the client's certificate is over, if it has one.
    pub fn not_after(&self) -> Option<UnixNanos> {
        self.current.load().identity.as_ref().map(Identity::not_after)
    }

    /// What to connect with. It stays the same when the files are read anew, and may be kept; `reqwest` takes a clone of what is inside
    /// as its preconfigured TLS backend.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

#[derive(Debug)]
struct Current {
    servers: Arc<WebPkiServerVerifier>,
    identity: Option<Identity>,
}

impl Current {
    fn load(files: &ClientTlsFiles) -> Result<Self, TlsError> {
        let roots = Arc::new(authorities(&files.ca)?);
        let servers = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
        let servers = servers.map_err(|error| TlsError::new(&files.ca, Mistake::Certificate(error.to_string())))?;
        let identity =
            files.identity.as_ref().map(|(certificate, key)| Identity::load(certificate, key)).transpose()?;
        Ok(Self { servers, identity })
    }
}

/// What WebPKI asks of a server's certificate, and the expected name.
#[derive(Debug)]
struct Verifier {
    current: Arc<ArcSwap<Current>>,
    expected: Option<SubjectPattern>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let servers = Arc::clone(&self.current.load().servers);
        let verified = servers.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        let Some(expected) = &self.expected else { return Ok(verified) };
        let subject = Subject::of(end_entity).ok_or(CertificateError::BadEncoding)?;
        if subject.is(expected) {
            return Ok(verified);
        }
        let other = OtherServer { expected: expected.clone(), subject };
        Err(CertificateError::Other(OtherError(Arc::new(other))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current.load().servers.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current.load().servers.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().servers.supported_verify_schemes()
    }
}

/// The handshake reached a server that is believed, and is another one than the one that was meant.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server that answers is {subject}, and not {expected}")]
pub struct OtherServer {
    /// What the server's certificate should have been called.
    pub expected: SubjectPattern,
    /// What it is called.
    pub subject: Subject,
}

impl fmt::Debug for OtherServer {
    /// As it is displayed: rustls shows it like this where it tells why a certificate was refused.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug)]
struct OwnCertificate(Arc<ArcSwap<Current>>);

impl ResolvesClientCert for OwnCertificate {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let certified = self.0.load().identity.as_ref().map(Identity::certified)?;
        certified.key.choose_scheme(schemes).map(|_| certified)
    }

    fn has_certs(&self) -> bool {
        self.0.load().identity.is_some()
    }
}

#[cfg(test)]
mod tests;
