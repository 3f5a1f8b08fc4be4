//! `[api]`: who may manage the filter over HTTP, and from where.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use photongate_net::config::{FromValue, Reported, Section, Value};

/// `[api]`, while it is enabled.
#[derive(Clone, Debug)]
pub(crate) struct ApiConfig {
    /// The Unix socket that was asked for. `None`: [`DEFAULT_API_SOCKET`], which the filter can do without.
    pub socket: Option<PathBuf>,
    /// Where else it listens. Without `tls`, loopback addresses only.
    pub listen: Vec<SocketAddr>,
    /// Requests that each caller may make, per second.
    pub requests_per_second: u32,
    /// How the filter proves who it is, and how callers may.
    pub tls: Option<ApiTlsConfig>,
}

/// `[api.tls]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiTlsConfig {
    /// PEM file with the filter's certificate, and those between it and the callers' trust anchor.
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

impl ApiConfig {
    /// Whether it listens just where it does when nobody says anything about it.
    #[cfg(feature = "dataplane")]
    pub(crate) fn listens_by_default(&self) -> bool {
        self.listen == [DEFAULT_LISTEN]
    }

    /// The Unix socket, asked for or not.
    pub(crate) fn socket(&self) -> &Path {
        self.socket.as_deref().unwrap_or(DEFAULT_API_SOCKET.as_ref())
    }
}

/// Reads `[api]`; `None` if it is not enabled.
pub(super) fn read(api: &mut Section<'_>) -> Result<Option<ApiConfig>, Reported> {
    let enabled = api.or("enabled", true);
    let socket = api.optional_with("socket", Value::path);
    let requests_per_second = api.or_with("requests_per_second", DEFAULT_REQUESTS, |requests| {
        requests.number(1..=MOST_REQUESTS, "requests per second")
    });
    let has_tls = api.has("tls");
    let listen = api.or_with("listen", vec![DEFAULT_LISTEN], |list| listen(list, has_tls));
    let tls = api.optional_section("tls", tls);
    let config = ApiConfig { socket: socket?, listen: listen?, requests_per_second: requests_per_second?, tls: tls? };
    Ok(enabled?.then_some(config))
}

fn listen(list: &Value<'_>, has_tls: bool) -> Result<Vec<SocketAddr>, Reported> {
    let mut seen = Vec::new();
    list.items(|value| {
        let address = SocketAddr::from_value(value)?;
        if !has_tls && !address.ip().is_loopback() {
            let why = "can be reached from elsewhere, where tokens would travel in clear: add [api.tls] with certificate and \
                       key, or listen on 127.0.0.1 or [::1]";
            return Err(value.refuse(why));
        }
        if seen.contains(&address) {
            return Err(value.refuse("is listed twice: keep one"));
        }
        seen.push(address);
        Ok(address)
    })
}

fn tls(tls: &mut Section<'_>) -> Result<ApiTlsConfig, Reported> {
    let certificate = tls.required_with("certificate", "\"api.pem\"", Value::path);
    let key = tls.required_with("key", "\"api.key\"", Value::path);
    let client_ca = tls.optional_with("client_ca", Value::path);
    let admins = tls.or_with("admins", Vec::new(), |list| list.items(subject));
    let readers = tls.or_with("readers", Vec::new(), |list| list.items(subject));
    let config = ApiTlsConfig {
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

/// Where `photongate filter` serves and other commands look, if not told otherwise.
pub(crate) const DEFAULT_API_SOCKET: &str = "/run/photongate/api.sock";

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8479);

/// A dashboard takes one or two, a script in a hurry twenty.
const DEFAULT_REQUESTS: u32 = 50;
const MOST_REQUESTS: u32 = 1_000_000;
