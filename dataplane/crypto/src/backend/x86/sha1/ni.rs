//! Up to four messages at a time with the processor's own instructions for SHA-1 (SHA-NI).
//!
//! An instruction does four rounds, and waits for the one before; the other messages fill the wait.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_extract_epi32, _mm_loadu_si128, _mm_set_epi32, _mm_set_epi64x, _mm_setzero_si128,
    _mm_sha1msg1_epu32, _mm_sha1msg2_epu32, _mm_sha1nexte_epu32, _mm_sha1rnds4_epu32, _mm_shuffle_epi8, _mm_xor_si128,
};

use crate::backend::Digest;
use crate::backend::vectors::sha1::Chunk;
use crate::backend::vectors::sha1::lanes::{self, Kernel, States};
use crate::backend::vectors::sha1::queue::Queue;

/// Proof that the processor has SHA-NI, and SSE4.1.
#[derive(Clone, Copy, Debug)]
pub(in crate::backend) struct ShaNi(());

impl ShaNi {
    /// The proof, if it has.
    pub(in crate::backend) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1")).then_some(Self(()))
    }

    /// Hashes all messages of `queue`.
    pub(super) fn run(self, queue: &mut Queue<'_>, digests: &mut [Digest]) {
        #[target_feature(enable = "sha,sse4.1")]
        fn featured(kernel: ShaNi, queue: &mut Queue<'_>, digests: &mut [Digest]) {
            // What is left of four goes on as three, and so on: a lane that idles takes as long as one that works.
            lanes::run::<_, 4>(kernel, queue, 4, digests);
            lanes::run::<_, 3>(kernel, queue, 3, digests);
            lanes::run::<_, 2>(kernel, queue, 2, digests);
            lanes::run::<_, 1>(kernel, queue, 1, digests);
        }
        // SAFETY: `self` exists, so `detect` found the features.
        unsafe { featured(self, queue, digests) }
    }
}

impl<const L: usize> Kernel<L> for ShaNi {
    #[inline(always)]
    unsafe fn compress(self, states: &mut States<L>, runs: &[*const Chunk; L], count: usize) {
        // SAFETY: `self` proves the features, and the caller vouches for the runs.
        unsafe { compress(states, runs, count) }
    }
}

/// Chains `count` chunks of each run into the states.
///
/// # Safety
/// The processor has SHA-NI and SSE4.1, and `count` chunks can be read from where each run begins.
#[inline(always)]
unsafe fn compress<const L: usize>(states: &mut States<L>, runs: &[*const Chunk; L], count: usize) {
    // SAFETY: the caller vouches for the instructions. The loads need no alignment, and stay in chunk `n` of a run, which is there because
    // `n` is less than `count`.
    unsafe {
        let zero = _mm_setzero_si128();
        let reversed = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
        let (mut abcd, mut e) = ([zero; L], [zero; L]);
        for l in 0..L {
            let [a, b, c, d, last] = [0, 1, 2, 3, 4].map(|i| states[i][l] as i32);
            abcd[l] = _mm_set_epi32(a, b, c, d);
            e[l] = _mm_set_epi32(last, 0, 0, 0);
        }
        for n in 0..count {
            let (first_abcd, first_e) = (abcd, e);
            let mut schedule = [[zero; L]; 4];
            macro_rules! rounds {
                ($function:literal: $($quad:literal)*) => {
                    $(for l in 0..L {
                        const I: usize = $quad % 4;
                        if $quad < 4 {
                            let words = runs[l].add(n).cast::<__m128i>().add($quad);
                            schedule[I][l] = _mm_shuffle_epi8(_mm_loadu_si128(words), reversed);
                        } else {
                            let older = _mm_sha1msg1_epu32(schedule[I][l], schedule[(I + 1) % 4][l]);
                            let older = _mm_xor_si128(older, schedule[(I + 2) % 4][l]);
                            schedule[I][l] = _mm_sha1msg2_epu32(older, schedule[(I + 3) % 4][l]);
                        }
                        let words = if $quad == 0 {
                            _mm_add_epi32(e[l], schedule[I][l])
                        } else {
                            _mm_sha1nexte_epu32(e[l], schedule[I][l])
                        };
                        e[l] = abcd[l];
                        abcd[l] = _mm_sha1rnds4_epu32::<$function>(abcd[l], words);
                    })*
                };
            }
            rounds!(0: 0 1 2 3 4);
            rounds!(1: 5 6 7 8 9);
            rounds!(2: 10 11 12 13 14);
            rounds!(3: 15 16 17 18 19);
            for l in 0..L {
                e[l] = _mm_sha1nexte_epu32(e[l], first_e[l]);
                abcd[l] = _mm_add_epi32(abcd[l], first_abcd[l]);
            }
        }
        for l in 0..L {
            states[0][l] = _mm_extract_epi32::<3>(abcd[l]) as u32;
            states[1][l] = _mm_extract_epi32::<2>(abcd[l]) as u32;
            states[2][l] = _mm_extract_epi32::<1>(abcd[l]) as u32;
            states[3][l] = _mm_extract_epi32::<0>(abcd[l]) as u32;
            states[4][l] = _mm_extract_epi32::<3>(e[l]) as u32;
        }
    }
}
