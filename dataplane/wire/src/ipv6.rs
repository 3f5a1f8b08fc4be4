//! IPv6 header and the walk over its extension headers (RFC 8200).

use std::net::Ipv6Addr;
use std::ops::Range;

use crate::{IpProtocol, Malformed};

/// Bytes known to hold one whole IPv6 packet that is no jumbogram.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6<'p> {
    fixed: &'p [u8; HEADER_LEN],
    payload: &'p [u8],
    datagram: &'p [u8],
    trailing: &'p [u8],
    payload_and_trailing: &'p [u8],
}

impl<'p> Ipv6<'p> {
    /// Reads the packet at the start of `bytes`. Extension headers are left to [`upper_layer`](Self::upper_layer).
    ///
    /// # Errors
    /// - [`Malformed::Truncated`]: the bytes end inside the fixed header.
    /// - [`Malformed::Version`]: not version 6.
    /// - [`Malformed::Jumbogram`]: a payload length of 0.
    /// - [`Malformed::Length`]: a payload length of more than there is.
    #[inline]
    pub fn parse(bytes: &'p [u8]) -> Result<Self, Malformed> {
        let (fixed, payload_and_trailing) = bytes.split_first_chunk().ok_or(Malformed::Truncated)?;
        check_version(fixed)?;
        let payload_length = usize::from(u16::from_be_bytes(copy(fixed, field::PAYLOAD_LENGTH)));
        if payload_length == 0 {
            return Err(Malformed::Jumbogram);
        }
        let (datagram, trailing) = bytes.split_at_checked(HEADER_LEN + payload_length).ok_or(Malformed::Length)?;
        let payload = datagram.get(HEADER_LEN..).ok_or(Malformed::Length)?;
        Ok(Self { fixed, payload, datagram, trailing, payload_and_trailing })
    }

    /// Traffic class: the DSCP (upper six bits) and ECN.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        self.fixed[0] << 4 | self.fixed[1] >> 4
    }

    /// Flow label, 20 bits.
    #[inline]
    pub fn flow_label(&self) -> u32 {
        u32::from_be_bytes(copy(self.fixed, field::VERSION_CLASS_LABEL)) & 0x000f_ffff
    }

    /// Bytes behind the fixed header, extension headers included. Never 0.
    #[inline]
    pub fn payload_length(&self) -> u16 {
        u16::from_be_bytes(copy(self.fixed, field::PAYLOAD_LENGTH))
    }

    /// What the payload is: an extension header or the upper layer.
    #[inline]
    pub fn next_header(&self) -> IpProtocol {
        IpProtocol(self.fixed[field::NEXT_HEADER])
    }

    /// Hops that the packet may still take.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        self.fixed[field::HOP_LIMIT]
    }

    /// Who sent the packet.
    #[inline]
    pub fn source(&self) -> Ipv6Addr {
        copy::<16>(self.fixed, field::SOURCE).into()
    }

    /// Who the packet is for.
    #[inline]
    pub fn destination(&self) -> Ipv6Addr {
        copy::<16>(self.fixed, field::DESTINATION).into()
    }

    /// The fixed header.
    #[inline]
    pub fn header(&self) -> &'p [u8; HEADER_LEN] {
        self.fixed
    }

    /// What the fixed header carries, extension headers included, up to the payload length.
    #[inline]
    pub fn payload(&self) -> &'p [u8] {
        self.payload
    }

    /// Fixed header and payload.
    #[inline]
    pub fn datagram(&self) -> &'p [u8] {
        self.datagram
    }

    /// What stands behind the packet: Ethernet padding, as a rule.
    #[inline]
    pub fn trailing(&self) -> &'p [u8] {
        self.trailing
    }

    /// Everything behind the fixed header.
    #[inline]
    pub fn payload_and_trailing(&self) -> &'p [u8] {
        self.payload_and_trailing
    }

    /// Walks the extension headers up to what they lead to.
    ///
    /// The walk ends at the first header that is none of hop-by-hop options, routing, destination options,
    /// authentication and fragment, and behind the fragment header of a later fragment, where data stand.
    ///
    /// # Errors
    /// - [`Malformed::Truncated`]: the payload ends inside an extension header.
    /// - [`Malformed::TooManyExtensionHeaders`]: more than [`MAX_EXTENSION_HEADERS`].
    #[inline]
    pub fn upper_layer(&self) -> Result<UpperLayer<'p>, Malformed> {
        let mut upper = UpperLayer { protocol: self.next_header(), payload: self.payload, fragment: None };
        if !is_extension(upper.protocol) {
            return Ok(upper);
        }
        for _ in 0..MAX_EXTENSION_HEADERS {
            upper.step()?;
            let later_fragment = upper.fragment.is_some_and(|fragment| fragment.offset() != 0);
            if later_fragment || !is_extension(upper.protocol) {
                return Ok(upper);
            }
        }
        Err(Malformed::TooManyExtensionHeaders)
    }
}

/// Where a chain of extension headers leads.
#[derive(Clone, Copy, Debug)]
pub struct UpperLayer<'p> {
    protocol: IpProtocol,
    payload: &'p [u8],
    fragment: Option<Fragment>,
}

impl<'p> UpperLayer<'p> {
    /// What stands behind the last extension header. In a later fragment: what its first fragment starts with.
    #[inline]
    pub fn protocol(&self) -> IpProtocol {
        self.protocol
    }

    /// The bytes behind the last extension header.
    #[inline]
    pub fn payload(&self) -> &'p [u8] {
        self.payload
    }

    /// The last fragment header on the way, if there was one.
    #[inline]
    pub fn fragment(&self) -> Option<Fragment> {
        self.fragment
    }

    /// Steps over the extension header that `payload` starts with.
    #[inline]
    fn step(&mut self) -> Result<(), Malformed> {
        // All of them are at least eight bytes, and start with the next header and a length (RFC 8200, RFC 4302).
        let start: &[u8; 8] = self.payload.first_chunk().ok_or(Malformed::Truncated)?;
        let length = match self.protocol {
            IpProtocol::FRAGMENT => {
                self.fragment = Some(Fragment(*start));
                8
            }
            IpProtocol::AUTHENTICATION => (usize::from(start[1]) + 2) * 4,
            _ => (usize::from(start[1]) + 1) * 8,
        };
        self.protocol = IpProtocol(start[0]);
        self.payload = self.payload.get(length..).ok_or(Malformed::Truncated)?;
        Ok(())
    }
}

/// A fragment header (RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment([u8; 8]);

impl Fragment {
    /// Where the data belong in the whole packet, in bytes.
    #[inline]
    pub const fn offset(self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]]) & !0x0007
    }

    /// Whether more fragments of the same packet follow.
    #[inline]
    pub const fn more_fragments(self) -> bool {
        self.0[3] & 1 != 0
    }

    /// What ties the fragments of one packet together.
    #[inline]
    pub const fn identification(self) -> u32 {
        u32::from_be_bytes([self.0[4], self.0[5], self.0[6], self.0[7]])
    }
}

/// A fixed IPv6 header, to be changed in place.
#[derive(Debug)]
pub struct Ipv6Mut<'p>(&'p mut [u8; HEADER_LEN]);

impl<'p> Ipv6Mut<'p> {
    /// Takes the fixed header at the start of `bytes`. The payload length may be wrong: it is about to be set.
    ///
    /// # Errors
    /// As [`Ipv6::parse`], but never [`Malformed::Length`] nor [`Malformed::Jumbogram`].
    #[inline]
    pub fn parse(bytes: &'p mut [u8]) -> Result<Self, Malformed> {
        let fixed = bytes.first_chunk_mut().ok_or(Malformed::Truncated)?;
        check_version(fixed)?;
        Ok(Self(fixed))
    }

    /// Sets the bytes behind the fixed header.
    #[inline]
    pub fn set_payload_length(&mut self, length: u16) {
        self.0[field::PAYLOAD_LENGTH].copy_from_slice(&length.to_be_bytes());
    }

    /// Sets what the payload is.
    #[inline]
    pub fn set_next_header(&mut self, protocol: IpProtocol) {
        self.0[field::NEXT_HEADER] = protocol.0;
    }
}

/// Whether `address` stands for an IPv4 address, as `::ffff:192.0.2.1` does (RFC 4291 section 2.5.5.2).
///
/// None such belongs on a wire.
#[inline]
pub fn is_ipv4_mapped(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some()
}

#[inline]
fn is_extension(protocol: IpProtocol) -> bool {
    matches!(
        protocol,
        IpProtocol::HOP_BY_HOP
            | IpProtocol::ROUTING
            | IpProtocol::FRAGMENT
            | IpProtocol::AUTHENTICATION
            | IpProtocol::DESTINATION_OPTIONS
    )
}

#[inline]
fn check_version(fixed: &[u8; HEADER_LEN]) -> Result<(), Malformed> {
    if fixed[0] >> 4 == 6 { Ok(()) } else { Err(Malformed::Version) }
}

#[inline]
fn copy<const N: usize>(header: &[u8; HEADER_LEN], field: Range<usize>) -> [u8; N] {
    header[field].try_into().expect("field ranges are as long as their types")
}

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = field::DESTINATION.end;

/// Extension headers that are walked over: RFC 8200 section 4.1 lists each at most once, destination options twice.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// RFC 8200 section 3.
mod field {
    use super::Range;

    pub(super) const VERSION_CLASS_LABEL: Range<usize> = 0..4;
    pub(super) const PAYLOAD_LENGTH: Range<usize> = 4..6;
    pub(super) const NEXT_HEADER: usize = 6;
    pub(super) const HOP_LIMIT: usize = 7;
    pub(super) const SOURCE: Range<usize> = 8..24;
    pub(super) const DESTINATION: Range<usize> = 24..40;
}

#[cfg(test)]
mod tests;
