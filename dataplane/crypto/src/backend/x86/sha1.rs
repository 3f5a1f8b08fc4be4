//! SHA-1 (FIPS 180-4) of a burst: as many messages side by side as a vector has lanes, or a few at a time with SHA-NI.

pub(super) mod avx512;
mod lanes;
pub(super) mod ni;
mod queue;
mod rounds;
mod stream;

use avx512::Avx512;
use ni::ShaNi;
use queue::{MAX_JOBS, Queue};

use crate::backend::portable::Portable;
use crate::backend::{Backend as _, Digest, HashJob};

/// What hashes with what.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sha1 {
    /// 16 lanes, and SHA-NI, if there is, when too few of them would be busy.
    Avx512 { wide: Avx512, few: Option<ShaNi> },
    /// SHA-NI alone.
    ShaNi(ShaNi),
    /// One message after the other, with the SHA-1 of RustCrypto.
    Portable,
}

impl Sha1 {
    /// SHA-NI, if there is.
    pub(super) fn few(few: Option<ShaNi>) -> Self {
        few.map_or(Self::Portable, Self::ShaNi)
    }

    /// Computes the digests of `jobs`.
    pub(super) fn hash(self, jobs: &[HashJob<'_>], digests: &mut [Digest]) {
        for (jobs, digests) in jobs.chunks(MAX_JOBS).zip(digests.chunks_mut(MAX_JOBS)) {
            let mut queue = Queue::new(jobs);
            match self {
                Self::Avx512 { wide, few: Some(few) } => {
                    wide.run(&mut queue, AVX512_FEWEST, digests);
                    few.run(&mut queue, digests);
                }
                Self::Avx512 { wide, few: None } => wide.run(&mut queue, 1, digests),
                Self::ShaNi(few) => few.run(&mut queue, digests),
                Self::Portable => Portable.sha1(jobs, digests),
            }
        }
    }
}

/// From this many lanes on, 16 in vectors are faster than four at a time with SHA-NI: measured on Zen 5, where a chunk costs 265
/// cycles for all lanes together, against 33 for each.
const AVX512_FEWEST: usize = 9;

/// What SHA-1 takes in one step.
type Chunk = [u8; 64];

/// The intermediate hash of one message.
type State = [u32; 5];

/// The hash before the first chunk (FIPS 180-4, section 5.3.1).
const INITIAL: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
