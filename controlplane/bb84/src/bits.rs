//! A string of secret bits.

use std::ops::Range;

use zeroize::Zeroizing;

use crate::random::Random;

/// Bits in words of 64, the first bit lowest in the first word. They are wiped from memory when dropped, and cannot be printed.
#[derive(Clone, Default)]
pub struct Bits {
    words: Zeroizing<Vec<u64>>,
    len: usize,
}

impl Bits {
    /// No bits, and room for `bits` of them: within that room no copy of them is left behind as they grow.
    pub fn with_capacity(bits: usize) -> Self {
        Self { words: Zeroizing::new(Vec::with_capacity(bits.div_ceil(64))), len: 0 }
    }

    /// `len` bits, all 0.
    pub fn zeros(len: usize) -> Self {
        Self { words: Zeroizing::new(vec![0; len.div_ceil(64)]), len }
    }

    /// `len` random bits.
    pub fn random(len: usize, random: &mut Random) -> Self {
        let mut bits = Self::zeros(len);
        bits.words.iter_mut().for_each(|word| *word = random.word());
        bits.clear_tail();
        bits
    }

    /// The first `len` bits of `bytes`, the first bit lowest in the first byte. There is `None` if the bytes are not exactly as
    /// many as hold them, or a bit behind the last one is set.
    pub fn from_bytes(bytes: &[u8], len: usize) -> Option<Self> {
        if bytes.len() != len.div_ceil(8) {
            return None;
        }
        let mut bits = Self::zeros(len);
        for (word, bytes) in bits.words.iter_mut().zip(bytes.chunks(8)) {
            let mut whole = Zeroizing::new([0; 8]);
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(*whole);
        }
        let last = bits.words.last().copied();
        bits.clear_tail();
        (last == bits.words.last().copied()).then_some(bits)
    }

    /// The bits as bytes; the last one is filled up with 0.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.words.len() * 8));
        self.words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes.truncate(self.len.div_ceil(8));
        bytes
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many of them are 1.
    pub fn count_ones(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The words. What lies behind the last bit is 0.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The bit at `index`.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn get(&self, index: usize) -> bool {
        assert!(index < self.len, "there are {} bits", self.len);
        self.words[index / 64] >> (index % 64) & 1 == 1
    }

    /// Turns the bit at `index` over.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn flip(&mut self, index: usize) {
        assert!(index < self.len, "there are {} bits", self.len);
        self.words[index / 64] ^= 1 << (index % 64);
    }

    /// Adds a bit at the end.
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        self.words[self.len / 64] |= u64::from(bit) << (self.len % 64);
        self.len += 1;
    }

    /// Adds all of `others` at the end.
    pub fn extend(&mut self, others: &Self) {
        let shift = self.len % 64;
        if shift == 0 {
            self.words.extend_from_slice(&others.words);
        } else {
            for &word in others.words() {
                *self.words.last_mut().expect("there is a word that is not full") |= word << shift;
                self.words.push(word >> (64 - shift));
            }
        }
        self.len += others.len;
        self.words.truncate(self.len.div_ceil(64));
    }

    /// Keeps the first `len` bits, if there are more.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
            self.words.truncate(len.div_ceil(64));
            self.clear_tail();
        }
    }

    /// Those whose bit in `mask` is `wanted`, in their order.
    ///
    /// # Panics
    /// If the mask has another length.
    pub fn select(&self, mask: &Self, wanted: bool) -> Self {
        assert_eq!(self.len, mask.len, "a mask is as long as what it masks");
        let mut selected = Self::with_capacity(self.len);
        for index in 0..self.len {
            if mask.get(index) == wanted {
                selected.push(self.get(index));
            }
        }
        selected
    }

    /// Whether an odd number of the bits in `range` is 1.
    ///
    /// # Panics
    /// If the range is not within the bits.
    pub fn parity(&self, range: Range<usize>) -> bool {
        self.fold_range(range, |_, word| word)
    }

    /// Whether an odd number of the bits in `range` is 1 that are 1 in `mask` as well.
    ///
    /// # Panics
    /// If the range is not within the bits, or the mask is shorter.
    pub fn masked_parity(&self, mask: &Self, range: Range<usize>) -> bool {
        self.fold_range(range, |index, word| word & mask.words[index])
    }

    /// In how many places the two differ.
    ///
    /// # Panics
    /// If they are not equally long.
    pub fn distance(&self, other: &Self) -> usize {
        assert_eq!(self.len, other.len, "only strings of one length are compared");
        self.words.iter().zip(other.words()).map(|(left, right)| (left ^ right).count_ones() as usize).sum()
    }

    fn fold_range(&self, range: Range<usize>, word_at: impl Fn(usize, u64) -> u64) -> bool {
        assert!(range.start <= range.end && range.end <= self.len, "there are {} bits", self.len);
        if range.is_empty() {
            return false;
        }
        let (first, last) = (range.start / 64, (range.end - 1) / 64);
        let mut sum = 0;
        for index in first..=last {
            let mut word = word_at(index, self.words[index]);
            if index == first {
                word &= u64::MAX << (range.start % 64);
            }
            if index == last {
                word &= u64::MAX >> (63 - (range.end - 1) % 64);
            }
            sum ^= word;
        }
        sum.count_ones() % 2 == 1
    }

    fn clear_tail(&mut self) {
        if let (Some(last), rest @ 1..) = (self.words.last_mut(), self.len % 64) {
            *last &= (1 << rest) - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits(plain: &[bool]) -> Bits {
        let mut bits = Bits::default();
        plain.iter().for_each(|&bit| bits.push(bit));
        bits
    }

    fn plain(bits: &Bits) -> Vec<bool> {
        (0..bits.len()).map(|index| bits.get(index)).collect()
    }

    proptest! {
        #[test]
        fn bits_survive_being_bytes(bools in prop::collection::vec(any::<bool>(), 0..300)) {
            let bits = bits(&bools);
            prop_assert_eq!(plain(&bits), bools);
            let back = Bits::from_bytes(&bits.to_bytes(), bits.len()).unwrap();
            prop_assert_eq!(back.words(), bits.words());
        }

        #[test]
        fn parities_are_those_of_counting(bools in prop::collection::vec(any::<(bool, bool)>(), 1..300), a in 0_usize..300, b in 0_usize..300) {
            let (left, right): (Vec<_>, Vec<_>) = bools.iter().copied().unzip();
            let (a, b) = (a % (bools.len() + 1), b % (bools.len() + 1));
            let range = a.min(b)..a.max(b);
            prop_assert_eq!(bits(&left).parity(range.clone()), left[range.clone()].iter().filter(|&&bit| bit).count() % 2 == 1);
            let both = bools[range.clone()].iter().filter(|(left, right)| *left && *right).count();
            prop_assert_eq!(bits(&left).masked_parity(&bits(&right), range), both % 2 == 1);
        }

        #[test]
        fn strings_are_joined_cut_and_selected_as_lists_are(
            left in prop::collection::vec(any::<bool>(), 0..200),
            right in prop::collection::vec(any::<bool>(), 0..200),
            cut in 0_usize..400,
        ) {
            let mut joined = bits(&left);
            joined.extend(&bits(&right));
            let mut expected = left.clone();
            expected.extend(&right);
            prop_assert_eq!(plain(&joined), expected.clone());
            let ones = expected.iter().copied().filter(|&bit| bit).collect::<Vec<_>>();
            prop_assert_eq!(plain(&joined.select(&joined, true)), ones);
            joined.truncate(cut);
            expected.truncate(cut);
            let expected = bits(&expected);
            prop_assert_eq!(joined.words(), expected.words());
        }
    }

    #[test]
    fn bytes_with_bits_behind_the_last_one_are_refused() {
        assert!(Bits::from_bytes(&[0b111], 3).is_some());
        assert!(Bits::from_bytes(&[0b1111], 3).is_none());
        assert!(Bits::from_bytes(&[1, 0], 3).is_none());
        assert!(Bits::from_bytes(&[], 3).is_none());
    }
}
