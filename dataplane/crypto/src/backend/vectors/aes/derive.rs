//! The keys of a burst: from the AS-AS keys over the HOST-AS keys to the HOST-HOST keys, which never leave the registers.

use super::{Aes, absorb, absorb_two};
use crate::backend::{CmacJob, MacJob};
use crate::cbc_mac::{Block, Input};

/// What a HOST-HOST key is derived from.
pub(super) trait Derivation {
    /// The AS-AS key.
    fn as_as(&self) -> &Block;
    /// The input of the first derivation.
    fn host_as(&self) -> &Input;
    /// The input of the second derivation.
    fn host_host(&self) -> &Input;
}

impl Derivation for MacJob<'_> {
    #[inline(always)]
    fn as_as(&self) -> &Block {
        self.as_as.as_bytes()
    }

    #[inline(always)]
    fn host_as(&self) -> &Input {
        &self.host_as
    }

    #[inline(always)]
    fn host_host(&self) -> &Input {
        &self.host_host
    }
}

impl Derivation for CmacJob<'_> {
    #[inline(always)]
    fn as_as(&self) -> &Block {
        self.as_as.as_bytes()
    }

    #[inline(always)]
    fn host_as(&self) -> &Input {
        &self.host_as
    }

    #[inline(always)]
    fn host_host(&self) -> &Input {
        &self.host_host
    }
}

/// `G` vectors of jobs, one for each lane.
#[derive(Clone, Copy)]
pub(super) struct Lanes<'j, J, const L: usize, const G: usize>([[&'j J; L]; G]);

impl<'j, J: Derivation, const L: usize, const G: usize> Lanes<'j, J, L, G> {
    /// The first of `jobs`. Lanes without a job of their own repeat the last one.
    ///
    /// Nothing if there are no jobs at all.
    #[inline(always)]
    pub(super) fn new(mut jobs: impl Iterator<Item = &'j J>) -> Option<Self> {
        let mut last = jobs.next()?;
        let mut lanes = [[last; L]; G];
        for (n, lane) in lanes.as_flattened_mut().iter_mut().enumerate() {
            if n > 0 {
                last = jobs.next().unwrap_or(last);
            }
            *lane = last;
        }
        Some(Self(lanes))
    }

    /// One block of each job.
    #[inline(always)]
    pub(super) fn load<A: Aes<L>>(&self, aes: A, block: impl Fn(&'j J) -> &'j Block) -> [A::Vector; G] {
        let mut vectors = [aes.load([&ZERO; L]); G];
        for (vector, jobs) in vectors.iter_mut().zip(&self.0) {
            let mut blocks = [&ZERO; L];
            for (block_of, job) in blocks.iter_mut().zip(jobs) {
                *block_of = block(job);
            }
            *vector = aes.load(blocks);
        }
        vectors
    }

    /// The HOST-HOST key of each job.
    #[inline(always)]
    pub(super) fn keys<A: Aes<L>>(&self, aes: A) -> [A::Vector; G] {
        let as_as = self.load(aes, Derivation::as_as);
        let host_as = self.derive(aes, as_as, Derivation::host_as);
        self.derive(aes, host_as, Derivation::host_host)
    }

    /// What follows from each of `keys` and its input.
    #[inline(always)]
    fn derive<A: Aes<L>>(
        &self,
        aes: A,
        keys: [A::Vector; G],
        input: impl Fn(&'j J) -> &'j Input + Copy,
    ) -> [A::Vector; G] {
        let first = self.load(aes, |job| input(job).first());
        let mut any_long = false;
        for job in self.0.as_flattened() {
            // Not `||`: a branch for each job would cost more than the few instructions that it could save.
            any_long |= input(job).second().is_some();
        }
        if !any_long {
            return absorb(aes, keys, first);
        }
        let second = self.load(aes, |job| input(job).second().unwrap_or(&ZERO));
        let (short, mut state) = absorb_two(aes, keys, first, second);
        let is_long = self.load(aes, |job| if input(job).second().is_some() { &ONES } else { &ZERO });
        for g in 0..G {
            state[g] = aes.select(is_long[g], state[g], short[g]);
        }
        state
    }
}

const ZERO: Block = [0; 16];
const ONES: Block = [0xff; 16];
