//! Ids: nodes and values share one key space of 256 bits, in which the distance of two ids is their XOR.

use std::{fmt, net::IpAddr, str::FromStr};

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The id of a node, or the key of a value. Prints as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; Id::LENGTH]);

impl Id {
    /// Bytes of an id.
    pub const LENGTH: usize = 32;
    /// Bits of an id.
    pub const BITS: usize = 8 * Self::LENGTH;

    /// The key of a value: its SHA-256.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        Self(digest(&SHA256, value).as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// The id of the node whose certificate has this server name: SHA-256 over [`NAME_PREFIX`] and the name. So nobody sits where they
    /// like without the authority's consent.
    #[must_use]
    pub fn of_name(server_name: &str) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(NAME_PREFIX);
        hash.update(server_name.as_bytes());
        Self(hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// The id that a node at `address` may have, and that ends like `wish`: the first four bytes follow from the IP address (of IPv6: its
    /// first 64 bits) and the last three bits of `wish`. So whoever has few addresses has few places.
    #[must_use]
    pub fn of_address(address: IpAddr, wish: [u8; Self::LENGTH]) -> Self {
        let variant = wish[Self::LENGTH - 1] & 7;
        let mut hash = Context::new(&SHA256);
        hash.update(ADDRESS_PREFIX);
        match address.to_canonical() {
            IpAddr::V4(address) => hash.update(&address.octets()),
            IpAddr::V6(address) => hash.update(&address.octets()[..8]),
        }
        hash.update(&[variant]);
        let mut bytes = wish;
        bytes[..BOUND].copy_from_slice(&hash.finish().as_ref()[..BOUND]);
        Self(bytes)
    }

    /// Whether a node at `address` may have this id, where ids are bound to addresses.
    #[must_use]
    pub fn fits(&self, address: IpAddr) -> bool {
        Self::of_address(address, self.0) == *self
    }

    /// How far apart two ids are.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Distance {
        let ((high, low), (other_high, other_low)) = (self.halves(), other.halves());
        Distance { high: high ^ other_high, low: low ^ other_low }
    }

    /// The id that has `distance` to this one.
    #[must_use]
    pub fn at(&self, distance: Distance) -> Self {
        let (high, low) = self.halves();
        let mut bytes = [0; Self::LENGTH];
        bytes[..16].copy_from_slice(&(high ^ distance.high).to_be_bytes());
        bytes[16..].copy_from_slice(&(low ^ distance.low).to_be_bytes());
        Self(bytes)
    }

    fn halves(&self) -> (u128, u128) {
        let (high, low) = self.0.split_first_chunk().expect("an id has 32 bytes");
        let low: &[u8; 16] = low.try_into().expect("an id has 32 bytes");
        (u128::from_be_bytes(*high), u128::from_be_bytes(*low))
    }
}

/// The XOR of two ids, as a number of 256 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distance {
    /// The upper 128 bits.
    pub high: u128,
    /// The lower 128 bits.
    pub low: u128,
}

impl Distance {
    /// The greatest there is.
    pub const MAX: Self = Self { high: u128::MAX, low: u128::MAX };

    /// With how many bits both ids begin alike: 256 if they are the same.
    #[must_use]
    pub const fn common_bits(self) -> usize {
        if self.high == 0 { 128 + self.low.leading_zeros() as usize } else { self.high.leading_zeros() as usize }
    }
}

impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digits: &[u8; 2 * Self::LENGTH] = text.as_bytes().try_into().map_err(|_| NotAnId)?;
        let mut bytes = [0; Self::LENGTH];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

/// A text that is no [`Id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 64 hexadecimal digits")]
pub struct NotAnId;

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 2 * Self::LENGTH];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        formatter.pad(std::str::from_utf8(&digits).expect("digits are ASCII"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Digits)
    }
}

struct Digits;

impl de::Visitor<'_> for Digits {
    type Value = Id;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("64 hexadecimal digits")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
        text.parse().map_err(E::custom)
    }
}

fn digit(character: u8) -> Result<u8, NotAnId> {
    char::from(character).to_digit(16).map(|digit| digit as u8).ok_or(NotAnId)
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// What is hashed before a server name: it sets the ids of names apart from the keys of values.
pub const NAME_PREFIX: &[u8] = b"photongate dht node\0";
/// What is hashed before an address that an id is bound to.
pub const ADDRESS_PREFIX: &[u8] = b"photongate dht address\0";
/// Bytes of an id that follow from the address.
const BOUND: usize = 4;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_key_of_a_value_is_its_sha_256() {
        let key = Id::of(b"abc").to_string();
        assert_eq!(key, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_name_and_a_value_of_the_same_bytes_have_different_ids() {
        assert_ne!(Id::of_name("filter-1.example"), Id::of(b"filter-1.example"));
    }

    #[test]
    fn only_64_hexadecimal_digits_are_an_id() {
        let id = Id::of(b"abc").to_string();
        for wrong in [&id[1..], &format!("{id}0"), &id.replace('b', "g"), "", &"é".repeat(32)] {
            assert_eq!(wrong.parse::<Id>(), Err(NotAnId));
        }
        assert_eq!(id.to_uppercase().parse(), Ok(Id::of(b"abc")));
    }

    #[test]
    fn an_address_has_eight_places_and_no_other() {
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let places: BTreeSet<_> =
            (0..=255).map(|last| Id::of_address(address, [last; 32]).0[..BOUND].to_vec()).collect();
        assert_eq!(places.len(), 8);
        let id = Id::of_address(address, [0x5a; 32]);
        assert!(id.fits(address) && id.fits("::ffff:192.0.2.7".parse().unwrap()));
        assert!(!id.fits("192.0.2.8".parse().unwrap()));
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_have_the_same_places() {
        let id = Id::of_address("2001:db8:1:2::1".parse().unwrap(), [1; 32]);
        assert!(id.fits("2001:db8:1:2:ffff::".parse().unwrap()));
        assert!(!id.fits("2001:db8:1:3::1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn an_id_is_read_as_it_was_written(bytes: [u8; 32]) {
            let id = Id(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            let text = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<Id>(&text).unwrap(), id);
        }

        #[test]
        fn the_distance_is_the_xor_and_leads_back(one: [u8; 32], other: [u8; 32]) {
            let (one, other) = (Id(one), Id(other));
            let distance = one.distance(&other);
            prop_assert_eq!(one.at(distance), other);
            let xor: Vec<u8> = one.0.iter().zip(other.0).map(|(one, other)| one ^ other).collect();
            prop_assert_eq!([distance.high.to_be_bytes(), distance.low.to_be_bytes()].concat(), xor.clone());
            let zeroes = xor.iter().take_while(|byte| **byte == 0).count();
            let bits = 8 * zeroes + xor.get(zeroes).map_or(0, |byte| byte.leading_zeros() as usize);
            prop_assert_eq!(distance.common_bits(), bits);
        }
    }
}
