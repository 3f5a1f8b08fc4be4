//! The hash of keys.

use std::array;
use std::hash::{BuildHasher, RandomState};

use super::buckets::Words;

/// What makes a table's hash unlike others': nobody can choose keys that meet in one bucket.
#[derive(Clone, Copy)]
pub(super) struct Secrets(pub(super) [u64; 4]);

impl Secrets {
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        Self(array::from_fn(|number| random.hash_one(number)))
    }

    /// Two multiplications, whose halves are folded. One of them would leave keys that follow one another at equal distances, and for
    /// some secrets these are all in a few buckets.
    #[inline(always)]
    pub(super) fn hash(self, key: Words) -> u64 {
        let [head, tail, again, last] = self.0;
        fold(fold(key.head ^ head, key.tail ^ tail) ^ again, last)
    }
}

#[inline(always)]
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}
