//! The AES kernels, for any width of vector: a vector holds one block of each of `L` packets.
//!
//! One AES round has to wait for the one before it, so a kernel works on `G` vectors at a time, and the processor on one
//! while the others wait. Every round key is computed just before it is used and stays in a register. Only where a
//! second block follows under the same key are the round keys kept, in memory that is wiped before the call ends.

pub(in crate::backend) mod cmacs;
mod derive;
pub(in crate::backend) mod macs;

use std::ops::Range;

use cmacs::Messages;
use zeroize::{Zeroize, optimization_barrier};

use crate::backend::{CmacJob, MacJob};
use crate::cbc_mac::Block;
use crate::tag::Tag;

/// A processor that encrypts `L` blocks with one instruction, each under a key of its own.
///
/// Only those can have a value of a type that implements this who found the instructions on this machine.
pub(in crate::backend) trait Aes<const L: usize>: Copy {
    /// `L` blocks, or a round key for each of them.
    type Vector: Copy + Zeroize;

    /// Zeroes.
    const ZERO: Self::Vector;

    /// The vector of these blocks.
    fn load(self, blocks: [&Block; L]) -> Self::Vector;

    /// The blocks of a vector.
    fn store(self, vector: Self::Vector) -> [Block; L];

    /// Bitwise exclusive or.
    fn xor(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// The bits of `a` where `mask` is one, and of `b` elsewhere.
    fn select(self, mask: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// One of the first nine rounds (FIPS 197, section 5.1), with the round key that is added at its end.
    fn round(self, state: Self::Vector, key: Self::Vector) -> Self::Vector;

    /// The tenth round.
    fn last_round(self, state: Self::Vector, key: Self::Vector) -> Self::Vector;

    /// The round key that follows `key` (FIPS 197, section 5.2).
    fn next_key(self, key: Self::Vector, round_constant: u32) -> Self::Vector;

    /// Twice each block in the field of AES-CMAC (NIST SP 800-38B, section 6.1).
    fn double(self, blocks: Self::Vector) -> Self::Vector;
}

/// The kernels, each compiled for the instructions of one processor. [`compiled!`] implements it.
pub(in crate::backend) trait Kernels<const L: usize>: Aes<L> {
    /// [`macs::pass`].
    fn macs<const G: usize>(self, jobs: &[MacJob<'_>], tags: &mut [Tag]) -> usize;

    /// [`cmacs::burst`].
    fn burst<const M: usize>(self, jobs: &[CmacJob<'_>], tags: &mut [Tag]);

    /// [`cmacs::begin`].
    fn begin<const G: usize>(
        self,
        jobs: &[&CmacJob<'_>],
        messages: &mut [Messages<Self::Vector>],
        last: &mut [[Block; L]],
    );

    /// [`cmacs::absorb_runs`].
    ///
    /// # Safety
    /// As there.
    unsafe fn absorb_runs<const G: usize>(
        self,
        messages: &mut [Messages<Self::Vector>],
        runs: &[[*const Block; L]],
        blocks: Range<usize>,
    );
}

/// Implements [`Kernels`] for a processor with these features.
macro_rules! compiled {
    ($processor:ty, $lanes:literal, $features:literal) => {
        const _: () = {
            use $crate::backend::vectors::aes::cmacs::{self, Messages};
            use $crate::backend::vectors::aes::{Aes, Kernels, macs};
            use $crate::{Block, CmacJob, MacJob, Tag};

            type Vector = <$processor as Aes<$lanes>>::Vector;

            // SAFETY of each call below: that there is a value of this type proves that the processor has the features.
            impl Kernels<$lanes> for $processor {
                fn macs<const G: usize>(self, jobs: &[MacJob<'_>], tags: &mut [Tag]) -> usize {
                    #[target_feature(enable = $features)]
                    fn featured<const G: usize>(aes: $processor, jobs: &[MacJob<'_>], tags: &mut [Tag]) -> usize {
                        macs::pass::<_, $lanes, G>(aes, jobs, tags)
                    }
                    // SAFETY: see above.
                    unsafe { featured::<G>(self, jobs, tags) }
                }

                fn burst<const M: usize>(self, jobs: &[CmacJob<'_>], tags: &mut [Tag]) {
                    #[target_feature(enable = $features)]
                    fn featured<const M: usize>(aes: $processor, jobs: &[CmacJob<'_>], tags: &mut [Tag]) {
                        cmacs::burst::<_, $lanes, M>(aes, jobs, tags);
                    }
                    // SAFETY: see above.
                    unsafe { featured::<M>(self, jobs, tags) }
                }

                fn begin<const G: usize>(
                    self,
                    jobs: &[&CmacJob<'_>],
                    messages: &mut [Messages<Vector>],
                    last: &mut [[Block; $lanes]],
                ) {
                    #[target_feature(enable = $features)]
                    fn featured<const G: usize>(
                        aes: $processor,
                        jobs: &[&CmacJob<'_>],
                        messages: &mut [Messages<Vector>],
                        last: &mut [[Block; $lanes]],
                    ) {
                        cmacs::begin::<_, $lanes, G>(aes, jobs, messages, last);
                    }
                    // SAFETY: see above.
                    unsafe { featured::<G>(self, jobs, messages, last) }
                }

                unsafe fn absorb_runs<const G: usize>(
                    self,
                    messages: &mut [Messages<Vector>],
                    runs: &[[*const Block; $lanes]],
                    blocks: std::ops::Range<usize>,
                ) {
                    #[target_feature(enable = $features)]
                    unsafe fn featured<const G: usize>(
                        aes: $processor,
                        messages: &mut [Messages<Vector>],
                        runs: &[[*const Block; $lanes]],
                        blocks: std::ops::Range<usize>,
                    ) {
                        // SAFETY: the caller vouches for the runs.
                        unsafe { cmacs::absorb_runs::<_, $lanes, G>(aes, messages, runs, blocks) }
                    }
                    // SAFETY: see above; and the caller vouches for the runs.
                    unsafe { featured::<G>(self, messages, runs, blocks) }
                }
            }
        };
    };
}
pub(in crate::backend) use compiled;

/// What becomes of each `state` when one block under its key is chained into it; the keys are expanded on the way.
#[inline(always)]
fn absorb<A: Aes<L>, const L: usize, const G: usize>(
    aes: A,
    mut keys: [A::Vector; G],
    mut state: [A::Vector; G],
) -> [A::Vector; G] {
    for g in 0..G {
        state[g] = aes.xor(state[g], keys[g]);
    }
    for constant in ROUND_CONSTANTS {
        for g in 0..G {
            keys[g] = aes.next_key(keys[g], constant);
            state[g] = aes.round(state[g], keys[g]);
        }
    }
    for g in 0..G {
        keys[g] = aes.next_key(keys[g], LAST_ROUND_CONSTANT);
        state[g] = aes.last_round(state[g], keys[g]);
    }
    state
}

/// The states after `first`, and after `second` behind it, of chains that begin with zero.
#[inline(always)]
fn absorb_two<A: Aes<L>, const L: usize, const G: usize>(
    aes: A,
    mut keys: [A::Vector; G],
    first: [A::Vector; G],
    second: [A::Vector; G],
) -> ([A::Vector; G], [A::Vector; G]) {
    let mut round_keys = [keys; ROUNDS + 1];
    let mut short = first;
    for g in 0..G {
        short[g] = aes.xor(short[g], keys[g]);
    }
    for (constant, round_keys) in ROUND_CONSTANTS.into_iter().zip(&mut round_keys[1..ROUNDS]) {
        for g in 0..G {
            keys[g] = aes.next_key(keys[g], constant);
            short[g] = aes.round(short[g], keys[g]);
        }
        *round_keys = keys;
    }
    for g in 0..G {
        keys[g] = aes.next_key(keys[g], LAST_ROUND_CONSTANT);
        short[g] = aes.last_round(short[g], keys[g]);
    }
    round_keys[ROUNDS] = keys;
    // Without this the compiler would rather have all the round keys in registers than in this memory, and then find that there
    // are too few of them, and leave copies elsewhere.
    optimization_barrier(&round_keys);
    let mut long = short;
    for g in 0..G {
        long[g] = aes.xor(aes.xor(long[g], second[g]), round_keys[0][g]);
    }
    for keys in &round_keys[1..ROUNDS] {
        for g in 0..G {
            long[g] = aes.round(long[g], keys[g]);
        }
    }
    for g in 0..G {
        long[g] = aes.last_round(long[g], round_keys[ROUNDS][g]);
    }
    round_keys.zeroize();
    (short, long)
}

/// Rounds of AES-128.
const ROUNDS: usize = 10;

/// The powers of x in GF(2^8) (FIPS 197, table 5): those of all rounds but the last.
const ROUND_CONSTANTS: [u32; ROUNDS - 1] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b];
const LAST_ROUND_CONSTANT: u32 = 0x36;
