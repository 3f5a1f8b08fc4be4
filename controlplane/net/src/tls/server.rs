//! The TLS side of a server, whose files may be exchanged while it runs.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use photongate_wire::UnixNanos;
use rustls::ServerConfig;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;

use super::{Identity, Mistake, TlsError, authorities, provider};

/// The files of a server's TLS identity, all PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate, and those that issued it behind it.
    pub certificate: PathBuf,
    /// Its private key, which only its owner may read.
    pub key: PathBuf,
    /// Which certificates clients may show.
    pub clients: ClientCertificates,
}

/// Whether clients show a certificate. The files hold the authorities that may have issued it.
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// They are not asked for one.
    None,
    /// They may. One by another authority ends the connection.
    Optional(PathBuf),
    /// They must.
    Required(PathBuf),
}

/// The TLS side of a server: TLS 1.3 only, HTTP/1.1 only.
#[derive(Debug)]
pub struct ServerTls {
    files: TlsFiles,
    current: ArcSwap<Current>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with the first file that cannot be used.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(Current::load(&files)?);
        Ok(Self { files, current })
    }

    /// Reads the files anew. Connections that begin from now on use them, and no session of an earlier one is resumed;
    /// those that are open go on as they began.
    ///
    /// # Errors
    /// What is wrong with the first file that cannot be used. What was read before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(Current::load(&self.files)?));
        Ok(())
    }

    /// When the time of the server's certificate is over.
    pub fn not_after(&self) -> UnixNanos {
        self.current.load().not_after
    }

    /// What the next connection is to be accepted with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    not_after: UnixNanos,
}

impl Current {
    fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let identity = Identity::load(&files.certificate, &files.key)?;
        let verifier = match &files.clients {
            ClientCertificates::None => Arc::new(NoClientAuth),
            ClientCertificates::Optional(path) | ClientCertificates::Required(path) => {
                let roots = Arc::new(authorities(path)?);
                let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let optional = matches!(files.clients, ClientCertificates::Optional(_));
                let builder = if optional { builder.allow_unauthenticated() } else { builder };
                builder.build().map_err(|error| TlsError::new(path, Mistake::Certificate(error.to_string())))?
            }
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has cipher suites of TLS 1.3")
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), not_after: identity.not_after() })
    }
}
