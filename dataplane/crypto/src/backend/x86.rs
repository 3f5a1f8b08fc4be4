//! The backends for x86-64 processors: one of vector kernels for each generation of instructions.

mod aes;
mod sha1;

use std::fmt;

use aes::Kernels;
use sha1::Sha1;

use super::{Backend, CmacJob, Digest, HashJob, MacJob};
use crate::tag::Tag;

/// The backends that this processor can run, the fastest first.
pub(super) fn available() -> Vec<Box<dyn Backend>> {
    let few = sha1::ni::ShaNi::detect();
    let mut backends: Vec<Box<dyn Backend>> = Vec::new();
    if let (Some(aes), Some(wide)) = (aes::avx512::Avx512::detect(), sha1::avx512::Avx512::detect()) {
        backends.push(Box::new(Vectors { name: "avx512", aes, sha1: Sha1::Avx512 { wide, few } }));
    }
    let ni = aes::ni::AesNi::detect();
    if let Some(wide) = sha1::avx2::Avx2::detect() {
        let sha1 = few.map_or(Sha1::Avx2(wide), Sha1::ShaNi);
        // AVX2 is older than VAES.
        match (aes::avx2::Avx2::detect(), ni) {
            (Some(aes), _) => backends.push(Box::new(Vectors { name: "avx2", aes, sha1 })),
            (None, Some(aes)) => backends.push(Box::new(Vectors { name: "avx2", aes, sha1 })),
            (None, None) => {}
        }
    }
    if let Some(aes) = ni {
        backends.push(Box::new(Vectors { name: "aesni", aes, sha1: few.map_or(Sha1::Portable, Sha1::ShaNi) }));
    }
    backends
}

/// A backend that encrypts `L` blocks with one instruction.
#[derive(Debug)]
struct Vectors<A, const L: usize> {
    name: &'static str,
    aes: A,
    sha1: Sha1,
}

impl<A: Kernels<L> + fmt::Debug + Send + Sync, const L: usize> Backend for Vectors<A, L> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn macs(&self, jobs: &[MacJob<'_>], tags: &mut [Tag]) {
        assert_eq!(jobs.len(), tags.len(), "one tag for each job");
        aes::macs(self.aes, jobs, tags);
    }

    fn cmacs(&self, jobs: &[CmacJob<'_>], tags: &mut [Tag]) {
        assert_eq!(jobs.len(), tags.len(), "one tag for each job");
        aes::cmacs(self.aes, jobs, tags);
    }

    fn sha1(&self, jobs: &[HashJob<'_>], digests: &mut [Digest]) {
        assert_eq!(jobs.len(), digests.len(), "one digest for each job");
        self.sha1.hash(jobs, digests);
    }
}
