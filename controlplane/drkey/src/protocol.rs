//! DRKey protocol numbers.

use std::fmt;

/// The protocol a key is for, so that no two protocols share keys. 16 bits, chosen by the operators unless predefined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u16);

impl Protocol {
    /// The protocol of secret values and level 1 keys from which those of all other, "niche" protocols follow.
    pub const GENERIC: Self = Self(0);

    /// SCION's control messages.
    pub const SCMP: Self = Self(1);

    /// Whether SCION lists the protocol, so that it may have secret values and level 1 keys of its own.
    pub const fn is_predefined(self) -> bool {
        self.0 <= Self::SCMP.0
    }

    /// The protocol of the secret value and level 1 key from which this protocol's keys follow.
    #[must_use]
    pub const fn level1(self) -> Self {
        if self.is_predefined() { self } else { Self::GENERIC }
    }

    /// The number as it stands in headers and derivation inputs.
    pub const fn to_be_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_niche_protocol_has_the_generic_level_1_key() {
        assert_eq!(Protocol(10_000).level1(), Protocol::GENERIC);
        assert_eq!(Protocol(2).level1(), Protocol::GENERIC);
    }

    #[test]
    fn a_predefined_protocol_has_a_level_1_key_of_its_own() {
        assert_eq!(Protocol::SCMP.level1(), Protocol::SCMP);
    }
}
