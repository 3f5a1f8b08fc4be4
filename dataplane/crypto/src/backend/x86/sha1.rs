//! SHA-1 (FIPS 180-4) of a burst: as many messages side by side as a vector has lanes, or a few at a time with SHA-NI.

pub(super) mod avx2;
pub(super) mod avx512;
pub(super) mod ni;

use avx2::Avx2;
use avx512::Avx512;
use ni::ShaNi;

use crate::backend::portable::Portable;
use crate::backend::vectors::sha1;
use crate::backend::vectors::sha1::lanes::Kernel;
use crate::backend::vectors::sha1::queue::{MAX_JOBS, Queue};
use crate::backend::{Backend as _, Digest, HashJob};

/// What hashes with what.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sha1 {
    /// 32 or 16 lanes, and SHA-NI, if there is, when too few of them would be busy.
    Avx512 { wide: Avx512, few: Option<ShaNi> },
    /// Eight lanes. For processors without SHA-NI, which is faster: 0.55 cycles a byte against 0.76.
    Avx2(Avx2),
    /// SHA-NI alone.
    ShaNi(ShaNi),
    /// One message after the other, with the SHA-1 of RustCrypto.
    Portable,
}

impl sha1::Sha1 for Sha1 {
    fn hash(self, mut jobs: &[HashJob<'_>], mut digests: &mut [Digest]) {
        if let Self::Avx512 { wide, .. } = self {
            (jobs, digests) = hash_alike::<32>(wide, jobs, digests);
            (jobs, digests) = hash_alike::<16>(wide, jobs, digests);
        }
        for (jobs, digests) in jobs.chunks(MAX_JOBS).zip(digests.chunks_mut(MAX_JOBS)) {
            let mut queue = Queue::new(jobs);
            match self {
                Self::Avx512 { wide, few: Some(few) } => {
                    wide.run(&mut queue, AVX512_FEWEST, digests);
                    few.run(&mut queue, digests);
                }
                Self::Avx512 { wide, few: None } => wide.run(&mut queue, 1, digests),
                Self::Avx2(_) if jobs.len() < AVX2_FEWEST => Portable.sha1(jobs, digests),
                Self::Avx2(wide) => wide.run(&mut queue, 1, digests),
                Self::ShaNi(few) => few.run(&mut queue, digests),
                Self::Portable => Portable.sha1(jobs, digests),
            }
        }
    }
}

/// Hashes messages from the front for as long as `L` are of one length. Those that are left.
fn hash_alike<'j, 'p, 'd, const L: usize>(
    wide: Avx512,
    mut jobs: &'j [HashJob<'p>],
    mut digests: &'d mut [Digest],
) -> (&'j [HashJob<'p>], &'d mut [Digest])
where
    Avx512: Kernel<L>,
{
    while let Some((first, rest)) = jobs.split_first_chunk()
        && let Some(places) = digests.first_chunk_mut()
        && wide.run_alike::<L>(first, places)
    {
        jobs = rest;
        digests = &mut digests[L..];
    }
    (jobs, digests)
}

/// From this many lanes on, 16 in vectors are faster than four at a time with SHA-NI: measured on Zen 5, where a chunk costs 265
/// cycles for all lanes together, against 33 for each.
const AVX512_FEWEST: usize = 9;

/// With fewer messages than these, one after the other is faster than eight lanes. Estimated: a chunk costs 390 cycles for all lanes
/// together, and 64 bytes about 200 in software.
const AVX2_FEWEST: usize = 3;
