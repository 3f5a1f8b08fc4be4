//! Management over HTTP: who may manage a program, and from where; read from its configuration and put to work.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Audit, BindError, Bounds, Callers, Listen, Role, Server, ServerOptions, TokenError, TokenFile};
use crate::config::{FromValue, Reported, Section, Value};
use crate::oidc::{Oidc, OidcConfig, OidcError};
use crate::tls::{ClientCertificates, NotASubject, ServerTls, SubjectPattern, TlsError, TlsFiles};

/// What the configuration says, while management is enabled.
#[derive(Clone, Debug)]
pub struct ManagementConfig {
    /// The Unix socket that was asked for. `None`: that of the defaults, which the program can do without.
    pub socket: Option<PathBuf>,
    /// Where else it listens. Without `tls`, loopback addresses only.
    pub listen: Vec<SocketAddr>,
    /// Requests that each caller may make, per second.
    pub requests_per_second: u32,
    /// How the program proves who it is, and how callers may.
    pub tls: Option<ManagementTls>,
    /// The OpenID provider whose tokens are taken.
    pub oidc: Option<OidcConfig>,
    /// What counts where nothing is said.
    pub defaults: ManagementDefaults,
}

/// What counts where the configuration says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagementDefaults {
    /// What the section is called.
    pub section: &'static str,
    /// The Unix socket.
    pub socket: PathBuf,
    /// The one address of the loopback interface.
    pub listen: SocketAddr,
}

/// The section's part about TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagementTls {
    /// PEM file with the program's certificate, and those between it and the callers' trust anchor.
    pub certificate: PathBuf,
    /// PEM file with the certificate's private key.
    pub key: PathBuf,
    /// PEM file with the certificates that vouch for callers; without it they need a token.
    pub client_ca: Option<PathBuf>,
    /// Subjects of certificates whose holders may change things.
    pub admins: Vec<String>,
    /// Subjects of certificates whose holders may look.
    pub readers: Vec<String>,
}

/// Management that listens already.
#[derive(Debug)]
pub struct Management {
    /// The server.
    pub server: Server,
    /// Its TLS side, whose files may be read anew.
    pub tls: Option<Arc<ServerTls>>,
}

/// Why a program cannot be managed as its configuration says.
#[derive(Debug, thiserror::Error)]
pub enum ManagementError {
    /// A certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A file with a token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// An admin or reader who cannot be recognised.
    #[error(transparent)]
    Subject(#[from] NotASubject),
    /// The OpenID provider.
    #[error("oidc: {0}")]
    Oidc(#[from] OidcError),
    /// An address or socket.
    #[error(transparent)]
    Bind(#[from] BindError),
}

impl ManagementConfig {
    /// Reads the section; `None` if management is not enabled.
    ///
    /// # Errors
    /// What is wrong was reported.
    pub fn read(section: &mut Section<'_>, defaults: ManagementDefaults) -> Result<Option<Self>, Reported> {
        let enabled = section.or("enabled", true);
        let socket = section.optional_with("socket", Value::path);
        let requests_per_second = section.or_with("requests_per_second", DEFAULT_REQUESTS, |requests| {
            requests.number(1..=MOST_REQUESTS, "requests per second")
        });
        let has_tls = section.has("tls");
        let listen = section.or_with("listen", vec![defaults.listen], |list| listen(list, has_tls, defaults.section));
        let tls = section.optional_section("tls", tls);
        let oidc = section.optional_section("oidc", OidcConfig::read);
        let (socket, listen, requests_per_second) = (socket?, listen?, requests_per_second?);
        let config = Self { socket, listen, requests_per_second, tls: tls?, oidc: oidc?, defaults };
        Ok(enabled?.then_some(config))
    }

    /// The Unix socket, asked for or not.
    pub fn socket(&self) -> &Path {
        self.socket.as_deref().unwrap_or(&self.defaults.socket)
    }

    /// Listens wherever the configuration says. What it says by default only is done without, if it cannot be had. The tokens are in
    /// the files `admin.token` and `read.token` of the folder `state`, made if they are missing. Refusals go to `audit`.
    ///
    /// # Errors
    /// [`ManagementError`].
    pub async fn bind(&self, state: &Path, audit: &Audit) -> Result<Management, ManagementError> {
        let tls = self.tls.as_ref().map(ManagementTls::load).transpose()?;
        let mut required = Vec::new();
        let mut optional = Vec::new();
        let socket = Listen::Unix(self.socket().to_owned());
        if self.socket.is_some() {
            required.push(socket);
        } else {
            optional.push(socket);
        }
        for address in &self.listen {
            let listen = tls.as_ref().map_or(Listen::Plain(*address), |tls| Listen::Tls(*address, Arc::clone(tls)));
            if self.listen == [self.defaults.listen] { optional.push(listen) } else { required.push(listen) }
        }
        let mut callers = Callers::default()
            .with_token("admin", Role::Admin, TokenFile::create_or_read(&state.join("admin.token"))?)
            .with_token("read", Role::Read, TokenFile::create_or_read(&state.join("read.token"))?)
            .with_provider(self.oidc.as_ref().map(Oidc::open).transpose()?);
        if let Some(tls) = &self.tls {
            callers = callers.with_subjects(Role::Admin, subjects(&tls.admins)?);
            callers = callers.with_subjects(Role::Read, subjects(&tls.readers)?);
        }
        let mut served = required.clone();
        let mut server = Server::bind(ServerOptions {
            listeners: required,
            callers,
            audit: Some(audit.clone()),
            requests_per_second: NonZeroU32::new(self.requests_per_second).unwrap_or(NonZeroU32::MIN),
            content_security_policy: PAGE_POLICY,
            bounds: Bounds::default(),
        })
        .await?;
        for listen in optional {
            match server.listen_also(listen.clone()).await {
                Ok(()) => served.push(listen),
                Err(error) => tracing::warn!("{error}; there is no management there"),
            }
        }
        for listen in &served {
            match listen {
                Listen::Unix(path) => tracing::info!("management at {}", path.display()),
                Listen::Plain(address) => {
                    tracing::info!("management at http://{address}, from this machine, with a token");
                }
                Listen::Tls(address, _) => tracing::info!("management at https://{address}"),
            }
        }
        Ok(Management { server, tls })
    }
}

impl ManagementTls {
    fn load(&self) -> Result<Arc<ServerTls>, TlsError> {
        let clients = self.client_ca.clone().map_or(ClientCertificates::None, ClientCertificates::Optional);
        let files = TlsFiles { certificate: self.certificate.clone(), key: self.key.clone(), clients };
        Ok(Arc::new(ServerTls::load(files)?))
    }
}

fn subjects(patterns: &[String]) -> Result<Vec<SubjectPattern>, NotASubject> {
    patterns.iter().map(|pattern| pattern.parse()).collect()
}

fn listen(list: &Value<'_>, has_tls: bool, section: &str) -> Result<Vec<SocketAddr>, Reported> {
    let mut seen = Vec::new();
    list.items(|value| {
        let address = SocketAddr::from_value(value)?;
        if !has_tls && !address.ip().is_loopback() {
            let why = format!(
                "can be reached from elsewhere, where tokens would travel in clear: add [{section}.tls] with certificate and \
                 key, or listen on 127.0.0.1 or [::1]"
            );
            return Err(value.refuse(why));
        }
        if seen.contains(&address) {
            return Err(value.refuse("is listed twice: keep one"));
        }
        seen.push(address);
        Ok(address)
    })
}

fn tls(tls: &mut Section<'_>) -> Result<ManagementTls, Reported> {
    let certificate = tls.required_with("certificate", "\"api.pem\"", Value::path);
    let key = tls.required_with("key", "\"api.key\"", Value::path);
    let client_ca = tls.optional_with("client_ca", Value::path);
    let admins = tls.or_with("admins", Vec::new(), |list| list.items(subject));
    let readers = tls.or_with("readers", Vec::new(), |list| list.items(subject));
    let config = ManagementTls {
        certificate: certificate?,
        key: key?,
        client_ca: client_ca?,
        admins: admins?,
        readers: readers?,
    };
    if let Some(both) = config.readers.iter().find(|reader| config.admins.contains(reader)) {
        return Err(tls.refuse("readers", format!("{both:?} is among admins too, who may look anyway: keep one")));
    }
    let named =
        [("admins", &config.admins), ("readers", &config.readers)].into_iter().find(|(_, named)| !named.is_empty());
    match (&config.client_ca, named) {
        (None, Some((field, _))) => {
            let message = "nothing vouches for their certificates: add client_ca, or remove them and use tokens";
            Err(tls.refuse(field, message))
        }
        (Some(_), None) => {
            let message = "nobody is named whom it could vouch for: add admins or readers, like \"CN=ops\", or remove client_ca \
                           and use tokens";
            Err(tls.refuse("client_ca", message))
        }
        _ => Ok(config),
    }
}

/// The subject of a certificate: `CN=` and its common name, or `SAN:` and one of its alternative names.
fn subject(value: &Value<'_>) -> Result<String, Reported> {
    let text = value.text()?;
    let name = text.strip_prefix("CN=").or_else(|| text.strip_prefix("SAN:"));
    if name.is_none_or(|name| name.trim().is_empty()) {
        return Err(value.refuse("names no subject: write CN= and the common name, or SAN: and an alternative name"));
    }
    Ok(text.to_owned())
}

/// A dashboard takes one or two, a script in a hurry twenty.
const DEFAULT_REQUESTS: u32 = 50;
const MOST_REQUESTS: u32 = 1_000_000;

/// What pages may load that do not say so themselves: their own style.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
