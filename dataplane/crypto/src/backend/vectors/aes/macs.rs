//! The MAC of the LF header for a burst: two derivations and a CBC-MAC, all under keys made on the way.

use super::derive::Lanes;
use super::{Aes, Kernels, absorb_two};
use crate::backend::{MacJob, stack};
use crate::tag::Tag;

/// Computes the tags of `jobs`.
pub(in crate::backend) fn macs<A: Kernels<L>, const L: usize>(aes: A, mut jobs: &[MacJob<'_>], mut tags: &mut [Tag]) {
    while !jobs.is_empty() {
        // With four vectors there is always an instruction that need not wait.
        let count = match jobs.len().div_ceil(L) {
            1 => aes.macs::<1>(jobs, tags),
            2 => aes.macs::<2>(jobs, tags),
            3 => aes.macs::<3>(jobs, tags),
            _ => aes.macs::<4>(jobs, tags),
        };
        jobs = jobs.get(count..).unwrap_or_default();
        tags = tags.get_mut(count..).unwrap_or_default();
    }
    if L == 1 || cfg!(debug_assertions) {
        // One packet in a vector takes more keys than there are registers. Wider ones leave none behind, but for builds with checks.
        stack::wipe(STACK);
    }
}

/// Computes the tags of as many jobs as fit `G` vectors. How many those were.
#[inline(always)]
pub(in crate::backend) fn pass<A: Aes<L>, const L: usize, const G: usize>(
    aes: A,
    jobs: &[MacJob<'_>],
    tags: &mut [Tag],
) -> usize {
    let Some(lanes) = Lanes::<_, L, G>::new(jobs.iter()) else { return 0 };
    // Not `map` over the blocks: what it calls is not compiled for this processor, and moves each vector through memory.
    let first = lanes.load(aes, |job| &job.message[0]);
    let second = lanes.load(aes, |job| &job.message[1]);
    let (_, state) = absorb_two(aes, lanes.keys(aes), first, second);
    // There are as many tags as jobs, so lanes without a job of their own have none.
    for (tags, state) in tags.chunks_mut(L).zip(state) {
        for (tag, block) in tags.iter_mut().zip(aes.store(state)) {
            *tag = Tag::from_bytes(block);
        }
    }
    G * L
}

/// More than [`pass`] uses of the stack.
const STACK: usize = 4096;
