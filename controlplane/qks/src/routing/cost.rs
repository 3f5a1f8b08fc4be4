//! What using a key link costs: the less key material there is, and the faster it shrinks, the more.

use serde::{Deserialize, Serialize};

/// What using a link costs, 1 to 175.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Cost(u8);

/// A number is no [`Cost`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cost lies between 1 and {}", Cost::MAX.get())]
pub struct NotACost;

/// How much key material a link holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStock {
    /// Bits that nobody has taken yet.
    pub free_bits: u64,
    /// Bits that fit.
    pub capacity_bits: u64,
}

impl Cost {
    /// The best there is.
    pub const MIN: Self = Self(1);
    /// The worst there is.
    pub const MAX: Self = Self(175);
    /// Of a link of which nothing is known yet.
    pub const NEW: Self = Self(100);

    /// The cost as a number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// 100 - 50 · stock - 25 · growth, both as parts of the capacity: 25 for a stock that just filled up, 50 for a full one, 100
    /// for an empty one, 125 for one that just ran dry. The coefficients are those of the QKD key server 2.0.
    pub fn of(free_bits: u64, free_bits_before: u64, capacity_bits: u64) -> Self {
        let [new, old, capacity] = [free_bits, free_bits_before, capacity_bits].map(i128::from);
        if capacity == 0 {
            return Self::NEW;
        }
        let cost = (100 * capacity - 50 * new - 25 * (new - old)) / capacity;
        Self(u8::try_from(cost.clamp(i128::from(Self::MIN.0), i128::from(Self::MAX.0))).expect("it was clamped"))
    }

    /// How far two costs are apart.
    pub const fn distance(self, other: Self) -> u8 {
        self.0.abs_diff(other.0)
    }
}

impl TryFrom<u8> for Cost {
    type Error = NotACost;

    fn try_from(number: u8) -> Result<Self, NotACost> {
        if (Self::MIN.0..=Self::MAX.0).contains(&number) { Ok(Self(number)) } else { Err(NotACost) }
    }
}

impl From<Cost> for u8 {
    fn from(cost: Cost) -> Self {
        cost.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stock_and_trend_weigh_as_in_the_predecessor() {
        for (new, old, cost) in [(100, 0, 25), (100, 100, 50), (50, 50, 75), (0, 0, 100), (0, 100, 125), (33, 34, 83)] {
            assert_eq!(Cost::of(new, old, 100).get(), cost, "{old} to {new}");
        }
    }

    #[test]
    fn a_link_without_a_stock_is_a_new_one() {
        assert_eq!(Cost::of(7, 9, 0), Cost::NEW);
    }

    #[test]
    fn no_other_number_is_read_as_a_cost() {
        for text in ["0", "176", "-1", "1.5"] {
            assert!(serde_json::from_str::<Cost>(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<Cost>("175").unwrap(), Cost::MAX);
    }

    proptest! {
        #[test]
        fn it_is_always_within_its_bounds(new: u64, old: u64, capacity: u64) {
            let cost = Cost::of(new, old, capacity);
            prop_assert!((Cost::MIN..=Cost::MAX).contains(&cost));
        }

        #[test]
        fn less_stock_never_costs_less(old in 0..1_000_u64, one in 0..1_000_u64, other in 0..1_000_u64) {
            prop_assert!(Cost::of(one.min(other), old, 1_000) >= Cost::of(one.max(other), old, 1_000));
        }
    }
}
