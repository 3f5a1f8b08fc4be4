//! Ethernet II with up to two VLAN tags (IEEE 802.3, 802.1Q, 802.1ad).

use std::fmt;
use std::str::FromStr;

use crate::Malformed;

/// A frame known to hold a whole Ethernet header, its VLAN tags included.
#[derive(Clone, Copy, Debug)]
pub struct Ethernet<'p> {
    destination: MacAddress,
    source: MacAddress,
    tags: [Option<VlanTag>; MAX_TAGS],
    ethertype: EtherType,
    header_len: usize,
    payload: &'p [u8],
}

impl<'p> Ethernet<'p> {
    /// Reads the header at the start of `frame`, which has no preamble and no checksum (FCS).
    ///
    /// A third VLAN tag is not read: it is then the [`ethertype`](Self::ethertype).
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if the frame ends inside the header or its tags.
    #[inline]
    pub fn parse(frame: &'p [u8]) -> Result<Self, Malformed> {
        let (destination, rest) = frame.split_first_chunk().ok_or(Malformed::Truncated)?;
        let (source, rest) = rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        let (mut ethertype, mut payload) = split_u16(rest)?;
        let mut header_len = HEADER_LEN;
        let mut tags = [None; MAX_TAGS];
        for tag in &mut tags {
            if !EtherType(ethertype).is_vlan() {
                break;
            }
            let (control, rest) = split_u16(payload)?;
            *tag = Some(VlanTag { protocol: EtherType(ethertype), control });
            (ethertype, payload) = split_u16(rest)?;
            header_len += TAG_LEN;
        }
        let ethertype = EtherType(ethertype);
        Ok(Self {
            destination: MacAddress(*destination),
            source: MacAddress(*source),
            tags,
            ethertype,
            header_len,
            payload,
        })
    }

    /// Who the frame is for.
    #[inline]
    pub const fn destination(&self) -> MacAddress {
        self.destination
    }

    /// Who sent the frame.
    #[inline]
    pub const fn source(&self) -> MacAddress {
        self.source
    }

    /// The VLAN tags, outermost first.
    #[inline]
    pub fn vlan_tags(&self) -> impl Iterator<Item = VlanTag> + use<> {
        self.tags.into_iter().flatten()
    }

    /// What the frame carries behind its VLAN tags.
    #[inline]
    pub const fn ethertype(&self) -> EtherType {
        self.ethertype
    }

    /// Bytes before the payload: 14, and 4 for each VLAN tag.
    #[inline]
    pub const fn header_len(&self) -> usize {
        self.header_len
    }

    /// Everything behind the header, padding included.
    #[inline]
    pub const fn payload(&self) -> &'p [u8] {
        self.payload
    }
}

/// The addresses of a frame, to be changed in place.
#[derive(Debug)]
pub struct EthernetMut<'p>(&'p mut [u8; HEADER_LEN]);

impl<'p> EthernetMut<'p> {
    /// Takes the header at the start of `frame`.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if the frame is shorter than [`HEADER_LEN`].
    #[inline]
    pub fn parse(frame: &'p mut [u8]) -> Result<Self, Malformed> {
        frame.first_chunk_mut().map(Self).ok_or(Malformed::Truncated)
    }

    /// Sets who the frame is for.
    #[inline]
    pub fn set_destination(&mut self, address: MacAddress) {
        self.0[0..6].copy_from_slice(&address.0);
    }

    /// Sets who sends the frame.
    #[inline]
    pub fn set_source(&mut self, address: MacAddress) {
        self.0[6..12].copy_from_slice(&address.0);
    }

    /// Turns the frame round: back to who sent it.
    #[inline]
    pub fn swap_addresses(&mut self) {
        let (destination, rest) = self.0.split_at_mut(6);
        destination.swap_with_slice(&mut rest[..6]);
    }
}

/// One VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VlanTag {
    protocol: EtherType,
    control: u16,
}

impl VlanTag {
    /// The EtherType that announced the tag: [`EtherType::VLAN`], or one of the QinQ types for an outer tag.
    #[inline]
    pub const fn protocol(self) -> EtherType {
        self.protocol
    }

    /// The VLAN's number, 0 to 4095; 0 says that the tag gives a priority only.
    #[inline]
    pub const fn vlan_id(self) -> u16 {
        self.control & 0x0fff
    }

    /// The priority code point, 0 to 7.
    #[inline]
    pub const fn priority(self) -> u8 {
        (self.control >> 13) as u8
    }

    /// Whether the frame may be dropped first under congestion.
    #[inline]
    pub const fn drop_eligible(self) -> bool {
        self.control & 0x1000 != 0
    }
}

/// What a frame carries. Values below 0x0600 are the length of an 802.3 frame instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4 (RFC 894).
    pub const IPV4: Self = Self(0x0800);
    /// ARP (RFC 826).
    pub const ARP: Self = Self(0x0806);
    /// An IEEE 802.1Q tag: a customer's VLAN.
    pub const VLAN: Self = Self(0x8100);
    /// IPv6 (RFC 2464).
    pub const IPV6: Self = Self(0x86dd);
    /// Slow protocols such as LACP (IEEE 802.3, annex 57A).
    pub const SLOW_PROTOCOLS: Self = Self(0x8809);
    /// An IEEE 802.1ad tag: a provider's VLAN, around the customer's.
    pub const SERVICE_VLAN: Self = Self(0x88a8);
    /// LLDP (IEEE 802.1AB).
    pub const LLDP: Self = Self(0x88cc);
    /// The outer tag of QinQ as switches wrote it before IEEE 802.1ad.
    pub const LEGACY_QINQ: Self = Self(0x9100);

    /// Whether a VLAN tag follows.
    #[inline]
    pub const fn is_vlan(self) -> bool {
        matches!(self, Self::VLAN | Self::SERVICE_VLAN | Self::LEGACY_QINQ)
    }
}

/// An Ethernet address. Prints as `02:00:5e:10:00:01`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Everyone on the link.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether it names a group of stations; the broadcast address does too.
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = InvalidMacAddress;

    fn from_str(text: &str) -> Result<Self, InvalidMacAddress> {
        parse_mac(text).map(Self).ok_or_else(|| InvalidMacAddress(text.to_owned()))
    }
}

/// Text that is not an Ethernet address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an Ethernet address: write six pairs of hexadecimal digits, like 02:00:5e:10:00:01")]
pub struct InvalidMacAddress(pub String);

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut pairs = text.split(':');
    let mut address = [0; 6];
    for byte in &mut address {
        // `from_str_radix` would take a sign too.
        let pair = pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|d| d.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(address)
}

#[inline]
fn split_u16(bytes: &[u8]) -> Result<(u16, &[u8]), Malformed> {
    let (number, rest) = bytes.split_first_chunk().ok_or(Malformed::Truncated)?;
    Ok((u16::from_be_bytes(*number), rest))
}

/// Bytes of the header without VLAN tags.
pub const HEADER_LEN: usize = 14;

/// Bytes that each VLAN tag adds to the header.
pub const TAG_LEN: usize = 4;

/// VLAN tags that are looked through.
pub const MAX_TAGS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn an_untagged_frame_shows_addresses_type_and_payload() {
        let bytes = hex("0076657468210076657468110800 45aabb");
        let frame = Ethernet::parse(&bytes).unwrap();
        assert_eq!(frame.destination().to_string(), "00:76:65:74:68:21");
        assert_eq!(frame.source().to_string(), "00:76:65:74:68:11");
        assert_eq!(frame.vlan_tags().count(), 0);
        assert_eq!((frame.ethertype(), frame.header_len()), (EtherType::IPV4, 14));
        assert_eq!(frame.payload(), hex("45aabb"));
    }

    #[test]
    fn a_vlan_tag_is_looked_through() {
        let bytes = hex("007665746821 007665746811 8100 b064 86dd 60");
        let frame = Ethernet::parse(&bytes).unwrap();
        let tag = frame.vlan_tags().next().unwrap();
        assert_eq!((tag.protocol(), tag.vlan_id()), (EtherType::VLAN, 100));
        assert_eq!((tag.priority(), tag.drop_eligible()), (5, true));
        assert_eq!((frame.ethertype(), frame.header_len()), (EtherType::IPV6, 18));
        assert_eq!(frame.payload(), [0x60]);
    }

    #[test]
    fn a_service_tag_around_a_customer_tag_is_looked_through() {
        for outer in ["88a8", "9100", "8100"] {
            let bytes = hex(&format!("007665746821 007665746811 {outer} 0fff 8100 0001 0800 45"));
            let frame = Ethernet::parse(&bytes).unwrap();
            let ids: Vec<u16> = frame.vlan_tags().map(VlanTag::vlan_id).collect();
            assert_eq!(ids, [4095, 1]);
            assert_eq!((frame.ethertype(), frame.header_len()), (EtherType::IPV4, 22));
        }
    }

    #[test]
    fn a_third_tag_is_the_ethertype() {
        let bytes = hex("007665746821 007665746811 88a8 0001 8100 0002 8100 0003 0800");
        let frame = Ethernet::parse(&bytes).unwrap();
        assert_eq!((frame.ethertype(), frame.header_len()), (EtherType::VLAN, 22));
    }

    #[test]
    fn a_frame_that_ends_inside_its_header_is_refused() {
        let bytes = hex("007665746821 007665746811 88a8 0001 8100 0002 0800");
        for length in 0..bytes.len() {
            assert_eq!(Ethernet::parse(&bytes[..length]).unwrap_err(), Malformed::Truncated, "{length} bytes");
        }
        assert!(Ethernet::parse(&bytes).is_ok());
        assert!(EthernetMut::parse(&mut [0; 13]).is_err());
    }

    #[test]
    fn addresses_change_in_place_and_nothing_else_does() {
        let mut bytes = hex("007665746821 007665746811 0800 4501");
        let mut frame = EthernetMut::parse(&mut bytes).unwrap();
        frame.swap_addresses();
        frame.set_destination(MacAddress([2, 0, 0, 0, 0, 1]));
        assert_eq!(bytes, hex("020000000001 007665746821 0800 4501"));
        EthernetMut::parse(&mut bytes).unwrap().set_source(MacAddress::BROADCAST);
        assert_eq!(bytes, hex("020000000001 ffffffffffff 0800 4501"));
    }

    #[test]
    fn addresses_read_as_they_print() {
        let address: MacAddress = "02:00:5E:10:00:ff".parse().unwrap();
        assert_eq!(address, MacAddress([0x02, 0x00, 0x5e, 0x10, 0x00, 0xff]));
        assert_eq!(address.to_string(), "02:00:5e:10:00:ff");
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        for text in
            ["", "02:00:5e:10:00", "02:00:5e:10:00:01:02", "2:0:5e:10:0:1", "+2:00:5e:10:00:01", "02-00-5e-10-00-01"]
        {
            assert_eq!(text.parse::<MacAddress>(), Err(InvalidMacAddress(text.to_owned())), "{text}");
        }
        let message = "swop".parse::<MacAddress>().unwrap_err().to_string();
        assert!(message.contains("like 02:00:5e:10:00:01"), "{message}");
    }

    #[test]
    fn group_addresses_are_told_from_stations() {
        assert!(MacAddress::BROADCAST.is_multicast());
        assert!(MacAddress([0x01, 0x80, 0xc2, 0, 0, 0x0e]).is_multicast());
        assert!(!MacAddress([0x02, 0, 0, 0, 0, 1]).is_multicast());
    }
}
