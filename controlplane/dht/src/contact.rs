//! How a node is told of in messages: its id, and where it listens.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use serde::{Deserialize, Serialize};

use crate::id::Id;

/// A node and where it listens, for datagrams and for connections alike. In messages it is `{"id", "addr", "port"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Contact {
    /// Its id.
    pub id: Id,
    /// Its address and port.
    pub address: SocketAddr,
}

impl fmt::Display for Contact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at {}", self.id, self.address)
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    id: Id,
    addr: IpAddr,
    port: u16,
}

impl From<Written> for Contact {
    /// An IPv4 address that is written as an IPv6 one becomes what it is, so that a node has one address only.
    fn from(written: Written) -> Self {
        Self { id: written.id, address: SocketAddr::new(written.addr.to_canonical(), written.port) }
    }
}

impl From<Contact> for Written {
    fn from(contact: Contact) -> Self {
        Self { id: contact.id, addr: contact.address.ip(), port: contact.address.port() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_written_as_id_address_and_port() {
        let contact = Contact { id: Id([0x5a; 32]), address: "192.0.2.7:6881".parse().unwrap() };
        let text = format!(r#"{{"id":"{}","addr":"192.0.2.7","port":6881}}"#, "5a".repeat(32));
        assert_eq!(serde_json::to_string(&contact).unwrap(), text);
        assert_eq!(serde_json::from_str::<Contact>(&text).unwrap(), contact);
    }

    #[test]
    fn an_address_has_one_form_only() {
        let text = format!(r#"{{"id":"{}","addr":"::ffff:192.0.2.7","port":1}}"#, "00".repeat(32));
        let contact: Contact = serde_json::from_str(&text).unwrap();
        assert_eq!(contact.address, "192.0.2.7:1".parse().unwrap());
    }
}
