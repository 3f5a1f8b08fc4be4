//! Mutual TLS over QUIC: what a node shows, whom it believes, and who the other end of a connection is.

use std::fs;
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use s2n_quic::provider::event::events::TlsExporterReady;
use s2n_quic::provider::event::{ConnectionInfo, ConnectionMeta, Subscriber};
use s2n_quic::provider::tls::default::{Client, Server};
pub use s2n_tls::callbacks::VerifyHostNameCallback;
use zeroize::Zeroizing;

use crate::secret_file;
use crate::tls::{CertificateInfo, Identity, Mistake, Subject, TlsError};

/// The PEM files of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuicFiles {
    /// The certificate, with those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority that issues the certificates of all nodes.
    pub authority: PathBuf,
}

/// What the files of a node hold, checked.
#[derive(Debug)]
pub struct QuicIdentity {
    certificate: String,
    key: Zeroizing<String>,
    authority: String,
    subject: Subject,
}

/// The TLS library of QUIC refuses.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct QuicTlsError(String);

/// Tells what names each connection's other end has, from its certificate: a subscriber for an endpoint. Connections have a
/// [`PeerSubject`].
#[derive(Debug)]
pub struct PeerSubjects;

/// The names in the certificate of a connection's other end. The handshake has verified it.
#[derive(Clone, Debug, Default)]
pub struct PeerSubject(pub Option<Subject>);

impl QuicIdentity {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// What is wrong with the first file that cannot be used.
    pub fn load(files: &QuicFiles) -> Result<Self, TlsError> {
        // Says what is wrong with the files better than the TLS library of QUIC does.
        Identity::load(&files.certificate, &files.key)?;
        let authority = text(&files.authority)?;
        if CertificateDer::pem_slice_iter(authority.as_bytes()).filter(Result::is_ok).count() == 0 {
            return Err(TlsError { path: files.authority.clone(), mistake: Mistake::NoCertificate });
        }
        let certificate = text(&files.certificate)?;
        let first = CertificateDer::from_pem_slice(certificate.as_bytes()).ok();
        let subject = first.and_then(|der| CertificateInfo::of(&der)).map(|info| info.subject).unwrap_or_default();
        let key = secret_file::read(&files.key)
            .map_err(|error| TlsError { path: files.key.clone(), mistake: Mistake::KeyFile(error) })?;
        Ok(Self { certificate, key, authority, subject })
    }

    /// The names in our certificate.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The side that others connect to, with the protocol that both must speak (ALPN). A certificate of the authority is asked of
    /// everybody, with a name that `names` takes: by default it would be compared with the one that the client asked for, ours.
    ///
    /// # Errors
    /// [`QuicTlsError`].
    pub fn server(&self, protocol: &str, names: impl VerifyHostNameCallback + 'static) -> Result<Server, QuicTlsError> {
        let builder = Server::builder().with_application_protocols([protocol])?;
        let builder = builder.with_empty_trust_store()?.with_trusted_certificate(self.authority.as_str())?;
        let builder = builder.with_certificate(self.certificate.as_str(), self.key.as_str())?;
        Ok(builder.with_client_authentication()?.with_verify_host_name_callback(names)?.build()?)
    }

    /// The side that connects to others, each of which must have the name that is asked for.
    ///
    /// # Errors
    /// [`QuicTlsError`].
    pub fn client(&self, protocol: &str) -> Result<Client, QuicTlsError> {
        let builder = Client::builder().with_application_protocols([protocol])?;
        let builder = builder.with_empty_trust_store()?.with_certificate(self.authority.as_str())?;
        Ok(builder.with_client_identity(self.certificate.as_str(), self.key.as_str())?.build()?)
    }

    /// As [`client`](Self::client), for who does not know the names of others before: each must have one that `names` takes.
    ///
    /// # Errors
    /// [`QuicTlsError`].
    pub fn client_of_any(
        &self,
        protocol: &str,
        names: impl VerifyHostNameCallback + 'static,
    ) -> Result<Client, QuicTlsError> {
        let builder = Client::builder().with_application_protocols([protocol])?;
        let builder = builder.with_empty_trust_store()?.with_certificate(self.authority.as_str())?;
        let builder = builder.with_client_identity(self.certificate.as_str(), self.key.as_str())?;
        Ok(builder.with_verify_host_name_callback(names)?.build()?)
    }
}

impl Subscriber for PeerSubjects {
    type ConnectionContext = PeerSubject;

    fn create_connection_context(&mut self, _: &ConnectionMeta, _: &ConnectionInfo<'_>) -> PeerSubject {
        PeerSubject::default()
    }

    fn on_tls_exporter_ready(&mut self, context: &mut PeerSubject, _: &ConnectionMeta, event: &TlsExporterReady<'_>) {
        let chain = event.session.peer_cert_chain_der().unwrap_or_default();
        context.0 = chain.first().and_then(|certificate| Subject::of(certificate));
    }
}

impl From<s2n_tls::error::Error> for QuicTlsError {
    fn from(error: s2n_tls::error::Error) -> Self {
        Self(error.to_string())
    }
}

fn text(path: &Path) -> Result<String, TlsError> {
    fs::read_to_string(path).map_err(|error| TlsError { path: path.to_owned(), mistake: Mistake::Unreadable(error) })
}
