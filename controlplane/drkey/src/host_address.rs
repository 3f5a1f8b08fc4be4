//! Host addresses as keys are derived from them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address of a host within its AS.
///
/// An IPv4 address mapped into IPv6 (`::ffff:a.b.c.d`) derives the same keys as the IPv4 address itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostAddress {
    /// An IPv4 address, in network order.
    V4([u8; 4]),
    /// An IPv6 address, in network order.
    V6([u8; 16]),
    /// A SCION service address, such as 2 for the control service.
    Service(u16),
}

impl HostAddress {
    /// The address itself, or the IPv4 address that is mapped into it.
    #[must_use]
    pub const fn unmapped(self) -> Self {
        match self {
            Self::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]) => Self::V4([a, b, c, d]),
            other => other,
        }
    }
}

impl From<Ipv4Addr> for HostAddress {
    fn from(address: Ipv4Addr) -> Self {
        Self::V4(address.octets())
    }
}

impl From<Ipv6Addr> for HostAddress {
    /// Unmaps what is an IPv4 address.
    fn from(address: Ipv6Addr) -> Self {
        Self::V6(address.octets()).unmapped()
    }
}

impl From<IpAddr> for HostAddress {
    /// Unmaps what is an IPv4 address.
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_mapped_into_ipv6_is_the_ipv4_address() {
        let mapped: IpAddr = "::ffff:10.248.1.2".parse().unwrap();
        assert_eq!(HostAddress::from(mapped), HostAddress::V4([10, 248, 1, 2]));
    }

    #[test]
    fn other_ipv6_addresses_stay_what_they_are() {
        for text in ["::10.248.1.2", "::fffe:10.248.1.2", "2001:db8::1", "1::ffff:10.248.1.2"] {
            let address: Ipv6Addr = text.parse().unwrap();
            assert_eq!(HostAddress::from(address), HostAddress::V6(address.octets()), "{text}");
        }
    }
}
