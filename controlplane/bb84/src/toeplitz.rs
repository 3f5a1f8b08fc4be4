//! Privacy amplification: a key that an eavesdropper knows in part becomes a shorter one that she knows nothing of.
//!
//! The hash is multiplication with a random Toeplitz matrix, whose diagonals are all alike (Krawczyk, CRYPTO '94): output bit i
//! is the sum of `diagonals[i + n - 1 - j] * key[j]` over the n key bits j, modulo 2. So it is a stretch of the product of two
//! polynomials over GF(2), which is computed as such: Karatsuba's way down to short ones, and a comb of four bits below.

use zeroize::{Zeroize, Zeroizing};

use crate::bits::Bits;
use crate::random::{Random, Seed};

/// Hashes `key` to `len` bits. Everybody may know the seed of the matrix, but nobody before the key was measured.
///
/// # Panics
/// If more bits are wanted than the key has.
pub fn amplify(key: &Bits, len: usize, seed: &Seed) -> Bits {
    assert!(len <= key.len(), "a hash does not add secrets");
    if len == 0 {
        return Bits::default();
    }
    let diagonals = Bits::random(key.len() + len - 1, &mut Random::from_seed(seed));
    multiply(&diagonals, key, len)
}

/// The product of the matrix with these diagonals and the key.
fn multiply(diagonals: &Bits, key: &Bits, len: usize) -> Bits {
    let size = key.words().len().div_ceil(BASE).next_power_of_two() * BASE;
    let mut padded = Zeroizing::new(vec![0; size]);
    padded[..key.words().len()].copy_from_slice(key.words());
    let mut product = Zeroizing::new(vec![0; diagonals.words().len() + 2 * size]);
    let mut scratch = Zeroizing::new(vec![0; 4 * size]);
    let mut part = Zeroizing::new(vec![0; 2 * size]);
    for (index, chunk) in diagonals.words().chunks(size).enumerate() {
        let mut factor = Zeroizing::new(vec![0; size]);
        factor[..chunk.len()].copy_from_slice(chunk);
        karatsuba(&factor, &padded, &mut part, &mut scratch);
        xor(&mut product[index * size..], &part);
    }
    stretch(&product, key.len() - 1, len)
}

/// `product` becomes that of the two, which are equally long; it is twice as long. `public` decides what is looked up where.
fn karatsuba(public: &[u64], secret: &[u64], product: &mut [u64], scratch: &mut [u64]) {
    let len = public.len();
    if len <= BASE {
        return comb(public, secret, product);
    }
    let half = len / 2;
    let (public_low, public_high) = public.split_at(half);
    let (secret_low, secret_high) = secret.split_at(half);
    let (here, deeper) = scratch.split_at_mut(2 * len);
    let (sums, middle) = here.split_at_mut(len);
    let (public_sum, secret_sum) = sums.split_at_mut(half);
    sum(public_sum, public_low, public_high);
    sum(secret_sum, secret_low, secret_high);
    karatsuba(public_sum, secret_sum, middle, deeper);
    karatsuba(public_low, secret_low, &mut product[..len], deeper);
    karatsuba(public_high, secret_high, &mut product[len..], deeper);
    xor(middle, &product[..len]);
    xor(middle, &product[len..]);
    xor(&mut product[half..half + len], middle);
}

/// Multiplies short polynomials: of the secret one all multiples by four bits are looked up, as the public one wants them.
fn comb(public: &[u64], secret: &[u64], product: &mut [u64]) {
    let mut multiples = [[0_u64; BASE + 1]; 16];
    multiples[1][..BASE].copy_from_slice(secret);
    for index in 2..16 {
        let (below, from) = multiples.split_at_mut(index);
        if index % 2 == 0 {
            let mut carry = 0;
            for (word, &half) in from[0].iter_mut().zip(&below[index / 2]) {
                *word = half << 1 | carry;
                carry = half >> 63;
            }
        } else {
            sum(&mut from[0], &below[index - 1], &below[1]);
        }
    }
    product.fill(0);
    for nibble in (0..16).rev() {
        for (index, word) in public.iter().enumerate() {
            let multiple = &multiples[(word >> (4 * nibble) & 15) as usize];
            xor(&mut product[index..=index + BASE], multiple);
        }
        if nibble > 0 {
            let mut carry = 0;
            for word in product.iter_mut() {
                (*word, carry) = (*word << 4 | carry, *word >> 60);
            }
        }
    }
    multiples.zeroize();
}

/// `len` bits of the words, from bit number `begin`.
fn stretch(words: &[u64], begin: usize, len: usize) -> Bits {
    let mut bits = Bits::with_capacity(len + 64);
    let (first, shift) = (begin / 64, begin % 64);
    let bytes = (0..len.div_ceil(64)).flat_map(|index| {
        let low = words[first + index] >> shift;
        // Shifted in two steps, for there is no shift by 64.
        let high = words[first + index + 1] << 1 << (63 - shift);
        (low | high).to_le_bytes()
    });
    let bytes = Zeroizing::new(bytes.collect::<Vec<_>>());
    bits.extend(&Bits::from_bytes(&bytes, bytes.len() * 8).expect("these are all bits of the bytes"));
    bits.truncate(len);
    bits
}

fn xor(to: &mut [u64], from: &[u64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to ^= from);
}

fn sum(to: &mut [u64], left: &[u64], right: &[u64]) {
    to.iter_mut().zip(left.iter().zip(right)).for_each(|(to, (left, right))| *to = left ^ right);
}

/// Words of the polynomials that are multiplied by the comb.
const BASE: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By the definition, bit by bit.
    fn naive(diagonals: &Bits, key: &Bits, len: usize) -> Bits {
        let mut hash = Bits::default();
        for row in 0..len {
            let ones = (0..key.len()).filter(|&column| key.get(column) && diagonals.get(row + key.len() - 1 - column));
            hash.push(ones.count() % 2 == 1);
        }
        hash
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn the_hash_is_that_of_the_definition(seed in any::<[u8; 32]>(), bits in 1_usize..5000, part in 0.0..1.0) {
            let mut random = Random::from_seed(&seed);
            let key = Bits::random(bits, &mut random);
            let len = ((bits as f64 * part) as usize).max(1);
            let matrix = random.seed();
            let diagonals = Bits::random(bits + len - 1, &mut Random::from_seed(&matrix));
            let hash = amplify(&key, len, &matrix);
            let expected = naive(&diagonals, &key, len);
            prop_assert_eq!(hash.words(), expected.words());
            prop_assert_eq!(hash.len(), len);
        }

        #[test]
        fn the_hash_of_a_sum_is_the_sum_of_the_hashes(seed in any::<[u8; 32]>(), bits in 1_usize..20_000) {
            let mut random = Random::from_seed(&seed);
            let (left, right) = (Bits::random(bits, &mut random), Bits::random(bits, &mut random));
            let mut both = left.clone();
            (0..bits).filter(|&index| right.get(index)).for_each(|index| both.flip(index));
            let matrix = random.seed();
            let [left, right, both] = [left, right, both].map(|key| amplify(&key, bits.div_ceil(2), &matrix));
            let sums = left.words().iter().zip(right.words()).map(|(left, right)| left ^ right).collect::<Vec<_>>();
            prop_assert_eq!(both.words(), sums);
        }
    }

    #[test]
    fn a_hash_of_no_bits_is_empty() {
        let mut random = Random::from_seed(&[1; 32]);
        assert!(amplify(&Bits::random(100, &mut random), 0, &random.seed()).is_empty());
    }
}
