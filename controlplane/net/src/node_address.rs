//! Where another node is, as an operator writes it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::config::{Reported, Value};
use crate::pki::Host;

/// A host, by name or address, and a port. Prints as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// A name that is looked up whenever a connection is made, or an IP address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl NodeAddress {
    /// What is said of a text that is none.
    pub const NOT_ONE: &str =
        "no address: write an IP address or host name and a port, like 192.0.2.2:8482 or node-2.example:8482";

    /// Reads a configuration's value; without a port in it, the port is `default_port`.
    ///
    /// # Errors
    /// It is no address, or has no port where it must have one.
    pub fn read(value: &Value<'_>, default_port: Option<u16>) -> Result<Self, Reported> {
        Self::parse(value.text()?, default_port).ok_or_else(|| value.refuse(format!("is {}", Self::NOT_ONE)))
    }

    /// Reads a text, as [`read`](Self::read). `None` if it is no address.
    pub fn parse(text: &str, default_port: Option<u16>) -> Option<Self> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Some(Self { host: address.ip().to_string(), port: address.port() });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
            _ => (text, default_port),
        };
        let is_host = host.parse::<IpAddr>().is_ok() || Host::is_name(host);
        port.filter(|_| is_host).map(|port| Self { host: host.to_owned(), port })
    }

    /// All addresses of the host, with the port.
    ///
    /// # Errors
    /// The name cannot be looked up, or has no address.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<_> = tokio::net::lookup_host(self.to_string()).await?.collect();
        if found.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(found) }
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_printed() {
        for text in ["192.0.2.2:8482", "[2001:db8::1]:1", "node-2.example:8482"] {
            assert_eq!(NodeAddress::parse(text, None).unwrap().to_string(), text);
        }
        assert_eq!(NodeAddress::parse("2001:db8::1", Some(7)).unwrap().to_string(), "[2001:db8::1]:7");
        assert_eq!(NodeAddress::parse("node.example", Some(7)).unwrap().port, 7);
    }

    #[test]
    fn what_has_no_host_or_no_port_is_no_address() {
        for text in ["node.example", "node.example:x", "node_2:1:2", ":1", "no host:1", ""] {
            assert_eq!(NodeAddress::parse(text, None), None, "{text:?}");
        }
    }
}
