//! One packet after the other, with the AES and SHA-1 of RustCrypto. They use AES-NI and SHA-NI where the processor has
//! them, and otherwise constant-time software.

use sha1::{Digest as _, Sha1};

use super::{Backend, CmacJob, Digest, HashJob, MacJob, stack};
use crate::cbc_mac::{Input, cbc_mac};
use crate::cmac::cmac;
use crate::key::{Key, Schedule};
use crate::tag::Tag;

/// The backend that runs everywhere.
#[derive(Debug)]
pub(super) struct Portable;

impl Backend for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn macs(&self, jobs: &[MacJob<'_>], tags: &mut [Tag]) {
        assert_eq!(jobs.len(), tags.len(), "one tag for each job");
        for (job, tag) in jobs.iter().zip(tags) {
            let host_host = host_host_key(job.as_as, &job.host_as, &job.host_host);
            *tag = Tag::from_bytes(cbc_mac(&host_host, &job.message));
        }
        stack::wipe(STACK);
    }

    fn cmacs(&self, jobs: &[CmacJob<'_>], tags: &mut [Tag]) {
        assert_eq!(jobs.len(), tags.len(), "one tag for each job");
        for (job, tag) in jobs.iter().zip(tags) {
            let host_host = host_host_key(job.as_as, &job.host_as, &job.host_host);
            *tag = Tag::from_bytes(cmac(&host_host, &job.head, job.data));
        }
        stack::wipe(STACK);
    }

    fn sha1(&self, jobs: &[HashJob<'_>], digests: &mut [Digest]) {
        assert_eq!(jobs.len(), digests.len(), "one digest for each job");
        for (job, digest) in jobs.iter().zip(digests) {
            *digest = Sha1::digest(job.data).into();
        }
    }
}

/// The key of two hosts. The keys on the way, and what they expand to, are wiped when they go out of scope.
fn host_host_key(as_as: &Key, host_as: &Input, host_host: &Input) -> Schedule {
    let host_as = Schedule::new(&Schedule::new(as_as).derive(host_as));
    Schedule::new(&host_as.derive(host_host))
}

/// More than is used of the stack for one packet: keys are moved about there, and AES keeps what it needs.
const STACK: usize = 4096;
