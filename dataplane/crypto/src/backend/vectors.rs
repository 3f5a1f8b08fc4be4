//! What the vector kernels of all processors share: how a burst is laid over lanes. Only the instructions differ.

pub(super) mod aes;
pub(super) mod sha1;

use std::fmt;

use aes::Kernels;
use sha1::Sha1;

use super::{Backend, CmacJob, Digest, HashJob, MacJob};
use crate::tag::Tag;

/// A backend that encrypts `L` blocks with one instruction.
#[derive(Debug)]
struct Vectors<A, S, const L: usize> {
    name: &'static str,
    aes: A,
    sha1: S,
}

/// The backend of these kernels, if the processor has both.
pub(super) fn backend<A, S, const L: usize>(
    name: &'static str,
    aes: Option<A>,
    sha1: Option<S>,
) -> Option<Box<dyn Backend>>
where
    A: Kernels<L> + fmt::Debug + Send + Sync + 'static,
    S: Sha1 + 'static,
{
    Some(Box::new(Vectors { name, aes: aes?, sha1: sha1? }))
}

impl<A: Kernels<L> + fmt::Debug + Send + Sync, S: Sha1, const L: usize> Backend for Vectors<A, S, L> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn macs(&self, jobs: &[MacJob<'_>], tags: &mut [Tag]) {
        assert_eq!(jobs.len(), tags.len(), "one tag for each job");
        aes::macs::macs(self.aes, jobs, tags);
    }

    fn cmacs(&self, jobs: &[CmacJob<'_>], tags: &mut [Tag]) {
        assert_eq!(jobs.len(), tags.len(), "one tag for each job");
        aes::cmacs::cmacs(self.aes, jobs, tags);
    }

    fn sha1(&self, jobs: &[HashJob<'_>], digests: &mut [Digest]) {
        assert_eq!(jobs.len(), digests.len(), "one digest for each job");
        self.sha1.hash(jobs, digests);
    }
}
