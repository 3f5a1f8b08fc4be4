//! What a client shows to a server, and what it wants to be shown.

use std::fmt;

use http::HeaderValue;
use reqwest::{Certificate, ClientBuilder, Identity, redirect, tls};
use zeroize::Zeroizing;

use super::{ClientError, Server};

/// What a client shows to a server, and what it wants to be shown. By default nothing, and the authorities of this machine.
#[derive(Clone, Default)]
pub struct ClientOptions {
    /// A bearer token.
    pub token: Option<Zeroizing<String>>,
    /// The certificates of the only authorities whose servers are believed, PEM.
    pub authorities: Option<Vec<u8>>,
    /// A certificate, those that issued it behind it, and its private key, PEM.
    pub identity: Option<Zeroizing<Vec<u8>>>,
}

impl ClientOptions {
    pub(super) fn builder(&self, server: &Server) -> Result<ClientBuilder, ClientError> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("photongate/", env!("CARGO_PKG_VERSION")))
            // Whoever we are sent to by another answer has not shown who they are.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .tls_version_min(tls::Version::TLS_1_3);
        let builder = match server {
            Server::Socket(path) => builder.unix_socket(path.as_path()),
            Server::Url(_) => builder.https_only(server.is_encrypted()),
        };
        let builder = match &self.authorities {
            Some(pem) => builder.tls_certs_only(authorities(pem)?),
            // Without TLS there is no need to read the hundreds of authorities of this machine.
            None if !server.is_encrypted() => builder.tls_certs_only([]),
            None => builder,
        };
        Ok(match &self.identity {
            Some(pem) => builder.identity(Identity::from_pem(pem).map_err(|error| ClientError::unusable(&error))?),
            None => builder,
        })
    }

    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, ClientError> {
        let Some(token) = &self.token else { return Ok(None) };
        let bearer = Zeroizing::new(format!("Bearer {}", token.trim()));
        let mut value = HeaderValue::from_str(&bearer)
            .map_err(|_| ClientError::Unusable("the token has characters that no token has".to_owned()))?;
        // It is not shown by whatever prints headers.
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("has_token", &self.token.is_some())
            .field("has_authorities", &self.authorities.is_some())
            .field("has_identity", &self.identity.is_some())
            .finish()
    }
}

fn authorities(pem: &[u8]) -> Result<Vec<Certificate>, ClientError> {
    let authorities = Certificate::from_pem_bundle(pem).map_err(|error| ClientError::unusable(&error))?;
    if authorities.is_empty() {
        return Err(ClientError::Unusable(
            "there is no certificate of an authority in the file given for it".to_owned(),
        ));
    }
    Ok(authorities)
}
