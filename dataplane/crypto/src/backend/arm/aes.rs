//! AES with the instructions of ARMv8: one block in a vector.

use std::arch::aarch64::{
    uint8x16_t, vaeseq_u8, vaesmcq_u8, vandq_u64, vbslq_u8, vdupq_n_u8, vdupq_n_u32, veorq_u8, veorq_u64, vextq_u8,
    vextq_u64, vld1q_u8, vld1q_u64, vqtbl1q_u8, vreinterpretq_s64_u64, vreinterpretq_u8_u32, vreinterpretq_u8_u64,
    vreinterpretq_u64_s64, vreinterpretq_u64_u8, vrev64q_u8, vshlq_n_u64, vshrq_n_s64,
};
use std::arch::is_aarch64_feature_detected;
use std::mem;

use crate::backend::vectors::aes::{Aes, compiled};
use crate::cbc_mac::Block;

/// Proof that the processor has AES instructions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Armv8(());

impl Armv8 {
    /// The proof, if it has.
    pub(super) fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("aes").then_some(Self(()))
    }
}

// Each `unsafe` block below calls intrinsics that any processor with the feature runs safely.
impl Aes<1> for Armv8 {
    type Vector = uint8x16_t;

    // SAFETY: both are 16 bytes without padding, and any bits make a vector.
    const ZERO: uint8x16_t = unsafe { mem::transmute::<[u8; 16], uint8x16_t>([0; 16]) };

    #[inline(always)]
    fn load(self, [block]: [&Block; 1]) -> uint8x16_t {
        // SAFETY: `self` proves the feature; the reference is good for 16 bytes, and this load needs no alignment.
        unsafe { vld1q_u8(block.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: uint8x16_t) -> [Block; 1] {
        // SAFETY: both are 16 bytes without padding, and any bytes make a `Block`.
        unsafe { mem::transmute::<uint8x16_t, [Block; 1]>(vector) }
    }

    #[inline(always)]
    fn xor(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        // SAFETY: `self` proves the feature.
        unsafe { veorq_u8(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: uint8x16_t, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        // SAFETY: `self` proves the feature.
        unsafe { vbslq_u8(mask, a, b) }
    }

    #[inline(always)]
    fn round(self, state: uint8x16_t, key: uint8x16_t) -> uint8x16_t {
        // SAFETY: `self` proves the feature.
        unsafe { veorq_u8(mix_columns(substitute(state)), key) }
    }

    #[inline(always)]
    fn last_round(self, state: uint8x16_t, key: uint8x16_t) -> uint8x16_t {
        // SAFETY: `self` proves the feature.
        unsafe { veorq_u8(substitute(state), key) }
    }

    #[inline(always)]
    fn next_key(self, key: uint8x16_t, round_constant: u32) -> uint8x16_t {
        // SAFETY: `self` proves the feature.
        unsafe {
            // The last word, rotated by a byte, in all four columns: then ShiftRows changes nothing.
            let last = vqtbl1q_u8(key, vreinterpretq_u8_u32(vdupq_n_u32(0x0c0f_0e0d)));
            let substituted = substitute(last);
            // Each word is the sum of itself and of all words before it.
            let zero = vdupq_n_u8(0);
            let sums = veorq_u8(key, vextq_u8::<12>(zero, key));
            let sums = veorq_u8(sums, vextq_u8::<8>(zero, sums));
            veorq_u8(veorq_u8(sums, vreinterpretq_u8_u32(vdupq_n_u32(round_constant))), substituted)
        }
    }

    #[inline(always)]
    fn double(self, blocks: uint8x16_t) -> uint8x16_t {
        // SAFETY: `self` proves the feature; the load is of 16 bytes that are there.
        unsafe {
            // As a number, the upper half first.
            let number = vreinterpretq_u64_u8(vrev64q_u8(blocks));
            // All ones where a half loses a one at its top.
            let lost = vreinterpretq_u64_s64(vshrq_n_s64::<63>(vreinterpretq_s64_u64(number)));
            // It goes to the other half: to the upper as it is, to the lower as a reduction.
            let carried = vandq_u64(vextq_u64::<1>(lost, lost), vld1q_u64([1, 0x87].as_ptr()));
            let doubled = veorq_u64(vshlq_n_u64::<1>(number), carried);
            vrev64q_u8(vreinterpretq_u8_u64(doubled))
        }
    }
}

/// ShiftRows and SubBytes. The instruction also adds a round key, before: the compiler moves the one there that the round before
/// this one has added at its end.
#[inline]
#[target_feature(enable = "aes")]
fn substitute(state: uint8x16_t) -> uint8x16_t {
    vaeseq_u8(state, Armv8::ZERO)
}

/// MixColumns.
#[inline]
#[target_feature(enable = "aes")]
fn mix_columns(state: uint8x16_t) -> uint8x16_t {
    vaesmcq_u8(state)
}

compiled!(Armv8, 1, "aes");
