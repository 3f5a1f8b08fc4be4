//! What is kept of the clicks, and which of that is given away to learn how many errors there are.

use crate::bits::Bits;
use crate::channel::{Preparation, Train};
use crate::random::{Random, Seed};

/// What the sender keeps of a train once she knows where and in which bases it was measured.
pub struct Sifted {
    /// For each click, whether both used the same basis.
    pub kept: Bits,
    /// The bits she had sent, of those that are kept.
    pub bits: Bits,
}

/// Compares the receiver's bases with those of the preparation. There is `None` if the clicks cannot be of this train: they
/// are not in order, or beyond its end.
///
/// # Panics
/// If there is not one basis for each click.
pub fn sift(train: &Train, clicks: &[u32], bases: &Bits) -> Option<Sifted> {
    assert_eq!(clicks.len(), bases.len(), "every click has a basis");
    if !clicks.is_sorted_by(|left, right| left < right) || clicks.last().is_some_and(|&last| last >= train.pulses) {
        return None;
    }
    let mut sifted = Sifted { kept: Bits::with_capacity(clicks.len()), bits: Bits::with_capacity(clicks.len()) };
    let mut preparation = Preparation::new(&train.seed);
    for (index, &pulse) in clicks.iter().enumerate() {
        let sent = preparation.of(pulse);
        let same = sent.basis == bases.get(index);
        sifted.kept.push(same);
        if same {
            sifted.bits.push(sent.bit);
        }
    }
    Some(sifted)
}

/// A part of the sifted key for the estimate, and the rest, of which the key is made.
pub struct Split {
    /// What is told to the other end, and to everybody.
    pub sample: Bits,
    /// What stays secret.
    pub rest: Bits,
}

/// Takes `count` places at random. Both ends take the same ones with the same seed, which is drawn when all bits are measured.
///
/// # Panics
/// If there are fewer bits.
pub fn split(sifted: &Bits, count: usize, seed: &Seed) -> Split {
    assert!(count <= sifted.len(), "a sample is a part of the whole");
    let mut random = Random::from_seed(seed);
    let mut missing = count;
    let mut split = Split { sample: Bits::with_capacity(count), rest: Bits::with_capacity(sifted.len() - count) };
    for index in 0..sifted.len() {
        // Selection sampling: every set of `count` places is equally likely (Knuth, TAOCP vol. 2, 3.4.2, algorithm S).
        let wanted = random.below((sifted.len() - index) as u64) < missing as u64;
        if wanted {
            missing -= 1;
            split.sample.push(sifted.get(index));
        } else {
            split.rest.push(sifted.get(index));
        }
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_split_alike_and_lose_no_bit() {
        let mut random = Random::from_seed(&[1; 32]);
        let bits = Bits::random(1000, &mut random);
        let seed = random.seed();
        let (here, there) = (split(&bits, 125, &seed), split(&bits, 125, &seed));
        assert_eq!((here.sample.len(), here.rest.len()), (125, 875));
        assert_eq!(here.sample.words(), there.sample.words());
        assert_eq!(here.rest.words(), there.rest.words());
        assert_eq!(here.sample.count_ones() + here.rest.count_ones(), bits.count_ones());
    }

    #[test]
    fn a_sample_may_be_all_or_nothing() {
        let mut random = Random::from_seed(&[2; 32]);
        let bits = Bits::random(100, &mut random);
        assert_eq!(split(&bits, 100, &random.seed()).sample.words(), bits.words());
        assert_eq!(split(&bits, 0, &random.seed()).rest.words(), bits.words());
    }

    #[test]
    fn clicks_out_of_order_or_beyond_the_train_are_refused() {
        let train = Train { number: 0, pulses: 100, seed: Seed::default() };
        for clicks in [[5, 5], [6, 5], [5, 100]] {
            assert!(sift(&train, &clicks, &Bits::zeros(2)).is_none(), "{clicks:?}");
        }
        assert!(sift(&train, &[5, 99], &Bits::zeros(2)).is_some());
    }
}
