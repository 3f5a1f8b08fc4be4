//! SHA-1 with the instructions of ARMv8: two messages at a time.
//!
//! An instruction does four rounds, and waits for the one before; the other message fills the wait.

use std::arch::aarch64::{
    vaddq_u32, vdupq_n_u32, vgetq_lane_u32, vld1q_u8, vld1q_u32, vreinterpretq_u32_u8, vrev32q_u8, vsha1cq_u32,
    vsha1h_u32, vsha1mq_u32, vsha1pq_u32, vsha1su0q_u32, vsha1su1q_u32,
};
use std::arch::is_aarch64_feature_detected;

use crate::backend::portable::Portable;
use crate::backend::vectors::sha1::lanes::{self, Kernel, States};
use crate::backend::vectors::sha1::queue::{MAX_JOBS, Queue};
use crate::backend::vectors::sha1::{self, Chunk};
use crate::backend::{Backend as _, Digest, HashJob};

/// What hashes with what.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sha1 {
    /// The processor's own instructions.
    Armv8(Armv8),
    /// One message after the other, with the SHA-1 of RustCrypto.
    Portable,
}

impl sha1::Sha1 for Sha1 {
    fn hash(self, jobs: &[HashJob<'_>], digests: &mut [Digest]) {
        match self {
            Self::Armv8(kernel) => {
                for (jobs, digests) in jobs.chunks(MAX_JOBS).zip(digests.chunks_mut(MAX_JOBS)) {
                    kernel.run(&mut Queue::new(jobs), digests);
                }
            }
            Self::Portable => Portable.sha1(jobs, digests),
        }
    }
}

/// Proof that the processor has SHA-1 instructions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Armv8(());

impl Armv8 {
    /// The proof, if it has. Rust knows the instructions for SHA-1 only together with those for SHA-256.
    pub(super) fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("sha2").then_some(Self(()))
    }

    /// Hashes all messages of `queue`.
    fn run(self, queue: &mut Queue<'_>, digests: &mut [Digest]) {
        #[target_feature(enable = "sha2")]
        fn featured(kernel: Armv8, queue: &mut Queue<'_>, digests: &mut [Digest]) {
            lanes::run::<_, 2>(kernel, queue, 2, digests);
            lanes::run::<_, 1>(kernel, queue, 1, digests);
        }
        // SAFETY: `self` exists, so `detect` found the feature.
        unsafe { featured(self, queue, digests) }
    }
}

impl<const L: usize> Kernel<L> for Armv8 {
    #[inline(always)]
    unsafe fn compress(self, states: &mut States<L>, runs: &[*const Chunk; L], count: usize) {
        // SAFETY: `self` proves the feature, and the caller vouches for the runs.
        unsafe { compress(states, runs, count) }
    }
}

/// Chains `count` chunks of each run into the states.
///
/// # Safety
/// `count` chunks can be read from where each run begins.
#[inline]
#[target_feature(enable = "sha2")]
unsafe fn compress<const L: usize>(states: &mut States<L>, runs: &[*const Chunk; L], count: usize) {
    // SAFETY: the loads of messages need no alignment, and stay in chunk `n` of a run, which is there because `n` is less than `count`. That of
    // a state is from an array of four words.
    unsafe {
        let zero = vdupq_n_u32(0);
        let (mut abcd, mut e) = ([zero; L], [0; L]);
        for l in 0..L {
            abcd[l] = vld1q_u32([0, 1, 2, 3].map(|i| states[i][l]).as_ptr());
            e[l] = states[4][l];
        }
        for n in 0..count {
            let (first_abcd, first_e) = (abcd, e);
            let mut schedule = [[zero; L]; 4];
            macro_rules! rounds {
                ($function:ident, $constant:literal: $($quad:literal)*) => {
                    let constant = vdupq_n_u32($constant);
                    $(for l in 0..L {
                        const I: usize = $quad % 4;
                        if $quad < 4 {
                            let words = runs[l].add(n).cast::<u8>().add(16 * $quad);
                            schedule[I][l] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(words)));
                        } else {
                            let older = vsha1su0q_u32(schedule[I][l], schedule[(I + 1) % 4][l], schedule[(I + 2) % 4][l]);
                            schedule[I][l] = vsha1su1q_u32(older, schedule[(I + 3) % 4][l]);
                        }
                        let words = vaddq_u32(schedule[I][l], constant);
                        let next_e = vsha1h_u32(vgetq_lane_u32::<0>(abcd[l]));
                        abcd[l] = $function(abcd[l], e[l], words);
                        e[l] = next_e;
                    })*
                };
            }
            rounds!(vsha1cq_u32, 0x5a82_7999: 0 1 2 3 4);
            rounds!(vsha1pq_u32, 0x6ed9_eba1: 5 6 7 8 9);
            rounds!(vsha1mq_u32, 0x8f1b_bcdc: 10 11 12 13 14);
            rounds!(vsha1pq_u32, 0xca62_c1d6: 15 16 17 18 19);
            for l in 0..L {
                abcd[l] = vaddq_u32(abcd[l], first_abcd[l]);
                e[l] = e[l].wrapping_add(first_e[l]);
            }
        }
        for l in 0..L {
            states[0][l] = vgetq_lane_u32::<0>(abcd[l]);
            states[1][l] = vgetq_lane_u32::<1>(abcd[l]);
            states[2][l] = vgetq_lane_u32::<2>(abcd[l]);
            states[3][l] = vgetq_lane_u32::<3>(abcd[l]);
            states[4][l] = e[l];
        }
    }
}
