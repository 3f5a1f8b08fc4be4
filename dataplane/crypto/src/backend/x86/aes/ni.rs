//! One block in a vector: AES-NI.

use std::arch::x86_64::{
    __m128i, _mm_aesenc_si128, _mm_aesenclast_si128, _mm_and_si128, _mm_andnot_si128, _mm_bslli_si128, _mm_loadu_si128,
    _mm_or_si128, _mm_set_epi64x, _mm_set1_epi32, _mm_setzero_si128, _mm_shuffle_epi8, _mm_shuffle_epi32,
    _mm_slli_epi64, _mm_srli_epi64, _mm_sub_epi64, _mm_xor_si128,
};
use std::mem;

use crate::backend::vectors::aes::{Aes, compiled};
use crate::cbc_mac::Block;

/// Proof that the processor has AES-NI and AVX, whose form of the instructions saves copying registers.
#[derive(Clone, Copy, Debug)]
pub(in crate::backend) struct AesNi(());

impl AesNi {
    /// The proof, if it has.
    pub(in crate::backend) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("aes") && is_x86_feature_detected!("avx")).then_some(Self(()))
    }
}

// Each `unsafe` block below calls intrinsics that any processor with the features runs safely.
impl Aes<1> for AesNi {
    type Vector = __m128i;

    // SAFETY: both are 16 bytes without padding, and any bits make a vector.
    const ZERO: __m128i = unsafe { mem::transmute::<[u8; 16], __m128i>([0; 16]) };

    #[inline(always)]
    fn load(self, [block]: [&Block; 1]) -> __m128i {
        // SAFETY: `self` proves the features; the reference is good for 16 bytes, and this load needs no alignment.
        unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, vector: __m128i) -> [Block; 1] {
        // SAFETY: both are 16 bytes without padding, and any bytes make a `Block`.
        unsafe { mem::transmute::<__m128i, [Block; 1]>(vector) }
    }

    #[inline(always)]
    fn xor(self, a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: `self` proves the features.
        unsafe { _mm_xor_si128(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: __m128i, a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: `self` proves the features.
        unsafe { _mm_or_si128(_mm_and_si128(mask, a), _mm_andnot_si128(mask, b)) }
    }

    #[inline(always)]
    fn round(self, state: __m128i, key: __m128i) -> __m128i {
        // SAFETY: `self` proves the features.
        unsafe { _mm_aesenc_si128(state, key) }
    }

    #[inline(always)]
    fn last_round(self, state: __m128i, key: __m128i) -> __m128i {
        // SAFETY: `self` proves the features.
        unsafe { _mm_aesenclast_si128(state, key) }
    }

    #[inline(always)]
    fn next_key(self, key: __m128i, round_constant: u32) -> __m128i {
        // SAFETY: `self` proves the features.
        unsafe {
            // The last word, rotated by a byte, in all four columns: then ShiftRows changes nothing, and AESENCLAST is
            // SubWord and the addition of the round constant. AESKEYGENASSIST has no form for more than one key.
            let last = _mm_shuffle_epi8(key, _mm_set1_epi32(0x0c0f_0e0d));
            let substituted = _mm_aesenclast_si128(last, _mm_set1_epi32(round_constant as i32));
            // Each word is the sum of itself and of all words before it.
            let sums = _mm_xor_si128(key, _mm_bslli_si128::<4>(key));
            _mm_xor_si128(_mm_xor_si128(sums, _mm_bslli_si128::<8>(sums)), substituted)
        }
    }

    #[inline(always)]
    fn double(self, blocks: __m128i) -> __m128i {
        // SAFETY: `self` proves the features.
        unsafe {
            // As numbers, whose upper half is the second of two little-endian ones.
            let reverse = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
            let numbers = _mm_shuffle_epi8(blocks, reverse);
            // What a half loses at its top goes to the other one: to the upper as it is, to the lower as a reduction.
            let lost = _mm_shuffle_epi32::<0x4e>(_mm_srli_epi64::<63>(numbers));
            let minus = _mm_sub_epi64(_mm_setzero_si128(), lost);
            let carried = _mm_and_si128(minus, _mm_set_epi64x(1, 0x87));
            let doubled = _mm_xor_si128(_mm_slli_epi64::<1>(numbers), carried);
            _mm_shuffle_epi8(doubled, reverse)
        }
    }
}

compiled!(AesNi, 1, "aes,avx");
