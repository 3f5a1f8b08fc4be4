//! Four blocks in a vector: AVX-512 with VAES.

use std::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm512_aesenc_epi128, _mm512_aesenclast_epi128, _mm512_bslli_epi128,
    _mm512_castsi128_si512, _mm512_inserti32x4, _mm512_set1_epi32, _mm512_shuffle_epi8, _mm512_ternarylogic_epi32,
    _mm512_xor_si512,
};
use std::mem;

use super::Aes;
use crate::backend::MacJob;
use crate::cbc_mac::Block;
use crate::tag::Tag;

/// Proof that the processor has AVX-512F, BW and VL, and VAES.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Avx512(());

impl Avx512 {
    /// The proof, if it has.
    pub(in super::super) fn detect() -> Option<Self> {
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
    fn macs<const G: usize>(self, jobs: &[MacJob<'_>], tags: &mut [Tag]) -> usize {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,vaes")]
        fn featured<const G: usize>(aes: Avx512, jobs: &[MacJob<'_>], tags: &mut [Tag]) -> usize {
            super::macs::pass::<_, 4, G>(aes, jobs, tags)
        }
        // SAFETY: `self` exists, so `detect` found the features.
        unsafe { featured::<G>(self, jobs, tags) }
    }
}
