//! Mutual TLS between nodes: what this node shows, whom it believes, and who a peer is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use photongate_net::secret_file;
use photongate_net::tls::{CertificateInfo, Identity, Mistake, Subject, TlsError};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use s2n_quic::provider::event::events::TlsExporterReady;
use s2n_quic::provider::event::{ConnectionInfo, ConnectionMeta, Subscriber};
use s2n_quic::provider::tls::default::{Client, Server};
use s2n_tls::callbacks::VerifyHostNameCallback;
use zeroize::Zeroizing;

use super::PeerError;
use crate::config::TlsConfig;

/// The PEM texts of this node, checked.
#[derive(Debug)]
pub(super) struct Credentials {
    certificate: String,
    key: Zeroizing<String>,
    authority: String,
}

/// Names that other nodes may have. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownNames(Arc<RwLock<BTreeSet<String>>>);

/// Tells what name each connection's other end has, from its certificate.
#[derive(Debug)]
pub(super) struct PeerSubjects;

/// The names in the certificate of a connection's other end. The handshake has verified it.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerSubject(pub(super) Option<Subject>);

impl Credentials {
    /// Reads the files, and checks that they are about a node called `id`.
    pub(super) fn load(files: &TlsConfig, id: &str) -> Result<Self, PeerError> {
        // Says what is wrong with the files better than the TLS library of QUIC does.
        Identity::load(&files.certificate, &files.key)?;
        let authority = text(&files.authority)?;
        if CertificateDer::pem_slice_iter(authority.as_bytes()).filter(Result::is_ok).count() == 0 {
            let mistake = Mistake::NoCertificate;
            return Err(TlsError { path: files.authority.clone(), mistake }.into());
        }
        let certificate = text(&files.certificate)?;
        let first = CertificateDer::from_pem_slice(certificate.as_bytes()).ok();
        let subject = first.and_then(|der| CertificateInfo::of(&der)).map(|info| info.subject).unwrap_or_default();
        if !subject.dns_names().any(|name| name.eq_ignore_ascii_case(id)) {
            let path = files.certificate.clone();
            return Err(PeerError::NotOurName { path, id: id.to_owned(), subject: subject.to_string() });
        }
        let key = secret_file::read(&files.key)
            .map_err(|error| TlsError { path: files.key.clone(), mistake: Mistake::KeyFile(error) })?;
        Ok(Self { certificate, key, authority })
    }

    /// The side that others connect to. A certificate of the authority with a known name is asked of everybody.
    pub(super) fn server(&self, known: KnownNames) -> Result<Server, PeerError> {
        let refused = |error: s2n_tls::error::Error| PeerError::Tls(error.to_string());
        let builder = Server::builder().with_application_protocols([PROTOCOL]).map_err(refused)?;
        let builder = builder.with_empty_trust_store().map_err(refused)?;
        let builder = builder.with_trusted_certificate(self.authority.as_str()).map_err(refused)?;
        let builder = builder.with_certificate(self.certificate.as_str(), self.key.as_str()).map_err(refused)?;
        let builder = builder.with_client_authentication().map_err(refused)?;
        // By default the names would be compared with the one that the client asked for: ours.
        builder.with_verify_host_name_callback(known).map_err(refused)?.build().map_err(refused)
    }

    /// The side that connects to others. Each must have the name that is asked for, which is the default.
    pub(super) fn client(&self) -> Result<Client, PeerError> {
        let refused = |error: s2n_tls::error::Error| PeerError::Tls(error.to_string());
        let builder = Client::builder().with_application_protocols([PROTOCOL]).map_err(refused)?;
        let builder = builder.with_empty_trust_store().map_err(refused)?;
        let builder = builder.with_certificate(self.authority.as_str()).map_err(refused)?;
        let builder = builder.with_client_identity(self.certificate.as_str(), self.key.as_str()).map_err(refused)?;
        builder.build().map_err(refused)
    }
}

impl KnownNames {
    /// From now on these are the names.
    pub(super) fn set(&self, names: impl IntoIterator<Item = String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = names.into_iter().collect();
    }

    fn contains(&self, name: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&name.to_ascii_lowercase())
    }
}

impl VerifyHostNameCallback for KnownNames {
    fn verify_host_name(&self, host_name: &str) -> bool {
        self.contains(host_name)
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

fn text(path: &Path) -> Result<String, PeerError> {
    let unreadable = |error| TlsError { path: path.to_owned(), mistake: Mistake::Unreadable(error) };
    Ok(fs::read_to_string(path).map_err(unreadable)?)
}

/// What both sides say they speak (ALPN).
const PROTOCOL: &str = "photongate-px/1";
