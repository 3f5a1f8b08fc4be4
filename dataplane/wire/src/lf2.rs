//! The header of `lf2`, our own encapsulation, which stands behind IP and UDP and in front of the protected payload.
//!
//! Layout: `docs/protocol/lf2.md`, "Header". Integers are big-endian.

use std::ops::Range;

use crate::{EpochNanos, IpProtocol, IsdAs, Malformed, Sum, udp};

/// Bytes known to hold one whole `lf2` header. What it says is unverified until the tag has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Lf2<'p>(&'p [u8; HEADER_LEN]);

impl<'p> Lf2<'p> {
    /// Splits `bytes` into the header at their start and the payload after it.
    ///
    /// # Errors
    /// - [`Malformed::Truncated`]: fewer than [`HEADER_LEN`] bytes are given.
    /// - [`Malformed::Version`]: the first byte is not [`VERSION`].
    #[inline]
    pub fn split(bytes: &'p [u8]) -> Result<(Self, &'p [u8]), Malformed> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Malformed::Truncated)?;
        if header[field::VERSION] != VERSION {
            return Err(Malformed::Version);
        }
        Ok((Self(header), payload))
    }

    /// What the payload is: the protocol of the IP packet before it was encapsulated.
    #[inline]
    pub fn next_protocol(self) -> IpProtocol {
        IpProtocol(self.0[field::NEXT_PROTOCOL])
    }

    /// The DRKey protocol whose keys the sender used.
    #[inline]
    pub fn drkey_protocol(self) -> u16 {
        u16::from_be_bytes(self.field(field::DRKEY_PROTOCOL))
    }

    /// The AS that the packet claims to come from.
    #[inline]
    pub fn src_as(self) -> IsdAs {
        IsdAs::from_be_bytes(self.field(field::SRC_AS))
    }

    /// When the sender says it sent the packet, counted from the start of its DRKey epoch.
    #[inline]
    pub fn timestamp(self) -> EpochNanos {
        EpochNanos(u64::from_be_bytes(self.field(field::TIMESTAMP)))
    }

    /// The authentication tag: a whole AES block.
    #[inline]
    pub fn tag(self) -> [u8; TAG_LEN] {
        self.field(field::TAG)
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

/// The fields of an `lf2` header, to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lf2Header {
    /// The protocol of the IP packet before it was encapsulated.
    pub next_protocol: IpProtocol,
    /// The DRKey protocol whose keys the sender uses.
    pub drkey_protocol: u16,
    /// The sender's AS.
    pub src_as: IsdAs,
    /// The sending time since the start of the DRKey epoch, unique per packet.
    pub timestamp: EpochNanos,
    /// The authentication tag over [`tag_head`] and the payload.
    pub tag: [u8; TAG_LEN],
}

impl Lf2Header {
    /// Reads the fields.
    ///
    /// # Errors
    /// [`Malformed::Version`] if the first byte is not [`VERSION`].
    #[inline]
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Self, Malformed> {
        let (lf2, _) = Lf2::split(bytes)?;
        Ok(Self {
            next_protocol: lf2.next_protocol(),
            drkey_protocol: lf2.drkey_protocol(),
            src_as: lf2.src_as(),
            timestamp: lf2.timestamp(),
            tag: lf2.tag(),
        })
    }

    /// The sum of all 36 bytes, without a look at them, as [`crate::LfHeader::sum`].
    #[inline]
    #[must_use]
    pub fn sum(&self) -> Sum {
        Sum::ZERO
            .add_u16(u16::from_be_bytes([VERSION, self.next_protocol.0]))
            .add_u16(self.drkey_protocol)
            .add_u64(self.src_as.bits())
            .add_u64(self.timestamp.0)
            .add_bytes(&self.tag)
    }

    /// Writes the fields over all 36 bytes.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8; HEADER_LEN]) {
        bytes[field::VERSION] = VERSION;
        bytes[field::NEXT_PROTOCOL] = self.next_protocol.0;
        bytes[field::DRKEY_PROTOCOL].copy_from_slice(&self.drkey_protocol.to_be_bytes());
        bytes[field::SRC_AS].copy_from_slice(&self.src_as.to_be_bytes());
        bytes[field::TIMESTAMP].copy_from_slice(&self.timestamp.0.to_be_bytes());
        bytes[field::TAG].copy_from_slice(&self.tag);
    }
}

/// Writes the tag into a header whose other fields stand already.
#[inline]
pub fn set_tag(header: &mut [u8; HEADER_LEN], tag: &[u8; TAG_LEN]) {
    header[field::TAG].copy_from_slice(tag);
}

/// The two AES blocks that stand in front of the payload under the tag: the header without the tag, the payload's length,
/// and zeroes.
#[inline]
#[must_use]
pub fn tag_head(header: &[u8; HEADER_LEN], payload_len: u16) -> [[u8; 16]; 2] {
    let (head, rest) = header.split_first_chunk().expect("sixteen bytes");
    let timestamp_end: &[u8; 4] = rest.first_chunk().expect("four bytes");
    let end = u64::from(u32::from_le_bytes(*timestamp_end)) | u64::from(payload_len.swap_bytes()) << 32;
    [*head, u128::from(end).to_le_bytes()]
}

/// The first byte of every header.
///
/// An LF header begins with the ISD instead. One that begins with this byte would name an ISD from 61,952 on; SCION has
/// given out none beyond 4,094 (draft-dekater-scion-controlplane, "ISD Numbers").
pub const VERSION: u8 = 0xf2;

/// Bytes of the header.
pub const HEADER_LEN: usize = field::TAG.end;

/// Bytes that encapsulation adds to a packet: UDP's header and ours.
pub const ENCAPSULATION_LEN: usize = udp::HEADER_LEN + HEADER_LEN;

/// Bytes of the authentication tag.
pub const TAG_LEN: usize = 16;

mod field {
    use super::Range;

    pub(super) const VERSION: usize = 0;
    pub(super) const NEXT_PROTOCOL: usize = 1;
    pub(super) const DRKEY_PROTOCOL: Range<usize> = 2..4;
    pub(super) const SRC_AS: Range<usize> = 4..12;
    pub(super) const TIMESTAMP: Range<usize> = 12..20;
    pub(super) const TAG: Range<usize> = 20..36;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn a_header_shows_its_fields() {
        let bytes = example();
        let (lf2, _) = Lf2::split(&bytes).unwrap();
        assert_eq!((lf2.next_protocol(), lf2.drkey_protocol()), (IpProtocol::UDP, 0x1234));
        assert_eq!(lf2.src_as(), "1-ff00:0:111".parse().unwrap());
        assert_eq!(lf2.timestamp(), EpochNanos(176_996_677_347_594));
        assert_eq!(lf2.tag()[..], hex("af5cf99950206080676cb3faf57042fe"));
    }

    #[test]
    fn the_tag_covers_the_rest_of_the_header_and_the_length() {
        let expected = hex("f21112340001ff00 000001110000a0fa 4014690a0010 0000 0000000000000000");
        assert_eq!(tag_head(&example(), 16).as_flattened(), expected);
    }

    #[test]
    fn the_sum_follows_from_the_fields_as_from_the_bytes() {
        let sum = Lf2Header::parse(&example()).unwrap().sum();
        assert_eq!(sum.folded(), Sum::ZERO.add_bytes(&example()).folded());
    }

    #[test]
    fn a_header_is_written_as_it_was_read() {
        let mut bytes = [0xff; HEADER_LEN];
        Lf2Header::parse(&example()).unwrap().emit(&mut bytes);
        assert_eq!(bytes, example());
    }

    #[test]
    fn the_tag_can_be_set_alone() {
        let mut bytes = example();
        set_tag(&mut bytes, &[7; TAG_LEN]);
        assert_eq!((&bytes[..20], Lf2Header::parse(&bytes).unwrap().tag), (&example()[..20], [7; TAG_LEN]));
    }

    #[test]
    fn what_begins_with_another_byte_is_refused() {
        for version in (0..=255).filter(|byte| *byte != VERSION) {
            let mut bytes = example();
            bytes[0] = version;
            assert_eq!(Lf2Header::parse(&bytes), Err(Malformed::Version));
            assert_eq!(Lf2::split(&bytes).unwrap_err(), Malformed::Version);
        }
    }

    #[test]
    fn the_payload_begins_behind_the_header() {
        let packet = [&example()[..], b"payload"].concat();
        let (lf2, payload) = Lf2::split(&packet).unwrap();
        assert_eq!((lf2.as_bytes(), payload), (&example(), &b"payload"[..]));
        assert_eq!(Lf2::split(&packet[..HEADER_LEN - 1]).unwrap_err(), Malformed::Truncated);
    }

    #[test]
    fn encapsulation_adds_forty_four_bytes() {
        assert_eq!(ENCAPSULATION_LEN, 44);
    }

    fn example() -> [u8; HEADER_LEN] {
        let bytes = hex("f2 11 1234 0001ff0000000111 0000a0fa4014690a af5cf99950206080676cb3faf57042fe");
        bytes.try_into().unwrap()
    }
}
