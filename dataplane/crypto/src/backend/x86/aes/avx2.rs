//! Two blocks in a vector: AVX2 with VAES.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm_set_epi64x, _mm256_aesenc_epi128, _mm256_aesenclast_epi128, _mm256_and_si256,
    _mm256_andnot_si256, _mm256_broadcastsi128_si256, _mm256_bslli_epi128, _mm256_castsi128_si256,
    _mm256_inserti128_si256, _mm256_or_si256, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_shuffle_epi32, _mm256_slli_epi64, _mm256_srli_epi64, _mm256_sub_epi64, _mm256_xor_si256,
};
use std::mem;

use crate::backend::vectors::aes::{Aes, compiled};
use crate::cbc_mac::Block;

/// Proof that the processor has AVX2 and VAES.
#[derive(Clone, Copy, Debug)]
pub(in crate::backend) struct Avx2(());

impl Avx2 {
    /// The proof, if it has.
    pub(in crate::backend) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("vaes")).then_some(Self(()))
    }
}

// Each `unsafe` block below calls intrinsics that any processor with the features runs safely.
impl Aes<2> for Avx2 {
    type Vector = __m256i;

    // SAFETY: both are 32 bytes without padding, and any bits make a vector.
    const ZERO: __m256i = unsafe { mem::transmute::<[u8; 32], __m256i>([0; 32]) };

    #[inline(always)]
    fn load(self, [a, b]: [&Block; 2]) -> __m256i {
        // SAFETY: `self` proves the features; each reference is good for 16 bytes, and these loads need no alignment.
        unsafe {
            let [a, b] = [a, b].map(|block| _mm_loadu_si128(block.as_ptr().cast()));
            _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b)
        }
    }

    #[inline(always)]
    fn store(self, vector: __m256i) -> [Block; 2] {
        // SAFETY: both are 32 bytes without padding, and any bytes make a `Block`.
        unsafe { mem::transmute::<__m256i, [Block; 2]>(vector) }
    }

    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_xor_si256(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: __m256i, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_or_si256(_mm256_and_si256(mask, a), _mm256_andnot_si256(mask, b)) }
    }

    #[inline(always)]
    fn round(self, state: __m256i, key: __m256i) -> __m256i {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_aesenc_epi128(state, key) }
    }

    #[inline(always)]
    fn last_round(self, state: __m256i, key: __m256i) -> __m256i {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_aesenclast_epi128(state, key) }
    }

    #[inline(always)]
    fn next_key(self, key: __m256i, round_constant: u32) -> __m256i {
        // SAFETY: `self` proves the features.
        unsafe {
            // The last word, rotated by a byte, in all four columns: then ShiftRows changes nothing, and AESENCLAST is
            // SubWord and the addition of the round constant. AESKEYGENASSIST has no form for more than one key.
            let last = _mm256_shuffle_epi8(key, _mm256_set1_epi32(0x0c0f_0e0d));
            let substituted = _mm256_aesenclast_epi128(last, _mm256_set1_epi32(round_constant as i32));
            // Each word is the sum of itself and of all words before it.
            let sums = _mm256_xor_si256(key, _mm256_bslli_epi128::<4>(key));
            _mm256_xor_si256(_mm256_xor_si256(sums, _mm256_bslli_epi128::<8>(sums)), substituted)
        }
    }

    #[inline(always)]
    fn double(self, blocks: __m256i) -> __m256i {
        // SAFETY: `self` proves the features.
        unsafe {
            // As numbers, whose upper half is the second of two little-endian ones.
            let reverse = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f));
            let numbers = _mm256_shuffle_epi8(blocks, reverse);
            // What a half loses at its top goes to the other one: to the upper as it is, to the lower as a reduction.
            let lost = _mm256_shuffle_epi32::<0x4e>(_mm256_srli_epi64::<63>(numbers));
            let minus = _mm256_sub_epi64(_mm256_setzero_si256(), lost);
            let carried = _mm256_and_si256(minus, _mm256_broadcastsi128_si256(_mm_set_epi64x(1, 0x87)));
            let doubled = _mm256_xor_si256(_mm256_slli_epi64::<1>(numbers), carried);
            _mm256_shuffle_epi8(doubled, reverse)
        }
    }
}

compiled!(Avx2, 2, "avx2,vaes");
