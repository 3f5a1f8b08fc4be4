//! LightningFilter's header, which stands behind IP and UDP and in front of the protected payload.
//!
//! Layout: `docs/protocol/lf.md`, "LF header". Integers are big-endian.

use std::ops::Range;

use crate::{EpochNanos, IpProtocol, IsdAs, Malformed, Sum, udp};

/// Bytes known to hold one whole LF header. What it says is unverified until the MAC has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Lf<'p>(&'p [u8; HEADER_LEN]);

impl<'p> Lf<'p> {
    /// The header in these bytes: any 56 bytes are one.
    #[inline]
    pub const fn new(bytes: &'p [u8; HEADER_LEN]) -> Self {
        Self(bytes)
    }

    /// Splits `bytes` into the header at their start and the payload after it.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if fewer than [`HEADER_LEN`] bytes are given.
    #[inline]
    pub fn split(bytes: &'p [u8]) -> Result<(Self, &'p [u8]), Malformed> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Malformed::Truncated)?;
        Ok((Self(header), payload))
    }

    /// The AS that the packet claims to come from.
    #[inline]
    pub fn src_as(self) -> IsdAs {
        IsdAs::from_be_bytes(self.field(field::SRC_AS))
    }

    /// The DRKey protocol whose keys the sender used.
    #[inline]
    pub fn drkey_protocol(self) -> u16 {
        u16::from_be_bytes(self.field(field::DRKEY_PROTOCOL))
    }

    /// Must be 0; a receiver drops the packet otherwise.
    #[inline]
    pub fn reserved(self) -> u8 {
        self.0[field::RESERVED]
    }

    /// What the payload is: the protocol of the IP packet before it was encapsulated.
    #[inline]
    pub fn next_protocol(self) -> IpProtocol {
        IpProtocol(self.0[field::NEXT_PROTOCOL])
    }

    /// When the sender says it sent the packet, counted from the start of its DRKey epoch.
    #[inline]
    pub fn timestamp(self) -> EpochNanos {
        EpochNanos(u64::from_be_bytes(self.field(field::TIMESTAMP)))
    }

    /// SHA-1 of the payload.
    #[inline]
    pub fn hash(self) -> [u8; HASH_LEN] {
        self.field(field::HASH)
    }

    /// The authentication tag: a whole AES block.
    #[inline]
    pub fn mac(self) -> [u8; MAC_LEN] {
        self.field(field::MAC)
    }

    /// The header as it stands there.
    #[inline]
    pub const fn as_bytes(self) -> &'p [u8; HEADER_LEN] {
        self.0
    }

    #[inline]
    fn field<const N: usize>(self, range: Range<usize>) -> [u8; N] {
        self.0[range].try_into().expect("field ranges are as long as their types")
    }
}

/// The fields of an LF header, to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LfHeader {
    /// The sender's AS.
    pub src_as: IsdAs,
    /// The DRKey protocol whose keys the sender uses.
    pub drkey_protocol: u16,
    /// The protocol of the IP packet before it was encapsulated.
    pub next_protocol: IpProtocol,
    /// The sending time since the start of the DRKey epoch, unique per packet.
    pub timestamp: EpochNanos,
    /// SHA-1 of the payload.
    pub hash: [u8; HASH_LEN],
    /// The authentication tag over [`mac_input`].
    pub mac: [u8; MAC_LEN],
}

impl LfHeader {
    /// Reads the fields.
    ///
    /// # Errors
    /// [`Malformed::Reserved`] if the reserved byte is not 0.
    #[inline]
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Self, Malformed> {
        let lf = Lf(bytes);
        if lf.reserved() != 0 {
            return Err(Malformed::Reserved);
        }
        Ok(Self {
            src_as: lf.src_as(),
            drkey_protocol: lf.drkey_protocol(),
            next_protocol: lf.next_protocol(),
            timestamp: lf.timestamp(),
            hash: lf.hash(),
            mac: lf.mac(),
        })
    }

    /// What [`mac_input`] gives for this header.
    #[inline]
    #[must_use]
    pub fn mac_input(&self, payload_len: u16) -> [[u8; 16]; 2] {
        let src_as_end = u64::from_le_bytes(self.src_as.to_be_bytes()) >> (8 * field::MAC_INPUT.start);
        let start =
            src_as_end | u64::from(payload_len.swap_bytes()) << LENGTH_SHIFT | u64::from(self.next_protocol.0) << 56;
        let hash = |at: usize| u64::from_le_bytes(self.hash[at..at + 8].try_into().expect("eight bytes"));
        mac_blocks(start, self.timestamp.0.swap_bytes(), hash(0), hash(8))
    }

    /// The sum of all 56 bytes, without a look at them: what has just been written field by field cannot be read whole for a while.
    #[inline]
    #[must_use]
    pub fn sum(&self) -> Sum {
        Sum::ZERO
            .add_u64(self.src_as.bits())
            .add_u16(self.drkey_protocol)
            .add_u16(u16::from(self.next_protocol.0))
            .add_u64(self.timestamp.0)
            .add_bytes(&self.hash)
            .add_bytes(&self.mac)
    }

    /// Writes the fields over all 56 bytes.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8; HEADER_LEN]) {
        bytes[field::SRC_AS].copy_from_slice(&self.src_as.to_be_bytes());
        bytes[field::DRKEY_PROTOCOL].copy_from_slice(&self.drkey_protocol.to_be_bytes());
        bytes[field::RESERVED] = 0;
        bytes[field::NEXT_PROTOCOL] = self.next_protocol.0;
        bytes[field::TIMESTAMP].copy_from_slice(&self.timestamp.0.to_be_bytes());
        bytes[field::HASH].copy_from_slice(&self.hash);
        bytes[field::MAC].copy_from_slice(&self.mac);
    }
}

/// Writes the tag into a header whose other fields stand already.
#[inline]
pub fn set_mac(header: &mut [u8; HEADER_LEN], mac: &[u8; MAC_LEN]) {
    header[field::MAC].copy_from_slice(mac);
}

/// The two AES blocks that the MAC is computed over: header bytes 4 to 35, the payload's length in place of the DRKey
/// protocol.
///
/// What is left out is bound otherwise: the head of the AS number and the DRKey protocol select the key, and the tail
/// of the hash is compared with the payload's.
#[inline]
#[must_use]
pub fn mac_input(header: &[u8; HEADER_LEN], payload_len: u16) -> [[u8; 16]; 2] {
    // As numbers: a block that bytes were written into, one field after the other, could not be read whole for a while.
    let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let start = number(field::MAC_INPUT.start) & !LENGTH_MASK | u64::from(payload_len.swap_bytes()) << LENGTH_SHIFT;
    let at = field::MAC_INPUT.start;
    mac_blocks(start, number(at + 8), number(at + 16), number(at + 24))
}

/// The blocks that these little-endian numbers make.
#[inline]
fn mac_blocks(a: u64, b: u64, c: u64, d: u64) -> [[u8; 16]; 2] {
    let block = |low: u64, high: u64| (u128::from(high) << 64 | u128::from(low)).to_le_bytes();
    [block(a, b), block(c, d)]
}

/// Where the length stands in the first of the numbers under the MAC.
const LENGTH_SHIFT: usize = 8 * (field::DRKEY_PROTOCOL.start - field::MAC_INPUT.start);
const LENGTH_MASK: u64 = 0xffff << LENGTH_SHIFT;

/// Bytes of the header.
pub const HEADER_LEN: usize = field::MAC.end;

/// Bytes that encapsulation adds to a packet: UDP's header and ours.
pub const ENCAPSULATION_LEN: usize = udp::HEADER_LEN + HEADER_LEN;

/// Bytes of the payload's hash.
pub const HASH_LEN: usize = 20;

/// Bytes of the authentication tag.
pub const MAC_LEN: usize = 16;

mod field {
    use super::Range;

    pub(super) const SRC_AS: Range<usize> = 0..8;
    pub(super) const DRKEY_PROTOCOL: Range<usize> = 8..10;
    pub(super) const RESERVED: usize = 10;
    pub(super) const NEXT_PROTOCOL: usize = 11;
    pub(super) const TIMESTAMP: Range<usize> = 12..20;
    pub(super) const HASH: Range<usize> = 20..40;
    pub(super) const MAC: Range<usize> = 40..56;
    pub(super) const MAC_INPUT: Range<usize> = 4..36;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn a_captured_header_shows_its_fields() {
        let bytes = captured();
        let lf = Lf::new(&bytes);
        assert_eq!(lf.src_as(), "1-ff00:0:111".parse().unwrap());
        assert_eq!((lf.drkey_protocol(), lf.reserved(), lf.next_protocol()), (0x1234, 0, IpProtocol::UDP));
        assert_eq!(lf.timestamp(), EpochNanos(176_996_677_347_594));
        assert_eq!(lf.hash()[..], hex("1212d16a8eb97d88b2d76bab22cc109c9ed36b52"));
        assert_eq!(lf.mac()[..], hex("af5cf99950206080676cb3faf57042fe"));
    }

    #[test]
    fn the_mac_covers_what_lightningfilter_puts_under_it() {
        let expected = hex("00000111001000110000a0fa4014690a1212d16a8eb97d88b2d76bab22cc109c");
        assert_eq!(mac_input(&captured(), 16).as_flattened(), expected);
    }

    #[test]
    fn what_is_under_the_mac_follows_from_the_fields_as_from_the_bytes() {
        let header = LfHeader::parse(&captured()).unwrap();
        for payload_len in [16, 0, u16::MAX, 0x0102] {
            assert_eq!(header.mac_input(payload_len), mac_input(&captured(), payload_len));
        }
    }

    #[test]
    fn the_sum_follows_from_the_fields_as_from_the_bytes() {
        let sum = LfHeader::parse(&captured()).unwrap().sum();
        assert_eq!(sum.folded(), Sum::ZERO.add_bytes(&captured()).folded());
    }

    #[test]
    fn a_header_is_written_as_it_was_read() {
        let mut bytes = [0xff; HEADER_LEN];
        LfHeader::parse(&captured()).unwrap().emit(&mut bytes);
        assert_eq!(bytes, captured());
    }

    #[test]
    fn the_tag_can_be_set_alone() {
        let mut bytes = captured();
        set_mac(&mut bytes, &[7; MAC_LEN]);
        assert_eq!((&bytes[..40], Lf::new(&bytes).mac()), (&captured()[..40], [7; MAC_LEN]));
    }

    #[test]
    fn a_reserved_byte_that_is_not_zero_is_refused() {
        let mut bytes = captured();
        bytes[field::RESERVED] = 1;
        assert_eq!(LfHeader::parse(&bytes), Err(Malformed::Reserved));
        assert_eq!(Lf::new(&bytes).reserved(), 1);
    }

    #[test]
    fn the_payload_begins_behind_the_header() {
        let packet = [&captured()[..], b"payload"].concat();
        let (lf, payload) = Lf::split(&packet).unwrap();
        assert_eq!((lf.as_bytes(), payload), (&captured(), &b"payload"[..]));
        assert_eq!(Lf::split(&packet[..HEADER_LEN - 1]).unwrap_err(), Malformed::Truncated);
    }

    #[test]
    fn encapsulation_adds_sixty_four_bytes() {
        assert_eq!(ENCAPSULATION_LEN, 64);
    }

    fn captured() -> [u8; HEADER_LEN] {
        let bytes = hex("0001ff0000000111 1234 00 11 0000a0fa4014690a
            1212d16a8eb97d88b2d76bab22cc109c9ed36b52 af5cf99950206080676cb3faf57042fe");
        bytes.try_into().unwrap()
    }
}
