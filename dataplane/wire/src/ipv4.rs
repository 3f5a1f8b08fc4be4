//! IPv4 header (RFC 791), with options, and whatever stands behind the datagram in its frame.

use std::net::Ipv4Addr;
use std::ops::Range;

use crate::{IpProtocol, Malformed, Sum, checksum};

/// Bytes known to hold one whole IPv4 datagram.
///
/// A frame may be longer than the datagram in it (Ethernet pads to 60 bytes); the rest is [`trailing`](Self::trailing).
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'p> {
    fixed: &'p [u8; HEADER_LEN],
    header: &'p [u8],
    payload: &'p [u8],
    datagram: &'p [u8],
    trailing: &'p [u8],
    payload_and_trailing: &'p [u8],
}

impl<'p> Ipv4<'p> {
    /// Reads the datagram at the start of `bytes`. The header checksum is not looked at.
    ///
    /// # Errors
    /// - [`Malformed::Truncated`]: the bytes end inside the header or its options.
    /// - [`Malformed::Version`]: not version 4.
    /// - [`Malformed::HeaderLength`]: a header of less than 20 bytes.
    /// - [`Malformed::Length`]: a total length that is less than the header, or more than there is.
    #[inline]
    pub fn parse(bytes: &'p [u8]) -> Result<Self, Malformed> {
        let (fixed, header_len) = check_header(bytes)?;
        let total_length = usize::from(u16::from_be_bytes(copy(fixed, field::TOTAL_LENGTH)));
        let (header, payload_and_trailing) = bytes.split_at_checked(header_len).ok_or(Malformed::Truncated)?;
        let (datagram, trailing) = bytes.split_at_checked(total_length).ok_or(Malformed::Length)?;
        let payload = datagram.get(header_len..).ok_or(Malformed::Length)?;
        Ok(Self { fixed, header, payload, datagram, trailing, payload_and_trailing })
    }

    /// Type of service, or the DSCP (upper six bits) and ECN (RFC 2474, RFC 3168).
    #[inline]
    pub fn type_of_service(&self) -> u8 {
        self.fixed[field::TYPE_OF_SERVICE]
    }

    /// Bytes of header and payload together.
    #[inline]
    pub fn total_length(&self) -> u16 {
        u16::from_be_bytes(copy(self.fixed, field::TOTAL_LENGTH))
    }

    /// What ties the fragments of one datagram together.
    #[inline]
    pub fn identification(&self) -> u16 {
        u16::from_be_bytes(copy(self.fixed, field::IDENTIFICATION))
    }

    /// Whether routers must not fragment the datagram.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.flags_and_offset() & DONT_FRAGMENT != 0
    }

    /// Whether more fragments of the same datagram follow.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.flags_and_offset() & MORE_FRAGMENTS != 0
    }

    /// Where the payload belongs in the whole datagram, in bytes; 0 in one that is whole, and in a first fragment.
    #[inline]
    pub fn fragment_offset(&self) -> u16 {
        self.flags_and_offset() << 3
    }

    /// Whether this is one piece of a datagram, first or later.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.flags_and_offset() & !DONT_FRAGMENT & !RESERVED_FLAG != 0
    }

    /// Hops that the datagram may still take.
    #[inline]
    pub fn time_to_live(&self) -> u8 {
        self.fixed[field::TIME_TO_LIVE]
    }

    /// What the payload is.
    #[inline]
    pub fn protocol(&self) -> IpProtocol {
        IpProtocol(self.fixed[field::PROTOCOL])
    }

    /// The header checksum as it stands there.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes(copy(self.fixed, field::CHECKSUM))
    }

    /// Whether the header checksum is right.
    #[inline]
    pub fn is_checksum_valid(&self) -> bool {
        // Hardly any header has options, and a sum over a fixed length needs no loop.
        let fixed = Sum::ZERO.add_bytes(self.fixed);
        let sum = if self.header.len() == HEADER_LEN { fixed } else { fixed.add_bytes(&self.header[HEADER_LEN..]) };
        sum.checksum() == 0
    }

    /// Who sent the datagram.
    #[inline]
    pub fn source(&self) -> Ipv4Addr {
        copy(self.fixed, field::SOURCE).into()
    }

    /// Who the datagram is for.
    #[inline]
    pub fn destination(&self) -> Ipv4Addr {
        copy(self.fixed, field::DESTINATION).into()
    }

    /// The header, options included: 20 to 60 bytes.
    #[inline]
    pub fn header(&self) -> &'p [u8] {
        self.header
    }

    /// What the header carries, up to the total length.
    #[inline]
    pub fn payload(&self) -> &'p [u8] {
        self.payload
    }

    /// Header and payload, up to the total length.
    #[inline]
    pub fn datagram(&self) -> &'p [u8] {
        self.datagram
    }

    /// What stands behind the datagram: Ethernet padding, as a rule.
    #[inline]
    pub fn trailing(&self) -> &'p [u8] {
        self.trailing
    }

    /// Everything behind the header. LightningFilter takes this for the payload.
    #[inline]
    pub fn payload_and_trailing(&self) -> &'p [u8] {
        self.payload_and_trailing
    }

    #[inline]
    fn flags_and_offset(&self) -> u16 {
        u16::from_be_bytes(copy(self.fixed, field::FLAGS_AND_OFFSET))
    }
}

/// An IPv4 header, to be changed in place.
#[derive(Debug)]
pub struct Ipv4Mut<'p> {
    fixed: &'p mut [u8; HEADER_LEN],
    options: &'p mut [u8],
}

impl<'p> Ipv4Mut<'p> {
    /// Takes the header at the start of `bytes`. The total length may be wrong: it is about to be set.
    ///
    /// # Errors
    /// As [`Ipv4::parse`], but never [`Malformed::Length`].
    #[inline]
    pub fn parse(bytes: &'p mut [u8]) -> Result<Self, Malformed> {
        let (_, header_len) = check_header(bytes)?;
        let header = bytes.get_mut(..header_len).ok_or(Malformed::Truncated)?;
        let (fixed, options) = header.split_first_chunk_mut().ok_or(Malformed::Truncated)?;
        Ok(Self { fixed, options })
    }

    /// Sets the bytes of header and payload together. The checksum is left as it is.
    #[inline]
    pub fn set_total_length(&mut self, length: u16) {
        self.set(field::TOTAL_LENGTH, &length.to_be_bytes());
    }

    /// Sets what the payload is. The checksum is left as it is.
    #[inline]
    pub fn set_protocol(&mut self, protocol: IpProtocol) {
        self.fixed[field::PROTOCOL] = protocol.0;
    }

    /// Sets the header checksum: 0 when a NIC is to compute it.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        self.set(field::CHECKSUM, &checksum.to_be_bytes());
    }

    /// Computes the header checksum and sets it.
    #[inline]
    pub fn fill_checksum(&mut self) {
        self.set_checksum(0);
        self.set_checksum(Sum::ZERO.add_bytes(self.fixed).add_bytes(self.options).checksum());
    }

    /// Sets total length and protocol, and changes the checksum by as much (RFC 1624): a right one stays right.
    #[inline]
    pub fn replace(&mut self, total_length: u16, protocol: IpProtocol) {
        // One by one: `map` of an array is a call.
        let length = u16::from_be_bytes(copy(self.fixed, field::TOTAL_LENGTH));
        let hops_and_protocol = u16::from_be_bytes(copy(self.fixed, HOPS_AND_PROTOCOL));
        let checksum = u16::from_be_bytes(copy(self.fixed, field::CHECKSUM));
        let replaced = hops_and_protocol & 0xff00 | u16::from(protocol.0);
        let checksum = checksum::update_all(checksum, [(length, total_length), (hops_and_protocol, replaced)]);
        self.set_total_length(total_length);
        self.set_protocol(protocol);
        self.set_checksum(checksum);
    }

    #[inline]
    fn set(&mut self, field: Range<usize>, value: &[u8; 2]) {
        self.fixed[field].copy_from_slice(value);
    }
}

/// The fixed header, and the length of the whole one; that the options are there is not checked.
#[inline]
fn check_header(bytes: &[u8]) -> Result<(&[u8; HEADER_LEN], usize), Malformed> {
    let fixed: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
    if fixed[0] >> 4 != 4 {
        return Err(Malformed::Version);
    }
    let header_len = usize::from(fixed[0] & 0x0f) * 4;
    if header_len < HEADER_LEN {
        return Err(Malformed::HeaderLength);
    }
    Ok((fixed, header_len))
}

#[inline]
fn copy<const N: usize>(header: &[u8; HEADER_LEN], field: Range<usize>) -> [u8; N] {
    header[field].try_into().expect("field ranges are as long as their types")
}

/// Bytes of the header without options.
pub const HEADER_LEN: usize = field::DESTINATION.end;

/// The word of the checksum in which the protocol is.
const HOPS_AND_PROTOCOL: Range<usize> = field::TIME_TO_LIVE..field::PROTOCOL + 1;

const RESERVED_FLAG: u16 = 0x8000;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;

/// RFC 791 section 3.1.
mod field {
    use super::Range;

    pub(super) const TYPE_OF_SERVICE: usize = 1;
    pub(super) const TOTAL_LENGTH: Range<usize> = 2..4;
    pub(super) const IDENTIFICATION: Range<usize> = 4..6;
    pub(super) const FLAGS_AND_OFFSET: Range<usize> = 6..8;
    pub(super) const TIME_TO_LIVE: usize = 8;
    pub(super) const PROTOCOL: usize = 9;
    pub(super) const CHECKSUM: Range<usize> = 10..12;
    pub(super) const SOURCE: Range<usize> = 12..16;
    pub(super) const DESTINATION: Range<usize> = 16..20;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn a_captured_header_shows_its_fields() {
        let bytes = [hex(CAPTURED), hex("9dd413880010c0ef080f161d242b3239")].concat();
        let ip = Ipv4::parse(&bytes).unwrap();
        assert_eq!((ip.type_of_service(), ip.total_length(), ip.identification()), (0, 36, 0xe1a8));
        assert_eq!((ip.dont_fragment(), ip.more_fragments(), ip.fragment_offset()), (true, false, 0));
        assert!(!ip.is_fragment());
        assert_eq!((ip.time_to_live(), ip.protocol(), ip.checksum()), (64, IpProtocol::UDP, 0x402f));
        assert_eq!((ip.source(), ip.destination()), ([10, 248, 1, 1].into(), [10, 248, 2, 1].into()));
        assert_eq!((ip.header(), ip.payload()), (&bytes[..20], &bytes[20..]));
        assert_eq!((ip.datagram(), ip.trailing()), (&bytes[..], &[][..]));
        assert!(ip.is_checksum_valid());
    }

    #[test]
    fn what_stands_behind_the_datagram_is_told_apart() {
        let bytes = [hex(CAPTURED), vec![1; 16], vec![0xee; 10]].concat();
        let ip = Ipv4::parse(&bytes).unwrap();
        assert_eq!((ip.payload(), ip.trailing()), (&[1; 16][..], &[0xee; 10][..]));
        assert_eq!((ip.datagram(), ip.payload_and_trailing()), (&bytes[..36], &bytes[20..]));
    }

    #[test]
    fn options_belong_to_the_header() {
        // Router alert (RFC 2113), as in an IGMP report.
        let bytes = hex("46c000200000400001024358c0a80001e0000016 94040000 2200fa0101000000");
        let ip = Ipv4::parse(&bytes).unwrap();
        assert_eq!((ip.header().len(), ip.payload()), (24, &hex("2200fa0101000000")[..]));
        assert!(ip.is_checksum_valid());
    }

    #[test]
    fn fragments_are_recognised() {
        for (flags_and_offset, fragment, more, offset) in [
            ("0000", false, false, 0),
            ("4000", false, false, 0),
            ("8000", false, false, 0),
            ("2000", true, true, 0),
            ("2001", true, true, 8),
            ("1fff", true, false, 65_528),
        ] {
            let bytes = hex(&format!("45000014f5db{flags_and_offset}400100000af801010af80201"));
            let ip = Ipv4::parse(&bytes).unwrap();
            assert_eq!((ip.is_fragment(), ip.more_fragments(), ip.fragment_offset()), (fragment, more, offset));
        }
    }

    #[test]
    fn headers_that_contradict_themselves_are_refused() {
        for (bytes, reason) in [
            ("", Malformed::Truncated),
            ("45000014000000004001000001020304050607", Malformed::Truncated),
            ("6500001400000000400100000102030405060708", Malformed::Version),
            ("4400001400000000400100000102030405060708", Malformed::HeaderLength),
            ("4600001800000000400100000102030405060708", Malformed::Truncated),
            ("4500001300000000400100000102030405060708", Malformed::Length),
            ("4500001500000000400100000102030405060708", Malformed::Length),
            ("460000140000000040010000010203040506070894040000", Malformed::Length),
        ] {
            assert_eq!(Ipv4::parse(&hex(bytes)).unwrap_err(), reason, "{bytes}");
        }
    }

    #[test]
    fn a_flipped_bit_breaks_the_header_checksum() {
        for bit in 0..160 {
            let mut bytes = [hex(CAPTURED), vec![0; 100]].concat();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(ip) = Ipv4::parse(&bytes) {
                assert!(!ip.is_checksum_valid(), "bit {bit}");
            }
        }
    }

    #[test]
    fn setting_what_encapsulation_changes_gives_the_captured_outer_header() {
        let mut bytes = hex(CAPTURED);
        let mut ip = Ipv4Mut::parse(&mut bytes).unwrap();
        ip.set_total_length(100);
        ip.set_protocol(IpProtocol::UDP);
        ip.fill_checksum();
        assert_eq!(bytes, hex("45000064e1a8400040113fef0af801010af80201"));
        Ipv4Mut::parse(&mut bytes).unwrap().set_checksum(0);
        assert_eq!(bytes, hex("45000064e1a84000401100000af801010af80201"));
    }

    #[test]
    fn a_right_checksum_stays_right_when_length_and_protocol_are_replaced() {
        for (length, protocol) in [(84, IpProtocol::UDP), (0, IpProtocol(0)), (u16::MAX, IpProtocol(u8::MAX))] {
            let mut bytes = hex("45000094f5db400040112b8c0af801010af80201");
            let mut filled = bytes.clone();
            Ipv4Mut::parse(&mut bytes).unwrap().replace(length, protocol);
            let mut ip = Ipv4Mut::parse(&mut filled).unwrap();
            ip.set_total_length(length);
            ip.set_protocol(protocol);
            ip.fill_checksum();
            assert_eq!(bytes, filled);
        }
    }

    #[test]
    fn the_checksum_that_is_filled_in_covers_the_options() {
        let mut bytes = hex("46c000200000400001020000c0a80001e000001694040000");
        assert!(Ipv4Mut::parse(&mut bytes[..23]).is_err());
        Ipv4Mut::parse(&mut bytes).unwrap().fill_checksum();
        assert_eq!(checksum::internet(&bytes), 0);
    }

    const CAPTURED: &str = "45000024e1a840004011402f0af801010af80201";
}
