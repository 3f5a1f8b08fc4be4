//! Four blocks in a vector: AVX-512 with VAES.

use std::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm_set_epi64x, _mm512_aesenc_epi128, _mm512_aesenclast_epi128, _mm512_and_si512,
    _mm512_broadcast_i32x4, _mm512_bslli_epi128, _mm512_castsi128_si512, _mm512_inserti32x4, _mm512_set1_epi32,
    _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_shuffle_epi32, _mm512_slli_epi64, _mm512_srli_epi64,
    _mm512_sub_epi64, _mm512_ternarylogic_epi32, _mm512_xor_si512,
};
use std::mem;

use crate::backend::vectors::aes::{Aes, compiled};
use crate::cbc_mac::Block;

/// Proof that the processor has AVX-512F, BW and VL, and VAES.
#[derive(Clone, Copy, Debug)]
pub(in crate::backend) struct Avx512(());

impl Avx512 {
    /// The proof, if it has.
    pub(in crate::backend) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("vaes"))
        .then_some(Self(()))
    }
}

// Each `unsafe` block below calls intrinsics that any processor with the features runs safely.
impl Aes<4> for Avx512 {
    type Vector = __m512i;

    // SAFETY: both are 64 bytes without padding, and any bits make a vector.
    const ZERO: __m512i = unsafe { mem::transmute::<[u8; 64], __m512i>([0; 64]) };

    #[inline(always)]
    fn load(self, [a, b, c, d]: [&Block; 4]) -> __m512i {
        // SAFETY: `self` proves the features; each reference is good for 16 bytes, and these loads need no alignment.
        unsafe {
            let [a, b, c, d] = [a, b, c, d].map(|block| _mm_loadu_si128(block.as_ptr().cast()));
            let vector = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(a), b);
            _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(vector, c), d)
        }
    }

    #[inline(always)]
    fn store(self, vector: __m512i) -> [Block; 4] {
        // SAFETY: both are 64 bytes without padding, and any bytes make a `Block`.
        unsafe { mem::transmute::<__m512i, [Block; 4]>(vector) }
    }

    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_xor_si512(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: __m512i, a: __m512i, b: __m512i) -> __m512i {
        const MASK_A_ELSE_B: i32 = 0xca;
        // SAFETY: `self` proves the features.
        unsafe { _mm512_ternarylogic_epi32::<MASK_A_ELSE_B>(mask, a, b) }
    }

    #[inline(always)]
    fn round(self, state: __m512i, key: __m512i) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_aesenc_epi128(state, key) }
    }

    #[inline(always)]
    fn last_round(self, state: __m512i, key: __m512i) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_aesenclast_epi128(state, key) }
    }

    #[inline(always)]
    fn next_key(self, key: __m512i, round_constant: u32) -> __m512i {
        const XOR3: i32 = 0x96;
        // SAFETY: `self` proves the features.
        unsafe {
            // The last word, rotated by a byte, in all four columns: then ShiftRows changes nothing, and AESENCLAST is
            // SubWord and the addition of the round constant. AESKEYGENASSIST has no form for more than one key.
            let last = _mm512_shuffle_epi8(key, _mm512_set1_epi32(0x0c0f_0e0d));
            let substituted = _mm512_aesenclast_epi128(last, _mm512_set1_epi32(round_constant as i32));
            // Each word is the sum of itself and of all words before it.
            let sums = _mm512_xor_si512(key, _mm512_bslli_epi128::<4>(key));
            _mm512_ternarylogic_epi32::<XOR3>(sums, _mm512_bslli_epi128::<8>(sums), substituted)
        }
    }

    #[inline(always)]
    fn double(self, blocks: __m512i) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe {
            // As numbers, whose upper half is the second of two little-endian ones.
            let reverse = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f));
            let numbers = _mm512_shuffle_epi8(blocks, reverse);
            // What a half loses at its top goes to the other one: to the upper as it is, to the lower as a reduction.
            let lost = _mm512_shuffle_epi32::<0x4e>(_mm512_srli_epi64::<63>(numbers));
            let minus = _mm512_sub_epi64(_mm512_setzero_si512(), lost);
            let carried = _mm512_and_si512(minus, _mm512_broadcast_i32x4(_mm_set_epi64x(1, 0x87)));
            let doubled = _mm512_xor_si512(_mm512_slli_epi64::<1>(numbers), carried);
            _mm512_shuffle_epi8(doubled, reverse)
        }
    }
}

compiled!(Avx512, 4, "avx512f,avx512bw,avx512vl,vaes");
