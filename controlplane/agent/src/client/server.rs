//! Where a filter is managed from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use reqwest::Url;

/// Where a filter is managed from: its Unix socket, or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// A Unix socket. Who calls is known from the user it runs as.
    Socket(PathBuf),
    /// `http://` on this machine, or `https://` anywhere; without a path.
    Url(Url),
}

/// A text that names no server. Says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAServer {
    /// No URL at all.
    #[error("it is no URL ({0}): write it like http://127.0.0.1:8479 or https://filter.example:8479")]
    NotAUrl(String),
    /// Another scheme, or parts that make no sense here.
    #[error("write only scheme, host and port, like http://127.0.0.1:8479 or https://filter.example:8479")]
    NotOnlyHostAndPort,
    /// Unencrypted, to another machine.
    #[error("http:// is for this machine only, as what it carries can be read and changed on the way: write https://")]
    NotEncrypted,
}

impl Server {
    /// The socket at `path`.
    pub fn socket(path: &Path) -> Self {
        Self::Socket(path.to_owned())
    }

    /// What requests begin with. That of a socket names this machine, since HTTP wants some name.
    pub(super) fn base_url(&self) -> Url {
        match self {
            Self::Socket(_) => Url::parse("http://localhost/").expect("a constant"),
            Self::Url(url) => url.clone(),
        }
    }

    /// Whether it is spoken to over TLS.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Url(url) if url.scheme() == "https")
    }
}

impl FromStr for Server {
    type Err = NotAServer;

    /// Reads a URL.
    fn from_str(text: &str) -> Result<Self, NotAServer> {
        let url = Url::parse(text).map_err(|error| NotAServer::NotAUrl(error.to_string()))?;
        let has_more = url.path() != "/"
            || url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.password().is_some();
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(NotAServer::NotOnlyHostAndPort)?;
        match url.scheme() {
            _ if has_more => Err(NotAServer::NotOnlyHostAndPort),
            "https" => Ok(Self::Url(url)),
            "http" if is_this_machine(host) => Ok(Self::Url(url)),
            "http" => Err(NotAServer::NotEncrypted),
            _ => Err(NotAServer::NotOnlyHostAndPort),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Url(url) => f.write_str(url.as_str().trim_end_matches('/')),
        }
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost",
    }
}

/// The Unix socket of a filter, unless its configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/photongate/api.sock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_scheme_host_and_port_and_nothing_else() {
        for text in ["http://127.0.0.1:8479", "http://localhost:1", "http://[::1]:8479/", "https://filter.example:8479"]
        {
            assert!(text.parse::<Server>().is_ok(), "{text}");
        }
        for text in
            ["https://filter.example/api", "https://a@filter.example", "https://filter.example?a", "ftp://localhost"]
        {
            assert_eq!(text.parse::<Server>(), Err(NotAServer::NotOnlyHostAndPort), "{text}");
        }
        assert!(matches!("127.0.0.1:8479".parse::<Server>(), Err(NotAServer::NotAUrl(_))));
    }

    #[test]
    fn a_token_is_never_sent_to_another_machine_unencrypted() {
        for text in
            ["http://192.0.2.1:8479", "http://filter.example", "http://127.0.0.1.example", "http://[2001:db8::1]"]
        {
            assert_eq!(text.parse::<Server>(), Err(NotAServer::NotEncrypted), "{text}");
        }
    }

    #[test]
    fn a_server_is_shown_as_it_was_written() {
        for text in ["http://127.0.0.1:8479", "https://filter.example:8479"] {
            assert_eq!(text.parse::<Server>().unwrap().to_string(), text);
        }
        assert_eq!(Server::socket(Path::new("/run/a.sock")).to_string(), "/run/a.sock");
    }
}
