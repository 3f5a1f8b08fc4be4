//! SHA-1 (FIPS 180-4) of a burst, for any kernel that hashes a number of messages side by side.

pub(in crate::backend) mod lanes;
pub(in crate::backend) mod queue;
#[cfg(target_arch = "x86_64")]
pub(in crate::backend) mod rounds;
pub(in crate::backend) mod tail;

use std::fmt;

use crate::backend::{Digest, HashJob};

/// What hashes with what.
pub(in crate::backend) trait Sha1: Copy + fmt::Debug + Send + Sync {
    /// Computes the digests of `jobs`, of which there are as many.
    fn hash(self, jobs: &[HashJob<'_>], digests: &mut [Digest]);
}

/// What SHA-1 takes in one step.
pub(in crate::backend) type Chunk = [u8; 64];

/// The intermediate hash of one message.
type State = [u32; 5];

/// The hash before the first chunk (FIPS 180-4, section 5.3.1).
const INITIAL: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
