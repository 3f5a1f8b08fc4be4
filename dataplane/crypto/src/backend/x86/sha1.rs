//! SHA-1 (FIPS 180-4) of a burst: as many messages side by side as a vector has lanes, or a few at a time with SHA-NI.

pub(super) mod avx2;
pub(super) mod avx512;
mod lanes;
pub(super) mod ni;
mod queue;
mod rounds;
mod stream;

use avx2::Avx2;
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
    /// Eight lanes. For processors without SHA-NI, which is faster: 0.55 cycles a byte against 0.76.
    Avx2(Avx2),
    /// SHA-NI alone.
    ShaNi(ShaNi),
    /// One message after the other, with the SHA-1 of RustCrypto.
    Portable,
}

impl Sha1 {
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
                Self::Avx2(_) if jobs.len() < AVX2_FEWEST => Portable.sha1(jobs, digests),
                Self::Avx2(wide) => wide.run(&mut queue, 1, digests),
                Self::ShaNi(few) => few.run(&mut queue, digests),
                Self::Portable => Portable.sha1(jobs, digests),
            }
        }
    }
}

/// From this many lanes on, 16 in vectors are faster than four at a time with SHA-NI: measured on Zen 5, where a chunk costs 265
/// cycles for all lanes together, against 33 for each.
const AVX512_FEWEST: usize = 9;

/// With fewer messages than these, one after the other is faster than eight lanes. Estimated: a chunk costs 390 cycles for all lanes
/// together, and 64 bytes about 200 in software.
const AVX2_FEWEST: usize = 3;

/// What SHA-1 takes in one step.
type Chunk = [u8; 64];

/// The intermediate hash of one message.
type State = [u32; 5];

/// The hash before the first chunk (FIPS 180-4, section 5.3.1).
const INITIAL: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

#[cfg(test)]
mod tests {
    use super::*;

    /// The backends name those that are fastest together; here each has its turn, as far as this machine can run it.
    #[test]
    fn all_ways_to_hash_give_the_same_digests() {
        let data: Vec<u8> = (0..9000_u32).map(|n| (n * 31 / 7) as u8).collect();
        let (wide, few) = (Avx512::detect(), ShaNi::detect());
        let ways = [
            wide.map(|wide| Sha1::Avx512 { wide, few: None }),
            wide.map(|wide| Sha1::Avx512 { wide, few }),
            Avx2::detect().map(Sha1::Avx2),
            few.map(Sha1::ShaNi),
            Some(Sha1::Portable),
        ];
        for count in 1..=MAX_JOBS + 1 {
            let lengths = (0..count).map(|n| if count % 3 == 0 { 64 } else { n * n * 7919 % 9001 / (1 + n % 7) });
            let jobs: Vec<_> = lengths.map(|length| HashJob { data: &data[..length] }).collect();
            let mut expected = vec![Digest::default(); count];
            Portable.sha1(&jobs, &mut expected);
            for way in ways.into_iter().flatten() {
                let mut digests = vec![Digest::default(); count];
                way.hash(&jobs, &mut digests);
                assert_eq!(digests, expected, "{way:?}, {count} messages");
            }
        }
    }
}
