//! Kinds of ICMP messages, for IPv4 (RFC 792) and IPv6 (RFC 4443, RFC 4861).

/// The kind of an ICMPv4 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpType(pub u8);

impl IcmpType {
    /// The answer to [`ECHO`](Self::ECHO).
    pub const ECHO_REPLY: Self = Self(0);
    /// A datagram could not be delivered; its code 4 says "too big".
    pub const DESTINATION_UNREACHABLE: Self = Self(3);
    /// Slow down. Deprecated by RFC 6633.
    pub const SOURCE_QUENCH: Self = Self(4);
    /// There is a better first hop.
    pub const REDIRECT: Self = Self(5);
    /// Ping.
    pub const ECHO: Self = Self(8);
    /// A datagram ran out of hops, or its fragments did not all come.
    pub const TIME_EXCEEDED: Self = Self(11);
    /// A datagram had a bad header.
    pub const PARAMETER_PROBLEM: Self = Self(12);

    /// The kind of `message`, the payload of an IP packet; `None` if it is empty.
    #[inline]
    pub fn of(message: &[u8]) -> Option<Self> {
        message.first().copied().map(Self)
    }

    /// Whether it reports an error, so that no error may be reported about it (RFC 1122 section 3.2.2).
    #[inline]
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::DESTINATION_UNREACHABLE
                | Self::SOURCE_QUENCH
                | Self::REDIRECT
                | Self::TIME_EXCEEDED
                | Self::PARAMETER_PROBLEM
        )
    }

    /// Whether it is a ping or the answer to one.
    #[inline]
    pub const fn is_echo(self) -> bool {
        matches!(self, Self::ECHO | Self::ECHO_REPLY)
    }
}

/// The kind of an ICMPv6 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Icmpv6Type(pub u8);

impl Icmpv6Type {
    /// A packet did not fit the next link.
    pub const PACKET_TOO_BIG: Self = Self(2);
    /// Ping.
    pub const ECHO_REQUEST: Self = Self(128);
    /// The answer to [`ECHO_REQUEST`](Self::ECHO_REQUEST).
    pub const ECHO_REPLY: Self = Self(129);
    /// A host asks for routers.
    pub const ROUTER_SOLICITATION: Self = Self(133);
    /// A router announces itself.
    pub const ROUTER_ADVERTISEMENT: Self = Self(134);
    /// A station asks for the link address of another.
    pub const NEIGHBOR_SOLICITATION: Self = Self(135);
    /// A station tells its link address.
    pub const NEIGHBOR_ADVERTISEMENT: Self = Self(136);
    /// There is a better first hop.
    pub const REDIRECT: Self = Self(137);

    /// The kind of `message`, the upper layer of an IPv6 packet; `None` if it is empty.
    #[inline]
    pub fn of(message: &[u8]) -> Option<Self> {
        message.first().copied().map(Self)
    }

    /// Whether it reports an error: those have the high bit clear (RFC 4443 section 2.1).
    #[inline]
    pub const fn is_error(self) -> bool {
        self.0 < 128
    }

    /// Whether it is a ping or the answer to one.
    #[inline]
    pub const fn is_echo(self) -> bool {
        matches!(self, Self::ECHO_REQUEST | Self::ECHO_REPLY)
    }

    /// Whether it belongs to neighbour discovery, which takes ARP's place in IPv6 (RFC 4861 section 4).
    ///
    /// A genuine one has a hop limit of 255: no router has forwarded it.
    #[inline]
    pub const fn is_neighbor_discovery(self) -> bool {
        matches!(
            self,
            Self::ROUTER_SOLICITATION
                | Self::ROUTER_ADVERTISEMENT
                | Self::NEIGHBOR_SOLICITATION
                | Self::NEIGHBOR_ADVERTISEMENT
                | Self::REDIRECT
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_messages_of_ipv4_are_those_of_rfc_1122() {
        let errors: Vec<u8> = (0..=255).filter(|kind| IcmpType(*kind).is_error()).collect();
        assert_eq!(errors, [3, 4, 5, 11, 12]);
    }

    #[test]
    fn error_messages_of_ipv6_have_the_high_bit_clear() {
        assert!((0..128).all(|kind| Icmpv6Type(kind).is_error()));
        assert!(!(128..=255).any(|kind| Icmpv6Type(kind).is_error()));
    }

    #[test]
    fn neighbour_discovery_is_five_kinds() {
        let kinds: Vec<u8> = (0..=255).filter(|kind| Icmpv6Type(*kind).is_neighbor_discovery()).collect();
        assert_eq!(kinds, [133, 134, 135, 136, 137]);
    }

    #[test]
    fn the_kind_is_the_first_byte_of_a_message() {
        assert!(IcmpType::of(&[8, 0, 0x2f, 0x3c]).is_some_and(IcmpType::is_echo));
        assert!(Icmpv6Type::of(&[128, 0, 0, 0]).is_some_and(Icmpv6Type::is_echo));
        assert_eq!((IcmpType::of(&[]), Icmpv6Type::of(&[])), (None, None));
    }
}
