//! Host addresses as keys are derived from them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address of a host within its AS.
///
/// An IPv4 address mapped into IPv6 (`::ffff:a.b.c.d`) derives the same keys as the IPv4 address itself, and is taken for it.
///
/// Kept as numbers, so that what a key is derived from is put together in registers: a packet has two such addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostAddress {
    /// The bytes in network order, read as a little-endian number, filled up with zeroes.
    bytes: [u64; 2],
    kind: Kind,
}

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    V4,
    V6,
    Service,
}

impl HostAddress {
    /// An IPv4 address, in network order.
    #[inline]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        Self { bytes: [u32::from_le_bytes(octets) as u64, 0], kind: Kind::V4 }
    }

    /// An IPv6 address, in network order, or the IPv4 address that is mapped into it.
    #[inline]
    #[must_use]
    pub const fn v6(octets: [u8; 16]) -> Self {
        let number = u128::from_le_bytes(octets);
        let (low, high) = (number as u64, (number >> 64) as u64);
        if low == 0 && high as u32 == MAPPED {
            return Self { bytes: [high >> 32, 0], kind: Kind::V4 };
        }
        Self { bytes: [low, high], kind: Kind::V6 }
    }

    /// A SCION service address, such as 2 for the control service.
    #[must_use]
    pub const fn service(number: u16) -> Self {
        Self { bytes: [number.swap_bytes() as u64, 0], kind: Kind::Service }
    }

    /// The bytes in network order, read as a little-endian number: 4 of an IPv4 or service address, otherwise 16.
    #[inline]
    pub(crate) const fn bytes(self) -> [u64; 2] {
        self.bytes
    }

    #[inline]
    pub(crate) const fn kind(self) -> Kind {
        self.kind
    }
}

/// For the tests that compare them.
impl fmt::Debug for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = self.bytes;
        write!(f, "HostAddress({:?} {low:016x} {high:016x})", self.kind)
    }
}

impl From<Ipv4Addr> for HostAddress {
    #[inline]
    fn from(address: Ipv4Addr) -> Self {
        Self::v4(address.octets())
    }
}

impl From<Ipv6Addr> for HostAddress {
    /// Unmaps what is an IPv4 address.
    #[inline]
    fn from(address: Ipv6Addr) -> Self {
        Self::v6(address.octets())
    }
}

impl From<IpAddr> for HostAddress {
    /// Unmaps what is an IPv4 address.
    #[inline]
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        }
    }
}

/// What stands before an IPv4 address that is mapped into IPv6, as the second of two little-endian numbers begins.
const MAPPED: u32 = 0xffff_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_mapped_into_ipv6_is_the_ipv4_address() {
        let mapped: IpAddr = "::ffff:10.248.1.2".parse().unwrap();
        assert_eq!(HostAddress::from(mapped), HostAddress::v4([10, 248, 1, 2]));
    }

    #[test]
    fn other_ipv6_addresses_stay_what_they_are() {
        for text in ["::10.248.1.2", "::fffe:10.248.1.2", "2001:db8::1", "1::ffff:10.248.1.2"] {
            let address: Ipv6Addr = text.parse().unwrap();
            assert_eq!(HostAddress::from(address).kind(), Kind::V6, "{text}");
        }
    }
}
