//! UDP header (RFC 768).

use crate::Malformed;

/// Bytes known to hold one whole UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'p> {
    header: UdpHeader,
    payload: &'p [u8],
    datagram: &'p [u8],
}

impl<'p> Udp<'p> {
    /// Reads the datagram at the start of `bytes`, the payload of an IP packet. Bytes behind its length are left out.
    ///
    /// # Errors
    /// - [`Malformed::Truncated`]: the bytes end inside the header.
    /// - [`Malformed::Length`]: a length that is less than the header, or more than there is.
    #[inline]
    pub fn parse(bytes: &'p [u8]) -> Result<Self, Malformed> {
        let header = UdpHeader::parse(bytes.first_chunk().ok_or(Malformed::Truncated)?);
        let datagram = bytes.get(..usize::from(header.length)).ok_or(Malformed::Length)?;
        let payload = datagram.get(HEADER_LEN..).ok_or(Malformed::Length)?;
        Ok(Self { header, payload, datagram })
    }

    /// The fields of the header.
    #[inline]
    pub const fn header(&self) -> UdpHeader {
        self.header
    }

    /// The sender's port.
    #[inline]
    pub const fn source_port(&self) -> u16 {
        self.header.source_port
    }

    /// The receiver's port.
    #[inline]
    pub const fn destination_port(&self) -> u16 {
        self.header.destination_port
    }

    /// What the header carries, up to its length.
    #[inline]
    pub const fn payload(&self) -> &'p [u8] {
        self.payload
    }

    /// Header and payload, up to its length.
    #[inline]
    pub const fn datagram(&self) -> &'p [u8] {
        self.datagram
    }
}

/// The fields of a UDP header, to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpHeader {
    /// The sender's port; 0 says that there is none to answer to.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// Bytes of header and payload together.
    pub length: u16,
    /// The checksum over pseudo-header, header and payload; 0 says that there is none.
    pub checksum: u16,
}

impl UdpHeader {
    /// Reads the fields. The length is not compared with anything.
    #[inline]
    pub const fn parse(bytes: &[u8; HEADER_LEN]) -> Self {
        let [s0, s1, d0, d1, l0, l1, c0, c1] = *bytes;
        Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            length: u16::from_be_bytes([l0, l1]),
            checksum: u16::from_be_bytes([c0, c1]),
        }
    }

    /// Writes the fields over all eight bytes.
    #[inline]
    pub const fn emit(&self, bytes: &mut [u8; HEADER_LEN]) {
        let [s0, s1] = self.source_port.to_be_bytes();
        let [d0, d1] = self.destination_port.to_be_bytes();
        let [l0, l1] = self.length.to_be_bytes();
        let [c0, c1] = self.checksum.to_be_bytes();
        *bytes = [s0, s1, d0, d1, l0, l1, c0, c1];
    }
}

/// A UDP header, to be changed in place.
#[derive(Debug)]
pub struct UdpMut<'p>(&'p mut [u8; HEADER_LEN]);

impl<'p> UdpMut<'p> {
    /// Takes the header at the start of `bytes`. Its length may be wrong.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if the bytes end inside the header.
    #[inline]
    pub fn parse(bytes: &'p mut [u8]) -> Result<Self, Malformed> {
        bytes.first_chunk_mut().map(Self).ok_or(Malformed::Truncated)
    }

    /// Sets the checksum: 0 for none (not with IPv6); the pseudo-header's [`folded`](crate::Sum::folded) sum when a NIC
    /// is to compute it.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        self.0[6..8].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;
    use crate::{Ipv4, checksum};

    #[test]
    fn a_captured_datagram_shows_its_fields() {
        let bytes = hex(DATAGRAM);
        let udp = Udp::parse(&bytes).unwrap();
        assert_eq!((udp.source_port(), udp.destination_port()), (40_404, 5_000));
        assert_eq!((udp.header().length, udp.header().checksum), (16, 0xc0ef));
        assert_eq!((udp.payload(), udp.datagram()), (&bytes[8..], &bytes[..]));
    }

    #[test]
    fn bytes_behind_the_length_are_left_out() {
        let bytes = hex(&format!("{DATAGRAM}eeee"));
        assert_eq!(Udp::parse(&bytes).unwrap().datagram(), hex(DATAGRAM));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        for (bytes, reason) in [
            ("9dd413880010c0", Malformed::Truncated),
            ("9dd413880000c0ef", Malformed::Length),
            ("9dd413880007c0ef", Malformed::Length),
            ("9dd413880009c0ef", Malformed::Length),
        ] {
            assert_eq!(Udp::parse(&hex(bytes)).unwrap_err(), reason, "{bytes}");
        }
        assert!(Udp::parse(&hex("9dd413880008c0ef")).unwrap().payload().is_empty());
    }

    #[test]
    fn a_header_is_written_as_it_was_read() {
        let mut bytes = [0; HEADER_LEN];
        Udp::parse(&hex(DATAGRAM)).unwrap().header().emit(&mut bytes);
        assert_eq!(bytes[..], hex(DATAGRAM)[..8]);
    }

    #[test]
    fn the_computed_checksum_is_the_captured_one() {
        let bytes = hex(&format!("45000024e1a840004011402f0af801010af80201{DATAGRAM}"));
        let ip = Ipv4::parse(&bytes).unwrap();
        let mut datagram = hex(DATAGRAM);
        UdpMut::parse(&mut datagram).unwrap().set_checksum(0);
        let pseudo_header = checksum::pseudo_header_v4(ip.source(), ip.destination(), ip.protocol(), 16);
        assert_eq!(checksum::udp(pseudo_header, &datagram), 0xc0ef);
        assert_eq!(checksum::layer4(pseudo_header, &hex(DATAGRAM)), 0);
    }

    const DATAGRAM: &str = "9dd413880010c0ef080f161d242b3239";
}
