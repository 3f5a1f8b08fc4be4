//! ISD-AS numbers, as they are written and as they travel.

use std::fmt;
use std::str::FromStr;

/// A SCION ISD-AS number: 16 bits of ISD, then 48 bits of AS. Prints as `1-ff00:0:110`, or `1-15` for a BGP-style AS.
///
/// Source: SCION addressing, "ISD-AS numbers"; LightningFilter writes it the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IsdAs(u64);

impl IsdAs {
    /// The number whose 64 bits, ISD first, are `bits`.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits, ISD first.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Reads the eight bytes as they stand in a header.
    pub const fn from_be_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }

    /// The eight bytes as they stand in a header or a key derivation input.
    pub const fn to_be_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The isolation domain.
    pub const fn isd(self) -> u16 {
        (self.0 >> AS_BITS) as u16
    }

    /// The autonomous system within the isolation domain: 48 bits.
    pub const fn asn(self) -> u64 {
        self.0 & AS_MASK
    }
}

impl fmt::Display for IsdAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asn = self.asn();
        if asn <= u64::from(u32::MAX) {
            return write!(f, "{}-{asn}", self.isd());
        }
        write!(f, "{}-{:x}:{:x}:{:x}", self.isd(), asn >> 32, asn >> 16 & 0xffff, asn & 0xffff)
    }
}

impl FromStr for IsdAs {
    type Err = InvalidIsdAs;

    fn from_str(text: &str) -> Result<Self, InvalidIsdAs> {
        let invalid = || InvalidIsdAs(text.to_owned());
        let (isd, asn) = text.split_once('-').ok_or_else(invalid)?;
        let isd: u16 = decimal(isd).and_then(|isd| isd.try_into().ok()).ok_or_else(invalid)?;
        let asn = parse_as(asn).ok_or_else(invalid)?;
        Ok(Self(u64::from(isd) << AS_BITS | asn))
    }
}

/// Text that is not an ISD-AS number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an ISD-AS number: write it like 1-ff00:0:110 or 1-64512")]
pub struct InvalidIsdAs(pub String);

/// Decimal up to 32 bits (a BGP AS number), or three groups of up to four hexadecimal digits.
fn parse_as(text: &str) -> Option<u64> {
    if !text.contains(':') {
        return decimal(text).filter(|asn| *asn <= u64::from(u32::MAX));
    }
    let mut groups = text.split(':');
    let mut asn = 0;
    for _ in 0..3 {
        let group = groups.next()?;
        let plain = (1..=4).contains(&group.len()) && group.bytes().all(|digit| digit.is_ascii_hexdigit());
        asn = asn << 16 | u64::from_str_radix(group, 16).ok().filter(|_| plain)?;
    }
    groups.next().is_none().then_some(asn)
}

/// `u64::from_str` also accepts a leading `+`.
fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|digit| digit.is_ascii_digit()))
}

const AS_BITS: u32 = 48;
const AS_MASK: u64 = (1 << AS_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scion_and_bgp_style_numbers_read_and_print_alike() {
        for (text, bits) in [
            ("1-ff00:0:111", 0x0001_ff00_0000_0111),
            ("2-1", 0x0002_0000_0000_0001),
            ("65535-ffff:ffff:ffff", u64::MAX),
            ("20-4294967295", 0x0014_0000_ffff_ffff),
        ] {
            let parsed: IsdAs = text.parse().unwrap();
            assert_eq!(parsed.bits(), bits);
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_isd_as_number_is_refused() {
        for text in ["", "1", "1-", "-1", "65536-1", "1-4294967296", "1-ff00:0", "1-ff00:0:1:2", "1-fffff:0:1", "+1-1"]
        {
            assert_eq!(text.parse::<IsdAs>(), Err(InvalidIsdAs(text.to_owned())), "{text}");
        }
    }
}
