//! Which encapsulations there are, and which of them a peer and we use with one another.
//!
//! Nothing on the wire negotiates them: each side is told by its operator what it sends and what it accepts. So nobody on the way
//! can talk two filters into the weaker one.

use photongate_wire::{lf, lf2};

/// What a packet is put into on its way to a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encapsulation {
    /// LightningFilter's: `docs/protocol/lf.md`.
    #[default]
    Lf,
    /// Ours: `docs/protocol/lf2.md`.
    Lf2,
}

impl Encapsulation {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Lf, Self::Lf2];

    /// What configurations and reports call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lf => "lf",
            Self::Lf2 => "lf2",
        }
    }

    /// Bytes that it adds to a packet.
    #[inline]
    pub const fn overhead(self) -> usize {
        match self {
            Self::Lf => lf::ENCAPSULATION_LEN,
            Self::Lf2 => lf2::ENCAPSULATION_LEN,
        }
    }
}

/// A set of encapsulations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Encapsulations(u8);

impl Encapsulations {
    /// Every encapsulation there is.
    pub const ALL: Self = Self((1 << Encapsulation::ALL.len()) - 1);

    /// Nothing but `encapsulation`.
    pub const fn only(encapsulation: Encapsulation) -> Self {
        Self(1 << encapsulation as u8)
    }

    /// Whether `encapsulation` is in the set.
    #[inline]
    pub const fn contains(self, encapsulation: Encapsulation) -> bool {
        self.0 & (1 << encapsulation as u8) != 0
    }

    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = Encapsulation> {
        Encapsulation::ALL.into_iter().filter(move |encapsulation| self.contains(*encapsulation))
    }
}

impl FromIterator<Encapsulation> for Encapsulations {
    fn from_iter<I: IntoIterator<Item = Encapsulation>>(encapsulations: I) -> Self {
        Self(encapsulations.into_iter().fold(0, |set, encapsulation| set | Self::only(encapsulation).0))
    }
}

/// What passes between a peer and us. By default LF, both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerEncapsulation {
    /// What our packets to the peer are put into.
    pub send: Encapsulation,
    /// What packets from the peer may be in. Others are refused before anything is computed.
    pub accept: Encapsulations,
}

impl PeerEncapsulation {
    /// The same both ways, and nothing else.
    pub const fn only(encapsulation: Encapsulation) -> Self {
        Self { send: encapsulation, accept: Encapsulations::only(encapsulation) }
    }
}

impl Default for PeerEncapsulation {
    fn default() -> Self {
        Self::only(Encapsulation::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_into_it() {
        let both: Encapsulations = Encapsulation::ALL.into_iter().collect();
        assert_eq!(both, Encapsulations::ALL);
        assert_eq!(both.iter().collect::<Vec<_>>(), Encapsulation::ALL);
        for one in Encapsulation::ALL {
            assert_eq!(Encapsulations::only(one).iter().collect::<Vec<_>>(), [one]);
            assert!(!Encapsulations::default().contains(one));
        }
    }

    #[test]
    fn peers_that_nothing_is_said_of_use_lf() {
        assert_eq!(PeerEncapsulation::default(), PeerEncapsulation::only(Encapsulation::Lf));
        assert!(!PeerEncapsulation::default().accept.contains(Encapsulation::Lf2));
    }
}
